"""What can be reproduced, and how large: settings of every stage at three scales. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emovoca_cli.config.classifier import PRESETS as CLASSIFIERS
from emovoca_cli.config.classifier import ClassifierConfig
from emovoca_cli.config.desd import PRESETS, DesdConfig, DesdSizes
from emovoca_cli.errors import UsageError

RESULTS: Mapping[str, str] = {
    "table1": "weighted against plain loss, double against single encoder",
    "table2": "ways of joining the codes, by an expression classifier and by what a good mixture is",
    "table3": "generators trained on EmoVOCA, on emotional and on neutral speech, beside other systems",
    "fig3": "the grid of mixtures, DE-SD beside interpolation, what the decoder's layers do",
    "fig4": "errors of both generators by emotion and intensity",
    "fig5": "generators and other clips side by side at chosen moments",
    "fig6": "labels that change in the middle of a sentence",
}
"""Results of the paper by name, and what each is."""


@dataclass(frozen=True)
class Scale:
    """How long and how large everything of a reproduction is."""

    name: str
    desd: DesdConfig
    """Settings of every DE-SD that is trained; the variants of a table change one thing each."""
    classifier: ClassifierConfig
    """Settings of the expression classifier of Table 2."""
    seeds: int
    """How many seeds each trained cell is repeated with, unless the user says otherwise."""
    test_frames: int
    """Frames of each test set that reconstruction is measured on."""
    talk_clips: int
    """Talking clips of the test identities that mixtures are made of."""
    stride: int
    """Of these clips every so many frames are measured, beside all in which the lips have to be sealed."""
    picture: int
    """Pixels of the side of one rendered face."""
    supersample: int
    """How many times larger faces are drawn before they are reduced."""
    grid: int
    """Talking and expressive faces of Figure 3a, each way."""


SCALES: Mapping[str, Scale] = {
    "tiny": Scale(
        "tiny",
        desd=DesdConfig(
            sizes=DesdSizes(encoder=(4, 4, 8, 8), decoder=(8, 8, 4, 4), latent=16),
            steps=6,
            batch=4,
            warmup=1,
            checkpoint_every=3,
            log_every=3,
        ),
        classifier=CLASSIFIERS["tiny"],
        seeds=2,
        test_frames=12,
        talk_clips=1,
        stride=40,
        picture=48,
        supersample=1,
        grid=1,
    ),
    "demo": Scale(
        "demo",
        desd=DesdConfig(
            sizes=DesdSizes(encoder=(8, 16, 32, 64), decoder=(32, 16, 16, 8), latent=256),
            steps=1000,
            lr=3e-3,
            checkpoint_every=500,
            log_every=50,
        ),
        classifier=CLASSIFIERS["small"],
        seeds=3,
        test_frames=500,
        talk_clips=6,
        stride=4,
        picture=256,
        supersample=2,
        grid=4,
    ),
    "full": Scale(
        "full",
        desd=DesdConfig(sizes=PRESETS["paper"], steps=20_000),
        classifier=CLASSIFIERS["paper"],
        seeds=5,
        test_frames=2000,
        talk_clips=40,
        stride=2,
        picture=384,
        supersample=2,
        grid=4,
    ),
}
"""tiny: whether everything runs, in seconds. demo: what two processor cores do in tens of minutes. full: the paper's sizes, for a
GPU."""


def scale_of(name: str) -> Scale:
    """The scale of a name. Raises UsageError for an unknown one."""
    if name not in SCALES:
        raise UsageError(f"unknown --scale {name!r}; choose {', '.join(SCALES)}")
    return SCALES[name]
