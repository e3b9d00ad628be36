"""DE-SD and its ablations, each trained once for a seed and shared by the tables (paper section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from emovoca_cli.config.desd import GAP_LOSS, DesdConfig
from emovoca_cli.config.load import plain_values
from emovoca_cli.config.loop import comparable
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.desd.train import train_desd
from emovoca_cli.reproduce.cells import Done
from emovoca_cli.reproduce.job import Job

DESD = "DE-SD"
VARIANTS = (DESD, "random start", "plain loss", "single encoder", "zero-cat", "sum", "product", "gap loss")
"""DE-SD as we train it (both halves of the decoder's entry start equal), as the paper must have (each half random), its ablations
and our gap loss, which change one thing."""


def variant_config(base: DesdConfig, name: str, seed: int) -> DesdConfig:
    """The settings of a variant: those of the scale with one thing changed."""
    sizes = base.sizes
    changed: Mapping[str, DesdConfig] = {
        DESD: base,
        "random start": replace(base, symmetric=False),
        "plain loss": replace(base, loss="plain"),
        "single encoder": replace(base, sizes=replace(sizes, encoders="single")),
        "zero-cat": replace(base, sizes=replace(sizes, features="zero"), symmetric=False),
        "sum": replace(base, sizes=replace(sizes, features="sum")),
        "product": replace(base, sizes=replace(sizes, features="product")),
        "gap loss": replace(base, gap_loss=GAP_LOSS),
    }
    return replace(changed[name], seed=seed)


def trained(job: Job, name: str, seed: int) -> Done:
    """The cell of a trained variant; its folder is a DE-SD checkpoint."""
    config = variant_config(job.scale.desd, name, seed)
    settings = {"settings": comparable(plain_values(config)), "data": job.data_hashes}

    def work(folder: Path) -> dict[str, Any]:
        def update(done: int, total: int, metrics: Mapping[str, float]) -> None:
            job.progress(f"training {name}, seed {seed}", done, total)

        loop = train_desd(config, job.talk, job.expression, folder, device=job.device, progress=update, resume=True).loop
        return {"steps": loop.steps}

    return job.cells.get("desd", settings, work)


def mixer_of(job: Job, done: Done) -> Mixer:
    """The trained network of a cell."""
    return Mixer.load(done.folder, device=job.device)
