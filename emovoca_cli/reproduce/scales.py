"""What can be reproduced, and how large: settings of every stage at three scales. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from emovoca_cli.config.desd import PRESETS, DesdConfig, DesdSizes
from emovoca_cli.config.faceformer import FaceFormerConfig, faceformer_preset
from emovoca_cli.config.generators import S2DConfig, S2LConfig, s2d_preset, s2l_preset
from emovoca_cli.errors import UsageError

RESULTS: Mapping[str, str] = {
    "table1": "weighted against plain loss, double against single encoder",
    "table3": "generators trained on EmoVOCA, tested on emotional and on neutral speech",
    "fig4": "errors of both generators by emotion and intensity",
    "fig5": "generators side by side at chosen moments",
    "fig6": "transitions of emotion and of intensity",
}
"""Results of the paper by name, and what each is."""


@dataclass(frozen=True)
class TalkerScale:
    """How long the generators of Table 3 are trained, on how much, and what they are tested on."""

    s2l: S2LConfig
    s2d: S2DConfig
    faceformer: FaceFormerConfig
    clips: int | None = None
    """Talking clips of each identity that the datasets are made of; None for all."""
    test_clips: int | None = None
    """Talking clips of each test identity that are scored; None for all."""
    test_conditions: int | None = None
    """Emotional versions of each of these that are scored; None for all."""
    emotions: int = 3
    """Emotions that the figures show."""
    moments: int = 6
    """Moments of a sentence that the figures show."""


@dataclass(frozen=True)
class Scale:
    """How long and how large everything of a reproduction is."""

    name: str
    desd: DesdConfig
    """Settings of every DE-SD that is trained; the variants of a table change one thing each."""
    seeds: int
    """How many seeds each trained cell is repeated with, unless the user says otherwise."""
    test_frames: int
    """Frames of each test set that reconstruction is measured on."""
    talk_clips: int
    """Talking clips of the test identities that mixtures are made of."""
    picture: int
    """Pixels of the side of one rendered face."""
    talkers: TalkerScale
    """Generators of Table 3 and Figures 4 to 6."""


_SHORT: Any = {"copies": 0, "crop_seconds": 2.0, "batch": 12, "warmup": 40, "validation_sequences": 8, "checkpoint_every": 200}
"""What makes the demo presets of the generators quick: short crops of clean recordings."""

SCALES: Mapping[str, Scale] = {
    "tiny": Scale(
        "tiny",
        desd=DesdConfig(
            DesdSizes(encoder=(4, 4, 8, 8), decoder=(8, 8, 4, 4), latent=16),
            steps=6,
            batch=4,
            warmup=1,
            checkpoint_every=3,
            log_every=3,
        ),
        seeds=2,
        test_frames=12,
        talk_clips=1,
        picture=64,
        talkers=TalkerScale(
            s2l_preset("tiny"),
            s2d_preset("tiny"),
            faceformer_preset("tiny"),
            clips=1,
            test_clips=1,
            test_conditions=1,
            emotions=1,
            moments=2,
        ),
    ),
    "demo": Scale(
        "demo",
        desd=DesdConfig(
            DesdSizes(encoder=(8, 16, 32, 64), decoder=(32, 16, 16, 8), latent=256), steps=2000, checkpoint_every=500, log_every=50
        ),
        seeds=3,
        test_frames=500,
        talk_clips=6,
        picture=256,
        talkers=TalkerScale(
            replace(s2l_preset("demo"), **_SHORT, steps=400),
            replace(s2d_preset("demo"), frames=3000, validation_frames=64, steps=500, batch=12, warmup=40),
            replace(faceformer_preset("demo"), **_SHORT, steps=600, lr=2e-3),
            clips=20,
            test_clips=8,
            test_conditions=2,
        ),
    ),
    "full": Scale(
        "full",
        desd=DesdConfig(PRESETS["paper"], steps=20_000),
        seeds=5,
        test_frames=2000,
        talk_clips=40,
        picture=384,
        talkers=TalkerScale(s2l_preset("paper"), s2d_preset("paper"), faceformer_preset("paper")),
    ),
}
"""tiny: whether everything runs, in seconds. demo: what two processor cores do in tens of minutes. full: the paper's sizes, for a
GPU."""


def scale_of(name: str) -> Scale:
    """The scale of a name. Raises UsageError for an unknown one."""
    if name not in SCALES:
        raise UsageError(f"unknown --scale {name!r}; choose {', '.join(SCALES)}")
    return SCALES[name]
