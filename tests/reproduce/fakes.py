"""A data folder of the toy face that is not of a rig: one sentence, the five emotions of EmoVOCAv1, four identities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from emovoca_cli.config.classifier import ClassifierConfig, ClassifierSizes
from emovoca_cli.config.desd import DesdConfig, DesdSizes
from emovoca_cli.constants import EMOTIONS_V1
from emovoca_cli.data.store import Store, StoreWriter, open_data
from emovoca_cli.reproduce.cells import Cells
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.scales import SCALES, Scale
from emovoca_cli.types import Float, MeshTemplate
from tests.desd.fakes import CLOSED, FPS, FRAMES, SPLITS, talk_motion
from tests.nn.toy import bump, toy_template


def template() -> MeshTemplate:
    """The toy face with the regions that errors of the upper face need."""
    face = toy_template()
    height = face.vertices[:, 1]
    regions = {**face.regions, "eyes": (height > 0.01) & (height < 0.04), "forehead": height >= 0.04}
    return replace(face, regions=regions)


def emotions() -> dict[str, Float]:
    """Peaks (V,3) that differ plainly; `happy` alone parts the lips."""
    places = dict(zip(EMOTIONS_V1, ((-0.05, 0.05), (0.05, 0.05), (0.0, 0.07), (0.0, 0.03), (0.03, 0.03)), strict=True))
    peaks = {name: bump(place, (0.0, 0.005, 0.003)) for name, place in places.items()}
    peaks["happy"] = peaks["happy"] + bump((0.0, -0.062), (0.0, -0.006, 0.0), 0.012)
    return peaks


def write_data(root: Path) -> tuple[Store, Store]:
    """Write `talk` and `expression` under `root` and open them."""
    (root / "m.wav").write_bytes(b"not opened by these tests")
    face = template()
    talk = StoreWriter(root / "talk", kind="talk", template=face, fps=FPS, licence="MIT", provenance={})
    expression = StoreWriter(
        root / "expression", kind="expression", template=face, fps=FPS, licence="CC0", provenance={}, labels=emotions()
    )
    talk.add_speech("s", root / "m.wav", text="ma", phones=CLOSED)
    swing = np.sin(np.linspace(0, np.pi, FRAMES))[:, None, None]
    number = 0
    for split, subjects in SPLITS.items():
        for subject in subjects:
            number += 1
            gain = 1 + 0.05 * number
            for store in (talk, expression):
                store.add_subject(subject, split, face.vertices)
            talk.add_clip(f"{subject}_s", subject, talk_motion(gain), sentence="s", half=False)
            for label, peak in emotions().items():
                expression.add_clip(f"{subject}_{label}", subject, gain * swing * peak, label=label, half=False)
    talk.finish()
    expression.finish()
    return open_data(root)


CLASSIFIER = ClassifierConfig(
    sizes=ClassifierSizes(encoder=(4, 8), latent=8, hidden=8),
    steps=60,
    batch=16,
    lr=2e-2,
    warmup=2,
    checkpoint_every=20,
    log_every=20,
)


def toy_scale() -> Scale:
    """Two levels of mesh, a few steps."""
    return replace(
        SCALES["tiny"],
        desd=DesdConfig(
            sizes=DesdSizes(encoder=(4, 8), decoder=(8, 6), latent=8), steps=8, batch=4, warmup=1, checkpoint_every=4, log_every=4
        ),
        classifier=replace(CLASSIFIER, steps=8, checkpoint_every=4, log_every=4),
        test_frames=10,
        stride=3,
    )


def toy_job(data: tuple[Store, Store], out: Path, seeds: tuple[int, ...] = (0, 1)) -> Job:
    """A job on the toy data."""
    return Job(*data, toy_scale(), seeds, Cells(out / "cells"), torch.device("cpu"))
