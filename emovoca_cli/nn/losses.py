"""Training objectives that more than one network uses."""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_l2(predicted: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Mean over vertices of w_i times the length of the error at vertex i, not squared (paper eq. 3), and over the batch.

    predicted and truth (B,V,3) in one unit, weights (V,); the result is a scalar in that unit.
    """
    loss: Tensor = (torch.linalg.vector_norm(predicted - truth, dim=-1) * weights).mean()
    return loss
