"""Training S2D: from the motion of 68 landmarks to the motion of the whole mesh (paper section 4.2, loss of eq. 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emovoca_cli import __version__
from emovoca_cli.config.generators import S2DConfig
from emovoca_cli.config.load import plain_values
from emovoca_cli.constants import MM
from emovoca_cli.data.sequences import SequenceEntry, SequenceSource
from emovoca_cli.data.template import save_template
from emovoca_cli.errors import DataError
from emovoca_cli.generators.bank import Preparing, fingerprint
from emovoca_cli.generators.predict import S2D_KIND, S2DModel
from emovoca_cli.generators.s2d import S2D
from emovoca_cli.mesh.cache import cached_hierarchy
from emovoca_cli.mesh.landmarks import landmark_operator
from emovoca_cli.mesh.weights import vertex_weights
from emovoca_cli.nn.losses import weighted_l2
from emovoca_cli.runtime.checkpoint import HIERARCHY, TEMPLATE, save_checkpoint
from emovoca_cli.runtime.loop import LoopReport, Progress, train_loop
from emovoca_cli.runtime.processes import Share, join
from emovoca_cli.runtime.seeding import seed_everything
from emovoca_cli.types import Float

PER_SEQUENCE = (8, 24)
"""Fewest and most frames taken from one sequence: decoding one alone costs as much as eight, and neighbours look alike."""


@dataclass(frozen=True)
class S2DTraining:
    """What a training gave: the folder, the model with the stored weights, how the loop went, mean error and MVE on test (mm)."""

    out: Path
    model: S2DModel
    loop: LoopReport
    test: Mapping[str, float]


def train_s2d(
    config: S2DConfig,
    source: SequenceSource,
    out: Path,
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
    preparing: Preparing | None = None,
    resume: bool = False,
) -> S2DTraining:
    """Train on frames of the `train` identities and write the checkpoint folder `out`; score on `test` (else `val`) at the end.

    Frames are drawn evenly over talking clips and conditions, neutral speech included.
    Raises DataError for a dataset without training sequences, UsageError, OutputError.
    """
    device = device or torch.device("cpu")
    processes = join(device, config)
    plans = {
        "train": draw_frames(_of_split(source, "train"), config.frames, seed=config.seed),
        "val": draw_frames(_of_split(source, "val"), config.validation_frames, seed=config.seed + 1),
        "test": draw_frames(_of_split(source, "test"), config.validation_frames, seed=config.seed + 2),
    }
    if not plans["train"]:
        raise DataError("the dataset has no training sequences; check its splits or build it again")
    frames = {split: _read(source, plan, split, preparing) for split, plan in plans.items()}
    vertices, weights68 = landmark_operator(source.template)
    corners, shares = torch.from_numpy(vertices).to(device), torch.from_numpy(weights68).to(device)

    def landmarks(moved: Tensor) -> Tensor:
        # displacement of a landmark = barycentric mean of its corners' displacements; (B,V,3) to (B,68,3)
        return (moved[:, corners.view(-1)].view(len(moved), -1, 3, 3) * shares.view(1, -1, 3, 1)).sum(2)

    seed_everything(config.seed)
    with processes.main_process_first():
        hierarchy = cached_hierarchy(source.template, levels=len(config.filters) - 2)
    model = S2D(config, hierarchy=hierarchy).to(device)
    model.scale_out.fill_(_rms(frames["train"]))
    model.scale_in.fill_(float(landmarks(torch.from_numpy(_spread(frames["train"], 2000)).to(device)).square().mean().sqrt()))
    importance = torch.from_numpy(vertex_weights(source.template)).to(device)

    def step(share: Share) -> Mapping[str, Tensor]:
        # drawn for the whole step, so that its frames are the same however they are shared out
        rng = np.random.default_rng((config.seed, share.step))
        own = share.rows(config.batch)
        drawn = rng.integers(0, len(frames["train"]), share.parts * config.batch)
        truth = torch.from_numpy(frames["train"][drawn[own]].astype(np.float32)).to(device)
        given = landmarks(truth)
        if config.input_noise > 0:
            noise = torch.from_numpy(rng.standard_normal((len(drawn), *given.shape[1:]), dtype=np.float32)[own]).to(device)
            given = given + config.input_noise * model.scale_in * noise
        return {"loss": weighted_l2(model(given), truth, importance) / model.scale_out}

    def score(split: str) -> dict[str, float]:
        means, worst = [], []
        was = model.training
        model.eval()
        with torch.no_grad():
            for part in np.array_split(frames[split], max(1, len(frames[split]) // 64)) if len(frames[split]) else []:
                truth = torch.from_numpy(part.astype(np.float32)).to(device)
                errors = torch.linalg.vector_norm(model(landmarks(truth)) - truth, dim=-1)  # (B,V)
                means.append(errors.mean(1))
                worst.append(errors.amax(1))
        model.train(was)
        if not means:
            return {}
        return {"mean_mm": float(torch.cat(means).mean()) * MM, "mve_mm": float(torch.cat(worst).mean()) * MM}

    mark = {
        "settings": plain_values(config),
        "data": fingerprint(source, [entry for plan in plans.values() for entry, _ in plan]),
    }
    model.train()
    loop = train_loop(
        model,
        step,
        settings=config,
        folder=out,
        mark=mark,
        device=device,
        resume=resume,
        progress=progress,
        validate=lambda: {f"val_{name}": value for name, value in score("val").items()},
        watch="val_mean_mm",
    )
    if processes.is_main_process:
        save_template(source.template, out / TEMPLATE)
        hierarchy.save(out / HIERARCHY)
        save_checkpoint(
            out,
            kind=S2D_KIND,
            state=model.state_dict(),
            config={"settings": plain_values(config)},
            licence=source.licence,
            provenance={"emovoca": __version__, "torch": torch.__version__, "data": mark["data"], "frames": len(frames["train"])},
            half=config.storage == "float16",
        )
    processes.wait_for_everyone()
    # what others will load, rounding of the stored weights included, is what is scored
    trained = S2DModel.load(out, device=device)
    model.load_state_dict(trained.network.state_dict())
    return S2DTraining(out, trained, loop, score("test" if len(frames["test"]) else "val"))


def draw_frames(entries: Sequence[SequenceEntry], count: int, *, seed: int) -> list[tuple[SequenceEntry, NDArray[np.int64]]]:
    """Draw at most `count` frames: sequences in random order, neutral ones a quarter of them, a few frames of each, none twice."""
    rng = np.random.default_rng(seed)
    neutral = [entry for entry in entries if entry.emotion is None]
    emotional = [entry for entry in entries if entry.emotion is not None]
    plan = []
    for group, share in ((neutral, 0.25 if emotional else 1.0), (emotional, 0.75 if neutral else 1.0)):
        wanted = round(count * share)
        if not group or not wanted:
            continue
        # as many sequences as possible; when there are few of them, more frames of each
        each = min(max(PER_SEQUENCE[0], -(-wanted // len(group))), PER_SEQUENCE[1])
        for number in rng.permutation(len(group)):
            if wanted <= 0:
                break
            entry = group[number]
            taken = min(each, wanted, entry.frames)
            plan.append((entry, np.sort(rng.choice(entry.frames, taken, replace=False)).astype(np.int64)))
            wanted -= taken
    return plan


def _of_split(source: SequenceSource, split: str) -> list[SequenceEntry]:
    return [entry for entry in source.entries if entry.split == split]


def _read(
    source: SequenceSource,
    plan: Sequence[tuple[SequenceEntry, NDArray[np.int64]]],
    split: str,
    preparing: Preparing | None,
) -> NDArray[np.float16]:
    count = sum(len(numbers) for _, numbers in plan)
    kept = np.zeros((count, len(source.template.vertices), 3), dtype=np.float16)  # steps of 8 micrometres at 1 cm
    done = 0
    for entry, numbers in plan:
        moved = source.displacement(entry, numbers)
        if moved.shape[1:] != kept.shape[1:] or not np.isfinite(moved).all():
            raise DataError(f"sequence {entry.id} has vertices of shape {moved.shape} or not finite; rebuild the data folder")
        kept[done : done + len(numbers)] = moved
        done += len(numbers)
        if preparing is not None:
            preparing(f"{split} frames", done, count)
    return kept


def _spread(frames: NDArray[np.float16], count: int) -> Float:
    return frames[np.unique(np.linspace(0, len(frames) - 1, count).astype(np.int64))].astype(np.float32)


def _rms(frames: NDArray[np.float16]) -> float:
    size = float(np.sqrt(np.square(_spread(frames, 2000), dtype=np.float32).mean(dtype=np.float64)))
    if not size > 0:
        raise DataError("the training frames never move; build the dataset again")
    return size
