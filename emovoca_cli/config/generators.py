"""Settings of the speech-driven generators: E-S2L (speech to landmarks) and S2D (landmarks to mesh)."""

from __future__ import annotations

from dataclasses import dataclass

from emovoca_cli.config.loop import LoopSettings, above_zero, not_negative
from emovoca_cli.errors import UsageError


@dataclass(frozen=True)
class S2LConfig(LoopSettings):
    """E-S2L: network, loss, data and schedule. Weights of the loss terms multiply errors in units of the landmarks' RMS."""

    encoder: str = "logmel"
    """Speech encoder: logmel, wav2vec2 or wav2vec2:<hub name or folder>."""
    speech_dim: int = 160
    """Channels that the speech features are mapped to."""
    front_layers: int = 2
    """Convolutions over time (5 frames wide) before the LSTM; 0 = one linear map a frame, as in the release."""
    embedding: int = 64
    """Length of the emotion's and of the intensity's embedding (paper section 4.2)."""
    label_bias: bool = False
    """A bias in both embeddings, as in the release; without it zeros for both mean neutral speech."""
    hidden: int = 128
    """Width of the LSTM in each direction."""
    layers: int = 2
    """Layers of the LSTM."""
    pose_frames: int = 11
    """Frames over which a second way from emotion and intensity to the landmarks is smoothed; 0 = without it, as in the paper."""
    dropout: float = 0.2
    """Dropout between the LSTM's layers, and on what the convolutions give."""
    mouth_weight: float = 4.0
    """Extra weight of landmarks 48-67 in the average L2 (5 in the release, on squares)."""
    velocity_weight: float = 1.0
    """Weight of the L2 between frame-to-frame differences."""
    gap_weight: float = 4.0
    """Weight of the error of the inner lips' gap: p, b and m live there."""
    closure_weight: float = 2.0
    """Extra weight of that error where the truth's lips are closed: in doubt a closure is made rather than missed."""
    conditions_per_clip: int = 1
    """Emotional versions of a talking clip that are decoded for training, besides the neutral one."""
    copies: int = 4
    """Augmented recordings kept per talking clip, besides the clean one; 0 also turns the on-the-fly augmentation off."""
    validation_sequences: int = 16
    """Sequences of the validation identities that are scored at every checkpoint, half of them neutral."""
    crop_seconds: float = 3.0
    """Length of a training crop."""
    steps: int = 1500
    lr: float = 2.5e-3
    clip: float | None = 1.0
    checkpoint_every: int = 250

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero(self, "speech_dim", "embedding", "hidden", "layers", "crop_seconds", "validation_sequences")
        not_negative(
            self,
            "front_layers",
            "pose_frames",
            "mouth_weight",
            "velocity_weight",
            "gap_weight",
            "closure_weight",
            "conditions_per_clip",
            "copies",
        )
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout}, it has to be at least 0 and under 1")


@dataclass(frozen=True)
class S2DConfig(LoopSettings):
    """S2D: network, data and schedule."""

    filters: tuple[int, ...] = (64, 32, 16, 16, 16, 3)
    """Channels of the spiral decoder, from the coarsest level to the mesh; the last two convolutions both work at the finest."""
    frames: int = 20_000
    """Training frames drawn over sequences and emotions; decoded once and kept in memory (30 kB each at 5,000 vertices)."""
    validation_frames: int = 256
    """Frames of the validation identities that are scored at every checkpoint."""
    input_noise: float = 0.0
    """Deviation (in units of the landmarks' RMS) of noise on the input, so that imperfect landmarks are taken well."""
    steps: int = 3000
    lr: float = 2e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero(self, "frames", "validation_frames")
        not_negative(self, "input_noise")
        if len(self.filters) < 3 or self.filters[-1] != 3 or min(self.filters) < 1:
            raise UsageError(f"filters are {list(self.filters)}; give at least three counts, the last one 3")


S2L_PRESETS = {
    "demo": S2LConfig(),
    "paper": S2LConfig(
        encoder="wav2vec2", speech_dim=64, front_layers=0, pose_frames=0, hidden=32, layers=7, mouth_weight=0.0,
        velocity_weight=0.0, gap_weight=0.0, copies=0, lr=1e-4, steps=20_000,
    ),
    "release": S2LConfig(
        encoder="wav2vec2", speech_dim=32, front_layers=0, embedding=32, label_bias=True, pose_frames=0, hidden=32, layers=7,
        mouth_weight=5.0, velocity_weight=10.0, gap_weight=0.0, copies=0, lr=1e-4, steps=20_000,
    ),
    "tiny": S2LConfig(
        speech_dim=16, embedding=8, hidden=16, copies=1, validation_sequences=2, crop_seconds=1.0, steps=4, batch=2, warmup=1,
        checkpoint_every=2, log_every=1,
    ),
}  # fmt: skip
"""demo: what ships. paper: section 4.2 with the release's LSTM and the plain average L2. release: the sizes and the loss weights of
the authors' code, which squares what is averaged here. tiny: for tests."""

_RELEASED_S2D = S2DConfig(filters=(128, 64, 32, 32, 16, 3), batch=64, lr=1e-4, steps=20_000)

S2D_PRESETS = {
    "demo": S2DConfig(),
    "paper": _RELEASED_S2D,
    "release": _RELEASED_S2D,
    "tiny": S2DConfig(
        filters=(8, 8, 8, 8, 4, 3), frames=24, validation_frames=8, steps=4, batch=4, warmup=1, checkpoint_every=2, log_every=1
    ),
}
"""demo: what ships. paper and release: the release's filters, as the paper gives none. tiny: for tests."""


def s2l_preset(name: str) -> S2LConfig:
    """Give the E-S2L settings of a name. Raises UsageError for an unknown one."""
    if name not in S2L_PRESETS:
        raise UsageError(f"unknown preset {name!r}; choose {', '.join(S2L_PRESETS)}")
    return S2L_PRESETS[name]


def s2d_preset(name: str) -> S2DConfig:
    """Give the S2D settings of a name. Raises UsageError for an unknown one."""
    if name not in S2D_PRESETS:
        raise UsageError(f"unknown preset {name!r}; choose {', '.join(S2D_PRESETS)}")
    return S2D_PRESETS[name]
