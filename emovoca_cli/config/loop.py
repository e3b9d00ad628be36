"""Settings that every training shares: schedule, averaging, precision, early stopping, what is logged where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from emovoca_cli.errors import UsageError


def above_zero(config: object, *names: str) -> None:
    """Raise UsageError for the first named setting that is not above 0."""
    for name in names:
        if not getattr(config, name) > 0:
            raise UsageError(f"{name} is {getattr(config, name)}, it has to be above 0")


def not_negative(config: object, *names: str) -> None:
    """Raise UsageError for the first named setting that is negative."""
    for name in names:
        if not getattr(config, name) >= 0:
            raise UsageError(f"{name} is {getattr(config, name)}, it cannot be negative")


@dataclass(frozen=True)
class LoopSettings:
    """How the one training loop runs: AdamW (Adam while weight_decay is 0), linear warm-up, cosine decay to zero.

    Each model's settings extend these and give them its own defaults.
    """

    steps: int = 1000
    """Optimiser steps."""
    lr: float = 1e-3
    """Peak learning rate of Adam."""
    warmup: int = 100
    """Steps of linear warm-up before the cosine decay to zero."""
    checkpoint_every: int = 500
    """Steps between states that a stopped run can continue from, and between scores on the validation identities."""
    log_every: int = 25
    """Steps between lines of the log."""
    weight_decay: float = 0.0
    """Decoupled weight decay of AdamW."""
    clip: float | None = None
    """Largest norm of the gradient; null = as it comes."""
    batch: int = 16
    """Samples in a batch of one process; a step takes batch × accumulate × processes samples."""
    seed: int = 0
    """Seed of the first weights and of all that is drawn."""
    storage: Literal["float16", "float32"] = "float32"
    """Number format of the saved weights; they are used as float32."""
    accumulate: int = 1
    """Batches whose gradients are averaged before a step, for batches that do not fit the memory at once."""
    mixed_precision: Literal["no", "bf16"] = "no"
    """bf16: the forward pass in bfloat16 where torch deems it safe; weights, gradients and Adam stay float32."""
    ema: float = 0.0
    """Decay of a running average of the weights, which is then what is validated and saved; 0 = without it."""
    patience: int = 0
    """Checkpoints without a better `watch` before training stops; the best weights are then saved. 0 = train to the end."""
    watch: str = ""
    """Score that patience looks at, lower is better; with a minus before it (-val_closed) higher is. Empty = the model's own."""
    tracker: Literal["none", "tensorboard", "wandb"] = "none"
    """Where the log goes besides training/log.jsonl."""

    def __post_init__(self) -> None:
        above_zero(self, "steps", "batch", "lr", "checkpoint_every", "log_every", "accumulate")
        not_negative(self, "warmup", "weight_decay", "patience")
        if self.clip is not None:
            above_zero(self, "clip")
        if not 0 <= self.ema < 1:
            raise UsageError(f"ema is {self.ema}, it has to be at least 0 and under 1")


FREE = frozenset({"storage", "log_every", "tracker"})
"""Settings that change no trained weight: a resumed run may have others."""

OPTIONAL = frozenset({"weight_decay", "clip", "accumulate", "mixed_precision", "ema", "patience", "watch"})
"""Settings that may be absent from the mark of a run; absent means the default, which is without it."""

OFF: Mapping[str, Any] = {field.name: field.default for field in fields(LoopSettings) if field.name in OPTIONAL} | {"gap_loss": 0.0}
"""What those and DE-SD's own are when they are off."""


def comparable(mark: Mapping[str, Any]) -> dict[str, Any]:
    """What two runs have to share for one to continue the other: a mark without free settings and without those that are off."""
    return {
        name: comparable(value) if isinstance(value, Mapping) else value
        for name, value in mark.items()
        if name not in FREE and not (name in OFF and value == OFF[name])
    }
