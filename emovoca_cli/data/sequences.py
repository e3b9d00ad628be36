"""What the generators train on: spoken sequences with their emotion, whatever folder they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.types import Float, MeshTemplate

Phone = tuple[str, float, float]
"""Name, start and end in seconds."""

FrameIndex = slice | NDArray[np.integer[Any]] | Sequence[int] | None
"""Which frames of a sequence: a slice, frame numbers, or None for all."""


@dataclass(frozen=True)
class SequenceEntry:
    """One spoken sequence.

    `emotion` None and `intensity` 0 is neutral speech; `talk` names the neutral talking clip it was made from (its own id when
    neutral), so entries with one `talk` share speech and frames. Phones in seconds, empty when unknown.
    """

    id: str
    subject: str
    split: str
    emotion: str | None
    intensity: float
    frames: int
    audio: Path
    phones: tuple[Phone, ...]
    talk: str


class SequenceSource(Protocol):
    """Spoken sequences over one topology, decoded when asked for."""

    @property
    def fps(self) -> float:
        """Frames a second of every sequence."""

    @property
    def template(self) -> MeshTemplate:
        """The topology and its landmarks."""

    @property
    def emotions(self) -> tuple[str, ...]:
        """Labels in one-hot order."""

    @property
    def licence(self) -> str:
        """Licence of the data, to be carried into everything trained on it."""

    @property
    def entries(self) -> Sequence[SequenceEntry]:
        """All sequences, in a fixed order."""

    def landmarks(self, entry: SequenceEntry) -> Float:
        """Landmark displacements (T,68,3) in metres."""

    def displacement(self, entry: SequenceEntry, frames: FrameIndex = None) -> Float:
        """Vertex displacements (n,V,3) in metres of the asked frames."""

    def neutral(self, subject: str) -> Float:
        """The subject's face at rest (V,3) in metres."""


@dataclass(frozen=True, eq=False)
class Selection:
    """Some of a source's sequences, as a source of its own: neutral speech alone, say."""

    source: SequenceSource
    entries: Sequence[SequenceEntry]

    @property
    def fps(self) -> float:
        """Frames a second of every sequence."""
        return self.source.fps

    @property
    def template(self) -> MeshTemplate:
        """The topology and its landmarks."""
        return self.source.template

    @property
    def emotions(self) -> tuple[str, ...]:
        """Labels of the whole source, in one-hot order."""
        return self.source.emotions

    @property
    def licence(self) -> str:
        """Licence of the data."""
        return self.source.licence

    def landmarks(self, entry: SequenceEntry) -> Float:
        """Landmark displacements (T,68,3) in metres."""
        return self.source.landmarks(entry)

    def displacement(self, entry: SequenceEntry, frames: FrameIndex = None) -> Float:
        """Vertex displacements (n,V,3) in metres of the asked frames."""
        return self.source.displacement(entry, frames)

    def neutral(self, subject: str) -> Float:
        """The subject's face at rest (V,3) in metres."""
        return self.source.neutral(subject)


def frame_numbers(frames: FrameIndex, count: int) -> NDArray[np.int64]:
    """The asked frames as numbers (n,) in 0..count-1, negative ones counted from the end. Raises IndexError outside."""
    if frames is None:
        return np.arange(count, dtype=np.int64)
    if isinstance(frames, slice):
        return np.arange(*frames.indices(count), dtype=np.int64)
    numbers = np.asarray(frames, dtype=np.int64).reshape(-1)
    if numbers.size and (numbers.min() < -count or numbers.max() >= count):
        raise IndexError(f"frames {numbers.min()}..{numbers.max()} asked of a sequence of {count}")
    return np.where(numbers < 0, numbers + count, numbers)
