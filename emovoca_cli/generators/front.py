"""Convolutions over time on speech features: what the generators hear around each frame when no speech model does it for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

KERNEL = 5
"""Frames that one convolution sees."""


def front_layers(width: int, count: int) -> nn.ModuleList:
    """`count` convolutions of `width` channels; together they see 2 `count` frames to each side."""
    return nn.ModuleList(nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2) for _ in range(count))


def through_front(layers: Iterable[nn.Module], features: Tensor, drop: Callable[[Tensor], Tensor], mask: Tensor | None) -> Tensor:
    """Features (B,T,C) after the layers, each added to what it got, so that depth costs nothing.

    drop: the dropout on what a layer gives. mask (B,T,1), 1 for real frames: padding stays zero, as beyond the ends of a full row.
    """
    hidden = masked(features, mask)
    for layer in layers:
        update = layer(hidden.transpose(1, 2)).transpose(1, 2)
        hidden = masked(hidden + drop(nn.functional.gelu(update)), mask)
    return hidden


def frame_mask(lengths: Tensor | None, like: Tensor) -> Tensor | None:
    """Mask (B,T,1) of the frames of `like` (B,T,...) that are real; None when all of them are."""
    if lengths is None or int(lengths.min()) >= like.shape[1]:
        return None
    return (torch.arange(like.shape[1])[None] < lengths[:, None].cpu()).to(like)[..., None]


def masked(values: Tensor, mask: Tensor | None) -> Tensor:
    """Values (B,T,...) with zeros where the mask (B,T,1) is 0; as they are without one."""
    return values if mask is None else values * mask
