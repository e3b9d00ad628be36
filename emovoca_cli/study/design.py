"""What a study shows to whom: items, videos, trials, and for every participant an order and sides balanced by a seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emovoca_cli import __version__

LIP_SYNC, EMOTION, NAMING = QUESTIONS = ("lip_sync", "emotion", "naming")
"""Which lips fit the speech better, which face shows the named emotion better, and which emotion a silent face shows."""
SIDES = ("a", "b")
"""The two videos of a pair, as they are called on the page: A is on the left, or on top."""
SAME = "same"
"""The answer "no difference", where it is offered."""
CHOICES = ("happy", "disgust", "afraid", "sad", "angry")
"""Labels of the paper's naming test, in the order of its Tables 4 and 5."""
SCHEMA = 1


@dataclass(frozen=True)
class Item:
    """One sentence (or clip) that every system plays: its name, the wanted emotion, the test it belongs to, what is asked of it."""

    name: str
    emotion: str | None = None
    group: str = ""
    asks: tuple[str, ...] = QUESTIONS


@dataclass(frozen=True)
class Video:
    """A file of the page: what it shows, for the maker's eyes only. seconds: its length; sha256 of its bytes."""

    item: str
    system: str
    file: str
    seconds: float
    sha256: str


@dataclass(frozen=True)
class Trial:
    """One screen: a pair of videos (by number) or a single silent one, and what is asked of them."""

    videos: tuple[str, ...]
    asks: tuple[str, ...]
    emotion: str | None = None


@dataclass(frozen=True)
class Design:
    """A whole study. `videos` by number; `plan` has for each participant (1, 2, ...) the trials in order: 2 · trial + swapped."""

    systems: tuple[str, ...]
    items: Mapping[str, Item]
    choices: tuple[str, ...]
    ties: bool
    seed: int
    videos: Mapping[str, Video]
    trials: tuple[Trial, ...]
    plan: tuple[tuple[int, ...], ...]
    texts: Mapping[str, Any]

    @cached_property
    def study(self) -> str:
        """The study's id: a hash of all that participants get, so that answers to another design are told apart."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()[:16]

    def public(self) -> dict[str, Any]:
        """What the page knows: nothing in it says which system made a video, or which emotion a silent one wants."""
        return {"kind": "emovoca-study", "schema": SCHEMA, "emovoca": __version__, "study": self.study, **self._content()}

    def _content(self) -> dict[str, Any]:
        return {
            "choices": list(self.choices),
            "ties": self.ties,
            "texts": dict(self.texts),
            "videos": {
                number: {"file": video.file, "seconds": video.seconds, "sha256": video.sha256}
                for number, video in self.videos.items()
            },
            "trials": [
                {"videos": list(trial.videos), "asks": list(trial.asks)}
                | ({"emotion": trial.emotion} if EMOTION in trial.asks else {})
                for trial in self.trials
            ],
            "plan": [list(row) for row in self.plan],
        }

    def shown(self, participant: int) -> list[tuple[int, tuple[str, ...]]]:
        """What participant 1, 2, ... sees, in order: (number of the trial, its videos from A to B)."""
        rows = []
        for code in self.plan[participant - 1]:
            index, swapped = divmod(code, 2)
            videos = self.trials[index].videos
            rows.append((index, videos[::-1] if swapped else videos))
        return rows


def compared(systems: Sequence[str], *, every: bool = False) -> list[tuple[str, str]]:
    """Pairs of systems: the first against each other one, or `every` one against every other."""
    return [(a, b) for index, a in enumerate(systems) for b in systems[index + 1 :] if every or index == 0]


def trials_of(
    items: Sequence[Item], systems: Sequence[str], *, every: bool = False
) -> list[tuple[Item, tuple[str, ...], tuple[str, ...]]]:
    """Every screen as (item, systems shown, what is asked), silent ones first: a pair's emotion question names the emotion.

    An item without an emotion is asked for lip-sync alone.
    """
    naming = [(item, (system,), (NAMING,)) for item in items if NAMING in item.asks and item.emotion for system in systems]
    pairs = []
    for item in items:
        asks = tuple(ask for ask in (LIP_SYNC, EMOTION) if ask in item.asks and (ask == LIP_SYNC or item.emotion))
        pairs += [(item, pair, asks) for pair in compared(systems, every=every) if asks]
    return [*naming, *pairs]


def balanced_plan(
    strata: Sequence[object | None], flipped: Sequence[bool], *, participants: int, seed: int
) -> tuple[tuple[int, ...], ...]:
    """Order and sides for every participant, as `Design.plan` keeps them.

    strata: for each trial what it is balanced within (systems, test and questions of a pair), None for a single video; single
    videos come first. flipped: whether a trial's videos are listed the other way round. Within each stratum half of the pairs
    have the first system left, for each participant; participants 1 and 2, 3 and 4, ... see the opposite sides, so that every
    pair is balanced over an even number of them.
    """
    single = [index for index, stratum in enumerate(strata) if stratum is None]
    pairs = sorted((index for index, stratum in enumerate(strata) if stratum is not None), key=lambda index: str(strata[index]))
    rows = []
    for participant in range(1, participants + 1):
        mirror, couple = (participant - 1) % 2, (participant - 1) // 2
        coin = np.random.default_rng((seed, 1, couple))
        start = int(coin.integers(2))
        mixed = _shuffled_within(pairs, [str(strata[index]) for index in pairs], coin)
        swapped = {index: (place + start + mirror) % 2 for place, index in enumerate(mixed)}
        order = np.random.default_rng((seed, 2, participant))
        screens = [single[place] for place in order.permutation(len(single))]
        screens += [pairs[place] for place in order.permutation(len(pairs))]
        rows.append(tuple(2 * index + (swapped.get(index, 0) ^ (index in swapped and flipped[index])) for index in screens))
    return tuple(rows)


def _shuffled_within(members: Sequence[int], strata: Sequence[str], rng: np.random.Generator) -> list[int]:
    """The members with each stratum (they lie together) shuffled."""
    found: list[int] = []
    for stratum in dict.fromkeys(strata):
        inside = [member for member, other in zip(members, strata, strict=True) if other == stratum]
        found += [inside[place] for place in rng.permutation(len(inside))]
    return found
