"""How good a DE-SD is: reconstruction of unseen identities, and mixtures against what is right where that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import MM, NEUTRAL_MU
from emovoca_cli.data.store import ClipRow, Store
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.desd.seal import CLOSED, closedness, face_scale
from emovoca_cli.desd.train import held_frames, reconstruction_mve
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import landmark_points, lip_opening
from emovoca_cli.types import Float

CLOSING_PHONES = frozenset({"p", "b", "m"})
"""Phones (lower case) in which lips have to be sealed."""

UPPER_STRIDE = 5
"""Every so many frames the whole face is decoded for the upper-face score; lips are scored in every frame."""


class Truth(Protocol):
    """Knows the right mixture of a talking clip with an emotion."""

    def __call__(self, talk_clip: str, emotion: str, intensity: float, /) -> Float:
        """Displacements (T,V,3) in metres; intensity is on the scale of mu_e, 2 = natural."""


@dataclass
class _Tally:
    """Sums over the frames of one way of mixing and one emotion."""

    closing: int = 0
    sealed: int = 0
    leak: float = 0.0
    speech_gap: list[NDArray[np.float32]] = field(default_factory=list)
    mixed_gap: list[NDArray[np.float32]] = field(default_factory=list)
    upper_kept: float = 0.0
    upper_whole: float = 0.0

    def add_lips(self, talk_gap: Float, gap: Float, rest: float, closing: NDArray[np.bool_]) -> None:
        """Gaps (T,) of speech and mixture, the gap at rest, which frames have to be sealed."""
        self.closing += int(closing.sum())
        self.sealed += int((gap[closing] <= rest + CLOSED).sum())
        self.leak += float(np.maximum(gap[closing] - rest, 0).sum())
        self.speech_gap.append(talk_gap)
        self.mixed_gap.append(gap)

    def add_upper(self, motion: Float, emotion: Float) -> None:
        """Upper-face motion beyond the speech's (n,U,3), and the emotion's own (U,3)."""
        self.upper_kept += float((motion * emotion).sum())
        self.upper_whole += float(np.square(emotion).sum()) * len(motion)

    def scores(self) -> dict[str, float | None]:
        """Sealed share (0-1), leak (mm), slope of the lip opening, upper-face share; None where there was nothing to measure."""
        speech, mixed = (np.concatenate(gaps).astype(np.float64) for gaps in (self.speech_gap, self.mixed_gap))
        varies = speech.std() > 1e-6
        return {
            "sealed": self.sealed / self.closing if self.closing else None,
            "leak_mm": self.leak / self.closing * MM if self.closing else None,
            "slope": float(np.polyfit(speech, mixed, 1)[0]) if varies else None,
            "upper_share": self.upper_kept / self.upper_whole if self.upper_whole else None,
        }


def desd_report(
    mixer: Mixer,
    talk: Store,
    expression: Store,
    *,
    truth: Truth | None = None,
    split: str = "test",
    frames: int = 500,
    clips: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Score a model on a split's identities; plain values for JSON.

    "mve_mm": mean of the largest vertex error in reconstructing `frames` frames of each set. "mixtures": for plain and sealed
    mixing at the natural mu (2, 2), and for the truth where it is known, by emotion and as their mean, over `clips` talking clips:
    `sealed`, the share of p, b, m frames whose speech is closed that stay within 0.3 mm of the gap at rest; `leak_mm`, the mean gap
    above rest there; `slope` of the mixture's lip gap over the speech's; `upper_share` of the emotion's upper-face motion that is
    kept.
    """
    report: dict[str, Any] = {"split": split, "mve_mm": {}}
    for store in (talk, expression):
        held = held_frames(store, split, frames)
        report["mve_mm"][store.kind] = reconstruction_mve(mixer.model, held, talk=store is talk)
    tallies: dict[str, dict[str, _Tally]] = {}
    chosen = _spread(talk.select(split=split), clips)
    for number, row in enumerate(chosen):
        _score_clip(mixer, (talk, expression), row, truth, tallies)
        if progress is not None:
            progress(number + 1, len(chosen))
    report["clips"] = len(chosen)
    report["mixtures"] = {way: _summary(by_emotion) for way, by_emotion in tallies.items()}
    return report


def closing_frames(talk: Store, clip_id: str, gap: Float, rest: float) -> NDArray[np.bool_]:
    """Which frames (T,) are within p, b or m with lips that the speech itself closes, from its lip gap (T,) and the gap at rest
    (metres)."""
    times = np.arange(len(gap)) / talk.fps
    spoken = np.zeros(len(gap), dtype=np.bool_)
    for name, start, end in talk.phones(clip_id):
        if name.lower() in CLOSING_PHONES:
            spoken |= (times >= start) & (times < end)
    return spoken & (gap <= rest + CLOSED)


def _score_clip(
    mixer: Mixer, stores: tuple[Store, Store], row: ClipRow, truth: Truth | None, tallies: dict[str, dict[str, _Tally]]
) -> None:
    talk, expression = stores
    template = mixer.template
    upper = template.regions["upper_face"]
    rest_points = talk.neutral_landmarks(row.subject)
    rest = float(lip_opening(rest_points))
    talk_gap = lip_opening(rest_points + talk.landmarks(row.id))
    closing = closing_frames(talk, row.id, talk_gap, rest)
    z_talk = mixer.encode_talk(talk.displacement(row.id))
    closed = closedness(talk_gap, rest, scale=face_scale(template))
    some = np.arange(0, row.frames, UPPER_STRIDE)
    speech_upper = talk.displacement(row.id)[some][:, upper]
    for source in expression.select(subject=row.subject):
        motion = expression.displacement(source.id)
        peak = motion[int(np.argmax(np.square(motion).sum(axis=(1, 2))))]
        emotion = str(source.label)
        z_expr = mixer.encode_expression(peak[None])[0]
        for way, shut in (("plain", None), ("sealed", closed)):
            points = rest_points + mixer.mix_landmarks(z_talk, z_expr, closedness=shut)
            faces = mixer.mix(z_talk[some], z_expr, closedness=None if shut is None else shut[some], vertices=np.flatnonzero(upper))
            tally = tallies.setdefault(way, {}).setdefault(emotion, _Tally())
            tally.add_lips(talk_gap, lip_opening(points), rest, closing)
            tally.add_upper(faces - speech_upper, peak[upper])
        if truth is not None:
            right = truth(row.id, emotion, NEUTRAL_MU)
            points = rest_points + landmark_points(right, template.faces, template.landmark_faces, template.landmark_weights)
            tally = tallies.setdefault("truth", {}).setdefault(emotion, _Tally())
            tally.add_lips(talk_gap, lip_opening(points), rest, closing)
            tally.add_upper(right[some][:, upper] - speech_upper, peak[upper])


def _summary(by_emotion: Mapping[str, _Tally]) -> dict[str, Any]:
    scores = {emotion: tally.scores() for emotion, tally in sorted(by_emotion.items())}
    return {
        "mean": {name: _mean(row[name] for row in scores.values()) for name in ("sealed", "leak_mm", "slope", "upper_share")},
        "emotions": scores,
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _spread(rows: tuple[ClipRow, ...], count: int) -> list[ClipRow]:
    if not rows:
        raise DataError("there is no talking clip in the split to report on")
    return [rows[place] for place in np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))]
