"""Settings of DE-SD: sizes and training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from emovoca_cli.config.loop import LoopSettings, not_negative
from emovoca_cli.constants import NEUTRAL_MU
from emovoca_cli.errors import UsageError

Features = Literal["duplicate", "zero", "sum", "product"]
"""How the codes f_t and f_e enter the decoder, in training and in mixing (paper section 4.3, Table 2)."""


@dataclass(frozen=True)
class DesdSizes:
    """Channels and codes of the three networks, and how they are joined."""

    encoder: tuple[int, ...] = (16, 32, 64, 128)
    """Channels after every encoder level."""
    decoder: tuple[int, ...] = (64, 32, 32, 16)
    """Channels after every decoder level; the last convolution to x, y, z comes on top."""
    latent: int = 256
    """Numbers in the code of each encoder."""
    encoders: Literal["double", "single"] = "double"
    """One encoder a set, or a single one for both (the ablation of Table 1)."""
    features: Features = "duplicate"
    """duplicate: trained on f ⊕ f, the paper's. The ablations of Table 2: zero, trained on f_t ⊕ 0 and 0 ⊕ f_e; sum, trained on
    f + f and mixed as f_t + f_e; product, trained on f * f and mixed as f_t * f_e."""

    @property
    def natural_mu(self) -> float:
        """The mu that leaves a motion at its own strength: 2 where training doubles every code, else 1."""
        return NEUTRAL_MU if self.features in ("duplicate", "sum") else 1.0

    def __post_init__(self) -> None:
        if not self.encoder or len(self.encoder) != len(self.decoder) or min(*self.encoder, *self.decoder, self.latent) < 1:
            raise UsageError(
                f"encoder {list(self.encoder)} and decoder {list(self.decoder)} need as many entries as the mesh has coarser "
                f"levels, and with latent {self.latent} all must be 1 or more"
            )


PRESETS = {"paper": DesdSizes(), "small": DesdSizes(encoder=(8, 16, 32, 64), decoder=(32, 16, 16, 16), latent=256)}
"""paper: the sizes of the authors' release. small: half the channels, a quarter of the work."""


GAP_LOSS = 0.1
"""Weight that `--gap-loss` gives the lip-gap loss."""


@dataclass(frozen=True)
class DesdConfig(LoopSettings):
    """How to train DE-SD (paper section 3.2.1). Talk and expression batches alternate, so half of the steps are of each."""

    sizes: DesdSizes = field(default_factory=DesdSizes)
    symmetric: bool = True
    """Start both halves of the decoder's first matrix equal; training on doubled codes never tells them apart."""
    loss: Literal["weighted", "plain"] = "weighted"
    """weighted: eq. 3, by the inverse distance to the nearest landmark. plain: all vertices alike (the ablation of Table 1)."""
    gap_loss: float = 0.0
    """Weight of the lip-gap loss on unpaired mixtures (ours, see desd/gap.py); 0 = without it, as published."""
    steps: int = 6000
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        not_negative(self, "gap_loss")


def preset(name: str) -> DesdConfig:
    """Give the settings of a named size. Raises UsageError for an unknown name."""
    if name not in PRESETS:
        raise UsageError(f"unknown preset {name!r}; choose {' or '.join(PRESETS)}")
    return DesdConfig(sizes=PRESETS[name])
