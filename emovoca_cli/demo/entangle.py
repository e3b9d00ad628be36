"""Emotion on a talking mouth: the rule that keeps both readable, and the ground truth of the built-in faces.

While somebody speaks, the emotion's hold on the mouth is loosened by function (what opens, sneers, moves the corners, tightens,
shifts the jaw), and the more so the more the current sound needs the lips; brows, eyes and cheeks keep the whole emotion. In pauses
the whole expression returns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import NEUTRAL_MU
from emovoca_cli.demo.arkit import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.demo.articulation import OPENERS, TIGHTENERS, Articulation
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

CORNERS = (
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthLeft", "mouthRight",
)  # fmt: skip
SNEERS = ("noseSneerLeft", "noseSneerRight")
JAW = ("jawForward", "jawLeft", "jawRight")

JAW_BUDGET = 0.55
"""Most jawOpen of speech and emotion together."""
SEAL_OVERLAP = (0.0005, 0.0010)
"""Lips that a sound seals overlap at least and at most this far (metres): enough to hide the teeth, too little to look bitten."""

_OPEN, _SNEER, _CORNER, _TIGHT, _SIDE = (
    [ARKIT_INDEX[name] for name in names] for names in (OPENERS, SNEERS, CORNERS, TIGHTENERS, JAW)
)  # fmt: skip
_PRESS = [ARKIT_INDEX[name] for name in ("mouthPressLeft", "mouthPressRight")]
_JAW_OPEN, _CLOSE, _SHRUG = (ARKIT_INDEX[name] for name in ("jawOpen", "mouthClose", "mouthShrugLower"))
_SINGLE = [index for index, name in enumerate(ARKIT_NAMES) if name.startswith("eye") or name == "tongueOut"]

Track = NDArray[np.float64]


def combine(
    articulation: Articulation,
    emotion: Float,
    *,
    intensity: float = NEUTRAL_MU,
    gap_gain: Float,
    rest_gap: float,
    overlap: tuple[float, float] = SEAL_OVERLAP,
) -> Float:
    """A talking, feeling face: coefficients (T,52) of the emotion (52,) entangled with the articulation (T,52).

    intensity: 2 is the emotion's natural strength, 1 half of it, 3 one and a half. gap_gain (52,): metres the lip gap grows by a
    unit of each coefficient; rest_gap: the gap at rest (metres); sealed lips overlap within `overlap` (metres). An emotion of zeros
    gives neutral speech. Coefficients stay within 0-1 up to intensity 2 and within 0-intensity/2 above it; eyes and tongue always
    within 0-1.
    Raises UsageError for an intensity out of 0-3 or wrong shapes.
    """
    count = len(ARKIT_NAMES)
    if emotion.shape != (count,) or gap_gain.shape != (count,):
        raise UsageError(f"emotion and gap_gain have shapes {emotion.shape} and {gap_gain.shape}, expected ({count},) each")
    if not 0 <= intensity <= 3:
        raise UsageError(f"intensity {intensity} is out of range; give 0 to 3, 2 is the natural strength")
    ceiling = np.full(count, max(1.0, intensity / NEUTRAL_MU))
    ceiling[_SINGLE] = 1.0
    ceiling[_JAW_OPEN] = JAW_BUDGET

    feeling = emotion.astype(float) * (intensity / NEUTRAL_MU)
    result = articulation.coefficients.astype(float) + emotion_factors(articulation) * np.minimum(feeling, ceiling)
    result = np.clip(result, 0, ceiling)
    result[:, _CLOSE] = np.minimum(result[:, _CLOSE], result[:, _JAW_OPEN])
    _seal(result, articulation.closure.astype(float), gap_gain.astype(float), rest_gap, overlap)
    done: Float = result.astype(np.float32)
    return done


def emotion_factors(articulation: Articulation) -> Track:
    """What is left of each of an emotion's coefficients while the articulation speaks: (T,52) in 0-1."""
    closed, teeth, rounded = (
        track.astype(float)[:, None] for track in (articulation.closure, articulation.labiodental, articulation.rounding)
    )
    busy = np.maximum(closed, teeth)
    factors = np.ones(articulation.coefficients.shape)
    factors[:, _OPEN] = 0.25 * (1 - busy) * (1 - 0.7 * rounded)
    factors[:, _SNEER] = 0.5 * (1 - 0.5 * busy) * (1 - 0.5 * rounded)
    factors[:, _CORNER] = 0.6 * (1 - 0.7 * rounded) * (1 - 0.3 * teeth)
    factors[:, _TIGHT] = 0.25 * (1 - busy)
    factors[:, _SIDE] = 0.5 * (1 - busy)
    # A first sound that closes the lips does so before the voice: the constriction counts as speech.
    speaking = np.maximum(articulation.envelope.astype(float)[:, None], busy)
    left: Track = 1 - speaking * (1 - factors)
    return left


def lip_gap(coefficients: Float | Track, *, gap_gain: Float | Track, rest_gap: float) -> Track:
    """Inner-lip gap (T,) in metres of coefficients (T,52): exact, since blendshapes add; negative where the lips overlap."""
    return np.asarray(rest_gap + coefficients.astype(float) @ gap_gain.astype(float), float)


def _seal(coefficients: Track, closure: Track, gap_gain: Track, rest_gap: float, overlap: tuple[float, float]) -> None:
    """Bring the gap of sealed frames into -overlap in place: lift the lower lip, or press less; frames around them follow."""
    least, most = overlap
    sealed = np.flatnonzero(closure >= 0.999)
    if not len(sealed):
        return
    gap = lip_gap(coefficients[sealed], gap_gain=gap_gain, rest_gap=rest_gap)
    if gap_gain[_SHRUG] < 0:
        room = 1 - coefficients[sealed, _SHRUG]
        lift = np.clip((gap + least) / -gap_gain[_SHRUG], 0, room)
        frames = np.arange(len(coefficients))
        coefficients[:, _SHRUG] = np.minimum(1, coefficients[:, _SHRUG] + closure * np.interp(frames, sealed, lift))
        gap = gap + lift * gap_gain[_SHRUG]
    pressing = -(coefficients[sealed][:, _PRESS] * gap_gain[_PRESS]).sum(1)
    ease = np.clip((-most - gap) / np.maximum(pressing, 1e-9), 0, 1)
    keep = 1 - closure * np.interp(np.arange(len(coefficients)), sealed, ease)
    coefficients[:, _PRESS] *= keep[:, None]
    # What is still apart (a sneer stronger than the lip can follow) gives way itself.
    left = np.maximum(0, lip_gap(coefficients[sealed], gap_gain=gap_gain, rest_gap=rest_gap) + least)
    pull = np.maximum(0, coefficients[sealed] * gap_gain)
    share = np.clip(left / np.maximum(pull.sum(1), 1e-9), 0, 1)
    coefficients[sealed] *= np.where(pull > 0, 1 - share[:, None], 1.0)
