"""One seed for all that draws random numbers."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch on all devices, so that a run repeats."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def seed_batch(seed: int, index: int, device: torch.device) -> None:
    """Seed torch for one batch of a training (dropout), so that it draws the same in a resumed run and in any process."""
    number = int(np.random.SeedSequence((seed % 2**32, index)).generate_state(1, np.uint64)[0] >> 1)
    # not torch.manual_seed, which looks for every kind of device: a tenth of a millisecond a step
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
