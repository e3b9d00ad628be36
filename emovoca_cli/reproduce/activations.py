"""What the decoder's layers do for talking, expression and mixed features (paper section 3.2.3, Fig. 3c)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from emovoca_cli.constants import NEUTRAL_MU
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.mesh.hierarchy import Hierarchy
from emovoca_cli.types import Float

Codes = tuple[Float, Float]
"""What enters the two halves of the decoder: codes (B,C) each, their mu multiplied in."""


def layer_features(mixer: Mixer, codes: Codes) -> list[Float]:
    """Features (V_i,C_i,B) that every layer of the decoder puts out, coarse to fine, after the activation; the last has none."""
    model = mixer.model
    seen: list[Tensor] = []

    def keep(module: Any, given: Any, output: Tensor) -> None:
        seen.append(output.detach().clone())  # the network applies its activation in place

    layers: list[Any] = list(model.decoder.convolutions)
    hooks = [layer.operator.register_forward_hook(keep) for layer in layers]
    parts: list[list[Tensor]] = []
    try:
        first, second = (torch.from_numpy(np.array(code, np.float32)).to(model.scale.device) for code in codes)
        with torch.no_grad():
            for place in range(len(first)):
                seen.clear()
                model.decode(first[place : place + 1], second[place : place + 1])
                parts.append(list(seen))
    finally:
        for hook in hooks:
            hook.remove()
    stacked = [torch.cat(column, dim=2) for column in zip(*parts, strict=True)]
    active = [F.elu(features) for features in stacked[:-1]] + stacked[-1:]
    return [np.asarray(features.cpu().numpy(), np.float32) for features in active]


def responses(mixer: Mixer, inputs: Mapping[str, Codes]) -> dict[str, list[Float]]:
    """How far each input moves the features of every layer (V_i,C_i,B) from what the codes of a face at rest give."""
    still = np.zeros((1, *mixer.template.vertices.shape), np.float32)
    talk, felt = mixer.encode_talk(still), mixer.encode_expression(still)
    gain = mixer.model.natural_mu / NEUTRAL_MU
    rest = layer_features(mixer, (gain * talk, gain * felt))
    return {
        name: [features - calm for features, calm in zip(layer_features(mixer, codes), rest, strict=True)]
        for name, codes in inputs.items()
    }


def vertex_maps(moved: list[Float], hierarchy: Hierarchy) -> list[Float]:
    """Mean size of the response of each layer, carried up to the finest vertices: one map (V,) a layer."""
    maps = []
    for place, features in enumerate(moved):
        values = np.abs(features).mean(axis=(1, 2))
        for step in reversed(range(max(0, len(hierarchy.levels) - 2 - place))):
            sources, weights = hierarchy.up[step]
            values = (values[sources] * weights).sum(axis=1)
        maps.append(np.asarray(values, np.float32))
    return maps


def overlap(first: Float, second: Float) -> float:
    """Cosine (0-1) of the mean sizes of two responses (V,C,B), over vertices and channels: 1 when the same units act alike."""
    a, b = (np.abs(moved).mean(axis=2).reshape(-1).astype(np.float64) for moved in (first, second))
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30))


def remainder(whole: Float, *parts: Float) -> float:
    """Size of what is left of a response (V,C,B) after others of the same B are taken off, over its own size."""
    left = whole - np.sum(np.stack(parts), axis=0)
    return _size(left) / max(_size(whole), 1e-30)


def _size(moved: NDArray[np.floating[Any]]) -> float:
    return float(np.sqrt(np.square(moved, dtype=np.float64).sum()))
