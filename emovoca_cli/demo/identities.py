"""Twelve named people: smooth variations of the built-in head, each with a rig of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from emovoca_cli.demo.arkit import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.demo.head import load_head
from emovoca_cli.demo.identity_field import FaceField, FaceFrame, draw_traits
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Person:
    """How one identity is made: its split, its random seed and the traits set by hand (standard deviations)."""

    split: Split
    seed: int
    build: float
    traits: tuple[tuple[str, float], ...] = ()


PEOPLE: dict[str, Person] = {
    "ada": Person("train", 11, -1.0),
    "bea": Person("train", 12, -1.0),
    "ines": Person("val", 13, -1.0),
    "mira": Person("train", 14, -1.0),
    "noor": Person("test", 15, -1.0),
    "yuki": Person("train", 16, -1.0),
    "abel": Person("train", 21, 1.0),
    "egon": Person("train", 22, 1.0),
    "ivo": Person("val", 23, 1.0),
    "luca": Person("train", 24, 1.0),
    "omar": Person("test", 25, 1.0),
    "tariq": Person("train", 26, 1.0),
}
"""Build -1 is slighter and softer, +1 heavier and more angular."""

IDENTITY_NAMES = tuple(sorted(PEOPLE, key=lambda name: (("train", "val", "test").index(PEOPLE[name].split), name)))
"""The twelve, in the order train, val, test."""

GAIN_SPREAD = 0.10
"""Standard deviation of the logarithm of a person's strength in one shape."""

FIXED = ("eyeBlink", "eyeLook", "mouthClose", "jawOpen", "tongueOut")
"""Shapes that must meet something (the other lid, the eyeball, the other lip), so nobody makes them weaker or stronger."""


@dataclass(frozen=True, eq=False)
class Identity:
    """A person on the built-in head's topology.

    neutral (V,3) metres, basis (52,V,3) metres: the person's own shapes with gains (52,) in them, split: where the person belongs.
    """

    name: str
    neutral: Float
    basis: Float
    gains: Float
    split: Split


@cache
def identity(name: str) -> Identity:
    """One of the twelve people. Raises UsageError for another name."""
    if name not in PEOPLE:
        raise UsageError(f"there is no identity {name!r}; choose one of {', '.join(IDENTITY_NAMES)}")
    person = PEOPLE[name]
    head, rig = load_head(), load_rig()
    traits, lids = draw_traits(person.seed, person.build, dict(person.traits))
    field = FaceField(FaceFrame.of(head), traits, seed=person.seed)
    base = head.template.vertices.astype(np.float64)
    habit = {
        side: sum((share * rig.deltas[ARKIT_INDEX[f"{shape}{side}"]] for shape, share in lids.items()), np.zeros_like(base))
        for side in ("Left", "Right")
    }
    worn = base + habit["Left"] + habit["Right"]
    neutral = field(worn)
    gains = shape_gains(person.seed)
    basis = np.zeros_like(rig.deltas)
    for index, delta in enumerate(rig.deltas):
        shape = ARKIT_NAMES[index]
        # A blink ends where the lids meet, however far they hang or open at rest.
        move = delta - habit[shape.removeprefix("eyeBlink")] if shape.startswith("eyeBlink") else delta
        moved = np.flatnonzero(np.abs(move).max(axis=1) > 1e-6)
        # Pushed through the same deformation of space, so that lips and lids that meet on the built-in head meet here too.
        posed = field(worn[moved] + move[moved])
        basis[index, moved] = gains[index] * (posed - neutral[moved])
    return Identity(name, neutral.astype(np.float32), basis.astype(np.float32), gains, person.split)


def shape_gains(seed: int) -> Float:
    """A person's strength (52,) in each shape: log-normal, nearly equal on both sides."""
    random = np.random.default_rng([seed, 52])
    gains = np.ones(len(ARKIT_NAMES), np.float32)
    shared: dict[str, float] = {}
    for index, name in enumerate(ARKIT_NAMES):
        stem = name.removesuffix("Left").removesuffix("Right")
        shared.setdefault(stem, float(random.normal(0.0, GAIN_SPREAD)))
        own = float(random.normal(0.0, 0.02)) if stem != name else 0.0
        if not name.startswith(FIXED):
            gains[index] = np.exp(np.clip(shared[stem] + own, -0.25, 0.25))
    return gains
