"""The built-in corpus through the command line at tiny scale: the truth is known there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emovoca_cli.assets import ASSETS
from emovoca_cli.cli.app import run
from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.data.store import open_data
from emovoca_cli.reproduce.classifier import Classifier, LabelledFrames, accuracy_on

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the corpus of the shortest two of the built-in sentences."""
    folder = tmp_path_factory.mktemp("demo")
    speech = folder / "speech"
    speech.mkdir()
    listed = json.loads((ASSETS / "speech" / "phones.json").read_text())
    listed["utterances"] = sorted(listed["utterances"], key=lambda row: row["phones"][-1][2])[:2]
    for row in listed["utterances"]:
        shutil.copy(ASSETS / "speech" / row["file"], speech / row["file"])
    (speech / "phones.json").write_text(json.dumps(listed))
    assert run(["prep", "--speech", str(speech), "--out", str(folder / "data"), "--quiet"]) == 0
    return folder


def reproduced(result: str, work: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    line = ["reproduce", result, "--scale", "tiny", "--seeds", "1", "--data", str(work / "data"), "--out", str(work / "out")]
    capsys.readouterr()
    code = run([*line, "--device", "cpu", "--json", "--quiet"])
    said = capsys.readouterr()
    assert code == 0, said.err
    answer: dict[str, Any] = json.loads(said.out)
    assert all(Path(path).is_file() for path in answer["files"])
    return answer


def test_table2_knows_the_truth_and_what_arithmetic_misses(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = reproduced("table2", work, capsys)
    tables = {table["name"]: {row["name"]: row["cells"] for row in table["rows"]} for table in answer["tables"]}
    assert set(tables) == {"table2", "table2-quality", "table2-sealed", "table2-truth", "table2-algebra"}
    truth = tables["table2-truth"]["the rig's truth"]
    assert {cell["mean"] for cell in truth.values()} == {0.0}
    quality = tables["table2-quality"]
    assert quality["the rig's truth"]["sealed"]["mean"] == pytest.approx(1.0, abs=0.02)
    assert quality["the rig's truth"]["leak_mm"]["mean"] == pytest.approx(0.0, abs=0.02)
    added = quality["displacement addition"]
    assert added["slope"]["mean"] == pytest.approx(1.0, abs=1e-3)
    assert added["upper_share"]["mean"] == pytest.approx(1.0, abs=1e-3)
    assert added["sealed"]["mean"] < 0.7
    by_emotion = tables["table2-sealed"]["displacement addition"]
    assert by_emotion["sealed_happy"]["mean"] == 0.0
    assert by_emotion["sealed_sad"]["mean"] == 1.0
    errors = tables["table2-truth"]["displacement addition"]
    # the mouth is what arithmetic gets wrong, more the stronger the emotion; the upper face it gets right
    assert 1 < errors["lip_mm_1"]["mean"] < errors["lip_mm_2"]["mean"] < errors["lip_mm_3"]["mean"]
    assert errors["upper_mm_2"]["mean"] < 0.3
    for name, cells in tables["table2"].items():
        assert all(cell["mean"] is not None for cell in cells.values()), name


def test_fig3_draws_faces_and_numbers_and_table1_shares_its_models(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = reproduced("fig3", work, capsys)
    pictures = {Path(path).stem: np.asarray(Image.open(path)) for path in answer["files"] if path.endswith(".png")}
    assert set(pictures) == {"fig3-tiny-a", "fig3-tiny-b", "fig3-tiny-c"}
    for picture in pictures.values():
        assert picture.std() > 10
    rows = answer["tables"][0]["rows"]
    assert [row["name"] for row in rows] == ["L1", "L2", "L3", "L4", "L5"]
    assert all(0 <= row["cells"]["overlap"]["mean"] <= 1 for row in rows)
    before = {path: path.stat().st_mtime_ns for path in (work / "out" / "cells").glob("*/cell.json")}
    reproduced("table1", work, capsys)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_classifier_is_a_command_and_a_checkpoint(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = [
        "train",
        "classifier",
        "--preset",
        "tiny",
        "--data",
        str(work / "data"),
        "--out",
        str(work / "judge"),
        "--device",
        "cpu",
    ]
    capsys.readouterr()
    assert run([*line, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert 0 <= answer["accuracy"] <= 1
    assert answer["labels"] == list(EMOTIONS_V2)
    judge = Classifier.load(work / "judge")
    frames = LabelledFrames.gather(open_data(work / "data")[1], "test", judge.labels, 0.5)
    assert accuracy_on(judge, frames) == pytest.approx(answer["accuracy"])
    assert run([*line, "--quiet"]) == 2
    assert "is not empty; pass --resume" in capsys.readouterr().err
