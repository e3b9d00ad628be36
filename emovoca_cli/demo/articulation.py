"""Phones in time → the mouth's motion: 52 coefficients a frame, with co-articulation and dominance.

Every phone becomes a gesture, a weight over time that rises before the sound, holds and lets go. Vowels and tongue consonants are
averaged by their dominance; what must not be averaged is not: closed lips (p b m), the lip at the teeth (f v), rounding (maximum)
and the sibilants' jaw ceiling. Weights are closed formulas of time, so a frame's value does not depend on the frame rate; only
closures are snapped to frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.demo.arkit import ARKIT_INDEX
from emovoca_cli.demo.phones import PHONE_SHAPES, SILENCE, VOWELS, Phone, Target, check_phones
from emovoca_cli.demo.visemes import load_visemes
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

Track = NDArray[np.float64]

EFFORT = 0.7
"""Conversational speech moves the mouth less than clear, stressed speech (weight 1)."""
CONSONANTS = 0.75
"""What consonants move of that; vowels stand out."""
PAUSE = 0.3
"""A shorter silence (s) leaves the mouth relaxed and open, a longer one closes it."""
SHORTEST_CLOSURE = 0.05
"""Lips stay sealed at least this long (s), and for `CLOSED_FRAMES` frames."""
CLOSED_FRAMES = 2
JAW_CEILING = 0.08
"""Most jawOpen while teeth are together in s, z, sh, ch."""
ROUNDED_SEAL = 0.5
"""Most mouthPucker while lips are sealed or at the teeth."""

ROUNDING = {"UW": 1.0, "OW": 0.7, "CH": 0.7, "RR": 0.6, "AW": 0.4}
CONSTRICTIONS = frozenset({"PP", "FF"})
TONGUE_ONLY = frozenset({"DD", "LL", "KK", "TH", "HH"})
OPENERS = (
    "jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "mouthFunnel",
    "mouthShrugUpper",
)  # fmt: skip
TIGHTENERS = (
    "mouthPressLeft", "mouthPressRight", "mouthRollUpper", "mouthRollLower", "mouthShrugLower", "mouthPucker", "cheekPuff",
    "mouthClose",
)  # fmt: skip

_OPEN = [ARKIT_INDEX[name] for name in OPENERS]
_TIGHT = [ARKIT_INDEX[name] for name in TIGHTENERS if name != "mouthPucker"]
_ROUND = [ARKIT_INDEX[name] for name in ("mouthPucker", "mouthFunnel")]
_UNSCALED = [ARKIT_INDEX[name] for name in ("mouthPressLeft", "mouthPressRight", "tongueOut")]
_JAW, _PUCKER, _TONGUE = (ARKIT_INDEX[name] for name in ("jawOpen", "mouthPucker", "tongueOut"))


@dataclass(frozen=True, eq=False)
class Articulation:
    """A talking mouth at `fps`: coefficients (T,52) in 0-1 and, for the rules of dominance, four tracks (T,) in 0-1.

    closure: lips sealed (p b m); labiodental: lower lip at the teeth (f v); rounding: lips pushed forward; envelope: it speaks.
    """

    coefficients: Float
    closure: Float
    labiodental: Float
    rounding: Float
    envelope: Float
    fps: float


@dataclass(frozen=True)
class _Timing:
    """When a class of gestures moves, and how strong it is against others.

    onset: seconds before its sound; full: seconds after the sound's start; hold: share of the sound; release: seconds.
    """

    onset: float
    full: float
    hold: float
    release: float
    dominance: float


_TIMINGS = {
    "PP": _Timing(0.10, 0.0, 1.0, 0.07, 0.0),
    "FF": _Timing(0.09, 0.0, 0.85, 0.09, 0.0),
    "UW": _Timing(0.06, 0.04, 0.80, 0.06, 1.0),
    "OW": _Timing(0.06, 0.04, 0.80, 0.06, 1.0),
    "AW": _Timing(0.06, 0.04, 0.80, 0.06, 1.0),
    "AA": _Timing(0.06, 0.04, 0.80, 0.06, 1.0),
    "EH": _Timing(0.06, 0.04, 0.80, 0.06, 1.0),
    "IY": _Timing(0.06, 0.04, 0.80, 0.06, 1.0),
    "YY": _Timing(0.06, 0.03, 0.80, 0.06, 0.8),
    "CH": _Timing(0.06, 0.02, 0.80, 0.06, 0.9),
    "RR": _Timing(0.06, 0.03, 0.80, 0.06, 0.9),
    "SS": _Timing(0.06, 0.02, 0.85, 0.06, 0.9),
    "TH": _Timing(0.06, 0.02, 0.80, 0.06, 0.8),
    "DD": _Timing(0.06, 0.03, 0.80, 0.06, 0.8),
    "LL": _Timing(0.06, 0.03, 0.80, 0.06, 0.8),
    "KK": _Timing(0.06, 0.03, 0.80, 0.06, 0.7),
    "HH": _Timing(0.06, 0.03, 0.80, 0.12, 0.3),
    "sil": _Timing(0.04, 0.12, 1.0, 0.15, 0.8),
}
_ROUNDED = _Timing(0.15, 0.0, 0.80, 0.12, 1.0)
_REST = 0.12
"""Where all gestures together weigh less than this, as inside a long closure, the mouth under it falls back to rest."""
_CARRIED_ONSET = 0.185
_SHORTEST_RAMP = 0.02


@dataclass(frozen=True)
class _Gesture:
    """One mouth shape on its way: target, the sound's start and end (s), its phone."""

    target: Target
    start: float
    end: float
    phone: str

    @property
    def viseme(self) -> str:
        return self.target.viseme


def speak(
    phones: Iterable[Sequence[object]],
    *,
    fps: float,
    frames: int,
    effort: float | Track | Float = EFFORT,
    visemes: Mapping[str, Float] | None = None,
) -> Articulation:
    """Move the mouth for phones [name, start s, end s]; frame i shows the time i/fps.

    effort: size of the vowels' and consonants' movement, one number or (T,), 0-1.2; closures and the rounding of u keep theirs.
    visemes: the mouth shapes (52,) by name, default the built-in rig's.
    Raises DataError for phones that are none and UsageError for a frame rate, count or effort out of range.
    """
    if not fps > 0 or frames < 1:
        raise UsageError(f"cannot move a mouth for {frames} frames at {fps} fps; both must be positive")
    shapes = load_visemes() if visemes is None else visemes
    scale = np.broadcast_to(np.asarray(effort, float), (frames,))
    if not (np.isfinite(scale).all() and scale.min() >= 0 and scale.max() <= 1.2):
        raise UsageError("effort must be within 0-1.2; 0.7 is conversational speech")
    times = np.arange(frames) / fps
    gestures = _gestures(_within(check_phones(phones), frames / fps))
    plan, rounding_plan = _plan(gestures)
    weights = _ramp(times, plan, np.array([g.viseme == "PP" for g in gestures]))
    rounding_weights = _ramp(times, rounding_plan, np.zeros(len(gestures), bool))
    is_pp, is_ff, is_ss = (np.array([g.viseme in names for g in gestures]) for names in (("PP",), ("FF",), ("SS", "CH")))

    closure = _strongest(_snap(weights, plan, is_pp, times, CLOSED_FRAMES), is_pp)
    teeth = _strongest(_snap(weights, plan, is_ff, times, 1), is_ff)
    sibilant = _strongest(weights, is_ss) ** 2
    strengths = np.array([ROUNDING.get(g.viseme, 0.0) * g.target.scale for g in gestures])
    rounding = (rounding_weights * strengths).max(1)

    coefficients = _averaged(gestures, weights, rounding_weights, scale, shapes)
    coefficients[:, _JAW] -= sibilant * np.maximum(0, coefficients[:, _JAW] - JAW_CEILING)
    _dominate(coefficients, teeth, shapes["FF"])
    _dominate(coefficients, closure, shapes["PP"])
    return Articulation(
        coefficients=np.clip(coefficients, 0, 1).astype(np.float32),
        closure=closure.astype(np.float32),
        labiodental=(teeth * (1 - closure)).astype(np.float32),
        rounding=rounding.astype(np.float32),
        envelope=_envelope(gestures, times).astype(np.float32),
        fps=float(fps),
    )


def effort_from_speech(
    speech: Float, *, sample_rate: int, fps: float, frames: int, quiet: float = 0.65, loud: float = 0.9
) -> Float:
    """Effort (T,) from the loudness of mono speech (N,), for `speak`: `quiet` 20 dB under the loud parts, `loud` at them."""
    centres = np.arange(frames) / fps * sample_rate
    reach = int(0.15 * sample_rate)
    power = np.concatenate([[0.0], np.cumsum(np.asarray(speech, float) ** 2)])
    low = np.clip(centres - reach, 0, len(speech)).astype(int)
    high = np.clip(centres + reach, 0, len(speech)).astype(int)
    level = 10 * np.log10((power[high] - power[low]) / np.maximum(1, high - low) + 1e-10)
    share = np.clip((level - np.percentile(level, 95)) / 20 + 1, 0, 1)
    effort: Float = (quiet + (loud - quiet) * share).astype(np.float32)
    return effort


def _within(phones: tuple[Phone, ...], duration: float) -> list[Phone]:
    """The phones with silence up to the end of the clip."""
    end = phones[-1][2] if phones else 0.0
    return [*phones, (SILENCE, end, max(duration, end) + 1.0)]


def _gestures(phones: list[Phone]) -> list[_Gesture]:
    """Split diphthongs, relax short pauses, let h take the next vowel's shape, and merge neighbours of one shape."""
    merged: list[Phone] = []
    for name, start, end in phones:
        if merged and merged[-1][0] == name == SILENCE:
            merged[-1] = (name, merged[-1][1], end)
        else:
            merged.append((name, start, end))
    result: list[_Gesture] = []
    for index, (name, start, end) in enumerate(merged):
        shape = PHONE_SHAPES[name]
        target = shape.first
        if name == SILENCE and 0 < index < len(merged) - 1 and end - start < PAUSE:
            target = Target("HH", 0.5)
        elif name == "HH" and index + 1 < len(merged) and merged[index + 1][0] in VOWELS:
            vowel = PHONE_SHAPES[merged[index + 1][0]].first
            target = replace(vowel, scale=0.7 * vowel.scale, extra={key: 0.7 * value for key, value in vowel.extra.items()})
        middle = start + shape.split * (end - start)
        pieces = [_Gesture(target, start, middle, name)]
        if shape.second is not None:
            pieces.append(_Gesture(shape.second, middle, end, name))
        for piece in pieces:
            if result and result[-1].target == piece.target:
                result[-1] = replace(result[-1], end=piece.end, phone=piece.phone)
            else:
                result.append(piece)
    return result


def _plan(gestures: list[_Gesture]) -> tuple[Track, Track]:
    """Times (G,4) of each gesture's onset, full weight, end of hold and end of release; and the same for its rounding."""
    plan = np.zeros((len(gestures), 4))
    rounded = np.zeros((len(gestures), 4))
    for index, gesture in enumerate(gestures):
        plan[index] = rounded[index] = _moves(gestures, index, _TIMINGS["HH" if gesture.phone == "HH" else gesture.viseme])
        if gesture.viseme in ROUNDING:
            # Lips round early, and earlier still through sounds that leave them free.
            free = index > 0 and gestures[index - 1].viseme in TONGUE_ONLY | {"sil"}
            rounded[index] = _moves(gestures, index, replace(_ROUNDED, onset=_CARRIED_ONSET) if free else _ROUNDED)
            follower = index + 1
            while (
                follower < len(gestures)
                and gestures[follower].viseme in TONGUE_ONLY
                and gestures[follower].phone not in VOWELS | {SILENCE}
            ):
                follower += 1
            if index + 1 < follower < len(gestures) and gestures[follower].viseme in ROUNDING:
                rounded[index, 2:] = gestures[follower].start, gestures[follower].start + _SHORTEST_RAMP
    # Under a constriction the corners of the mouth pass from the sound before to the sound after.
    for first, last in _runs([g.viseme in CONSTRICTIONS for g in gestures]):
        if first > 0:
            plan[first - 1, 3] = max(plan[first - 1, 3], gestures[last].end)
        if last + 1 < len(gestures):
            plan[last + 1, 0] = min(plan[last + 1, 0], gestures[first].start)
    for times in (plan, rounded):
        if gestures[0].viseme == "sil":
            times[0, :2] = -2.0, -1.0
        if gestures[-1].viseme == "sil":
            times[-1, 2:] = gestures[-1].end + 1.0, gestures[-1].end + 2.0
    return plan, rounded


def _runs(flags: list[bool]) -> list[tuple[int, int]]:
    """First and last index of every run of true flags."""
    edges = np.flatnonzero(np.diff([False, *flags, False]))
    return [(int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def _moves(gestures: list[_Gesture], index: int, timing: _Timing) -> tuple[float, float, float, float]:
    """Onset, full weight, end of hold and end of release (s) of one gesture among its neighbours."""
    gesture = gestures[index]
    length = gesture.end - gesture.start
    full = gesture.start + min(timing.full, length / 2)
    held = gesture.start + (0.9 if gesture.phone == "M" else timing.hold) * length
    if gesture.viseme == "PP":
        held = max(held, full + SHORTEST_CLOSURE)
    if gesture.viseme == "sil":
        held = gesture.end - timing.release
    held = max(held, full)
    # Ramps meet at the middle of the neighbouring vowel: a short vowel still arrives, a short closure still seals.
    before = next(((g.start + g.end) / 2 for g in reversed(gestures[:index]) if g.phone in VOWELS), -np.inf)
    after = next(((g.start + g.end) / 2 for g in gestures[index + 1 :] if g.phone in VOWELS), np.inf)
    start = min(max(gesture.start - timing.onset, before), full - _SHORTEST_RAMP)
    end = max(min(held + timing.release, after), held + _SHORTEST_RAMP)
    return start, full, held, end


def _ramp(times: Track, plan: Track, fast: NDArray[np.bool_]) -> Track:
    """Rise from plan[:,0] to 1 at plan[:,1], fall from plan[:,2] to 0 at plan[:,3]: (T,G).

    `fast` gestures are at full speed where they meet their target, as lips are when they touch and when they burst open.
    """
    start, full, held, end = plan.T
    rise = np.clip((times[:, None] - start) / np.maximum(full - start, 1e-6), 0, 1)
    fall = np.clip((times[:, None] - held) / np.maximum(end - held, 1e-6), 0, 1)
    smooth = rise**2 * (3 - 2 * rise) * (1 - fall**2 * (3 - 2 * fall))
    quick = (1 - np.cos(np.pi / 2 * rise)) * (1 - np.sin(np.pi / 2 * fall))
    weights: Track = np.where(fast, quick, smooth)
    weights[weights > 1 - 1e-9] = 1.0
    return weights


def _snap(weights: Track, plan: Track, chosen: NDArray[np.bool_], times: Track, least: int) -> Track:
    """Give each chosen gesture weight 1 on the `least` frames nearest to the middle of its hold, however short it is."""
    result = weights
    for index in np.flatnonzero(chosen):
        full, held = plan[index, 1], plan[index, 2]
        inside = np.flatnonzero((times >= full - 1e-9) & (times <= held + 1e-9))
        if len(inside) >= least or full > times[-1]:
            continue
        nearest = np.argsort(np.abs(times - (full + held) / 2), kind="stable")[:least]
        if result is weights:
            result = weights.copy()
        result[nearest, index] = 1.0
    return result


def _strongest(weights: Track, chosen: NDArray[np.bool_]) -> Track:
    """The greatest weight (T,) among the chosen gestures, 0 where there is none."""
    greatest: Track = weights[:, chosen].max(1, initial=0.0)
    return greatest


def _averaged(
    gestures: list[_Gesture], weights: Track, rounding_weights: Track, effort: Track, visemes: Mapping[str, Float]
) -> Track:
    """Coefficients (T,52) before closures: dominance-weighted mean, rounding and tongue by maximum."""
    targets = np.zeros((len(gestures), len(ARKIT_INDEX)))
    for index, gesture in enumerate(gestures):
        strength = 1.0 if gesture.phone in VOWELS or gesture.viseme in ("UW", "sil") else CONSONANTS
        targets[index] = strength * gesture.target.scale * visemes[gesture.viseme].astype(float)
        for name, value in gesture.target.extra.items():
            targets[index, ARKIT_INDEX[name]] += value
    dominance = np.array(
        [_TIMINGS["HH" if g.phone in ("HH", SILENCE) and g.viseme != "sil" else g.viseme].dominance for g in gestures]
    )
    shares = weights * dominance
    mean: Track = (shares @ targets) / np.hypot(shares.sum(1, keepdims=True), _REST)
    result: Track = mean * effort[:, None]
    result[:, _UNSCALED] = mean[:, _UNSCALED]
    lips = np.array([g.viseme not in CONSTRICTIONS for g in gestures])
    kept = np.array([1.0 if g.viseme == "UW" else 0.5 if g.phone in VOWELS else 0.0 for g in gestures])
    size = kept + (1 - kept) * effort[:, None]
    for column in _ROUND:
        result[:, column] = (rounding_weights * size * (targets[:, column] * lips)).max(1)
    result[:, _TONGUE] = (weights * targets[:, _TONGUE]).max(1)
    return result


def _dominate(coefficients: Track, weight: Track, target: Float) -> None:
    """Let a constriction (T,) with its pose (52,) take over openers, tighteners and tongue in place; corners stay as they are."""
    columns = [*_OPEN, *_TIGHT, _TONGUE]
    coefficients[:, columns] = coefficients[:, columns] * (1 - weight[:, None]) + weight[:, None] * target[columns].astype(float)
    excess = np.maximum(0, coefficients[:, _PUCKER] - ROUNDED_SEAL)
    coefficients[:, _PUCKER] -= weight * excess


def _envelope(gestures: list[_Gesture], times: Track) -> Track:
    """1 while somebody speaks (short pauses included), fading over 175 ms before and 275 ms after."""
    spans: list[list[float]] = []
    for gesture in gestures:
        if gesture.viseme == "sil":
            continue
        if spans and gesture.start - spans[-1][1] < 1e-6:
            spans[-1][1] = gesture.end
        else:
            spans.append([gesture.start, gesture.end])
    if not spans:
        return np.zeros(len(times))
    plan = np.array([[start - 0.175, start, end, end + 0.275] for start, end in spans])
    return _strongest(_ramp(times, plan, np.zeros(len(plan), bool)), np.ones(len(plan), bool))
