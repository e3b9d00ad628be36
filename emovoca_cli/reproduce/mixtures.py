"""How good mixtures are: the measures of the paper's Table 2, and those that can tell a good mixture from a bad one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emovoca_cli.constants import MM
from emovoca_cli.dataset_builder.plan import DEFAULT_MU_E
from emovoca_cli.desd.report import MixtureTally
from emovoca_cli.desd.seal import MOUTH_CORNERS
from emovoca_cli.evaluation.regions import LIPS, UPPER
from emovoca_cli.mesh.landmarks import landmark_points, lip_opening
from emovoca_cli.reproduce.classifier import Classifier
from emovoca_cli.reproduce.measures import face_regions
from emovoca_cli.reproduce.scenes import Scene, Scenes
from emovoca_cli.reproduce.ways import Way
from emovoca_cli.types import Float

MIXTURE_SCHEMA = 1
"""Raised whenever the same mixture gets other scores, so that kept cells are measured anew."""


@dataclass
class _Means:
    """Sums and counts by name."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, total: float, count: int) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + total
        self.counts[name] = self.counts.get(name, 0) + count

    def means(self) -> dict[str, float]:
        return {name: total / self.counts[name] for name, total in self.sums.items() if self.counts[name]}


def mixture_scores(
    way: Way, scenes: Scenes, classifier: Classifier, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Score a way of mixing at intensities 1, 2, 3; plain values for JSON, by intensity.

    `accuracy` (0-1) of the classifier; `lve_talk`, the largest lip error to the speech alone, and `uve_expression`, the largest
    upper-face error to the expression's peak alone (mean over frames, mm, the paper's Table 2); `sealed`, `leak_mm`, `slope`,
    `upper_share`, `corner_share` as in `desd.report.desd_report`, here over the frames of the scenes, mean over emotions, with
    `sealed_by_emotion`; and where there is a truth `lip_mm`, `upper_mm`, mean errors over lips and upper face, and `mve_mm`.
    A measure that nothing could be measured on is left out or None.
    """
    found: dict[str, Any] = {}
    total, done = len(DEFAULT_MU_E) * len(scenes.all), 0
    for level, mu_e in DEFAULT_MU_E.items():
        means = _Means()
        tallies = {emotion: MixtureTally() for emotion in scenes.emotions}
        for scene in scenes.all:
            for emotion in scenes.emotions:
                mixed = way(scene, emotion, mu_e)
                _score(mixed, scene, emotion, scenes, means, tallies[emotion])
                even = mixed[scene.even]
                means.add("accuracy", classifier.hits(even, emotion), len(even))
                right = scenes.true_mixture(scene, emotion, mu_e)
                if right is not None:
                    _compare(even, right[scene.even], scenes, means)
            done += 1
            if progress is not None:
                progress(done, total)
        scores = {emotion: tally.scores() for emotion, tally in tallies.items()}
        found[str(level)] = {
            **means.means(),
            **{name: _mean(scores, name) for name in next(iter(scores.values()))},
            "sealed_by_emotion": {emotion: row["sealed"] for emotion, row in scores.items()},
        }
    return found


def _score(mixed: Float, scene: Scene, emotion: str, scenes: Scenes, means: _Means, tally: MixtureTally) -> None:
    """Enter the measures that need no truth."""
    template = scenes.talk.template
    regions = face_regions(template)
    peak, even = scene.peaks[emotion], scene.even
    for name, part, original in (("lve_talk", LIPS, scene.speech[even]), ("uve_expression", UPPER, peak[None])):
        vertices = regions[part].indices
        away = np.linalg.norm(mixed[even][:, vertices] - original[:, vertices], axis=-1).max(axis=1) * MM
        means.add(name, float(away.sum()), len(away))
    points, spoken, felt = (
        landmark_points(motion, template.faces, template.landmark_faces, template.landmark_weights)
        for motion in (mixed, scene.speech, peak)
    )
    tally.add_lips(scene.opening, lip_opening(points), scene.closing)
    whole = np.flatnonzero(template.regions["upper_face"])
    corners = list(MOUTH_CORNERS)
    tally.add_kept("upper", mixed[even][:, whole] - scene.speech[even][:, whole], peak[whole])
    tally.add_kept("corner", (points - spoken)[even][:, corners], felt[corners])


def _compare(mixed: Float, right: Float, scenes: Scenes, means: _Means) -> None:
    """Enter the errors to the true mixture."""
    regions = face_regions(scenes.talk.template)
    away = np.linalg.norm(mixed - right, axis=-1) * MM  # (n,V)
    for name, values in (
        ("lip_mm", away[:, regions[LIPS].indices].mean(axis=1)),
        ("upper_mm", away[:, regions[UPPER].indices].mean(axis=1)),
        ("mve_mm", away.max(axis=1)),
    ):
        means.add(name, float(values.sum()), len(values))


def _mean(scores: Mapping[str, Mapping[str, float | None]], name: str) -> float | None:
    known = [row[name] for row in scores.values() if row[name] is not None]
    return float(np.mean([value for value in known if value is not None])) if known else None
