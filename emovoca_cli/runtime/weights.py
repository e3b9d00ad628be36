"""Which weights a training ends with: the last, their running average, or the best on the validation identities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from emovoca_cli.errors import UsageError

Weights = dict[str, Tensor]


def copy_weights(model: nn.Module) -> Weights:
    """The weights of a model by name, copied."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def put_weights(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Put weights into a model, in place."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(values[name])


@contextmanager
def borrowed(model: nn.Module, values: Weights | None) -> Iterator[None]:
    """Let a model have other weights for a while; None changes nothing."""
    if values is None:
        yield
        return
    own = copy_weights(model)
    put_weights(model, values)
    try:
        yield
    finally:
        put_weights(model, own)


def average_weights(average: Weights, model: nn.Module, *, decay: float, done: int) -> None:
    """Move a running average towards a model's weights after `done` steps: average = d average + (1 - d) weights.

    d = min(decay, (1 + done) / (10 + done)), so that the random first weights are soon forgotten.
    """
    share = 1 - min(decay, (1 + done) / (10 + done))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            average[name].lerp_(weight, share)


@dataclass
class Watch:
    """The best validation score so far, its step and weights, and how many checkpoints came after it."""

    name: str
    patience: int
    score: float | None = None
    step: int = 0
    waited: int = 0
    weights: Weights | None = None

    def see(self, scores: Mapping[str, float], done: int, model: nn.Module) -> None:
        """Take the scores of a checkpoint; one that is not a number is no better. Raises UsageError where the name is missing."""
        name = self.name.removeprefix("-")
        if name not in scores:
            known = ", ".join(sorted(scores)) or "none: there are no validation identities"
            raise UsageError(f"patience needs the validation score {name or 'that watch names'!r}; this training has {known}")
        score = -scores[name] if self.name.startswith("-") else scores[name]
        if math.isfinite(score) and (self.score is None or score < self.score):
            self.score, self.step, self.waited, self.weights = score, done, 0, copy_weights(model)
        else:
            self.waited += 1

    @property
    def finished(self) -> bool:
        """Whether patience has run out."""
        return self.patience > 0 and self.waited >= self.patience

    def facts(self) -> dict[str, Any]:
        """What has to be stored besides the weights."""
        return {"score": self.score, "step": self.step, "waited": self.waited}
