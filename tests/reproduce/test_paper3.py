"""The figures of Table 3b are those that the paper prints."""

from __future__ import annotations

import re

import pytest

from emovoca_cli.reproduce.paper import TABLE3B
from emovoca_cli.reproduce.table3 import OURS_IN_3B
from tests.helpers import shared_data

pytestmark = pytest.mark.unit


def test_every_figure_stands_in_the_paper() -> None:
    text = shared_data().parent / "reference" / "paper.md"
    if not text.is_file():
        pytest.skip(f"the paper's text is not here: {text}")
    rows = re.findall(r"^([\w+-]+)\((Voca|2D|v1|v2)\)\t(\S+)\t(\S+)\s*$", text.read_text(encoding="utf-8"), re.MULTILINE)
    printed = {
        f"{name} ({data})": tuple(
            None if value == "-" else float(re.sub(r"[^0-9.]", "", value.replace("b>", ""))) for value in values
        )
        for name, data, *values in rows
    }
    assert printed == dict(TABLE3B)


def test_ours_are_rows_of_it_and_the_best_is_the_papers_claim() -> None:
    assert set(OURS_IN_3B) < set(TABLE3B)
    assert min(TABLE3B, key=lambda name: TABLE3B[name][0]) == "E-S2L+S2D (v2)"
