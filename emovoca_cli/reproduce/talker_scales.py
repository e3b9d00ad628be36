"""How large the generators of Table 3 and Figures 4 to 6 are at each scale. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from emovoca_cli.config.faceformer import FaceFormerConfig, faceformer_preset
from emovoca_cli.config.generators import S2DConfig, S2LConfig, s2d_preset, s2l_preset


@dataclass(frozen=True)
class TalkerScale:
    """How long the generators are trained, on how much, what they are tested on, and what the figures show of them."""

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
    """Emotions that Figure 5 shows, changes of each kind that Figure 6 shows."""
    moments: int = 6
    """Moments of a sentence that the figures show."""


_SHORT: Any = {"copies": 0, "crop_seconds": 2.0, "batch": 12, "warmup": 40, "validation_sequences": 8, "checkpoint_every": 200}
"""What makes the demo presets of the generators quick: short crops of clean recordings."""

TALKER_SCALES: Mapping[str, TalkerScale] = {
    "tiny": TalkerScale(
        s2l_preset("tiny"),
        s2d_preset("tiny"),
        faceformer_preset("tiny"),
        clips=1,
        test_clips=1,
        test_conditions=1,
        emotions=1,
        moments=2,
    ),
    "demo": TalkerScale(
        replace(s2l_preset("demo"), **_SHORT, steps=400),
        replace(s2d_preset("demo"), frames=3000, validation_frames=64, steps=400, batch=12, warmup=40),
        replace(faceformer_preset("demo"), **_SHORT, steps=500, lr=2e-3),
        clips=20,
        test_clips=6,
        test_conditions=2,
    ),
    "full": TalkerScale(s2l_preset("paper"), s2d_preset("paper"), faceformer_preset("paper")),
}
"""By the names of `scales.SCALES`."""
