"""Why DE-SD, Reversed and Sum are one model up to its random start: the decoder's first matrix, before and after training.

With W = [A|B], training on f ⊕ f only ever sees (A + B) f. Both halves get the same gradient, so A − B stays; a mixture is
(A + B)/2 (mu_t f_t + mu_e f_e) + (A − B)/2 (mu_t f_t − mu_e f_e): a sum of codes, and untrained noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emovoca_cli.config.desd import DesdConfig
from emovoca_cli.constants import MM, NEUTRAL_MU
from emovoca_cli.desd import model as networks
from emovoca_cli.evaluation.regions import LIPS
from emovoca_cli.mesh.cache import cached_hierarchy
from emovoca_cli.reproduce.cells import Done
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.measures import face_regions
from emovoca_cli.reproduce.scenes import Scenes
from emovoca_cli.reproduce.tables import Column, ResultTable, Row, measured
from emovoca_cli.reproduce.variants import DESD, mixer_of, trained, variant_config
from emovoca_cli.reproduce.ways import MixerWay, reversed_mixer
from emovoca_cli.runtime.seeding import seed_everything
from emovoca_cli.types import MeshTemplate

COLUMNS = (
    Column("difference_before", "|A − B| before", 3, "neither"),
    Column("difference_after", "|A − B| after", 3, "neither"),
    Column("moved", "largest change of A − B", 8, "neither"),
    Column("sum_before", "|A + B| before", 3, "neither"),
    Column("sum_after", "|A + B| after", 3, "neither"),
    Column("reversed_mm", "Reversed from DE-SD mm", 3, "neither"),
    Column("reversed_lip_mm", "at the lips mm", 3, "neither"),
)
NOTES = (
    "W = [A|B] is the decoder's first matrix, |.| its Frobenius norm, before and after training on f ⊕ f.",
    "Reversed from DE-SD: mean distance of mixtures (mu 2, 2) with the codes in either order, over all vertices and at the lips.",
)
ROWS = (("halves start at random", "random start"), ("halves start equal", DESD))


def algebra_table(job: Job, scenes: Scenes) -> ResultTable:
    """Measure A − B and A + B before and after training, and what the order of the codes changes, on each seed."""
    rows = []
    for title, variant in ROWS:
        seeds = [_cell(job, scenes, variant, seed).result for seed in job.seeds]
        rows.append(Row(title, {column.key: measured(seed[column.key] for seed in seeds) for column in COLUMNS}))
    return ResultTable(
        "table2-algebra", "Table 2, algebra: what training does to the two halves", COLUMNS, tuple(rows), NOTES, job.describe()
    )


def _cell(job: Job, scenes: Scenes, variant: str, seed: int) -> Done:
    model = trained(job, variant, seed)
    settings = {
        "model": model.folder.name,
        "data": job.data_hashes,
        "clips": [row.id for row in scenes.rows],
        "stride": scenes.stride,
    }

    def work(folder: Path) -> dict[str, Any]:
        job.progress(f"measuring the halves of {variant}, seed {seed}", 0, 1)
        mixer = mixer_of(job, model)
        before = first_entry(variant_config(job.scale.desd, variant, seed), job.talk.template)
        after = mixer.model.decoder.linear.weight.detach().cpu()
        apart = _difference(after) - _difference(before)
        one, other = MixerWay(mixer), MixerWay(reversed_mixer(mixer))
        lips = face_regions(mixer.template)[LIPS].indices
        away = [
            np.linalg.norm(one(scene, emotion, NEUTRAL_MU) - other(scene, emotion, NEUTRAL_MU), axis=-1)
            for scene in scenes.all
            for emotion in scenes.emotions
        ]
        return {
            "difference_before": float(_difference(before).norm()),
            "difference_after": float(_difference(after).norm()),
            "moved": float(apart.abs().max()),
            "sum_before": float(_sum(before).norm()),
            "sum_after": float(_sum(after).norm()),
            "reversed_mm": float(np.mean([one.mean() for one in away])) * MM,
            "reversed_lip_mm": float(np.mean([one[:, lips].mean() for one in away])) * MM,
        }

    return job.cells.get("algebra", settings, work)


def first_entry(config: DesdConfig, template: MeshTemplate) -> Tensor:
    """The decoder's first matrix as `train_desd` starts with it: the same seed draws the same numbers."""
    seed_everything(config.seed)
    network = networks.DESD(cached_hierarchy(template, levels=len(config.sizes.encoder)), config.sizes, symmetric=config.symmetric)
    return network.decoder.linear.weight.detach().clone()


def _difference(weight: Tensor) -> Tensor:
    first, second = torch.chunk(weight, 2, dim=1)
    return first - second


def _sum(weight: Tensor) -> Tensor:
    first, second = torch.chunk(weight, 2, dim=1)
    return first + second
