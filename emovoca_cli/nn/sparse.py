"""The two products that spiral networks spend their time in, with backward passes as fast as the forward ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn


class SparseGather(nn.Module):
    """A fixed sparse matrix (R,N) that multiplies rows of features: (N,D) -> (R,D).

    Forward and backward are both sums over bags of rows (the matrix and its transpose in compressed form): contiguous reads,
    no atomic or scattered writes, the same result on every run.
    """

    index: Tensor
    offset: Tensor
    weight: Tensor | None
    index_t: Tensor
    offset_t: Tensor
    weight_t: Tensor | None

    def __init__(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], weights: NDArray[np.float32], shape: tuple[int, int]
    ) -> None:
        """Take the matrix as its non-zero entries (n,) in any order."""
        super().__init__()
        self.shape = shape
        unit = bool(np.all(weights == 1))
        for suffix, major, minor, count in (("", rows, columns, shape[0]), ("_t", columns, rows, shape[1])):
            order = np.lexsort((minor, major))
            starts = np.searchsorted(major[order], np.arange(count))
            # Derived from the hierarchy, which travels beside the weights: not part of the state.
            self.register_buffer(f"index{suffix}", torch.from_numpy(minor[order].astype(np.int32)), persistent=False)
            self.register_buffer(f"offset{suffix}", torch.from_numpy(starts.astype(np.int32)), persistent=False)
            kept = None if unit else torch.from_numpy(np.ascontiguousarray(weights[order], dtype=np.float32))
            self.register_buffer(f"weight{suffix}", kept, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rows (N,D) to rows (R,D)."""
        backward = (self.index_t, self.offset_t, self.weight_t)
        y: Tensor = _Bags.apply(x, self.index, self.offset, self.weight, *backward)  # type: ignore[no-untyped-call]
        return y


def _bags(x: Tensor, index: Tensor, offset: Tensor, weight: Tensor | None) -> Tensor:
    if index.numel() == 0:
        return x.new_zeros(offset.numel(), x.shape[1])
    return F.embedding_bag(index, x, offset, mode="sum", per_sample_weights=None if weight is None else weight.to(x.dtype))


class _Bags(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *matrices: Any) -> Tensor:
        # index, offset, weight of the matrix, then of its transpose
        ctx.save_for_backward(*matrices[3:])
        return _bags(x, *matrices[:3])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        return (_bags(grads[0].contiguous(), *ctx.saved_tensors), *(None,) * 6)


def shared_matmul(weight: Tensor, x: Tensor) -> Tensor:
    """weight (O,I) times every x[v] of x (V,I,B): (V,O,B); under autocast in its lower precision, as torch's own products."""
    if torch.is_autocast_enabled(x.device.type):
        # before the function: its backward pass runs outside of autocast and has to meet one precision
        lower = torch.get_autocast_dtype(x.device.type)
        weight, x = weight.to(lower), x.to(lower)
    y: Tensor = _SharedMatmul.apply(weight, x)  # type: ignore[no-untyped-call]
    return y


class _SharedMatmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(weight, x)
        return _left_product(weight, x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, Tensor | None]:
        weight, x = ctx.saved_tensors
        grad: Tensor = grads[0]
        grad_weight = _weight_gradient(grad, x) if ctx.needs_input_grad[0] else None
        return grad_weight, _left_product(weight.t(), grad) if ctx.needs_input_grad[1] else None


def _left_product(weight: Tensor, x: Tensor) -> Tensor:
    vertices, _, batch = x.shape
    if batch == 1:
        # One product for all vertices; not a view of its result, which autograd would not let later layers change in place.
        y = x.new_empty(vertices, len(weight), 1)
        torch.mm(x[:, :, 0], weight.t(), out=y[:, :, 0])
        return y
    # torch.matmul would transpose all of x here when gradients are wanted
    return torch.bmm(weight.expand(vertices, -1, -1), x)


def _weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Sum over v of grad[v] x[v]^T for grad (V,O,B) and x (V,I,B), by whichever of two ways writes less memory."""
    vertices, outputs, batch = grad.shape
    inputs = x.shape[1]
    if outputs * inputs <= (outputs + inputs) * batch:
        return torch.bmm(grad, x.transpose(1, 2)).sum(0)
    return grad.transpose(0, 1).reshape(outputs, vertices * batch) @ x.transpose(0, 1).reshape(inputs, vertices * batch).t()
