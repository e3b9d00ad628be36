"""Settings of the speech-driven generators: E-S2L (speech to landmarks) and S2D (landmarks to mesh)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from emovoca_cli.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class S2LConfig:
    """E-S2L: network, loss, data and schedule. Weights of the loss terms multiply errors in units of the landmarks' RMS."""

    encoder: str = "logmel"
    """Speech encoder: logmel, wav2vec2 or wav2vec2:<hub name or folder>."""
    speech_dim: int = 160
    """Channels that the speech features are mapped to."""
    front_layers: int = 2
    """Convolutions over time (5 frames wide) before the LSTM; 0 = one linear map a frame, as in the release."""
    embedding: int = 64
    """Length of the emotion's and of the intensity's embedding (paper section 4.2)."""
    hidden: int = 160
    """Width of the LSTM in each direction."""
    layers: int = 2
    """Layers of the LSTM."""
    dropout: float = 0.2
    """Dropout between the LSTM's layers, and on what the convolutions give."""
    mouth_weight: float = 4.0
    """Extra weight of landmarks 48-67 in the average L2 (5 in the release, on squares)."""
    velocity_weight: float = 1.0
    """Weight of the L2 between frame-to-frame differences."""
    gap_weight: float = 4.0
    """Weight of the error of the inner lips' gap: p, b and m live there."""
    conditions_per_clip: int = 1
    """Emotional versions of a talking clip that are decoded for training, besides the neutral one."""
    copies: int = 5
    """Augmented recordings kept per talking clip, besides the clean one; 0 also turns the on-the-fly augmentation off."""
    crop_seconds: float = 3.0
    """Length of a training crop."""
    batch_size: int = 16
    """Crops a step."""
    steps: int = 2500
    """Optimiser steps."""
    learning_rate: float = 2.5e-3
    """Peak of AdamW's schedule."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    seed: int = 0
    """Seed of weights, augmentation, crops and the choice of conditions."""

    def __post_init__(self) -> None:
        _positive(self, "speech_dim", "embedding", "hidden", "layers", "crop_seconds", "batch_size", "steps", "learning_rate")
        _not_negative(self, "front_layers", "mouth_weight", "velocity_weight", "gap_weight", "conditions_per_clip", "copies")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout}, it has to be at least 0 and under 1")


@dataclass(frozen=True, kw_only=True)
class S2DConfig:
    """S2D: network, data and schedule."""

    filters: tuple[int, ...] = (128, 64, 32, 32, 16, 3)
    """Channels of the spiral decoder, from the coarsest level to the mesh; the last two convolutions are both at the finest level."""
    frames: int = 20_000
    """Training frames drawn over sequences and emotions; they are decoded once."""
    validation_frames: int = 500
    """Frames of the validation identities for the report."""
    input_noise: float = 0.0
    """Deviation (in units of the landmarks' RMS) of noise on the input, so that imperfect landmarks are taken well."""
    batch_size: int = 32
    """Frames a step."""
    steps: int = 3000
    """Optimiser steps."""
    learning_rate: float = 2e-3
    """Peak of AdamW's schedule."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    seed: int = 0
    """Seed of weights, the choice of frames and their order."""

    def __post_init__(self) -> None:
        _positive(self, "frames", "validation_frames", "batch_size", "steps", "learning_rate")
        _not_negative(self, "input_noise", "weight_decay")
        if len(self.filters) < 3 or self.filters[-1] != 3 or min(self.filters) < 1:
            raise UsageError(f"filters are {self.filters}; give at least three counts, the last one 3")


S2L_PRESETS: dict[str, dict[str, Any]] = {
    "demo": {},
    "paper": {
        "encoder": "wav2vec2",
        "speech_dim": 64,
        "front_layers": 0,
        "hidden": 32,
        "layers": 7,
        "mouth_weight": 0.0,
        "velocity_weight": 0.0,
        "gap_weight": 0.0,
        "copies": 0,
        "learning_rate": 1e-4,
    },
    "tiny": {"speech_dim": 16, "hidden": 16, "embedding": 8, "copies": 1, "batch_size": 2, "steps": 4, "crop_seconds": 1.0},
}
S2D_PRESETS: dict[str, dict[str, Any]] = {
    "demo": {"filters": (64, 32, 16, 16, 8, 3)},
    "paper": {"learning_rate": 1e-4, "batch_size": 64},
    "tiny": {"filters": (8, 8, 8, 4, 4, 3), "frames": 16, "validation_frames": 8, "batch_size": 4, "steps": 4},
}


def s2l_config(preset: str = "demo", **changes: Any) -> S2LConfig:
    """A preset ("demo" ships, "paper" is section 4.2, "tiny" is for tests) with some fields changed."""
    return S2LConfig(**{**_preset(S2L_PRESETS, preset), **_known(S2LConfig, changes)})


def s2d_config(preset: str = "demo", **changes: Any) -> S2DConfig:
    """A preset ("demo" ships, "paper" has the release's filters, "tiny" is for tests) with some fields changed."""
    return S2DConfig(**{**_preset(S2D_PRESETS, preset), **_known(S2DConfig, changes)})


def _preset(presets: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in presets:
        raise UsageError(f"unknown preset '{name}'; choose one of {', '.join(presets)}")
    return presets[name]


def _known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    for name in values:
        if name not in names:
            raise UsageError(f"unknown setting '{name}' of {kind.__name__}; there are {', '.join(sorted(names))}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _positive(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) <= 0:
            raise UsageError(f"{name} is {getattr(config, name)}, it has to be above 0")


def _not_negative(config: object, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 0:
            raise UsageError(f"{name} is {getattr(config, name)}, it cannot be negative")
