"""Settings of the expression classifier (paper section 4.3): sizes and training."""

from __future__ import annotations

from dataclasses import dataclass, field

from emovoca_cli.config.loop import LoopSettings
from emovoca_cli.errors import UsageError


@dataclass(frozen=True)
class ClassifierSizes:
    """Channels of the spiral encoder and widths of the head."""

    encoder: tuple[int, ...] = (16, 32, 64, 128)
    """Channels after every encoder level."""
    latent: int = 64
    """Numbers that the encoder hands to the head."""
    hidden: int = 64
    """Width of the head's hidden layer."""

    def __post_init__(self) -> None:
        if not self.encoder or min(*self.encoder, self.latent, self.hidden) < 1:
            raise UsageError(
                f"encoder {list(self.encoder)} needs at least one level, and with latent {self.latent} and hidden {self.hidden} "
                "all must be 1 or more"
            )


@dataclass(frozen=True)
class ClassifierConfig(LoopSettings):
    """How to train the expression classifier."""

    sizes: ClassifierSizes = field(default_factory=ClassifierSizes)
    strength: float = 0.5
    """Frames count as their label from this share of the clip's peak on; below it, a face is on its way from or to rest."""
    steps: int = 2000
    batch: int = 32
    warmup: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength <= 1:
            raise UsageError(f"strength is {self.strength}, expected a share of the peak above 0 and up to 1")


PRESETS = {
    "paper": ClassifierConfig(),
    "small": ClassifierConfig(sizes=ClassifierSizes(encoder=(8, 16, 32, 64)), steps=600),
    "tiny": ClassifierConfig(
        sizes=ClassifierSizes(encoder=(4, 4, 8, 8), latent=8, hidden=8),
        steps=6, batch=4, warmup=1, checkpoint_every=3, log_every=3,
    ),
}  # fmt: skip
"""paper: DE-SD's encoder, the sizes of which the paper gives. small: half the channels. tiny: tests."""


def classifier_preset(name: str) -> ClassifierConfig:
    """Give the settings of a named size. Raises UsageError for an unknown name."""
    if name not in PRESETS:
        raise UsageError(f"unknown preset {name!r}; choose {', '.join(PRESETS)}")
    return PRESETS[name]
