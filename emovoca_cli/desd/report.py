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
from emovoca_cli.desd.seal import CLOSED, MOUTH_CORNERS, closedness, face_scale
from emovoca_cli.desd.train import held_frames, reconstruction_mve
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import landmark_points, lip_opening
from emovoca_cli.types import Float

CLOSING_PHONES = frozenset({"p", "b", "m"})
"""Phones (lower case) in which lips have to be sealed."""

UPPER_STRIDE = 5
"""Every so many frames the whole face is decoded for the upper-face score; lips are scored in every frame."""


SCORES = ("sealed", "leak_mm", "slope", "upper_share", "corner_share")


class Truth(Protocol):
    """Knows the right mixture of a talking clip with an emotion."""

    def __call__(self, talk_clip: str, emotion: str, intensity: float, /) -> Float:
        """Displacements (T,V,3) in metres; intensity is on the scale of mu_e, 2 = natural."""


@dataclass
class MixtureTally:
    """Sums over the frames of one way of mixing and one emotion."""

    closing: int = 0
    sealed: int = 0
    leak: float = 0.0
    spoken: list[NDArray[np.float32]] = field(default_factory=list)
    mixed: list[NDArray[np.float32]] = field(default_factory=list)
    kept: dict[str, float] = field(default_factory=dict)
    whole: dict[str, float] = field(default_factory=dict)

    def add_lips(self, spoken: NDArray[np.float32], mixed: NDArray[np.float32], closing: NDArray[np.bool_]) -> None:
        """Opening beyond rest (T,) of speech and of the mixture, metres, and which frames have to be sealed."""
        self.closing += int(closing.sum())
        self.sealed += int((mixed[closing] <= CLOSED).sum())
        self.leak += float(np.maximum(mixed[closing], 0).sum())
        self.spoken.append(spoken)
        self.mixed.append(mixed)

    def add_kept(self, part: str, motion: Float, emotion: Float) -> None:
        """Motion beyond the speech's (n,P,3) of a part of the face, and the emotion's own (P,3): what is kept is the projection."""
        self.kept[part] = self.kept.get(part, 0.0) + float((motion * emotion).sum())
        self.whole[part] = self.whole.get(part, 0.0) + float(np.square(emotion).sum()) * len(motion)

    def scores(self) -> dict[str, float | None]:
        """Sealed share (0-1), leak (mm), slope of the lip opening, shares kept of the emotion; None where there was nothing to
        measure."""
        speech, mixed = (np.concatenate(openings).astype(np.float64) for openings in (self.spoken, self.mixed))
        varies = speech.std() > 1e-6
        return {
            "sealed": self.sealed / self.closing if self.closing else None,
            "leak_mm": self.leak / self.closing * MM if self.closing else None,
            "slope": float(np.polyfit(speech, mixed, 1)[0]) if varies else None,
            **{f"{part}_share": self.kept[part] / whole if whole else None for part, whole in self.whole.items()},
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
    `sealed`, the share of p, b, m frames whose speech is closed that open no more than 0.3 mm beyond rest; `leak_mm`, the mean
    opening beyond rest there; `slope` of the mixture's lip opening over the speech's; `upper_share` and `corner_share` of the
    emotion's motion in the upper face and at the corners of the mouth that are kept.
    """
    report: dict[str, Any] = {"split": split, "mve_mm": {}}
    for store in (talk, expression):
        held = held_frames(store, split, frames)
        report["mve_mm"][store.kind] = reconstruction_mve(mixer.model, held, talk=store is talk)
    tallies: dict[str, dict[str, MixtureTally]] = {}
    chosen = spread_clips(talk.select(split=split), clips)
    for number, row in enumerate(chosen):
        _score_clip(mixer, (talk, expression), row, truth, tallies)
        if progress is not None:
            progress(number + 1, len(chosen))
    report["clips"] = len(chosen)
    report["mixtures"] = {way: _summary(by_emotion) for way, by_emotion in tallies.items()}
    return report


def closing_frames(talk: Store, clip_id: str, opening: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which frames (T,) are within p, b or m and closed by the speech itself, from how far it opens the lips (T,), metres."""
    times = np.arange(len(opening)) / talk.fps
    spoken = np.zeros(len(opening), dtype=np.bool_)
    for name, start, end in talk.phones(clip_id):
        if name.lower() in CLOSING_PHONES:
            spoken |= (times >= start) & (times < end)
    return spoken & (opening <= CLOSED)


def _score_clip(
    mixer: Mixer, stores: tuple[Store, Store], row: ClipRow, truth: Truth | None, tallies: dict[str, dict[str, MixtureTally]]
) -> None:
    talk, expression = stores
    template = mixer.template
    upper = np.flatnonzero(template.regions["upper_face"])
    corners = list(MOUTH_CORNERS)
    speech, points = talk.displacement(row.id), talk.landmarks(row.id)
    spoken = lip_opening(points)
    closing = closing_frames(talk, row.id, spoken)
    closed = closedness(spoken, 0.0, scale=face_scale(template), fps=talk.fps)
    z_talk = mixer.encode_talk(speech)
    some = np.arange(0, row.frames, UPPER_STRIDE)
    for source in expression.select(subject=row.subject):
        motion = expression.displacement(source.id)
        place = int(np.argmax(np.square(motion).sum(axis=(1, 2))))
        peak, peak_points = motion[place], expression.landmarks(source.id)[place]
        emotion = str(source.label)
        z_expr = mixer.encode_expression(peak[None])[0]
        ways = {
            "plain": (mixer.mix_landmarks(z_talk, z_expr), mixer.mix(z_talk[some], z_expr, vertices=upper)),
            "sealed": (
                mixer.mix_landmarks(z_talk, z_expr, closedness=closed),
                mixer.mix(z_talk[some], z_expr, closedness=closed[some], vertices=upper),
            ),
        }
        if truth is not None:
            right = truth(row.id, emotion, NEUTRAL_MU)
            landmarks = landmark_points(right, template.faces, template.landmark_faces, template.landmark_weights)
            ways["truth"] = (landmarks, right[some][:, upper])
        for way, (mixed_points, mixed_upper) in ways.items():
            tally = tallies.setdefault(way, {}).setdefault(emotion, MixtureTally())
            tally.add_lips(spoken, lip_opening(mixed_points), closing)
            tally.add_kept("upper", mixed_upper - speech[some][:, upper], peak[upper])
            tally.add_kept("corner", (mixed_points - points)[:, corners], peak_points[corners])


def _summary(by_emotion: Mapping[str, MixtureTally]) -> dict[str, Any]:
    scores = {emotion: tally.scores() for emotion, tally in sorted(by_emotion.items())}
    return {
        "mean": {name: _mean(row[name] for row in scores.values()) for name in SCORES},
        "emotions": scores,
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def spread_clips(rows: tuple[ClipRow, ...], count: int) -> list[ClipRow]:
    """At most `count` clips, spread evenly. Raises DataError when there is none."""
    if not rows:
        raise DataError("there is no talking clip in the split to report on")
    return [rows[place] for place in np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))]
