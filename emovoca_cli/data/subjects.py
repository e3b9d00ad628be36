"""Who is who: the speakers of VOCASET, the split that the paper uses, and their counterparts in Florence 4D."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

VOCASET_SPLITS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": (
            "FaceTalk_170728_03272_TA",
            "FaceTalk_170904_00128_TA",
            "FaceTalk_170725_00137_TA",
            "FaceTalk_170915_00223_TA",
            "FaceTalk_170811_03274_TA",
            "FaceTalk_170913_03279_TA",
            "FaceTalk_170904_03276_TA",
            "FaceTalk_170912_03278_TA",
        ),
        "val": ("FaceTalk_170811_03275_TA", "FaceTalk_170908_03277_TA"),
        "test": ("FaceTalk_170809_00138_TA", "FaceTalk_170731_00024_TA"),
    }
)
"""Eight, two and two speakers, as everybody who trains on VOCASET splits them."""

SENTENCES = tuple(f"sentence{number:02d}" for number in range(1, 41))
"""What every VOCASET speaker was asked to say."""

FLORENCE_OF: Mapping[str, str] = MappingProxyType(
    {
        speaker: f"COMA_CH{number:02d}"
        for number, speaker in enumerate(sorted(name for names in VOCASET_SPLITS.values() for name in names), start=1)
    }
)
"""VOCASET speaker to the Florence 4D identity whose expressions the authors' release gives it."""


def vocaset_split(subject: str) -> str | None:
    """The split of a VOCASET speaker, or None for somebody else."""
    return next((split for split, members in VOCASET_SPLITS.items() if subject in members), None)


def florence_split(identity: str) -> str | None:
    """The split of the speaker that wears an identity's expressions, or None when nobody does."""
    speaker = next((name for name, worn in FLORENCE_OF.items() if worn == identity), None)
    return None if speaker is None else vocaset_split(speaker)


def spread(names: Iterable[str]) -> dict[str, str]:
    """A split for people that no table knows: by name, of every ten the ninth validates and the tenth tests."""
    places = {8: "val", 9: "test"}
    return {name: places.get(index % 10, "train") for index, name in enumerate(sorted(names))}
