"""Finished cells are reused, unfinished ones are not, and what differs has a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from emovoca_cli.errors import DataError
from emovoca_cli.reproduce.cells import CELL, Cells

pytestmark = pytest.mark.unit


def test_a_finished_cell_is_made_once_and_shared(tmp_path: Path) -> None:
    calls: list[Path] = []

    def work(folder: Path) -> dict[str, float]:
        calls.append(folder)
        return {"mve": 1.5}

    first = Cells(tmp_path).get("kind", {"seed": 0, "steps": 5}, work)
    later = Cells(tmp_path)
    again = later.get("kind", {"steps": 5, "seed": 0}, work)
    assert later.get("kind", {"steps": 5, "seed": 0}, work) is again
    assert len(calls) == 1
    assert (first.kept, again.kept) == (False, True)
    assert again.result == first.result == {"mve": 1.5}
    assert again.folder == first.folder
    assert later.get("kind", {"seed": 1, "steps": 5}, work).folder != first.folder
    assert later.get("other", {"seed": 0, "steps": 5}, work).folder != first.folder
    assert len(calls) == 3


def test_an_interrupted_cell_is_taken_up_where_it_was(tmp_path: Path) -> None:
    def stop(folder: Path) -> dict[str, float]:
        folder.mkdir(parents=True)
        (folder / "half").write_text("7", encoding="utf-8")
        raise KeyboardInterrupt

    cells = Cells(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cells.get("kind", {"seed": 0}, stop)
    assert cells.used == {}
    done = cells.get("kind", {"seed": 0}, lambda folder: {"left": int((folder / "half").read_text(encoding="utf-8"))})
    assert done.result == {"left": 7}
    assert not done.kept


def test_a_damaged_cell_is_named(tmp_path: Path) -> None:
    done = Cells(tmp_path).get("kind", {}, lambda folder: {"a": 1})
    (done.folder / CELL).write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match=r"is not a finished cell; delete .*kind-"):
        Cells(tmp_path).get("kind", {}, lambda folder: {"a": 1})


def test_time_counts_each_cell_once(tmp_path: Path) -> None:
    cells = Cells(tmp_path)

    def busy(folder: Path) -> dict[str, int]:
        return {"sum": sum(range(300_000))}

    one = cells.get("kind", {}, busy)
    cells.get("kind", {}, busy)
    assert one.seconds > 0
    assert cells.cpu_seconds == pytest.approx(one.seconds)
