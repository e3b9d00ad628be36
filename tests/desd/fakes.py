"""A talk and an expression store of the toy face: lips that open and close, brows and a smile."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emovoca_cli.config.desd import DesdConfig, DesdSizes
from emovoca_cli.data.store import Store, StoreWriter
from emovoca_cli.types import Float
from tests.nn.toy import bump, toy_template

FPS = 30.0
FRAMES = 30
SPLITS = {"train": ("anna", "bert"), "val": ("cleo",), "test": ("dora",)}
CONFIG = DesdConfig(
    sizes=DesdSizes(encoder=(4, 8), decoder=(8, 6), latent=8),
    steps=20,
    batch=4,
    lr=3e-3,
    warmup=2,
    checkpoint_every=10,
    log_every=5,
)
CLOSED = [("m", 0.0, 0.1), ("aa", 0.1, 0.6), ("pau", 0.6, 1.0)]


def opening(frames: int = FRAMES) -> Float:
    """How far the mouth opens in each frame (T,), 0-1: shut for the first tenth of a second, then a few syllables."""
    times = np.arange(frames) / FPS
    return np.where(times < 0.1, 0.0, np.square(np.sin(2 * np.pi * 1.5 * (times - 0.1)))).astype(np.float32)


def talk_motion(gain: float = 1.0) -> Float:
    """The lower lip falls: displacements (T,V,3)."""
    return gain * opening()[:, None, None] * bump((0.0, -0.062), (0.0, -0.012, 0.0), 0.012)


def emotions() -> dict[str, Float]:
    """Peaks (V,3): `happy` parts the lips and raises the brows, `sad` lowers the brows alone."""
    brows = bump((0.0, 0.05), (0.0, 0.004, 0.0))
    return {"happy": brows + bump((0.0, -0.062), (0.0, -0.006, 0.0), 0.012), "sad": -brows}


def write_stores(root: Path) -> tuple[Store, Store]:
    """Write both stores, float32, into `root`; returns them opened."""
    template = toy_template()
    (root / "m.wav").write_bytes(b"not opened by these tests")
    swing = np.sin(np.linspace(0, np.pi, FRAMES))[:, None, None]
    talk = StoreWriter(root / "talk", kind="talk", template=template, fps=FPS, licence="MIT", provenance={})
    expression = StoreWriter(
        root / "expression", kind="expression", template=template, fps=FPS, licence="CC0", provenance={}, labels=emotions()
    )
    talk.add_speech("s", root / "m.wav", text="ma", phones=CLOSED)
    number = 0
    for split, subjects in SPLITS.items():
        for subject in subjects:
            number += 1
            gain = 1 + 0.05 * number
            for store in (talk, expression):
                store.add_subject(subject, split, template.vertices)
            talk.add_clip(f"{subject}_s", subject, talk_motion(gain), sentence="s", half=False)
            for label, peak in emotions().items():
                expression.add_clip(f"{subject}_{label}", subject, gain * swing * peak, label=label, half=False)
    return Store(talk.finish()), Store(expression.finish())
