"""Every metric by a name that says what it is. docs/evaluation.md has the formulas in print.

A name is region, what is taken over the region's vertices, and the power: `lve_max_sq` is the mean over frames of the largest
squared error of the lips. Nothing is measured twice, and nothing gets a value when nothing was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from emovoca_cli.evaluation.measure import Array, Pair
from emovoca_cli.evaluation.regions import ALL, LIPS, UPPER

Aggregation = Literal["frames", "sequences", "truths"]
"""Mean over all frames of all sequences, over sequences, or over truths (several predictions of one truth averaged first)."""


class NotMeasuredError(Exception):
    """Why a sequence has no value for a metric."""


@dataclass(frozen=True)
class Metric:
    """How one number is made: `values` of a pair (n,), their mean by `aggregation`, a root of it when asked.

    power: of the length unit in the printed value, 1 or 2; factor: what the repository multiplies by.
    """

    name: str
    formula: str
    values: Callable[[Pair], Array]
    power: int
    aggregation: Aggregation
    root: bool = False
    factor: float = 1.0
    higher_is_better: bool | None = False


def _region(pair: Pair, table: str, name: str) -> Array:
    values: Array | None = getattr(pair, table).get(name)
    if values is None:
        raise NotMeasuredError(f"no {name} region is known for these meshes; give --{name}")
    return values


def max_sq(name: str) -> Callable[[Pair], Array]:
    """Largest squared error of a region in each frame."""
    return lambda pair: _region(pair, "max_sq", name)


def max_l2(name: str) -> Callable[[Pair], Array]:
    """Largest error of a region in each frame."""
    return lambda pair: np.sqrt(_region(pair, "max_sq", name))


def mean_l2(name: str) -> Callable[[Pair], Array]:
    """Mean error of a region in each frame."""
    return lambda pair: _region(pair, "mean_l2", name)


def mean_sq(name: str) -> Callable[[Pair], Array]:
    """Mean squared error of a region in each frame."""
    return lambda pair: _region(pair, "mean_sq", name)


def peak(name: str) -> Callable[[Pair], Array]:
    """Largest error of a region in the whole sequence."""
    return lambda pair: np.sqrt(_region(pair, "max_sq", name).max(keepdims=True))


def once(values: Callable[[Pair], Array], *, root: bool = False) -> Callable[[Pair], Array]:
    """One number a sequence: the mean over its frames, or the root of that mean."""
    return lambda pair: np.sqrt(values(pair).mean(keepdims=True)) if root else values(pair).mean(keepdims=True)


def _centred(pair: Pair) -> Array:
    if pair.centred_max_sq is None:
        raise NotMeasuredError("no lips region is known for these meshes; give --lips")
    return np.sqrt(pair.centred_max_sq)


def _checked_upper(pair: Pair) -> tuple[Array, Array]:
    """The deviations of the raw coordinates, truth's and prediction's, or why there are none."""
    if pair.frames < 2:
        raise NotMeasuredError("a deviation over time needs two frames")
    if pair.raw is None:
        raise NotMeasuredError("no upper region is known for these meshes; give --upper")
    return pair.raw


def fdd(*, unique: bool = False, absolute: bool = False) -> Callable[[Pair], Array]:
    """Mean over the upper face of the truth's deviation of ||d||^2, minus the prediction's."""

    def values(pair: Pair) -> Array:
        _checked_upper(pair)
        if pair.deviation is None:
            raise NotMeasuredError("FDD measures motion from the face at rest; give --template")
        truth, prediction = (part[pair.upper_first] if unique else part for part in pair.deviation)
        difference = truth.mean(keepdims=True) - prediction.mean(keepdims=True)
        return np.asarray(np.abs(difference) if absolute else difference)

    return values


def fdd_raw(pair: Pair) -> Array:
    """Mean over the upper face of the absolute difference between the deviations of x + y + z."""
    truth, prediction = _checked_upper(pair)
    return np.asarray(np.abs(prediction - truth).mean(keepdims=True))


def _errors() -> list[Metric]:
    found = []
    for short, region, letter in (("mve", ALL, "V"), ("uve", UPPER, "U"), ("lve", LIPS, "L")):
        over = f"v in {letter}"
        found += [
            Metric(f"{short}_max_l2", f"mean_t max_{{{over}}} ||e||", max_l2(region), 1, "frames"),
            Metric(f"{short}_mean_l2", f"mean_t mean_{{{over}}} ||e||", mean_l2(region), 1, "frames"),
            Metric(f"{short}_peak_l2", f"mean_s max_t max_{{{over}}} ||e||", peak(region), 1, "sequences"),
            Metric(f"{short}_rms_l2", f"sqrt(mean_t mean_{{{over}}} ||e||^2)", mean_sq(region), 1, "frames", root=True),
            Metric(f"{short}_max_sq", f"mean_t max_{{{over}}} ||e||^2", max_sq(region), 2, "frames"),
        ]
    return found


NAMED: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *_errors(),
        Metric("lve_rms_of_max", "sqrt(mean_t max_{v in L} ||e||^2)", max_sq(LIPS), 1, "frames", root=True),
        Metric("lve_centred_max_l2", "mean_t max_{v in L} ||e - mean_L e||", _centred, 1, "frames"),
        Metric("fdd", "mean_s [mean_U std_t ||d_g||^2 - mean_U std_t ||d_p||^2]", fdd(), 2, "sequences", higher_is_better=None),
        Metric("fdd_abs", "mean_s |mean_U std_t ||d_g||^2 - mean_U std_t ||d_p||^2|", fdd(absolute=True), 2, "sequences"),
    )
}
"""The metrics that are always measured; their means are over all frames unless they say otherwise."""
