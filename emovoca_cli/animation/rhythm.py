"""When a speaking face blinks, looks aside and moves its head: seeded curves over time, at any frame rate."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from emovoca_cli.animation.track import ease
from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.types import Float

Array = NDArray[np.float64]

ENERGY_RATE = 100
"""Values a second of the speech's energy."""
ENERGY_RANGE_DB = 40.0
"""Speech this much under its loud parts counts as silence."""

CLOSING, CLOSED, OPENING = 0.10, 0.04, 0.20
"""Seconds of a blink; the lids rise slower than they fall."""
BLINK_EVERY, BLINK_SPREAD = 2.8, 0.5
"""Median of the seconds between blinks (people blink about 20 times a minute when they speak) and spread of their logarithm."""
BLINK_REST = 1.0
"""Fewest seconds between blinks."""
BLINK_REACH = 0.3
"""Seconds that a blink moves to fall into a pause of the speech."""

GAZE_SPREAD, GAZE_LIMIT = 4.0, 9.0
"""Degrees that the eyes look aside: deviation and most."""
GAZE_MOVE = 0.06
"""Seconds of a shift of gaze."""

HEAD_SPREAD = (0.9, 1.2, 0.6)
"""Degrees (deviation) that the head sways in pitch, yaw and roll while it speaks."""
HEAD_STILL = 0.35
"""Share of that in silence."""
HEAD_HZ = (0.08, 0.7)
NOD = 3.0
"""Degrees of nod for a stress that is louder by the whole range than what surrounds it."""
HEAD_LIMIT = 5.0
"""Degrees that the head turns about an axis at most."""
FADE = 0.6
"""Seconds in which the head's motion begins; the first frame is at rest."""


@dataclass(frozen=True, eq=False)
class Life:
    """Layers over T frames: blink (T,) 0 open to 1 shut, gaze (T,) degrees to the subject's left, head (T,3) degrees about x, y, z.

    blinks: seconds at which a blink begins.
    """

    seed: int
    blink: Array
    gaze: Array
    head: Array
    blinks: tuple[float, ...]


def draw_life(speech: Float, times: Array, *, seed: int) -> Life:
    """Layers for (N,) 16 kHz speech at times (T,) in seconds. The same seed and speech give the same, whatever the frame rate.

    Each layer has random numbers of its own, so that one can change without the others.
    """
    about = zlib.crc32(np.ascontiguousarray(speech, dtype=np.float32).tobytes())
    blinks, gaze, head = (np.random.default_rng([seed, about, layer]) for layer in range(3))
    seconds = len(speech) / SAMPLE_RATE
    loudness = energy(speech)
    begins = blink_times(blinks, seconds, loudness)
    return Life(seed, blink_curve(begins, times), gaze_curve(gaze, seconds, times), head_curve(head, loudness, times), begins)


def energy(speech: Float) -> Array:
    """Loudness (M,) of (N,) speech, 100 values a second: 0 in silence, 1 at its loud parts."""
    step = SAMPLE_RATE // ENERGY_RATE
    count = max(1, len(speech) // step)
    power = np.square(np.resize(speech, count * step).astype(np.float64)).reshape(count, step).mean(axis=1)
    decibels = 10 * np.log10(gaussian_filter1d(power, 2.0, mode="nearest") + 1e-10)
    return np.asarray(np.clip(1 + (decibels - np.percentile(decibels, 95)) / ENERGY_RANGE_DB, 0.0, 1.0))


def blink_times(random: np.random.Generator, seconds: float, loudness: Array) -> tuple[float, ...]:
    """Seconds at which blinks begin, each drawn to the nearest pause; the last one is over by the end."""
    quiet = gaussian_filter1d(loudness, 5.0, mode="nearest")
    length = CLOSING + CLOSED + OPENING
    out: list[float] = []
    at = float(random.uniform(0.4, BLINK_EVERY))
    while at < seconds - length:
        low = max(at - BLINK_REACH, out[-1] + BLINK_REST if out else 0.0)
        high = min(at + BLINK_REACH, seconds - length)
        choice = np.arange(round(low * ENERGY_RATE), max(round(high * ENERGY_RATE), round(low * ENERGY_RATE)) + 1)
        # A little is charged for the way, so that a blink in even speech stays where it was.
        cost = quiet[np.clip(choice, 0, len(quiet) - 1)] + 0.1 * np.abs(choice / ENERGY_RATE - at) / BLINK_REACH
        out.append(float(choice[np.argmin(cost)]) / ENERGY_RATE)
        at = out[-1] + max(BLINK_REST, float(random.lognormal(np.log(BLINK_EVERY), BLINK_SPREAD)))
    return tuple(out)


def blink_curve(begins: tuple[float, ...], times: Array) -> Array:
    """How far the lids are shut (T,) at times (T,), 0-1."""
    shut = np.zeros(len(times))
    for begin in begins:
        since = times - begin
        shut = np.maximum(shut, ease(since / CLOSING) * (1 - ease((since - CLOSING - CLOSED) / OPENING)))
    return shut


def gaze_curve(random: np.random.Generator, seconds: float, times: Array) -> Array:
    """Degrees (T,) that the eyes look to the subject's left: quick small shifts, now and then, and back to the front."""
    gaze = np.zeros(len(times))
    at, here = float(random.uniform(0.8, 2.0)), 0.0
    while at < seconds:
        aside = here == 0.0 or random.random() < 0.25
        there = float(np.clip(random.normal(0.0, GAZE_SPREAD), -GAZE_LIMIT, GAZE_LIMIT)) if aside else 0.0
        gaze += (there - here) * ease((times - at) / GAZE_MOVE)
        here = there
        at += float(random.uniform(0.5, 1.4) if here else random.uniform(1.0, 3.0))
    return gaze


def head_curve(random: np.random.Generator, loudness: Array, times: Array) -> Array:
    """Degrees (T,3) that the head is turned about x (down), y (to the subject's left) and z (towards the subject's right ear).

    A slow sway, stronger in speech than in silence, and a small nod with each stress.
    """
    grid = np.arange(len(loudness)) / ENERGY_RATE
    speaking = np.interp(times, grid, gaussian_filter1d(loudness, 0.5 * ENERGY_RATE, mode="nearest"))
    stress = gaussian_filter1d(loudness, 0.12 * ENERGY_RATE, mode="nearest")
    stress = stress - gaussian_filter1d(loudness, 0.6 * ENERGY_RATE, mode="nearest")
    # Sines of random frequency and phase: a smooth noise that is the same at every frame rate.
    waves = 8
    low, high = np.log(HEAD_HZ)
    hertz = np.exp(random.uniform(low, high, size=(3, waves)))
    phase = random.uniform(0, 2 * np.pi, size=(3, waves))
    sway = np.sin(2 * np.pi * hertz[None] * times[:, None, None] + phase[None]).sum(axis=2) * np.sqrt(2 / waves)
    turned = sway * np.array(HEAD_SPREAD) * (HEAD_STILL + (1 - HEAD_STILL) * speaking)[:, None]
    turned[:, 0] += NOD * np.interp(times, grid, stress)
    # Bounded smoothly, and still at the first frame.
    bounded = HEAD_LIMIT * np.tanh(turned / HEAD_LIMIT) * ease(times / FADE)[:, None]
    return np.asarray(bounded, dtype=np.float64)
