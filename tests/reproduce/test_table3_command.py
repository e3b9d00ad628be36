"""Table 3 and Figures 4 to 6 through the command line at tiny scale, on one sentence of the built-in corpus."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emovoca_cli.assets import ASSETS
from emovoca_cli.cli.app import run
from emovoca_cli.data.store import Store
from emovoca_cli.demo.head import load_head
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.reproduce import talkers
from emovoca_cli.reproduce.cells import CELL
from emovoca_cli.reproduce.paper import TABLE3B
from emovoca_cli.types import Clip

pytestmark = pytest.mark.pipeline


@dataclass(frozen=True)
class Finished:
    """A folder where table3 has run, and what it said."""

    folder: Path
    table: dict[str, Any]

    def reproduce(self, capsys: pytest.CaptureFixture[str], result: str, *more: str) -> dict[str, Any]:
        return reproduce(self.folder, capsys, result, *more)


def reproduce(folder: Path, capsys: Any, result: str, *more: str) -> dict[str, Any]:
    place = ("--data", str(folder / "data"), "--out", str(folder / "out"))
    assert run(["reproduce", result, "--scale", "tiny", "--seeds", "1", *place, *more, "--json"]) == 0, capsys.readouterr().err
    answer = json.loads(capsys.readouterr().out)
    assert isinstance(answer, dict)
    return answer


def cell(table: dict[str, Any], row: str, column: str) -> dict[str, Any]:
    (found,) = [one for one in table["rows"] if one["name"] == row]
    value = found["cells"][column]
    assert isinstance(value, dict)
    return value


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table3")
    (folder / "speech").mkdir()
    listed = json.loads((ASSETS / "speech" / "phones.json").read_text())
    listed["utterances"] = sorted(listed["utterances"], key=lambda row: row["phones"][-1][2])[:1]
    shutil.copy(ASSETS / "speech" / listed["utterances"][0]["file"], folder / "speech")
    (folder / "speech" / "phones.json").write_text(json.dumps(listed))
    assert run(["prep", "--speech", str(folder / "speech"), "--out", str(folder / "data"), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def finished(data: Path) -> Finished:
    """Stopped while the first S2D trains, then run again: what was done before is not done twice."""
    with pytest.MonkeyPatch.context() as patch:

        def stopped(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(talkers, "train_s2d", stopped)
        place = ("--data", str(data / "data"), "--out", str(data / "out"))
        assert run(["reproduce", "table3", "--scale", "tiny", "--seeds", "1", *place, "--quiet"]) == 130
    before = {path: path.stat().st_mtime_ns for path in (data / "out" / "cells").glob(f"*/{CELL}")}
    kinds = {path.parent.name.rsplit("-", 1)[0] for path in before}
    assert {"dataset", "faceformer", "s2l", "talking"} <= kinds
    assert "s2d" not in kinds
    assert not list((data / "out").glob("table3*")), "nothing is written before all is measured"
    assert run(["reproduce", "table3", "--scale", "tiny", "--seeds", "1", *place, "--quiet"]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    return Finished(data, json.loads((data / "out" / "table3-tiny.json").read_text()))


def test_both_halves_have_every_row(finished: Finished) -> None:
    a, b = finished.table["tables"]
    assert (a["name"], b["name"]) == ("table3a", "table3b")
    names = [row["name"] for row in a["rows"]]
    assert names[4:] == ["E-FaceFormer (v1)", "E-S2L+S2D (v1)", "E-FaceFormer (v2)", "E-S2L+S2D (v2)"]
    assert all(" + expression" in name for name in names[:4])
    for row in a["rows"]:
        for column in ("lve_v1", "uve_v1"):
            assert row["cells"][column]["mean"] > 0
            assert row["cells"][column]["paper"] is None
    assert set(cell_keys(a, "E-S2L+S2D (v1)")) == {"lve_v1", "uve_v1"}, "a generator of v1 does not know v2's labels"
    assert set(cell_keys(a, "E-S2L+S2D (v2)")) == {"lve_v1", "uve_v1", "lve_v2", "uve_v2"}
    assert len(b["rows"]) == 1 + len(TABLE3B)
    for row in b["rows"]:
        measured = row["cells"]["lve"]["mean"] is not None
        assert measured == row["ours"], "another's figure is never ours"
    assert cell(b, "E-S2L+S2D (v2)", "lve")["paper"] == 3.181
    assert cell(b, "CodeTalker (Voca)", "lve") | {"why": ""} == {
        "mean": None,
        "spread": None,
        "values": [],
        "paper": 3.651,
        "why": "",
    }
    assert "CodeTalker (Voca) *" in (finished.folder / "out" / "table3-tiny.md").read_text()


def cell_keys(table: dict[str, Any], row: str) -> list[str]:
    (found,) = [one for one in table["rows"] if one["name"] == row]
    return list(found["cells"])


def test_given_predictions_get_the_score_of_evaluate_score(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row filled from a folder equals what `evaluate score` says of the same folder against the truths as files."""
    talk = Store(finished.folder / "data" / "talk")
    rng = np.random.default_rng(0)
    for name in ("pred", "truth"):
        (tmp_path / name).mkdir()
    for row in talk.select(split="test"):
        truth = talk.neutral(row.subject) + talk.displacement(row.id)
        np.save(tmp_path / "truth" / f"{row.id}.npy", truth)
        np.save(tmp_path / "pred" / f"{row.id}_condition_x.npy", truth + rng.normal(0, 0.002, truth.shape).astype(np.float32))
    match = ("--match", "{id}_condition_*")
    answer = finished.reproduce(capsys, "table3", "--predictions", f"codetalker={tmp_path / 'pred'}", *match)
    template = ("--template", str(talk.root / "template.npz"), "--no-motion", "--bootstrap", "0")
    folders = ("--pred", str(tmp_path / "pred"), "--truth", str(tmp_path / "truth"))
    assert run(["evaluate", "score", *folders, *match, *template, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    b = answer["tables"][1]
    for error in ("LVE", "UVE"):
        seen, wanted = cell(b, "CodeTalker (Voca), given", error.lower()), report["presets"]["paper"]["lines"][error]["value"]
        assert seen["mean"] == pytest.approx(wanted, rel=1e-6)
        assert seen["mean"] > 1
    assert cell(b, "CodeTalker (Voca), given", "lve")["paper"] == 3.651
    assert any("codetalker: scored on the 2 test sequences" in note for note in answer["notes"])
    assert cell(b, "S2L+S2D (neutral)", "lve") == cell(finished.table["tables"][1], "S2L+S2D (neutral)", "lve")


def test_figures_reuse_what_was_trained(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason='plots are not installed: pip install "emovoca[plots]"')
    for name in ("train_s2l", "train_s2d", "train_faceformer"):
        monkeypatch.setattr(talkers, name, lambda *_, **__: pytest.fail("trained twice"))
    bars = finished.reproduce(capsys, "fig4")
    (table,) = bars["tables"]
    a = finished.table["tables"][0]
    by_emotion = [row for row in table["rows"] if not row["name"].startswith("intensity")]
    means = [row["cells"]["lve_s2l"]["mean"] for row in by_emotion]
    assert min(means) <= cell(a, "E-S2L+S2D (v1)", "lve_v1")["mean"] <= max(means), "the whole lies between its groups"
    picture = finished.folder / "out" / "fig5-tiny.png"
    strips = finished.reproduce(capsys, "fig5", "--at", "0.4,0.8")
    assert any("0.40, 0.80 s" in note for note in strips["notes"])
    three = Image.open(picture).size
    other_face(40).save(tmp_path / "other.npz")
    finished.reproduce(capsys, "fig5", "--at", "0.4,0.8", "--clip", f"other={tmp_path / 'other.npz'}")
    four = Image.open(picture).size
    assert (four[0], 3 * four[1]) == (three[0], pytest.approx(4 * three[1], abs=8)), "a row more"
    changes = finished.reproduce(capsys, "fig6", "--at", "0.4,0.8")
    assert [row["name"] for row in changes["tables"][0]["rows"]] == ["happy@3 to sad@3", "happy@1 to happy@3"]
    for result in ("fig4", "fig5", "fig6"):
        assert (finished.folder / "out" / f"{result}-tiny.png").stat().st_size > 1000


def other_face(frames: int) -> Clip:
    """A clip of another topology than the data's: the head without its last face."""
    head = load_head().template
    points = landmark_points(head.vertices, head.faces, head.landmark_faces, head.landmark_weights)
    still = [np.repeat(part[None], frames, axis=0) for part in (head.vertices, points)]
    none = np.zeros((frames, 0), np.float32)
    return Clip(still[0], head.faces[:-1], head.vertices, still[1], 30.0, (), none, np.zeros(frames, np.float32), {})


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["table1", "--predictions", "A=b"], 2, "--predictions belongs to table3"),
        (["table3", "--at", "1"], 2, "--at belongs to fig5 and fig6"),
        (["fig4", "--clip", "A=b.npz"], 2, "--clip belongs to fig5"),
        (["table3", "--predictions", "folder"], 2, "expected NAME=PLACE"),
        (["table3", "--predictions", "A=b", "--predictions", "A=c"], 2, "names A twice"),
        (["table3", "--predictions", "A=no-such-folder"], 2, "is not a folder"),
        (["fig5", "--clip", "A=none.npz"], 2, "none.npz does not exist"),
        (["fig5", "--at", "now"], 2, "--at is 'now'"),
    ],
)
def test_wrong_use_is_answered_before_work_begins(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    place = ("--data", str(data / "data"), "--out", str(data / "other"), "--scale", "tiny")
    assert run(["reproduce", *arguments, *place, "--quiet"]) == code
    assert words in capsys.readouterr().err
    assert not (data / "other").exists()
