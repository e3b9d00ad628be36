"""Finished work is never done twice: every trained or measured cell has a folder named after all that it follows from.

A reproduction that was stopped runs again and takes up what is there; tables share the cells that they have in common.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emovoca_cli import __version__
from emovoca_cli.data.folder import fingerprint
from emovoca_cli.errors import DataError
from emovoca_cli.files import read_json, write_json

CELL = "cell.json"
CELL_SCHEMA = 1


@dataclass(frozen=True)
class Done:
    """A finished cell: its folder (a model, say), what was measured (plain JSON), seconds it took, whether it was there already."""

    folder: Path
    result: Mapping[str, Any]
    seconds: float
    kept: bool


class Cells:
    """A folder of cells."""

    def __init__(self, root: Path) -> None:
        """Keep cells under `root`, which need not be there yet."""
        self.root = root
        self.used: dict[Path, Done] = {}
        """The cells that were asked for, by folder."""

    def get(self, kind: str, settings: Mapping[str, Any], work: Callable[[Path], Mapping[str, Any]]) -> Done:
        """Return the cell of `kind` with these settings (plain JSON), made by `work(folder)` unless it is there.

        Settings have to name all that the result follows from: sizes, steps, seed, hashes of the data and of other cells. `work`
        finds what an interrupted try has left in its folder and may continue it; `cell.json` is written last, and counts. Raises
        DataError for a damaged cell.
        """
        settings = {**settings, "kind": kind, "schema": CELL_SCHEMA}
        folder = self.root / f"{kind}-{fingerprint(settings)[:16]}"
        place = folder / CELL
        if folder in self.used:
            return self.used[folder]
        if place.is_file():
            stored = read_json(place)
            if not isinstance(stored, dict) or not {"settings", "result", "seconds"} <= set(stored):
                raise DataError(f"{place} is not a finished cell; delete {folder} and run again")
            found = Done(folder, stored["result"], float(stored["seconds"]), kept=True)
        else:
            begun = time.process_time()
            result = work(folder)
            seconds = time.process_time() - begun
            write_json(place, {"settings": settings, "result": result, "seconds": seconds, "emovoca": __version__})
            found = Done(folder, read_json(place)["result"], seconds, kept=False)
        self.used[folder] = found
        return found

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds of all cells that were used, those made by earlier runs included."""
        return sum(done.seconds for done in self.used.values())
