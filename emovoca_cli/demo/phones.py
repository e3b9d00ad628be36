"""ARPAbet phones: which mouth shapes each one takes, and how long it lasts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType

from emovoca_cli.errors import DataError

Phone = tuple[str, float, float]
"""Name, start and end in seconds."""

SILENCE = "SIL"


@dataclass(frozen=True)
class Target:
    """One mouth shape a phone aims at: a viseme, times a scale, plus extra coefficients."""

    viseme: str
    scale: float = 1.0
    extra: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class PhoneShape:
    """What a phone does: its target (and a diphthong's second one, from `split` of its length on) and its length in seconds.

    `typical` is the inherent length of a stressed phone, `minimum` the shortest it is squeezed to.
    """

    first: Target
    typical: float
    minimum: float
    second: Target | None = None
    split: float = 1.0


def _shape(first: Target | str, typical: int, minimum: int, second: str | None = None, split: float = 1.0) -> PhoneShape:
    target = Target(first) if isinstance(first, str) else first
    return PhoneShape(target, typical / 1000, minimum / 1000, Target(second) if second else None, split)


PHONE_SHAPES: Mapping[str, PhoneShape] = MappingProxyType({
    "AA": _shape("AA", 240, 100),
    "AE": _shape(Target("EH", 1.0, {"jawOpen": 0.04}), 230, 80),
    "AH": _shape(Target("AA", 0.8), 160, 60),
    "AX": _shape(Target("EH", 0.5), 120, 60),
    "AXR": _shape(Target("RR", 0.6), 120, 60),
    "IX": _shape(Target("IY", 0.6), 120, 60),
    "AO": _shape(Target("AA", 1.0, {"mouthFunnel": 0.2, "mouthPucker": 0.15}), 240, 130),
    "AW": _shape("AW", 240, 100, "UW", 0.55),
    "AY": _shape("AA", 250, 150, "IY", 0.55),
    "EH": _shape("EH", 150, 70),
    "ER": _shape(Target("RR", 1.0, {"jawOpen": 0.06}), 180, 80),
    "EY": _shape("EH", 180, 100, "IY", 0.45),
    "IH": _shape(Target("IY", 0.7, {"jawOpen": 0.05}), 135, 40),
    "IY": _shape("IY", 155, 55),
    "OW": _shape("OW", 220, 80, "UW", 0.55),
    "OY": _shape("OW", 280, 150, "IY", 0.55),
    "UH": _shape(Target("UW", 0.6, {"jawOpen": 0.08}), 210, 70),
    "UW": _shape("UW", 230, 150),
    "B": _shape("PP", 85, 60),
    "CH": _shape("CH", 70, 50),
    "D": _shape("DD", 75, 50),
    "DH": _shape(Target("TH", 0.7), 50, 30),
    "F": _shape("FF", 100, 80),
    "G": _shape("KK", 80, 60),
    "HH": _shape("HH", 80, 20),
    "JH": _shape("CH", 70, 50),
    "K": _shape("KK", 80, 60),
    "L": _shape("LL", 80, 40),
    "M": _shape("PP", 70, 60),
    "N": _shape("DD", 60, 50),
    "NG": _shape("KK", 95, 60),
    "P": _shape("PP", 90, 50),
    "R": _shape("RR", 80, 30),
    "S": _shape("SS", 105, 60),
    "SH": _shape("CH", 105, 80),
    "T": _shape("DD", 75, 50),
    "TH": _shape("TH", 90, 60),
    "V": _shape("FF", 60, 40),
    "W": _shape("UW", 80, 60),
    "Y": _shape("YY", 80, 40),
    "Z": _shape("SS", 75, 40),
    "ZH": _shape("CH", 70, 40),
    SILENCE: _shape("sil", 100, 100),
})  # fmt: skip
"""Every ARPAbet phone without stress digits. Lengths: Klatt's inherent and minimum durations; shapes and splits: our judgement."""

BILABIALS = frozenset({"P", "B", "M"})
LABIODENTALS = frozenset({"F", "V"})
VOWELS = frozenset({"AA", "AE", "AH", "AX", "AXR", "IX", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"})

_ALIASES = {
    "AH0": "AX", "EL": "L", "EM": "M", "EN": "N", "NX": "N", "DX": "D", "ENG": "NG", "Q": "K", "UX": "UW", "WH": "W", "H": "HH",
    "SP": SILENCE, "PAU": SILENCE, "SPN": SILENCE, "NSN": SILENCE, "#": SILENCE, "BRTH": SILENCE,
}  # fmt: skip


def arpabet(name: str) -> str:
    """A phone's plain ARPAbet name: upper case, no stress digit, aliases resolved (AH0 is AX). Raises DataError if unknown."""
    upper = name.strip().upper().strip("+<>")
    plain = re.sub(r"\d$", "", upper)
    found = _ALIASES.get(upper, _ALIASES.get(plain, plain))
    if found not in PHONE_SHAPES:
        raise DataError(f"unknown phone {name!r}; expected an ARPAbet phone such as AA, P or SIL")
    return found


def check_phones(phones: Iterable[Sequence[object]]) -> tuple[Phone, ...]:
    """Phones as (name, start s, end s) in plain ARPAbet: gaps of 5 ms and more filled with silence, those of no length left out.

    Raises DataError for unknown names, times that are not finite, negative lengths, or overlaps above 5 ms.
    """
    result: list[Phone] = []
    for row in phones:
        try:
            name, start, end = arpabet(str(row[0])), float(row[1]), float(row[2])  # type: ignore[arg-type]
        except (IndexError, TypeError, ValueError) as error:
            raise DataError(f"a phone reads {list(row)!r}; expected [name, start, end] with times in seconds") from error
        if not (isfinite(start) and isfinite(end)) or start < 0 or end < start:
            raise DataError(f"the phone {name} runs from {start} s to {end} s; expected 0 <= start <= end")
        before = result[-1][2] if result else 0.0
        if start < before - 0.005:
            raise DataError(
                f"the phone {name} starts at {start:.3f} s, before the one ahead of it ends at {before:.3f} s; sort them"
            )
        if start - before >= 0.005:
            result.append((SILENCE, before, start))
        else:
            start = before
        if end > start:
            result.append((name, start, end))
    return tuple(result)
