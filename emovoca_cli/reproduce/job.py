"""What a reproduction works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from emovoca_cli import __version__
from emovoca_cli.data.store import Store
from emovoca_cli.reproduce.cells import Cells
from emovoca_cli.reproduce.scales import Scale

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, total)."""


def _silent(what: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Given:
    """What the user brings along: folders of other systems' predictions and clips (.npz) by name, moments in seconds to show.

    match: what predictions are called, {id} for the test sequence.
    """

    predictions: Mapping[str, Path] = field(default_factory=dict)
    match: str = "{id}"
    clips: Mapping[str, Path] = field(default_factory=dict)
    moments: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Job:
    """Data (two stores of one topology), scale, seeds, the cells to keep work in, device, progress, and what else is given."""

    talk: Store
    expression: Store
    scale: Scale
    seeds: tuple[int, ...]
    cells: Cells
    device: torch.device
    progress: Progress = _silent
    given: Given = field(default_factory=Given)

    @property
    def data_hashes(self) -> dict[str, str]:
        """Hashes of both stores: part of the settings of every cell."""
        return {store.kind: store.content_hash for store in (self.talk, self.expression)}

    def describe(self) -> dict[str, Any]:
        """Plain JSON about how a table was made."""
        return {
            "emovoca": __version__,
            "torch": torch.__version__,
            "scale": self.scale.name,
            "seeds": list(self.seeds),
            "device": str(self.device),
            "data": {
                store.kind: {"folder": str(store.root), "licence": store.licence, "hash": store.content_hash}
                for store in (self.talk, self.expression)
            },
            "cpu_seconds": round(self.cells.cpu_seconds, 1),
        }
