"""Result tables: what a cell says, what is written, and that the paper's figures are the paper's."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.reproduce import paper
from emovoca_cli.reproduce.run import MAKERS
from emovoca_cli.reproduce.scales import RESULTS, SCALES, scale_of
from emovoca_cli.reproduce.tables import Cell, Column, Outcome, ResultTable, Row, measured
from emovoca_cli.reproduce.write import grid, markdown, remarks, shown, write_outcome

pytestmark = pytest.mark.unit
MM = Column("mve", "MVE mm", 2)
SHARE = Column("sealed", "sealed", 0, "higher", percent=True)
TABLE = ResultTable(
    "t",
    "Table 9: things",
    (MM, SHARE),
    (
        Row("ours", {"mve": Cell((1.0, 3.0), paper=0.5), "sealed": Cell((0.25,))}),
        Row("theirs", {"mve": Cell(paper=0.75, why="weights were never published")}, ours=False),
        Row("blind", {"mve": Cell((2.0,)), "sealed": Cell(why="no phones")}),
    ),
    ("a note",),
    {"seeds": [0, 1]},
)


def test_a_cell_is_mean_and_sample_deviation_over_seeds() -> None:
    cell = measured([1.0, None, 2.0, 6.0])
    assert cell.values == (1.0, 2.0, 6.0)
    assert cell.mean == pytest.approx(3.0)
    assert cell.spread == pytest.approx(np.sqrt(7.0))
    assert Cell((4.0,)).spread is None


def test_what_was_not_measured_needs_a_reason_and_what_was_has_to_be_finite() -> None:
    assert measured([None], why="no lips").why == "no lips"
    with pytest.raises(DataError, match="needs a reason"):
        Cell()
    with pytest.raises(DataError, match="not finite"):
        measured([1.0, float("nan")])


def test_cells_are_shown_with_spread_and_the_papers_figure() -> None:
    assert shown(Cell((1.0, 3.0), paper=0.5), MM) == "2.00 ± 1.41 (paper 0.50)"
    assert shown(Cell((0.25,)), SHARE) == "25 %"
    assert shown(Cell(why="x"), MM) == "not measured"
    assert shown(Cell(paper=0.75, why="x"), MM) == "(paper 0.75)"


def test_the_grid_marks_what_is_not_ours_and_remarks_say_why() -> None:
    headings, rows = grid(TABLE)
    assert headings == ("Table 9", "MVE mm ↓", "sealed ↑")
    assert rows[1] == ("theirs *", "(paper 0.75)", "")
    assert remarks(TABLE) == [
        "a note",
        "not measured (theirs, MVE mm): weights were never published",
        "not measured (blind, sealed): no phones",
        "* reported by the paper, not measured here",
    ]


def test_every_format_holds_every_number(tmp_path: Path) -> None:
    picture = np.full((4, 5, 3), 77, np.uint8)
    files = write_outcome("table9", Outcome((TABLE,), {"a": picture}), tmp_path, "tiny")
    assert [path.name for path in files] == ["table9-tiny.json", "table9-tiny.csv", "table9-tiny.md", "table9-tiny-a.png"]
    plain = json.loads(files[0].read_text(encoding="utf-8"))
    assert plain["files"] == [str(path) for path in files]
    cell = plain["tables"][0]["rows"][0]["cells"]["mve"]
    assert cell == {"mean": 2.0, "spread": pytest.approx(2**0.5), "values": [1.0, 3.0], "paper": 0.5, "why": None}
    assert plain["tables"][0]["settings"] == {"seeds": [0, 1]}
    rows = list(csv.DictReader(files[1].read_text(encoding="utf-8").splitlines()))
    assert [(row["row"], row["column"], row["mean"], row["paper"], row["why"]) for row in rows] == [
        ("ours", "mve", "2.0", "0.5", ""),
        ("ours", "sealed", "0.25", "", ""),
        ("theirs", "mve", "", "0.75", "weights were never published"),
        ("blind", "mve", "2.0", "", ""),
        ("blind", "sealed", "", "", "no phones"),
    ]
    text = files[2].read_text(encoding="utf-8")
    assert text == markdown(TABLE)
    assert "| ours | 2.00 ± 1.41 (paper 0.50) | 25 % |" in text
    from PIL import Image

    assert np.array_equal(np.asarray(Image.open(files[3])), picture)


def test_the_papers_figures_are_as_printed() -> None:
    """Typed a second time from the paper, row by row as its tables stand."""
    printed = """
    DE-SD Sum 0.40 0.64 0.72 6.181 1.073
    DE-SD Mult 0.33 0.55 0.66 6.897 1.248
    DE-SD Zero-cat 0.37 0.58 0.69 6.324 1.137
    DE-SD Reversed 0.45 0.68 0.76 5.872 0.940
    DE-SD 0.46 0.71 0.82 5.861 0.981
    """
    rows = [line.split() for line in printed.strip().splitlines()]
    assert {(" ".join(row[:-5]).removeprefix("DE-SD ")): tuple(map(float, row[-5:])) for row in rows} == dict(paper.TABLE2)
    losses = {"Standard L2": (0.931, 0.844), "Weighted L2": (0.722, 0.657)}
    encoders = {"Single": (0.745, 0.676), "Double": (0.722, 0.657)}
    assert paper.TABLE1["plain", "double"] == losses["Standard L2"]
    assert paper.TABLE1["weighted", "single"] == encoders["Single"]
    assert paper.TABLE1["weighted", "double"] == losses["Weighted L2"] == encoders["Double"]


def test_every_result_has_a_maker_and_every_scale_a_name() -> None:
    assert set(MAKERS) == set(RESULTS)
    assert {scale_of(name).name for name in SCALES} == {"tiny", "demo", "full"}
    with pytest.raises(UsageError, match=r"unknown --scale 'huge'; choose tiny, demo, full"):
        scale_of("huge")
