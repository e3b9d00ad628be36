"""Started twice by the tests: two processes that train small models together, and write what they end with."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emovoca_cli.cli.app import run
from emovoca_cli.config.faceformer import FaceFormerConfig, faceformer_preset
from emovoca_cli.config.generators import S2DConfig, S2LConfig, s2d_preset, s2l_preset
from emovoca_cli.config.load import plain_values
from emovoca_cli.config.loop import LoopSettings
from emovoca_cli.data.sequences import SequenceEntry, frame_numbers
from emovoca_cli.data.store import Store
from emovoca_cli.desd.train import train_desd
from emovoca_cli.generators.train_faceformer import train_faceformer
from emovoca_cli.generators.train_s2d import train_s2d
from emovoca_cli.generators.train_s2l import train_s2l
from emovoca_cli.runtime.loop import train_loop
from emovoca_cli.runtime.processes import Share
from emovoca_cli.runtime.seeding import seed_everything
from tests.desd.fakes import CONFIG
from tests.generators.fakes import FakeSource

DESD = replace(CONFIG, steps=8, checkpoint_every=4, log_every=2)
S2L: S2LConfig = replace(s2l_preset("tiny"), dropout=0.0, batch=4, copies=1)
S2D: S2DConfig = replace(s2d_preset("tiny"), filters=(8, 8, 4, 3), input_noise=0.1, batch=4)
FACEFORMER: FaceFormerConfig = replace(
    faceformer_preset("tiny"), dropout=0.0, batch=4, crop_seconds=9.0, velocity_weight=1.0, teacher_forcing=0.5
)
"""Whole sequences, which differ in length: the masked losses are what this is about."""

TOY = LoopSettings(steps=60, lr=0.02, warmup=3, checkpoint_every=20, log_every=5, ema=0.9, batch=2, clip=1.0)


class RestlessSource(FakeSource):
    """Nothing is ever quite at rest: where it is, the direction of a distance's gradient is a matter of the last bit."""

    def displacement(self, entry: SequenceEntry, frames: Any = None) -> np.ndarray:
        moved = super().displacement(entry, frames)
        numbers = frame_numbers(frames, entry.frames)
        phase = np.arange(moved[0].size).reshape(moved[0].shape)
        return moved + 2e-3 * np.sin(0.3 * numbers[:, None, None] + phase).astype(np.float32)


def double(config: LoopSettings) -> LoopSettings:
    """The same samples a step in one process."""
    return replace(config, batch=2 * config.batch)


def toy(folder: Path, settings: LoopSettings, *, resume: bool = False, stop_after: int = 0) -> nn.Module:
    """Padded rows of different lengths through halves that take turns; `stop_after` presses Ctrl-C in the first process."""
    seed_everything(3)
    model = nn.ModuleDict({"even": nn.Linear(3, 4), "odd": nn.Linear(3, 4), "last": nn.Linear(4, 1)})

    def lengths(share: Share) -> Tensor:
        return torch.tensor([1 + (7 * sample) % 5 for sample in share.samples(settings.batch)])

    def step(share: Share) -> Mapping[str, Tensor]:
        if share.step == stop_after > 0 and share.part == 0:
            os.kill(os.getpid(), signal.SIGINT)
        rows = torch.stack([torch.sin(torch.arange(15.0).view(5, 3) + sample) for sample in share.samples(settings.batch)])
        mask = (torch.arange(5)[None] < lengths(share)[:, None]).float()
        out = model["last"](model["odd" if share.step % 2 else "even"](rows).tanh())[..., 0]
        assert share.counts is not None
        return {"loss": ((out - 1).square() * mask).sum() / share.counts[0]}

    train_loop(
        model,
        step,
        settings=settings,
        folder=folder,
        mark={"toy": 1},
        device=torch.device("cpu"),
        resume=resume,
        count=lambda share: [int(lengths(share).sum())],
    )
    return model


def main(work: Path) -> None:
    """Train everything once, each process with half of every step."""
    torch.set_num_threads(1)
    torch.save(toy(work / "toy", TOY).state_dict(), work / f"toy-{os.environ['RANK']}.pt")
    try:
        toy(work / "stopped", TOY, stop_after=33)
    except KeyboardInterrupt:
        assert threading.current_thread() is threading.main_thread()
        (work / f"stopped-{os.environ['RANK']}").touch()
    torch.save(toy(work / "stopped", TOY, resume=True).state_dict(), work / f"resumed-{os.environ['RANK']}.pt")
    train_desd(DESD, Store(work / "stores" / "talk"), Store(work / "stores" / "expression"), work / "desd")
    source = RestlessSource(work / f"speech-{os.environ['RANK']}")
    train_s2l(S2L, source, work / "s2l")
    train_s2d(S2D, source, work / "s2d")
    train_faceformer(FACEFORMER, source, work / "faceformer")
    (work / f"decoded-{os.environ['RANK']}").write_text(str(len(source.decoded)), encoding="utf-8")
    settings = [
        f"--set={key}={value}" for key, value in plain_values(DESD).items() if key in ("steps", "checkpoint_every", "batch")
    ]
    command = ["train", "desd", "--data", str(work / "stores"), "--out", str(work / "cli"), "--preset", "small", *settings]
    # the last, for a command leaves the other processes at its end
    sys.exit(run([*command, "--config", str(work / "sizes.yaml"), "--device", "cpu", "--json"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
