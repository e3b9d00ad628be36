"""Loss terms of the generators, each a named function. Masks mark the real frames of padded batches."""

from __future__ import annotations

import torch
from torch import Tensor

from emovoca_cli.config.generators import S2LConfig
from emovoca_cli.constants import INNER_LIP_PAIRS

MOUTH = slice(48, 68)
"""Landmarks of the mouth."""


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values (B,T,...) over the frames that mask (B,T) marks with 1."""
    per_frame = values.flatten(2).mean(2) if values.ndim > 2 else values  # (B,T)
    return (per_frame * mask).sum() / mask.sum().clamp_min(1)


def distance(predicted: Tensor, truth: Tensor) -> Tensor:
    """Euclidean distance over the last axis; (...,3) and (...,3) to (...)."""
    lengths: Tensor = torch.linalg.vector_norm(predicted - truth, dim=-1)
    return lengths


def lip_opening(moved: Tensor) -> Tensor:
    """Change of the lips' opening: mean over the inner-lip pairs of upper minus lower height; (...,68,3) to (...).

    Signed, so that lips which overlap a little are not taken for lips that are apart; linear, so that it has a gradient everywhere.
    """
    upper, lower = zip(*INNER_LIP_PAIRS, strict=True)
    return (moved[..., list(upper), 1] - moved[..., list(lower), 1]).mean(-1)


def landmark_loss(predicted: Tensor, truth: Tensor, *, mask: Tensor, scale: Tensor, config: S2LConfig) -> dict[str, Tensor]:
    """Terms of E-S2L's loss and their weighted sum "loss", in units of `scale`.

    predicted, truth (B,T,68,3) displacements and scale () in metres, mask (B,T) 1 for real frames.
    "position" is the average L2 of the paper; the mouth's extra weight and the velocity are the release's; "gap" is ours.
    """
    apart = distance(predicted, truth) / scale
    both = mask[:, 1:] * mask[:, :-1]
    steps = distance(predicted.diff(dim=1), truth.diff(dim=1)) / scale
    opened = lip_opening(truth) / scale
    closed = (1 - opened).clamp(0, 1)  # 1 where the truth's lips are as close as at rest or closer
    gaps = (1 + config.closure_weight * closed) * (lip_opening(predicted) / scale - opened).abs()
    terms = {
        "position": masked_mean(apart, mask),
        "mouth": masked_mean(apart[..., MOUTH], mask),
        "velocity": masked_mean(steps, both),
        "gap": masked_mean(gaps, mask),
    }
    loss = (
        terms["position"]
        + config.mouth_weight * terms["mouth"]
        + config.velocity_weight * terms["velocity"]
        + config.gap_weight * terms["gap"]
    )
    return {"loss": loss, **terms}
