"""Networks with dummy vertices, as the authors' release has them, against the release's own way with dense matrices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from emovoca_cli.data.release_mesh import with_dummies
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.hierarchy import Hierarchy
from emovoca_cli.nn.spiral import SpiralDecoder, SpiralEncoder
from tests.nn.toy import toy_hierarchy

pytestmark = pytest.mark.unit


def bordered(matrix: np.ndarray) -> Tensor:
    """A step between two levels with one more row and column, which take dummy to dummy."""
    full = np.zeros((matrix.shape[0] + 1, matrix.shape[1] + 1), np.float32)
    full[:-1, :-1] = matrix
    full[-1, -1] = 1
    return torch.from_numpy(full)


class Release:
    """Steps and spiral tables as the release builds them; `shifted` is DE-SD's way on the finest level."""

    def __init__(self, plain: Hierarchy, *, shifted: bool) -> None:
        sizes = plain.sizes
        self.tables = [
            torch.as_tensor(np.concatenate([level.spirals, np.full((1, level.spirals.shape[1]), -1)]).astype(np.int64))
            for level in plain.levels
        ]
        self.down, self.up = [], []
        for step, (kept, (indices, weights)) in enumerate(zip(plain.down, plain.up, strict=True)):
            take = np.zeros((sizes[step + 1], sizes[step]), np.float32)
            take[np.arange(len(kept)), kept] = 1
            give = np.zeros((sizes[step], sizes[step + 1]), np.float32)
            for column in range(3):
                np.add.at(give, (np.arange(sizes[step]), indices[:, column]), weights[:, column])
            self.down.append(bordered(take))
            self.up.append(bordered(give))
        if shifted:
            self.tables[0] = self.tables[0][:-1]
            self.down[0], self.up[0] = self.down[0][:, 1:], self.up[0][1:]

    @staticmethod
    def conv(x: Tensor, table: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y = x[:, table].flatten(2) @ weight.t() + bias  # -1 is the last vertex
        return torch.cat([y[:, :-1], torch.zeros_like(y[:, -1:])], dim=1)

    def encode(self, encoder: SpiralEncoder, x: Tensor) -> Tensor:
        for layer, table, down in zip(encoder.convolutions, self.tables, self.down, strict=False):
            x = down @ F.elu(self.conv(x, table, layer.weight, layer.bias))
        return encoder.linear(x.flatten(1))

    def decode(self, decoder: SpiralDecoder, codes: Tensor) -> Tensor:
        x = decoder.linear(codes).view(len(codes), decoder.coarsest, -1)
        for layer, step in zip(decoder.convolutions, reversed(range(len(self.up))), strict=False):
            x = F.elu(self.conv(self.up[step] @ x, self.tables[step], layer.weight, layer.bias))
        last = decoder.convolutions[-1]
        return self.conv(x, self.tables[0], last.weight, last.bias)


def randomised(module: torch.nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # biases too: a held vertex must not get them


def grown(plain: Hierarchy) -> Hierarchy:
    """The toy with spirals that point to "nothing" often, and one that keeps vertex 0."""
    generator = np.random.default_rng(0)
    levels = [
        replace(level, spirals=np.where(generator.random(level.spirals.shape) < 0.2, -1, level.spirals).astype(np.int32))
        for level in plain.levels
    ]
    down = [kept.copy() for kept in plain.down]
    down[0][0] = 0
    return Hierarchy(tuple(levels), tuple(down), plain.up)


@pytest.mark.parametrize("batch", [1, 3])
def test_desds_finest_level_without_a_dummy(batch: int) -> None:
    plain = grown(toy_hierarchy())
    theirs, ours = Release(plain, shifted=True), with_dummies(plain, finest=True)
    encoder, decoder = SpiralEncoder(ours, 7, (3, 5, 6)), SpiralDecoder(ours, 9, (6, 5, 4, 3))
    randomised(encoder, 0)
    randomised(decoder, 1)
    meshes, codes = torch.randn(batch, plain.sizes[0], 3), torch.randn(batch, 9)
    torch.testing.assert_close(encoder(meshes), theirs.encode(encoder, meshes), atol=1e-4, rtol=1e-5)
    wanted = theirs.decode(decoder, codes)
    assert (wanted[:, -1] == 0).all()
    torch.testing.assert_close(decoder(codes), wanted, atol=1e-4, rtol=1e-5)
    some = np.array([plain.sizes[0] - 1, 0, 200])
    torch.testing.assert_close(decoder.restrict(some)(codes), wanted[:, some], atol=1e-4, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(decoder(codes), wanted, atol=1e-4, rtol=1e-5)


def test_s2ds_dummy_on_every_level_is_cut_off_at_the_end() -> None:
    plain = grown(toy_hierarchy())
    theirs, ours = Release(plain, shifted=False), with_dummies(plain, finest=False)
    decoder, codes = SpiralDecoder(ours, 9, (6, 5, 4, 3)), torch.randn(2, 9)
    randomised(decoder, 2)
    torch.testing.assert_close(decoder(codes), theirs.decode(decoder, codes)[:, :-1], atol=1e-4, rtol=1e-5)


def test_gradients_flow_as_in_the_release() -> None:
    plain = grown(toy_hierarchy())
    theirs, ours = Release(plain, shifted=True), with_dummies(plain, finest=True)
    decoder = SpiralDecoder(ours, 4, (6, 5, 4, 3))
    randomised(decoder, 3)
    probe = torch.randn(2, plain.sizes[0], 3)
    codes = torch.randn(2, 4)
    seen = torch.autograd.grad((decoder(codes) * probe).sum(), list(decoder.parameters()))
    wanted = torch.autograd.grad((theirs.decode(decoder, codes) * probe).sum(), list(decoder.parameters()))
    for mine, other in zip(seen, wanted, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-3, rtol=1e-4)


def test_held_vertices_travel_in_the_hierarchy_file(tmp_path: Path) -> None:
    plain = toy_hierarchy()
    held = with_dummies(plain, finest=True)
    path = tmp_path / "hierarchy.npz"
    held.save(path)
    assert [level.held for level in Hierarchy.load(path).levels] == [size - 1 for size in held.sizes]
    with np.load(path) as data:
        assert int(data["schema"]) == 2
    plain.save(path)  # others keep the format that older versions read
    with np.load(path) as data:
        assert int(data["schema"]) == 1
    assert [level.held for level in Hierarchy.load(path).levels] == [-1] * len(plain.levels)
    wrong = Hierarchy((replace(held.levels[0], held=10**6), *held.levels[1:]), held.down, held.up)
    wrong.save(path)
    with pytest.raises(DataError, match="on level 0"):
        Hierarchy.load(path)
