"""A table of results: ours over several seeds, and the paper's own figure beside each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from emovoca_cli.errors import DataError

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Cell:
    """One number of a table: `values` of ours, one a seed; `paper`, what the paper reports there; `why` there is none of ours."""

    values: tuple[float, ...] = ()
    paper: float | None = None
    why: str | None = None

    def __post_init__(self) -> None:
        if not all(np.isfinite(self.values)):
            raise DataError(f"a result is not finite ({self.values}); nothing of the table was written")
        if not self.values and self.why is None:
            raise DataError("a result without a value needs a reason")

    @property
    def mean(self) -> float | None:
        """Mean over the seeds; None where nothing was measured."""
        return float(np.mean(self.values)) if self.values else None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds; None for fewer than two."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


def measured(values: Iterable[float | None], *, paper: float | None = None, why: str = "nothing to measure it on") -> Cell:
    """Make a cell of what the seeds gave; `why` counts when none of them could measure it."""
    known = tuple(float(value) for value in values if value is not None)
    return Cell(known, paper, None if known else why)


@dataclass(frozen=True)
class Column:
    """A column: its short key, its heading with the unit, the digits shown after the point, which direction is better."""

    key: str
    heading: str
    digits: int = 2
    better: Better = "lower"
    percent: bool = False
    """Show a share of 0-1 as per cent."""

    def show(self, value: float | None) -> str:
        """Write a number of this column."""
        if value is None:
            return ""
        return f"{100 * value:.0f} %" if self.percent else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class Row:
    """A row: its name and its cells by column key; `ours` is False where the numbers are another's, reported and not measured."""

    name: str
    cells: Mapping[str, Cell]
    ours: bool = True


@dataclass(frozen=True)
class ResultTable:
    """A table of the paper, or one that stands beside it.

    `notes` say what differs from the paper, `settings` (plain JSON) what it was made with: scale, seeds, data.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def cell(self, row: str, column: str) -> Cell:
        """The cell of a row's name and a column's key. Raises DataError when there is none."""
        for one in self.rows:
            if one.name == row and column in one.cells:
                return one.cells[column]
        raise DataError(f"{self.name} has no cell {row!r}, {column!r}")

    def flat(self) -> Iterator[tuple[Row, Column, Cell]]:
        """Every cell, row by row."""
        for row in self.rows:
            for column in self.columns:
                if column.key in row.cells:
                    yield row, column, row.cells[column.key]


@dataclass(frozen=True)
class Outcome:
    """What a reproduction gives: tables, and pictures by file name (H,W,3) uint8."""

    tables: tuple[ResultTable, ...] = ()
    pictures: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
