"""Spiral convolutions, encoder and decoder (Bouritsas et al. 2019; paper section 3.2).

Inside, features lie as (V,C,B): a vertex's features of the whole batch are one contiguous row, so gathering a neighbour is one copy
and every layer is one small matrix against all vertices without a transpose. Outside, meshes are (B,V,3) and codes (B,latent).

Speed comes from two facts. A convolution is linear, so it may gather first (rows of inputs, then one product) or multiply first
(one product at the input vertices, then sum the gathered results): each layer takes the cheaper one. And pooling to a subset and
three-tap up-sampling are sparse, so they are folded into the gather: an encoder layer computes only the vertices that it keeps, a
decoder layer multiplies at the coarse level, a quarter of the vertices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emovoca_cli.errors import UsageError
from emovoca_cli.nn.sparse import SparseGather, shared_matmul
from emovoca_cli.nn.taps import Index, Taps, spiral_taps

if TYPE_CHECKING:
    from emovoca_cli.mesh.hierarchy import Hierarchy

ENCODER_FILTERS = (3, 16, 32, 64, 128)
"""Channels of the paper's encoder, from the mesh to the coarsest level."""

DECODER_FILTERS = (128, 64, 32, 32, 16, 3)
"""Channels of the paper's decoder, from the coarsest level to the mesh; the last two convolutions are both at the finest level."""

CHUNK_BYTES = 24 << 20
"""Largest intermediate of one pass without gradients on the CPU: larger ones are new pages from the system each time, four times
slower."""

_GATHER_COST = 2.0
"""Time to add one gathered number, in multiply-adds of a matrix product (measured on two AVX2 cores)."""

_WRITE_COST = 6.0
"""Time to write and read back one intermediate number, likewise."""


class SpiralOperator(nn.Module):
    """The fixed part of a spiral convolution: which rows it reads and in which order it multiplies and gathers."""

    zeroed: Tensor

    def __init__(self, taps: Taps, channels_in: int, channels_out: int) -> None:
        """Choose the order for these channel counts by its cost."""
        super().__init__()
        self.outputs, self.inputs, self.length = taps.outputs, taps.inputs, taps.length
        self.channels_in, self.channels_out = channels_in, channels_out

        def cost(vertices: int, written: int, gathered: int) -> float:
            products = vertices * taps.length * channels_in * channels_out
            return products + _WRITE_COST * vertices * taps.length * written + _GATHER_COST * len(taps.rows) * gathered

        self.multiply_first = cost(taps.inputs, channels_out, channels_out) < cost(taps.outputs, channels_in, channels_in)
        if self.multiply_first:
            shape = (taps.outputs, taps.inputs * taps.length)
            self.gather = SparseGather(taps.rows, taps.sources * taps.length + taps.slots, taps.weights, shape)
        else:
            shape = (taps.outputs * taps.length, taps.inputs)
            self.gather = SparseGather(taps.rows * taps.length + taps.slots, taps.sources, taps.weights, shape)
        self.register_buffer("zeroed", torch.from_numpy(taps.zeroed), persistent=False)

    @property
    def widest(self) -> int:
        """Numbers a mesh in the largest intermediate."""
        product = self.inputs * self.length * self.channels_out
        return product if self.multiply_first else self.outputs * self.length * self.channels_in

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Features (V_in,C_in,B) with weight (C_out,L*C_in), place by place, and bias (C_out,): features (V_out,C_out,B)."""
        batch = x.shape[2]
        if self.multiply_first:
            # (C_out,L*C_in) to (L*C_out,C_in): one product for every place of the spiral
            stacked = weight.view(self.channels_out, self.length, self.channels_in).transpose(0, 1)
            products = shared_matmul(stacked.reshape(-1, self.channels_in), x)
            rows = self.gather(products.view(self.inputs * self.length, self.channels_out * batch))
            y: Tensor = rows.view(self.outputs, self.channels_out, batch)
        else:
            rows = self.gather(x.reshape(self.inputs, self.channels_in * batch))
            y = shared_matmul(weight, rows.view(self.outputs, self.length * self.channels_in, batch))
        y.add_(bias[:, None])
        return y.index_fill_(0, self.zeroed, 0) if self.zeroed.numel() else y


class SpiralConv(nn.Module):
    """A spiral convolution over the taps of one layer: learnt weight (C_out,L*C_in) and bias (C_out,)."""

    def __init__(self, taps: Taps, channels_in: int, channels_out: int) -> None:
        """Start as Xavier-uniform with no bias."""
        super().__init__()
        self.operator = SpiralOperator(taps, channels_in, channels_out)
        self.weight = nn.Parameter(torch.empty(channels_out, taps.length * channels_in))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Features (V_in,C_in,B) to (V_out,C_out,B)."""
        y: Tensor = self.operator(x, self.weight, self.bias)
        return y


class SpiralEncoder(nn.Module):
    """Meshes to codes: a convolution and a pooling a level, then one linear layer (paper section 3.2)."""

    def __init__(self, hierarchy: Hierarchy, latent: int, filters: Sequence[int] = ENCODER_FILTERS) -> None:
        """Build over a hierarchy of len(filters) levels. Raises UsageError when the counts do not fit."""
        super().__init__()
        _check_levels(hierarchy, len(filters), "encoder")
        self.vertices = len(hierarchy.levels[0].spirals)
        self.convolutions = nn.ModuleList(
            SpiralConv(
                spiral_taps(hierarchy.levels[step].spirals, keep=hierarchy.down[step], held=hierarchy.levels[step].held),
                filters[step],
                filters[step + 1],
            )
            for step in range(len(filters) - 1)
        )
        self.linear = nn.Linear(len(hierarchy.levels[-1].spirals) * filters[-1], latent)
        self._chunk = _chunk(layer.operator for layer in _layers(self.convolutions))

    def forward(self, meshes: Tensor) -> Tensor:
        """Displacements (B,V,3) to codes (B,latent)."""
        return torch.cat([self._encode(part) for part in _parts(meshes, self._chunk)])

    def _encode(self, meshes: Tensor) -> Tensor:
        x = meshes.reshape(len(meshes), -1).t().contiguous().view(self.vertices, -1, len(meshes))
        for convolution in self.convolutions:
            x = F.elu(convolution(x), inplace=True)
        # (V,C,B) to (B,V*C)
        y: Tensor = self.linear(x.reshape(-1, len(meshes)).t())
        return y


class SpiralDecoder(nn.Module):
    """Codes to meshes: one linear layer, then up-sampling and a convolution a level, one more at the finest (paper section 3.2)."""

    def __init__(self, hierarchy: Hierarchy, latent_in: int, filters: Sequence[int] = DECODER_FILTERS) -> None:
        """Build over a hierarchy of len(filters) - 1 levels. Raises UsageError when the counts do not fit."""
        super().__init__()
        levels = len(filters) - 1
        _check_levels(hierarchy, levels, "decoder")
        self.coarsest = len(hierarchy.levels[-1].spirals)
        self.linear = nn.Linear(latent_in, self.coarsest * filters[0])
        counts = [len(level.spirals) for level in hierarchy.levels]
        self._taps = [
            spiral_taps(
                hierarchy.levels[step].spirals, up=(*hierarchy.up[step], counts[step + 1]), held=hierarchy.levels[step].held
            )
            for step in reversed(range(levels - 1))
        ]
        self._taps.append(spiral_taps(hierarchy.levels[0].spirals, held=hierarchy.levels[0].held))
        self.filters = tuple(filters)
        self.convolutions = nn.ModuleList(SpiralConv(taps, filters[i], filters[i + 1]) for i, taps in enumerate(self._taps))
        self._chunk = _chunk(layer.operator for layer in _layers(self.convolutions))

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (B,latent_in) to displacements (B,V,3)."""
        parts = [
            self._decode(part, [layer.operator for layer in _layers(self.convolutions)]) for part in _parts(codes, self._chunk)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _decode(self, codes: Tensor, operators: Sequence[SpiralOperator], coarse: Tensor | None = None) -> Tensor:
        batch, last = len(codes), len(operators) - 1
        x = torch.addmm(self.linear.bias[:, None], self.linear.weight, codes.t()).view(self.coarsest, -1, batch)
        x = x if coarse is None else x[coarse]
        for place, (operator, layer) in enumerate(zip(operators, _layers(self.convolutions), strict=True)):
            x = operator(x, layer.weight, layer.bias)
            x = x if place == last else F.elu(x, inplace=True)
        # (V,3,B) to (B,V,3)
        return x.reshape(-1, batch).t().contiguous().view(batch, -1, self.filters[-1])

    def restrict(self, vertices: NDArray[np.integer[Any]]) -> RestrictedDecoder:
        """Return a decoder of some finest vertices (n,) alone: the same weights and numbers, only the work that they depend on."""
        return RestrictedDecoder(self, np.asarray(vertices, dtype=np.int64))


class RestrictedDecoder:
    """A decoder of a few vertices. It follows back, level by level, which vertices they depend on, and computes those.

    It borrows the weights of its decoder, so it stays equal to it in training too.
    """

    def __init__(self, decoder: SpiralDecoder, vertices: Index) -> None:
        """Follow `vertices` (n,) back through the decoder's layers. Raises UsageError for repeated or impossible ones."""
        limit = decoder._taps[-1].outputs
        if len(np.unique(vertices)) != len(vertices) or (len(vertices) and not (vertices.min() >= 0 and vertices.max() < limit)):
            raise UsageError(f"a restricted decoder takes different vertices between 0 and {limit - 1}")
        self._decoder = decoder
        self.vertices = vertices
        self._operators: list[SpiralOperator] = []
        needed = vertices
        for place in reversed(range(len(decoder._taps))):
            taps, needed = decoder._taps[place].of_rows(needed)
            self._operators.insert(0, SpiralOperator(taps, decoder.filters[place], decoder.filters[place + 1]))
        self._coarse = None if len(needed) == decoder.coarsest else torch.from_numpy(needed)
        self._chunk = _chunk(self._operators)

    def __call__(self, codes: Tensor) -> Tensor:
        """Codes (B,latent_in) to displacements (B,n,3)."""
        for operator in self._operators:
            operator.to(codes.device)
        if self._coarse is not None:
            self._coarse = self._coarse.to(codes.device)
        parts = [self._decoder._decode(part, self._operators, self._coarse) for part in _parts(codes, self._chunk)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _check_levels(hierarchy: Hierarchy, wanted: int, what: str) -> None:
    if len(hierarchy.levels) != wanted:
        raise UsageError(
            f"the {what} has filters for {wanted} mesh levels, the hierarchy has {len(hierarchy.levels)}; change one of them"
        )


def _layers(modules: nn.ModuleList) -> list[SpiralConv]:
    return cast("list[SpiralConv]", list(modules))


def _chunk(operators: Iterable[SpiralOperator]) -> int:
    return max(1, CHUNK_BYTES // (4 * max(operator.widest for operator in operators)))


def _parts(x: Tensor, chunk: int) -> Sequence[Tensor]:
    """Split a batch for the CPU's memory, in nearly equal parts. With gradients everything is kept anyway, so it stays whole."""
    if x.is_cuda or torch.is_grad_enabled() or len(x) <= chunk:
        return [x]
    return x.chunk(-(-len(x) // chunk))
