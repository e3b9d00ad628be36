"""Settings of E-FaceFormer, the autoregressive generator (paper section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from emovoca_cli.config.loop import LoopSettings, above_zero, not_negative
from emovoca_cli.errors import UsageError


@dataclass(frozen=True)
class FaceFormerConfig(LoopSettings):
    """E-FaceFormer: network, loss, data and schedule. The loss is the squared L2, in units of the motion's own energy; the terms of
    the lips' gap are added to it."""

    encoder: str = "logmel"
    """Speech encoder: logmel, wav2vec2 or wav2vec2:<hub name or local folder>; it is not trained along."""
    labels: bool = True
    """Condition on emotion and intensity; false = neutral FaceFormer, trained on neutral speech alone."""
    front_layers: int = 0
    """Convolutions over time (5 frames wide) on the speech features, trained along: log-mel knows nothing of the next frame, and
    the decoder hears no later one; 0 = none, as published, where wav2vec 2.0 listens around."""
    front_width: int = 128
    """Channels of those convolutions."""
    width: int = 64
    """Width of the decoder, and channels that the speech features are mapped to."""
    heads: int = 4
    """Attention heads, a power of two; each looks back with its own decay."""
    feed_forward: int = 128
    """Hidden width of the decoder's feed-forward part."""
    period: int = 30
    """Frames after which the positional encoding repeats and the attention's bias grows by one step."""
    embedding: int = 64
    """Length of the emotion's and of the intensity's embedding (paper section 4.2)."""
    dropout: float = 0.1
    """Dropout on the decoder's input, branches and attention."""
    teacher_forcing: float = 0.0
    """Share of the steps that are fed the truth's last frame rather than the model's own; 0 = autoregressive, as published."""
    style_dropout: float = 0.1
    """Share of training crops under the mean style in place of their subject's, which is what an unknown face speaks with."""
    basis: int = 128
    """Principal axes of the motion that are trained on, then unfolded to the vertices; 0 = every vertex, as published."""
    basis_frames: int = 1500
    """Frames that the axes are found from."""
    mouth_weight: float = 4.0
    """Extra weight of the vertices of the mouth (0 in the paper)."""
    velocity_weight: float = 0.0
    """Weight of the squared error of frame-to-frame differences (not in the paper): smooths, and damps the lips."""
    gap_weight: float = 0.5
    """Weight of the error of the inner lips' gap (not in the paper): p, b and m live there, and are lost in a mean of squares."""
    closure_weight: float = 2.0
    """Extra weight of that error where the truth's lips are closed: in doubt a closure is made rather than missed."""
    conditions_per_clip: int = 1
    """Emotional versions of a talking clip that are decoded for training, besides the neutral one."""
    copies: int = 4
    """Augmented recordings kept per talking clip, besides the clean one; 0 also turns the on-the-fly augmentation off."""
    validation_sequences: int = 16
    """Sequences of the validation identities that are scored at every checkpoint, half of them neutral."""
    crop_seconds: float = 3.0
    """Longest stretch of a sequence that a step sees."""
    steps: int = 2000
    clip: float | None = 1.0
    checkpoint_every: int = 250

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero(
            self, "front_width", "width", "heads", "feed_forward", "period", "embedding", "basis_frames", "validation_sequences",
            "crop_seconds",
        )  # fmt: skip
        not_negative(
            self, "front_layers", "basis", "mouth_weight", "velocity_weight", "gap_weight", "closure_weight", "conditions_per_clip",
            "copies",
        )  # fmt: skip
        for name in ("teacher_forcing", "style_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, it is a share from 0 to 1")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout}, it has to be at least 0 and under 1")
        if self.heads & (self.heads - 1) or self.width % (2 * self.heads):
            raise UsageError(
                f"width {self.width} and heads {self.heads} do not fit: heads is a power of two, width a multiple of twice that"
            )


FACEFORMER_PRESETS = {
    "demo": FaceFormerConfig(front_layers=3),
    "neutral": FaceFormerConfig(front_layers=3, labels=False),
    "paper": FaceFormerConfig(
        encoder="wav2vec2", style_dropout=0.0, basis=0, mouth_weight=0.0, velocity_weight=0.0, gap_weight=0.0, copies=0,
        crop_seconds=20.0, batch=1, lr=1e-4, steps=30_000,
    ),
    "tiny": FaceFormerConfig(
        front_layers=1, front_width=16, width=16, heads=2, feed_forward=16, embedding=8, basis=12, basis_frames=64, copies=1,
        validation_sequences=2, crop_seconds=0.5, steps=4, batch=2, warmup=1, checkpoint_every=2, log_every=1,
    ),
}  # fmt: skip
"""demo: log-mel, what trains on two cores. neutral: the same without labels. paper: FaceFormer's sizes, every vertex, whole
sequences one at a time. tiny: for tests."""


def faceformer_preset(name: str) -> FaceFormerConfig:
    """Give the E-FaceFormer settings of a name. Raises UsageError for an unknown one."""
    if name not in FACEFORMER_PRESETS:
        raise UsageError(f"unknown preset {name!r}; choose {', '.join(FACEFORMER_PRESETS)}")
    return FACEFORMER_PRESETS[name]
