"""From a rig's own shape names to Apple's 52: prefixes, spellings of left and right, and shapes that a rig has split in halves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from emovoca_cli.constants import ARKIT_NAMES

Target = tuple[str, bool]
"""An ARKit name, and whether the rig's shape is only one half of it."""

_SIDES = {"Left": ("left", "l"), "Right": ("right", "r")}


@cache
def _known() -> dict[str, Target]:
    """Every accepted spelling, lower case without separators."""
    table: dict[str, Target] = {}
    for name in ARKIT_NAMES:
        side = next((side for side in _SIDES if name.endswith(side)), None)
        if side is None:
            table[name.lower()] = (name, False)
        else:
            stem = name.removesuffix(side).lower()
            table.update({stem + ending: (name, False) for ending in _SIDES[side]})
    for name in ARKIT_NAMES:
        if not name.endswith(tuple(_SIDES)):
            for endings in _SIDES.values():
                for ending in endings:
                    table.setdefault(name.lower() + ending, (name, True))
    return table


def arkit_name(shape: str) -> Target | None:
    """The ARKit shape that a rig's shape name means, or None: `browDown_L`, `Face.browDownLeft` and `BROW_DOWN_LEFT` are one.

    A half of a shape that ARKit has whole (`browInnerUp_L`) gives that shape and True: the halves add up to it.
    """
    words = re.split(r"[.:|/]", shape)
    for start in range(len(words)):
        plain = re.sub(r"[^a-z0-9]", "", "".join(words[start:]).lower())
        if plain in _known():
            return _known()[plain]
    return None


def map_names(shapes: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Rig shapes by the ARKit shape they make up (one, or two halves), and the rig's shapes that ARKit has no name for.

    A whole shape wins over halves of the same name; of equal claims the first in the rig's order counts.
    """
    whole: dict[str, list[str]] = {}
    halves: dict[str, dict[str, str]] = {}
    unknown: list[str] = []
    for shape in shapes:
        target = arkit_name(shape)
        if target is None:
            unknown.append(shape)
        elif target[1]:
            halves.setdefault(target[0], {}).setdefault(
                "left" if shape.rstrip("_. ").lower().endswith(("left", "l")) else "right", shape
            )
        else:
            whole.setdefault(target[0], [shape])
    for name, sides in halves.items():
        whole.setdefault(name, [sides[side] for side in sorted(sides)])
    return whole, unknown
