"""From numbers a sequence to one number with a confidence interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from emovoca_cli.evaluation.measure import Array


@dataclass
class Tally:
    """What a metric measured: for every sequence that it could measure, the sum and the weight of its numbers.

    `units` names what the bootstrap draws for each (its truth, or its subject); `reasons` are why others have none.
    """

    units: list[str] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    _places: dict[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._places = {sequence: index for index, sequence in enumerate(self.sequences)}

    def add(self, sequence: int, unit: str, total: float, weight: float) -> None:
        """Enter a sequence's sum over `weight` things; each sequence once."""
        self._places[sequence] = len(self.sequences)
        self.sequences.append(sequence)
        self.units.append(unit)
        self.sums.append(total)
        self.weights.append(weight)

    def miss(self, reason: str) -> None:
        """Enter that a sequence could not be measured, and why."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    def only(self, chosen: Iterable[int]) -> Tally:
        """The same for some of the sequences."""
        kept = [self._places[sequence] for sequence in chosen if sequence in self._places]
        return Tally(
            [self.units[index] for index in kept],
            [self.sequences[index] for index in kept],
            [self.sums[index] for index in kept],
            [self.weights[index] for index in kept],
            list(self.reasons),
        )


@dataclass(frozen=True)
class Estimate:
    """A measured number, its confidence interval (None with fewer than two draws' worth of units), and on how much it stands."""

    value: float
    low: float | None
    high: float | None
    sequences: int
    units: int
    weight: float


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: percentile bootstrap over whole units, `draws` times, seeded; confidence in 0-1."""

    draws: int = 1000
    seed: int = 0
    confidence: float = 0.95


def estimate(tally: Tally, bootstrap: Bootstrap, finish: Callable[[Array], Array]) -> Estimate | None:
    """The weighted mean of a tally, put through `finish` (a root, a unit); None when nothing was measured."""
    if not tally.sequences or sum(tally.weights) <= 0:
        return None
    names, owner = np.unique(np.asarray(tally.units), return_inverse=True)
    sums: Array = np.bincount(owner, weights=tally.sums, minlength=len(names)).astype(np.float64)
    weights: Array = np.bincount(owner, weights=tally.weights, minlength=len(names)).astype(np.float64)
    value = float(finish(np.array([sums.sum() / weights.sum()]))[0])
    low = high = None
    if len(names) > 1 and bootstrap.draws > 0:
        means = finish(_draw(sums, weights, bootstrap))
        tail = (1 - bootstrap.confidence) / 2
        low, high = (float(bound) for bound in np.quantile(means, (tail, 1 - tail)))
    return Estimate(value, low, high, len(set(tally.sequences)), len(names), float(weights.sum()))


def _draw(sums: Array, weights: Array, bootstrap: Bootstrap) -> Array:
    """Means (draws,) of units drawn with replacement."""
    times = _times(len(sums), bootstrap.draws, bootstrap.seed)
    drawn = times @ weights
    usable = drawn > 0
    return np.asarray((times @ sums)[usable] / drawn[usable])


@lru_cache(maxsize=4)
def _times(count: int, draws: int, seed: int) -> Array:
    """How often each of `count` units is drawn, (draws,count): the same for every metric, so that they can be compared."""
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    return times.astype(np.float64)


def shares(names: Sequence[str]) -> list[float]:
    """One divided by how often each name occurs: weights under which every name counts once."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return [1 / counts[name] for name in names]
