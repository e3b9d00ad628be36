"""Training DE-SD: the two encoders in turn, one shared decoder (paper section 3.2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emovoca_cli import __version__
from emovoca_cli.config.desd import DesdConfig
from emovoca_cli.config.load import plain_values
from emovoca_cli.constants import MM
from emovoca_cli.data.loaders import FrameSampler
from emovoca_cli.data.store import Store
from emovoca_cli.data.template import save_template
from emovoca_cli.desd.gap import GapLoss
from emovoca_cli.desd.mix import KIND, Mixer
from emovoca_cli.desd.model import DESD
from emovoca_cli.errors import DataError, TopologyError
from emovoca_cli.mesh.cache import cached_hierarchy
from emovoca_cli.mesh.weights import vertex_weights
from emovoca_cli.nn.losses import weighted_l2
from emovoca_cli.runtime.checkpoint import HIERARCHY, TEMPLATE, save_checkpoint
from emovoca_cli.runtime.loop import LoopReport, Progress, train_loop
from emovoca_cli.runtime.processes import Share, join
from emovoca_cli.runtime.seeding import seed_everything
from emovoca_cli.types import Float

VALIDATION_FRAMES = 128
"""Frames of each set that are scored at every checkpoint: enough for two digits, a second of work."""


@dataclass(frozen=True)
class DesdTraining:
    """What a training gave: the folder, a mixer on its weights and how the loop went."""

    out: Path
    mixer: Mixer
    loop: LoopReport


def train_desd(
    config: DesdConfig,
    talk: Store,
    expression: Store,
    out: Path,
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
    resume: bool = False,
) -> DesdTraining:
    """Train on the `train` identities of a talk and an expression store and write the checkpoint folder `out`.

    resume: continue a stopped run of the same settings and data. Raises TopologyError for stores of different meshes, DataError,
    UsageError, OutputError.
    """
    if talk.topology_hash != expression.topology_hash:
        raise TopologyError(f"{talk.root} and {expression.root} hold meshes of different topology; DE-SD needs one")
    device = device or torch.device("cpu")
    processes = join(device, config)
    seed_everything(config.seed)
    samplers = {
        store.kind: FrameSampler(store, split="train", batch=config.batch, seed=config.seed + offset)
        for offset, store in enumerate((talk, expression))
    }
    scale = global_scale(samplers[talk.kind], samplers[expression.kind])
    with processes.main_process_first():
        hierarchy = cached_hierarchy(talk.template, levels=len(config.sizes.encoder))
    model = DESD(hierarchy, config.sizes, scale=scale, symmetric=config.symmetric).to(device)
    weights = torch.from_numpy(vertex_weights(talk.template)).to(device)
    if config.loss == "plain":
        weights = torch.ones_like(weights)
    turns = (talk.kind, expression.kind)
    gap = None
    if config.gap_loss:
        speech = FrameSampler(talk, split="train", batch=config.batch, seed=config.seed + 2)
        gap = GapLoss(model, talk.template, speech, seed=config.seed)

    def step(share: Share) -> Mapping[str, Tensor]:
        kind = turns[share.step % 2]
        truth = torch.from_numpy(samplers[kind].at(share.index(share.step // 2))).to(device)
        # Divided by the scale, so that the size of the loss does not depend on how much the faces move.
        loss = weighted_l2(model.reconstruct(truth, talk=kind == talk.kind), truth, weights) / model.scale
        values = {f"loss_{kind}": loss.detach()}
        if gap is not None and kind == expression.kind:
            terms = gap(share.index(share.step // 2), truth)
            values |= {f"mix_{name}": term.detach() for name, term in terms.items()}
            loss = loss + config.gap_loss * sum(terms.values())
        return {"loss": loss, **values}

    held = {store.kind: held_frames(store, "val", VALIDATION_FRAMES) for store in (talk, expression) if store.select(split="val")}

    def validate() -> Mapping[str, float]:
        scores = {f"mve_{kind}_mm": reconstruction_mve(model, frames, talk=kind == talk.kind) for kind, frames in held.items()}
        return {**scores, **({"mve_mm": sum(scores.values()) / len(scores)} if scores else {})}

    data = {store.kind: store.content_hash for store in (talk, expression)}
    settings = plain_values(config)
    loop = train_loop(
        model,
        step,
        settings=config,
        folder=out,
        mark={**settings, **{f"{kind} data": digest for kind, digest in data.items()}},
        device=device,
        resume=resume,
        progress=progress,
        validate=validate,
        watch="mve_mm",
    )
    if processes.is_main_process:
        save_template(talk.template, out / TEMPLATE)
        hierarchy.save(out / HIERARCHY)
        save_checkpoint(
            out,
            kind=KIND,
            state=model.state_dict(),
            config={"sizes": settings["sizes"]},
            licence="; ".join(dict.fromkeys((talk.licence, expression.licence))),
            provenance={"emovoca": __version__, "torch": torch.__version__, "data": data, "settings": settings},
            half=config.storage == "float16",
        )
    processes.wait_for_everyone()
    # What others will load, rounding of the stored weights included, is what is reported on.
    return DesdTraining(out, Mixer.load(out, device=device), loop)


def global_scale(talk: FrameSampler, expression: FrameSampler) -> float:
    """Root mean square of a coordinate's displacement in metres, both sets counting the same: the one scale of all meshes."""
    scale = float(np.sqrt((talk.mean_square() + expression.mean_square()) / 2))
    if not (np.isfinite(scale) and scale > 0):
        raise DataError(
            f"the training frames of {talk.store.root} and {expression.store.root} have a mean motion of {scale}: "
            "nothing moves, or numbers are bad"
        )
    return scale


def held_frames(store: Store, split: str, count: int) -> Float:
    """At most `count` frames (n,V,3), metres, spread evenly over a split."""
    sampler = FrameSampler(store, split=split, batch=1, seed=0)
    return sampler[np.unique(np.linspace(0, sampler.frames - 1, count).round().astype(np.int64))]


def reconstruction_mve(model: DESD, frames: Float, *, talk: bool) -> float:
    """Mean over frames (n,V,3) of the largest vertex error of their reconstruction, in millimetres (MVE, paper section 4.1)."""
    device = model.scale.device
    with torch.no_grad():
        errors = [
            torch.linalg.vector_norm(model.reconstruct(truth, talk=talk) - truth, dim=-1).amax(dim=1)
            for part in np.array_split(frames, max(1, len(frames) // 64))
            for truth in (torch.from_numpy(part).to(device),)
        ]
    return float(torch.cat(errors).mean()) * MM
