"""Table 2: how well expressions survive each way of joining the codes, and what the table cannot see (paper section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emovoca_cli.config.load import plain_values
from emovoca_cli.config.loop import comparable
from emovoca_cli.constants import INTENSITIES
from emovoca_cli.reproduce.algebra import algebra_table
from emovoca_cli.reproduce.cells import Done
from emovoca_cli.reproduce.classifier import Classifier, train_classifier
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.mixtures import MIXTURE_SCHEMA, mixture_scores
from emovoca_cli.reproduce.paper import TABLE2
from emovoca_cli.reproduce.scenes import Scenes
from emovoca_cli.reproduce.tables import Cell, Column, Outcome, ResultTable, Row, measured
from emovoca_cli.reproduce.variants import DESD, mixer_of, trained
from emovoca_cli.reproduce.ways import MixerWay, Way, addition, interpolation, reversed_mixer, truth_way

NATURAL = 2
"""The intensity at which an emotion has its own strength; measures of one intensity are of this one."""


@dataclass(frozen=True)
class Method:
    """A row: its name, the trained variant behind it ("" for arithmetic on displacements), how it mixes, its row in the paper."""

    name: str
    variant: str = ""
    own_scale: bool = False
    reverse: bool = False
    seal: bool = False
    paper: str = ""


TRUTH = "the rig's truth"
METHODS = (
    Method("Sum", "sum", paper="Sum"),
    Method("Mult", "product", paper="Mult"),
    Method("Mult, own scale", "product", own_scale=True),
    Method("Zero-cat", "zero-cat", paper="Zero-cat"),
    Method("Zero-cat, own scale", "zero-cat", own_scale=True),
    Method("Reversed", "random start", reverse=True, paper="Reversed"),
    Method("DE-SD, random start", "random start", paper="DE-SD"),
    Method("DE-SD", DESD),
    Method("DE-SD --seal", DESD, seal=True),
    Method("DE-SD --gap-loss", "gap loss"),
    Method("displacement addition"),
    Method("displacement interpolation"),
    Method(TRUTH),
)
"""Rows of all tables here. To add one, add the variant it is trained as (`variants.py`) and a line."""

ARITHMETIC: Mapping[str, Way] = {"displacement addition": addition, "displacement interpolation": interpolation}

RECOGNITION = (
    *(Column(f"accuracy_{level}", f"I{level} accuracy", 2, "higher") for level in INTENSITIES),
    Column("lve_talk", "LVE speech mm"),
    Column("uve_expression", "UVE expression mm"),
)
QUALITY = (
    Column("sealed", "p b m sealed", 0, "higher", percent=True),
    Column("sealed_3", "sealed at I3", 0, "higher", percent=True),
    Column("leak_mm", "leak mm"),
    Column("slope", "slope", 2, "neither"),
    Column("upper_share", "upper-face share", 2, "neither"),
    Column("corner_share", "corner share", 2, "neither"),
)
ERROR = (
    *(Column(f"lip_mm_{level}", f"lips I{level} mm") for level in INTENSITIES),
    *(Column(f"upper_mm_{level}", f"upper face I{level} mm") for level in INTENSITIES),
    Column(f"mve_mm_{NATURAL}", f"MVE I{NATURAL} mm"),
)

NO_PHONES = "no frame of the test clips is known to be p, b or m"

NOTES_RECOGNITION = (
    "Accuracy: share of mixed frames whose emotion the classifier names; it has seen silent expressions of other identities alone.",
    "LVE: largest lip error to the speech alone; UVE: largest upper-face error to the expression's peak; means of all intensities.",
    "LVE rewards less emotion and UVE less speech; the truth itself is far from zero: neither tells a good mixture from a bad one.",
    "mu_t is 2, mu_e is 1, 2, 3 for every row; 'own scale' halves both, which is right where training does not double the codes.",
    "The paper's figures are of VOCASET and Florence 4D on FLAME meshes, with a classifier whose sizes it does not give.",
)
NOTES_QUALITY = (
    f"At intensity {NATURAL} (an emotion's own strength) where nothing else is said; means over emotions.",
    "Sealed: share of the p, b, m frames closed by the speech in which the mixture opens the lips by 0.3 mm at most.",
    "Leak: mean opening beyond rest in those frames.",
    "Slope: of the mixture's lip opening over the speech's. Shares: how much of the emotion's motion is kept.",
)
NOTES_ERROR = (
    "Mean errors over lips and upper face, and the mean of the largest error of a face, to the rig's true mixture of the "
    "same speech, identity, emotion and strength. The paper's data has no truth.",
    "The gap loss is told that a mouth keeps 0.6 of an emotion, this rig's rule too: its row is not independent of this truth.",
)


def table2(job: Job) -> Outcome:
    """Train the classifier and the variants on each seed, mix with each way, and measure the mixtures."""
    scenes = Scenes(job.talk, job.expression, clips=job.scale.talk_clips, stride=job.scale.stride)
    scores: dict[str, list[Mapping[str, Any]]] = {method.name: [] for method in METHODS}
    own: list[float] = []
    for seed in job.seeds:
        judge = classifier_cell(job, scenes.emotions, seed)
        own.append(float(judge.result["accuracy"]))
        classifier = Classifier.load(judge.folder, device=job.device)
        for method in METHODS:
            if method.name != TRUTH or scenes.truth is not None:
                scores[method.name].append(_scores(job, scenes, method, seed, classifier, judge))
    said = job.describe() | {"talk_clips": [scene.clip for scene in scenes.all], "classifier_accuracy": own}
    judged = f"On the silent expressions of the test identities themselves the classifier is right in {_list(own)} of frames."

    def table(name: str, title: str, columns: tuple[Column, ...], notes: tuple[str, ...]) -> ResultTable:
        rows = tuple(_row(method, scores[method.name], columns, scenes) for method in METHODS)
        return ResultTable(name, title, columns, rows, notes, said)

    by_emotion = tuple(Column(f"sealed_{emotion}", emotion, 0, "higher", percent=True) for emotion in scenes.emotions)
    return Outcome(
        (
            table("table2", "Table 2: recognised expressions", RECOGNITION, (*NOTES_RECOGNITION, judged)),
            table("table2-quality", "Table 2, quality: what a good mixture has", QUALITY, NOTES_QUALITY),
            table("table2-sealed", f"Table 2, sealed: p b m sealed by emotion at intensity {NATURAL}", by_emotion, ()),
            table("table2-truth", "Table 2, truth: errors to the rig's true mixture", ERROR, NOTES_ERROR),
            algebra_table(job, scenes),
        )
    )


def classifier_cell(job: Job, labels: tuple[str, ...], seed: int) -> Done:
    """The cell of the expression classifier of a seed; its folder is a checkpoint."""

    config = replace(job.scale.classifier, seed=seed)
    settings = {"settings": comparable(plain_values(config)), "labels": list(labels), "data": job.data_hashes["expression"]}

    def work(folder: Path) -> dict[str, Any]:
        def update(done: int, total: int, metrics: Mapping[str, float]) -> None:
            job.progress(f"training the classifier, seed {seed}", done, total)

        trained = train_classifier(config, job.expression, folder, labels=labels, device=job.device, progress=update, resume=True)
        return {"accuracy": trained.accuracy}

    return job.cells.get("classifier", settings, work)


def _scores(job: Job, scenes: Scenes, method: Method, seed: int, classifier: Classifier, judge: Done) -> Mapping[str, Any]:
    model = trained(job, method.variant, seed) if method.variant else None
    settings = {
        "method": plain_values(method),
        "model": model.folder.name if model else None,
        "classifier": judge.folder.name,
        "data": job.data_hashes,
        "clips": [row.id for row in scenes.rows],
        "stride": scenes.stride,
        "measures": MIXTURE_SCHEMA,
    }

    def way() -> Way:
        if model is None:
            return truth_way(scenes) if method.name == TRUTH else ARITHMETIC[method.name]
        mixer = mixer_of(job, model)
        return MixerWay(reversed_mixer(mixer) if method.reverse else mixer, own_scale=method.own_scale, seal=method.seal)

    def work(folder: Path) -> dict[str, Any]:
        return mixture_scores(
            way(), scenes, classifier, lambda done, total: job.progress(f"measuring {method.name}, seed {seed}", done, total)
        )

    return job.cells.get("mixture", settings, work).result


def _row(method: Method, seeds: list[Mapping[str, Any]], columns: tuple[Column, ...], scenes: Scenes) -> Row:
    papers = dict(zip((column.key for column in RECOGNITION), TABLE2.get(method.paper, ()), strict=False))
    # What is not trained depends on the seed through the classifier alone.
    cells = {
        column.key: _cell(
            column.key,
            seeds if method.variant or column.key.startswith("accuracy") else seeds[:1],
            papers.get(column.key),
            scenes,
        )
        for column in columns
    }
    return Row(method.name, cells)


def _cell(key: str, seeds: list[Mapping[str, Any]], paper: float | None, scenes: Scenes) -> Cell:
    truthless = scenes.truth is None and (not seeds or key.startswith(("lip_mm", "upper_mm", "mve_mm")))
    why = scenes.why_no_truth if truthless else NO_PHONES
    return measured((value_of(seed, key) for seed in seeds), paper=paper, why=why)


def value_of(scores: Mapping[str, Any], key: str) -> float | None:
    """A column's number out of `mixture_scores`.

    A key ends in its intensity, or is of intensity 2; LVE and UVE are the mean of all three.
    """
    if key in ("lve_talk", "uve_expression"):
        return float(sum(float(scores[str(level)][key]) for level in INTENSITIES)) / len(INTENSITIES)
    name, _, last = key.rpartition("_")
    level, name = (last, name) if last in scores else (str(NATURAL), key)
    at = scores[level]
    by_emotion = name.startswith("sealed_")
    value = at["sealed_by_emotion"][name.removeprefix("sealed_")] if by_emotion else at.get(name)
    return None if value is None else float(value)


def _list(shares: list[float]) -> str:
    return ", ".join(f"{100 * share:.0f} %" for share in shares)
