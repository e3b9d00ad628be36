"""A face-like sheet with landmarks, lips and an upper half, small enough for tests, and the obvious way to do a spiral network."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from emovoca_cli.mesh.hierarchy import Hierarchy, hierarchy_of
from emovoca_cli.mesh.landmarks import nearest_surface
from emovoca_cli.nn.spiral import SpiralDecoder, SpiralEncoder
from emovoca_cli.types import Float, MeshTemplate

COLUMNS, ROWS = 17, 21


@cache
def toy_template() -> MeshTemplate:
    """A bulging sheet of 16 x 20 cm, 357 vertices, 68 landmarks with eye corners 89 mm apart and a row of inner lips."""
    x, y = np.meshgrid(np.linspace(-0.08, 0.08, COLUMNS), np.linspace(-0.1, 0.1, ROWS))
    vertices = np.stack([x, y, 0.05 - 2 * x**2 - 1.5 * y**2], axis=-1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(ROWS - 1)[:, None] * COLUMNS + np.arange(COLUMNS - 1)).reshape(-1)
    right, above = corner + 1, corner + COLUMNS
    faces = np.concatenate([np.stack([corner, right, above], 1), np.stack([right, above + 1, above], 1)]).astype(np.int32)
    turn = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = np.stack([0.06 * np.cos(turn), 0.08 * np.sin(turn)], axis=1)
    points[[36, 45]] = [[-0.0445, 0.03], [0.0445, 0.03]]
    points[30], points[48], points[54] = [0, 0], [-0.025, -0.05], [0.025, -0.05]
    for place, (upper, lower) in zip((-0.01, 0.0, 0.01), ((61, 67), (62, 66), (63, 65)), strict=True):
        points[upper], points[lower] = [place, -0.04], [place, -0.06]
    lifted = np.concatenate([points, (0.05 - 2 * points[:, :1] ** 2 - 1.5 * points[:, 1:] ** 2)], axis=1)
    landmark_faces, landmark_weights = nearest_surface(lifted, vertices, faces)
    lips = (np.abs(vertices[:, 0]) < 0.025) & (np.abs(vertices[:, 1] + 0.05) < 0.015)
    regions = {"lips": lips, "upper_face": vertices[:, 1] > 0.01}
    return MeshTemplate("toy", vertices, faces, landmark_faces, landmark_weights, regions)


@cache
def toy_hierarchy(levels: int = 2) -> Hierarchy:
    template = toy_template()
    return hierarchy_of(template.vertices, template.faces, len(template.vertices) // 2, levels=levels, factor=4)


def bump(centre: tuple[float, float], direction: tuple[float, float, float], radius: float = 0.03) -> Float:
    """A smooth displacement (V,3) of the toy face round a place, metres."""
    vertices = toy_template().vertices
    away = np.square(vertices[:, :2] - np.asarray(centre)).sum(axis=1)
    return (np.exp(-away / radius**2)[:, None] * np.asarray(direction)).astype(np.float32)


def plain_conv(x: Tensor, spirals: np.ndarray, weight: Tensor, bias: Tensor) -> Tensor:
    """y[b,v] = bias + W concat(x[b, spiral(v)]), padding reads zeros: features (B,V,C_in) to (B,V,C_out)."""
    padded = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    table = torch.as_tensor(np.where(spirals < 0, x.shape[1], spirals), dtype=torch.int64)
    return padded[:, table].flatten(2) @ weight.t() + bias


def plain_encode(encoder: SpiralEncoder, hierarchy: Hierarchy, meshes: Tensor) -> Tensor:
    x = meshes
    for step, layer in enumerate(encoder.convolutions):
        x = F.elu(plain_conv(x, hierarchy.levels[step].spirals, layer.weight, layer.bias))
        x = x[:, torch.as_tensor(hierarchy.down[step].astype(np.int64))]
    return encoder.linear(x.flatten(1))


def plain_decode(decoder: SpiralDecoder, hierarchy: Hierarchy, codes: Tensor) -> Tensor:
    x = decoder.linear(codes).view(len(codes), decoder.coarsest, -1)
    for place, step in enumerate(reversed(range(len(hierarchy.up)))):
        sources, weights = hierarchy.up[step]
        x = (x[:, torch.as_tensor(sources.astype(np.int64))] * torch.as_tensor(weights)[None, :, :, None]).sum(2)
        layer = decoder.convolutions[place]
        x = F.elu(plain_conv(x, hierarchy.levels[step].spirals, layer.weight, layer.bias))
    last = decoder.convolutions[-1]
    return plain_conv(x, hierarchy.levels[0].spirals, last.weight, last.bias)
