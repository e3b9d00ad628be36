"""Scoring a folder of predictions against a folder of truths: what was paired, what was measured, and what was not and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.data.checks import SIZES
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.evaluation.faces import Faces
from emovoca_cli.evaluation.labels import Labels, labels_of, name_pattern
from emovoca_cli.evaluation.measure import Pair, measure
from emovoca_cli.evaluation.metrics import NAMED, Metric, NotMeasuredError
from emovoca_cli.evaluation.motion import MOTION, Motion, Speech
from emovoca_cli.evaluation.presets import PRESETS
from emovoca_cli.evaluation.regions import Region
from emovoca_cli.evaluation.statistics import Bootstrap, Tally, shares
from emovoca_cli.evaluation.takes import Take, list_takes, match_names, read_take, resampled

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Options:
    """How to read, pair and count.

    metres a unit and fps of .npy files; match, names and table as in `takes.match_names` and `labels`; common_length cuts to the
    shorter of two, resample brings predictions to the truth's fps, allow_missing leaves out what has no partner. by_subject draws
    subjects instead of sequences in the bootstrap.
    """

    presets: tuple[str, ...] = ("paper",)
    metres: float = 1.0
    fps: float | None = None
    match: str = "{id}"
    names: str | None = None
    table: Mapping[str, Labels] = field(default_factory=dict)
    common_length: bool = False
    resample: bool = False
    allow_missing: bool = False
    by_subject: bool = False
    motion: bool = True
    bootstrap: Bootstrap = field(default_factory=Bootstrap)


@dataclass(frozen=True)
class Scored:
    """One scored prediction: its name, its truth's (None without truths), labels and frames."""

    name: str
    truth: str | None
    labels: Labels
    frames: int


@dataclass
class Scores:
    """All that was measured. Tallies by metric: errors (by NAMED's names), presets' lines, motion of predictions and of truths."""

    options: Options
    sequences: list[Scored] = field(default_factory=list)
    regions: dict[str, Region] = field(default_factory=dict)
    errors: dict[str, Tally] = field(default_factory=dict)
    presets: dict[str, dict[str, Tally]] = field(default_factory=dict)
    motion: dict[str, Tally] = field(default_factory=dict)
    truth_motion: dict[str, Tally] = field(default_factory=dict)
    metres: float = 1.0
    vertices: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, words: str) -> None:
        """Say something that the reader of the numbers has to know, once."""
        if words not in self.notes:
            self.notes.append(words)


def score_folders(
    pred: Path,
    truth: Path | None,
    faces: Faces,
    options: Options,
    *,
    speech: Mapping[str, Speech] | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Score every sequence of `pred`, against its namesake of `truth` when given; `faces` knows templates and regions.

    `speech` are recordings, words and phones by the predictions' names. Raises UsageError for wrong options and DataError for
    sequences that cannot be compared.
    """
    _check_options(options)
    predictions = list_takes(pred, "--pred")
    truths = list_takes(truth, "--truth") if truth is not None else {}
    notes: list[str] = []
    pairs: list[tuple[str, str | None]] = [(name, None) for name in predictions]
    if truth is not None:
        pairs, notes = paired(predictions, truths, options)

    def fetch(name: str, goal: str | None) -> tuple[Take, Take | None]:
        take = read_take(predictions[name], metres=options.metres, fps=options.fps)
        return take, None if goal is None else read_take(truths[goal], metres=options.metres, fps=options.fps)

    return score_takes(pairs, fetch, faces, options, speech=speech, notes=notes, progress=progress)


def score_takes(
    pairs: Sequence[tuple[str, str | None]],
    fetch: Callable[[str, str | None], tuple[Take, Take | None]],
    faces: Faces,
    options: Options,
    *,
    speech: Mapping[str, Speech] | None = None,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> Scores:
    """Score sequences wherever they come from: `fetch` gives a prediction and its truth by their names, one pair after the other.

    Errors as in `score_folders`.
    """
    _check_options(options)
    scores = Scores(options, notes=list(notes))
    rows = _Rows(scores, faces, shares([goal or name for name, goal in pairs]))
    for index, (name, goal) in enumerate(pairs):
        if progress is not None:
            progress(index, len(pairs))
        take, wanted = fetch(name, goal)
        rows.add(index, name, goal, take, wanted, (speech or {}).get(name))
    return scores


def _check_options(options: Options) -> None:
    unknown = [name for name in options.presets if name not in PRESETS]
    if unknown:
        raise UsageError(f"unknown preset '{unknown[0]}'; there are: {', '.join(PRESETS)}")
    if options.names is not None:
        name_pattern(options.names)


def paired(
    predictions: Collection[str], truths: Collection[str], options: Options
) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Names of predictions with their truths', and what was left out; whatever has no partner is an error unless that was allowed.

    Raises DataError and UsageError.
    """
    pairs = match_names(predictions, truths, options.match)
    if not pairs:
        raise DataError(
            f"no prediction is called {options.match!r} after a truth: the first prediction is {next(iter(predictions))}, "
            f"the first truth {next(iter(truths))}; give --match"
        )
    notes = []
    for kind, alone in (
        ("predictions have no truth", sorted(set(predictions) - {name for name, _ in pairs})),
        ("truths have no prediction", sorted(set(truths) - {goal for _, goal in pairs})),
    ):
        if not alone:
            continue
        words = f"{len(alone)} {kind}: {', '.join(alone[:3])}{', ...' if len(alone) > 3 else ''}"
        if not options.allow_missing:
            raise DataError(f"{words}; pass --allow-missing to leave them out")
        notes.append(f"left out: {words}")
    return list(pairs), notes


def _aligned(name: str, take: Take, goal: Take, scores: Scores) -> tuple[Take, Take]:
    """Two sequences that can be compared frame by frame and vertex by vertex, or a named error that says why they cannot."""
    options = scores.options
    if take.vertex_count != goal.vertex_count:
        raise TopologyError(f"{name}: the prediction has {take.vertex_count} vertices, the truth {goal.vertex_count}")
    if take.faces is not None and goal.faces is not None and not np.array_equal(take.faces, goal.faces):
        raise TopologyError(f"{name}: prediction and truth have the same number of vertices, and other faces")
    if take.fps is not None and goal.fps is not None and abs(take.fps - goal.fps) > 1e-6:
        said = f"{name}: the prediction has {take.fps:g} fps, the truth {goal.fps:g}"
        if not options.resample:
            raise DataError(f"{said}; pass --resample to bring predictions to the truth's rate")
        scores.note(f"resampled: predictions of {take.fps:g} fps to the truth's {goal.fps:g}, linear between frames")
        take = resampled(take, goal.fps)
    elif (take.fps is None) != (goal.fps is None):
        scores.note("one side does not say its frames a second (--fps says it for .npy files); frame was compared with frame")
    if take.frames != goal.frames:
        said = f"{name}: the prediction has {take.frames} frames, the truth {goal.frames}"
        if not options.common_length:
            raise DataError(f"{said}; pass --length common to compare the frames both have")
        count = min(take.frames, goal.frames)
        scores.note(f"cut: {said}; the first {count} were compared")
        take, goal = _first(take, count), _first(goal, count)
    return take, goal


def _first(take: Take, count: int) -> Take:
    landmarks = None if take.landmarks is None else take.landmarks[:count]
    return replace(take, vertices=take.vertices[:count], landmarks=landmarks)


class _Rows:
    """Enters one sequence after the other into the scores."""

    def __init__(self, scores: Scores, faces: Faces, weights: Sequence[float]) -> None:
        options = scores.options
        self._scores = scores
        self._faces = faces
        self._weights = weights
        self._pattern = name_pattern(options.names) if options.names else None

    def add(self, index: int, name: str, goal: str | None, take: Take, wanted: Take | None, speech: Speech | None) -> None:
        """Measure prediction `name` against the truth `goal`, or by itself when there is none."""
        scores, options = self._scores, self._scores.options
        labels = self._labels(goal or name, take, wanted)
        take = self._faces.fill(take, labels.subject, scores.note)
        if wanted is not None:
            wanted = self._faces.fill(wanted, labels.subject, scores.note)
            take, wanted = _aligned(name, take, wanted, scores)
        main = wanted if wanted is not None else take
        regions = self._faces.regions_of(main if main.faces is not None else take, scores.note)
        self._check_same(index, name, main, regions)
        scores.sequences.append(Scored(name, goal, labels, main.frames))
        unit = labels.subject if options.by_subject else goal or name
        if unit is None:
            raise UsageError(f"the subject of {name} is unknown; give --names or --labels, or leave out --bootstrap-by subject")
        if wanted is not None:
            factor = take.metres / wanted.metres
            rest = wanted.rest if wanted.rest is not None or take.rest is None else take.rest * factor
            pair = measure(take.vertices, wanted.vertices, regions=regions, rest=rest, factor=factor)
            for key, metric in NAMED.items():
                _enter(scores.errors.setdefault(key, Tally()), metric, pair, index, unit, self._weights[index])
            for preset in options.presets:
                lines = scores.presets.setdefault(preset, {})
                for line in PRESETS[preset].lines:
                    _enter(lines.setdefault(line.label, Tally()), line.metric, pair, index, unit, self._weights[index])
        if options.motion:
            for tallies, one in ((scores.motion, take), (scores.truth_motion, wanted)):
                if one is not None:
                    _enter_motion(tallies, one, regions, speech, index, unit)

    def _labels(self, name: str, take: Take, wanted: Take | None) -> Labels:
        clip = Labels(emotion=take.emotion, intensity=take.intensity)
        if wanted is not None:
            clip = Labels(emotion=wanted.emotion, intensity=wanted.intensity).filled(clip)
        table = self._scores.options.table
        return labels_of(name, table=table, pattern=self._pattern, known=self._faces.subjects, clip=clip)

    def _check_same(self, index: int, name: str, take: Take, regions: Mapping[str, Region]) -> None:
        """All sequences of a run have one topology, one unit and the same regions."""
        scores = self._scores
        if index == 0:
            scores.metres, scores.vertices, scores.regions = take.metres, take.vertex_count, dict(regions)
            size = float(np.linalg.norm(np.ptp(np.asarray(take.vertices[0], np.float64), axis=0))) * take.metres
            if not SIZES["metres"][0] <= size < SIZES["metres"][1]:
                scores.note(
                    f"{name} is {size:.3g} m across, a head is some 0.4: are all millimetres right? --unit says what .npy is in"
                )
            return
        if take.vertex_count != scores.vertices:
            raise TopologyError(f"{name} has {take.vertex_count} vertices, those before it {scores.vertices}; score them apart")
        if take.metres != scores.metres:
            raise DataError(f"{name} is in another unit than the sequences before it (clips are in metres); score them apart")
        if {key: region.sha256 for key, region in regions.items()} != {key: r.sha256 for key, r in scores.regions.items()}:
            raise TopologyError(f"the regions of {name} are not those before it; score them apart, or give --lips and --upper")


def _enter(tally: Tally, metric: Metric, pair: Pair, index: int, unit: str, share: float) -> None:
    try:
        values: NDArray[Any] = metric.values(pair)
    except NotMeasuredError as reason:
        tally.miss(str(reason))
        return
    if metric.aggregation == "truths":
        tally.add(index, unit, float(values.mean()) * share, share)
    else:
        tally.add(index, unit, float(values.sum()), float(len(values)))


def _enter_motion(
    tallies: dict[str, Tally], take: Take, regions: Mapping[str, Region], speech: Speech | None, index: int, unit: str
) -> None:
    motion = Motion(take, regions, speech)
    for key, metric in MOTION.items():
        tally = tallies.setdefault(key, Tally())
        try:
            total, weight = metric.measure(motion)
        except NotMeasuredError as reason:
            tally.miss(str(reason))
            continue
        if weight > 0:
            tally.add(index, unit, total, weight)
        else:
            tally.miss(metric.nothing)
