"""Table 1: what the weights of the loss and the second encoder are worth in reconstruction (paper section 4.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from emovoca_cli.constants import MM
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.desd.train import held_frames
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.measures import face_regions, largest_errors
from emovoca_cli.reproduce.paper import TABLE1
from emovoca_cli.reproduce.tables import Column, Outcome, ResultTable, Row, measured
from emovoca_cli.reproduce.variants import DESD, mixer_of, trained
from emovoca_cli.types import Float

ROWS = (
    ("plain L2, double encoder", "plain loss", ("plain", "double")),
    ("weighted L2, single encoder", "single encoder", ("weighted", "single")),
    ("weighted L2, double encoder", DESD, ("weighted", "double")),
    ("the same with --gap-loss", "gap loss", None),
)
"""Rows: their name, the variant of DE-SD, its place in the paper's table if it is there."""

COLUMNS = (
    Column("mve_talk", "MVE speech mm", 3),
    Column("mve_expression", "MVE expression mm", 3),
    Column("lve_talk", "LVE speech mm", 3),
    Column("lve_expression", "LVE expression mm", 3),
    Column("mean_talk", "mean error speech mm", 3),
    Column("mean_expression", "mean error expression mm", 3),
)

NOTES = (
    "MVE and LVE: mean over frames of the largest L2 error over all vertices, over the lips; on test identities.",
    "The paper's figures are of VOCASET and Florence 4D on FLAME meshes.",
    "LVE and the mean error are not in the paper: the largest error can lie anywhere, the weights serve landmarks and so the lips.",
)


def table1(job: Job) -> Outcome:
    """Train the variants of Table 1 on each seed and measure their reconstruction of the test identities."""
    rows = []
    for title, variant, place in ROWS:
        seeds = [_reconstruction(job, variant, seed) for seed in job.seeds]
        papers = dict(zip(("mve_talk", "mve_expression"), TABLE1[place], strict=True)) if place else {}
        cells = {column.key: measured((seed[column.key] for seed in seeds), paper=papers.get(column.key)) for column in COLUMNS}
        rows.append(Row(title, cells))
    table = ResultTable("table1", "Table 1: reconstruction", COLUMNS, tuple(rows), NOTES, job.describe())
    return Outcome((table,))


def _reconstruction(job: Job, variant: str, seed: int) -> dict[str, float]:
    model = trained(job, variant, seed)
    settings = {"model": model.folder.name, "frames": job.scale.test_frames}

    def work(folder: Path) -> dict[str, Any]:
        return reconstruction_errors(mixer_of(job, model), job)

    return dict(job.cells.get("reconstruction", settings, work).result)


def reconstruction_errors(mixer: Mixer, job: Job) -> dict[str, float]:
    """MVE, LVE and the mean error in mm of reconstructing frames of both test sets, by `<error>_<set>`."""
    regions = face_regions(mixer.template)
    found: dict[str, float] = {}
    for store in (job.talk, job.expression):
        truth = held_frames(store, "test", job.scale.test_frames)
        guess = reconstructed(mixer, truth, talk=store is job.talk)
        errors = largest_errors(guess, truth, regions)
        found |= {f"{name}_{store.kind}": float(errors[name].mean()) for name in ("mve", "lve")}
        found[f"mean_{store.kind}"] = float(np.linalg.norm(guess - truth, axis=-1).mean()) * MM
    return found


def reconstructed(mixer: Mixer, truth: Float, *, talk: bool) -> Float:
    """What a network makes of displacements (T,V,3), metres, as in training."""
    model = mixer.model
    with torch.no_grad():
        parts = [
            model.reconstruct(torch.from_numpy(part).to(model.scale.device), talk=talk).cpu().numpy()
            for part in np.array_split(truth, max(1, len(truth) // 64))
        ]
    return np.concatenate(parts)
