"""Figure 6: E-S2L+S2D under labels that change in the middle of a sentence (section 4.5)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from emovoca_cli.animation.animate import animate
from emovoca_cli.constants import MM
from emovoca_cli.generators.load import SpeechGenerator
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.strips import Strip, draw_strips, face_template, moments_of
from emovoca_cli.reproduce.tables import Column, Outcome, ResultTable, Row, measured
from emovoca_cli.reproduce.talkers import Talker, Talkers
from emovoca_cli.types import Clip, Float

SHOWN = Talker("s2l", "v1")
PREFERRED = (("happy", "sad"), ("angry", "afraid"))

COLUMNS = (
    Column("before", "from the first label alone, first third, mm", 2, "neither"),
    Column("after", "from the second label alone, last third, mm", 2, "neither"),
    Column("labels", "between the two alone, mm", 2, "neither"),
)
NOTES = (
    "Mean distance of the 68 landmarks from those under one label throughout: small before and after means that each label "
    "holds where it is asked for, though the network never saw labels change. The two labels alone differ by the last column.",
)


def fig6(job: Job) -> Outcome:
    """Change the emotion, then the intensity, halfway through a test sentence, with E-S2L+S2D of EmoVOCAv1 (first seed)."""
    talkers, seed = Talkers(job), job.seeds[0]
    generator = talkers.generator(SHOWN, seed)
    entry = talkers.tests("neutral")[0]
    data = talkers.data("v1")
    rest, template = data.neutral(entry.subject), face_template(data.template)
    middle = entry.frames / data.fps / 2
    rows, strips = [], []
    for first, second in _changes(generator.emotions, talkers.scale.emotions):
        clip, alone = _clips(generator, entry.audio, rest, (first, second), middle)
        name = f"{first} to {second}"
        strips.append(Strip(name, clip.vertices, clip.fps, rest, template, partial(_said, clip)))
        third = len(clip.landmarks) // 3
        values = {
            "before": _apart(clip, alone[0], slice(0, third)),
            "after": _apart(clip, alone[1], slice(-third, None)),
            "labels": _apart(alone[0], alone[1], slice(None)),
        }
        rows.append(Row(name, {key: measured([value]) for key, value in values.items()}))
    moments = job.given.moments or moments_of((entry.frames - 1) / data.fps, talkers.scale.moments)
    picture = draw_strips(
        strips, moments, size=job.scale.picture, progress=lambda done, total: job.progress("drawing", done, total)
    )
    table = ResultTable("fig6", "Figure 6: labels that change", COLUMNS, tuple(rows), NOTES, job.describe())
    return Outcome((table,), {"": picture}, (f"the test sentence {entry.talk}, labels changing at {middle:.2f} s, seed {seed}",))


def _changes(labels: Sequence[str], count: int) -> list[tuple[str, str]]:
    """What changes into what, as the emotion option writes it: at most `count` changes of emotion, and as many of intensity."""
    pairs = [pair for pair in PREFERRED if set(pair) <= set(labels)] or [(labels[0], labels[-1])]
    changes = [(f"{first}@3", f"{second}@3") for first, second in pairs]
    return changes[:count] + [(f"{first}@1", f"{first}@3") for first, _ in pairs][:count]


def _clips(
    generator: SpeechGenerator, speech: Path, rest: Float, labels: tuple[str, str], middle: float
) -> tuple[Clip, tuple[Clip, Clip]]:
    """The clip whose label changes at `middle` seconds, and those under either label alone."""
    first, second = labels
    changing = animate(speech, generator, emotion=f"0:{first}, {middle:.3f}:{second}", face=rest)
    return changing, (animate(speech, generator, emotion=first, face=rest), animate(speech, generator, emotion=second, face=rest))


def _apart(one: Clip, other: Clip, frames: slice) -> float:
    return float(np.linalg.norm(one.landmarks[frames] - other.landmarks[frames], axis=-1).mean()) * MM


def _said(clip: Clip, moment: float) -> str:
    """The strongest emotion of a moment and the intensity."""
    frame = min(clip.frames - 1, round(moment * clip.fps))
    return f"{clip.emotion_names[int(clip.emotion[frame].argmax())]} {clip.intensity[frame]:.1f},"
