"""What is paired, what is refused and what is said: nothing is cut, left out or measured on nothing in silence."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emovoca_cli.cli.app import run
from emovoca_cli.errors import DataError
from emovoca_cli.evaluation.labels import Labels, labels_of, name_pattern
from emovoca_cli.evaluation.regions import Region, find_region, read_indices
from emovoca_cli.evaluation.statistics import Bootstrap, Tally, estimate
from emovoca_cli.evaluation.takes import _from_clip
from emovoca_cli.types import Clip
from tests.evaluation import worked

pytestmark = pytest.mark.unit
FILES = ("--template", "rest.npy", "--lips", "lips.txt", "--upper", "upper.txt")
Answer = Callable[..., dict[str, Any]]
Refused = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return worked.write(tmp_path)


def command(*arguments: str) -> list[str]:
    return ["evaluate", "score", "--pred", "pred", "--truth", "truth", "--bootstrap", "100", *arguments]


@pytest.fixture
def answer(root: Path, capsys: pytest.CaptureFixture[str]) -> Answer:
    def ask(*arguments: str, files: tuple[str, ...] = FILES) -> dict[str, Any]:
        code = run(command(*files, *arguments, "--json"))
        said = capsys.readouterr()
        assert code == 0, said.err
        value = json.loads(said.out)
        assert "NaN" not in said.out
        assert "Infinity" not in said.out
        assert isinstance(value, dict)
        return value | {"said": said.err}

    return ask


@pytest.fixture
def refused(root: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    def ask(*arguments: str, code: int, files: tuple[str, ...] = FILES) -> str:
        seen = run(command(*files, *arguments))
        said = capsys.readouterr()
        assert seen == code, said.err
        assert said.out == ""
        assert len(said.err.strip().splitlines()) == 1
        return said.err

    return ask


def test_the_report_as_table_json_and_csv(root: Path, answer: Answer) -> None:
    found = answer("--preset", "paper", "--preset", "codetalker", "--out", "r.json", "--csv", "r.csv")
    assert (found["sequences"], found["frames"], found["vertices"]) == (2, 5, 4)
    assert json.loads((root / "r.json").read_text())["presets"] == found["presets"]
    rows = list(csv.DictReader((root / "r.csv").read_text().splitlines()))
    codetalker = next(row for row in rows if (row["by"], row["kind"], row["name"]) == ("all", "codetalker", "LVE"))
    assert (float(codetalker["value"]), codetalker["unit"], codetalker["sequences"]) == (pytest.approx(25.8), "m^2", "2")
    assert found["regions"]["lips"]["sha256"] == Region("x", np.array([1, 0]), "y").sha256
    assert [one["metrics"]["lve_max_l2_mm"] for one in found["by_sequence"]] == [pytest.approx(3500), pytest.approx(10000 / 3)]


def test_identity_scores_zero_and_intervals_repeat_with_the_seed(root: Path, answer: Answer) -> None:
    first, again, other = (answer("--seed", seed)["metrics"]["mve_mean_l2_mm"] for seed in ("1", "1", "2"))
    assert first == again
    assert first["low"] <= first["value"] <= first["high"]
    assert other["value"] == first["value"]
    for name, (_, truth) in worked.sequences().items():
        np.save(root / "pred" / f"{name}.npy", truth)
    found = answer()
    assert all(row["value"] == 0 for row in found["metrics"].values())


def test_what_cannot_be_measured_has_a_reason_and_no_value(root: Path, answer: Answer) -> None:
    found = answer("--preset", "codetalker", "--preset", "paper", files=())
    assert list(found["presets"]["codetalker"]["lines"]) == []
    assert list(found["presets"]["paper"]["lines"]) == ["MVE"]
    assert "give --lips" in found["not_measured"]["lve_max_sq"][0]
    assert "give --lips" in found["said"]
    assert "lve_max_sq" not in found["metrics"]
    found = answer(files=FILES[2:])
    assert "face at rest" in found["not_measured"]["fdd"][0]
    for name, (prediction, truth) in worked.sequences().items():
        np.save(root / "pred" / f"{name}.npy", prediction[:1])
        np.save(root / "truth" / f"{name}.npy", truth[:1])
    found = answer("--fps", "30")
    assert "two frames" in found["not_measured"]["fdd"][0]
    assert "four frames" in found["not_measured"]["jitter_m_s3"][0]
    assert not {"fdd", "fdd_mm2"} & set(found["metrics"])
    assert "jitter_m_s3" not in found["motion"]


def test_unequal_lengths_are_refused_or_said(root: Path, answer: Answer, refused: Refused) -> None:
    prediction, _ = worked.sequences()["B"]
    np.save(root / "pred" / "B.npy", prediction[:2])
    assert "2 frames, the truth 3" in refused(code=1)
    found = answer("--length", "common")
    assert found["frames"] == 4
    assert any("the first 2 were compared" in note for note in found["notes"])
    assert found["metrics"]["lve_max_sq"]["value"] == pytest.approx(129 / 4)


def test_other_rates_are_refused_or_resampled(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = np.arange(7)[:, None, None] * np.ones((1, 4, 3)) + worked.REST
    worked.write_clip(root / "c" / "a.npz", steps[:4], fps=30)
    worked.write_clip(root / "d" / "a.npz", steps / 2 + worked.REST / 2, fps=60)
    head = ["evaluate", "score", "--pred", "c", "--truth", "d", *FILES[2:], "--json"]
    assert run(head) == 1
    assert "30 fps, the truth 60" in capsys.readouterr().err
    assert run([*head, "--resample"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frames"] == 7
    assert found["metrics"]["mve_max_l2"]["value"] == pytest.approx(0, abs=1e-6)
    assert any("resampled" in note for note in found["notes"])


def test_files_without_a_partner_are_refused_or_said(root: Path, answer: Answer, refused: Refused) -> None:
    (root / "pred" / "B.npy").rename(root / "pred" / "C.npy")
    assert "1 predictions have no truth: C" in refused(code=1)
    found = answer("--allow-missing")
    assert found["sequences"] == 1
    assert any("truths have no prediction: B" in note for note in found["notes"])
    assert found["metrics"]["lve_max_l2"]["low"] is None
    (root / "pred" / "A.npy").unlink()
    assert "no prediction is called" in refused("--allow-missing", code=1)


def test_broken_inputs_are_named(root: Path, refused: Refused) -> None:
    good = np.load(root / "pred" / "A.npy")
    bad = good.copy()
    bad[1, 2, 0] = np.nan
    for array, word in (
        (bad, "frame 1"),
        (good[:0], "no frames"),
        (good[:, :0], "no vertices"),
        (good[:, :3], "has 3 vertices"),
        (good[0], "single mesh"),
        (good.astype(str), "expected numbers"),
        (good[..., :2], "expected (T,V,3)"),
    ):
        np.save(root / "pred" / "A.npy", array)
        assert word in refused(code=1), word
    (root / "pred" / "A.npy").write_bytes(b"hello")
    said = refused(code=1)
    assert "A.npy is not an .npy file" in said
    assert "unsafely" not in said
    np.save(root / "pred" / "A.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "A.npy" in refused(code=1)
    for path in (root / "pred").iterdir():
        path.unlink()
    assert "nothing to score" in refused(code=1)
    (root / "pred").rmdir()
    assert "not a folder" in refused(code=2)


def test_clips_with_numbers_that_are_none_are_named_whatever_holds_them(root: Path, refused: Refused) -> None:
    prediction, _ = worked.sequences()["A"]
    (root / "pred" / "A.npy").unlink()
    path = root / "pred" / "A.npz"
    worked.write_clip(path, prediction)
    whole = Clip.load(path)
    for name in ("template", "landmarks", "emotion", "intensity"):
        broken = getattr(whole, name).copy()
        broken.flat[0] = np.nan
        replace(whole, **{name: broken}).save(path)
        assert f"A.npz has a {name} with numbers that are not finite" in refused(code=1)
    for fps in (0.0, np.nan, -30.0):
        replace(whole, fps=fps).save(path)
        assert "frames a second, expected a positive number" in refused(code=1)
    path.write_text("words")
    said = refused(code=1)
    assert "A.npz is not an emovoca clip" in said
    assert "unsafely" not in said


def test_a_face_of_a_strange_size_is_said(root: Path, answer: Answer) -> None:
    assert not any("m across" in note for note in answer()["notes"])
    assert "A is 1.41e+03 m across" not in answer()["said"]
    small = answer("--unit", "mm")
    assert any(note.startswith("A is 0.00141 m across") for note in small["notes"])
    assert "--unit says what .npy is in" in small["said"]


def test_tables_by_group_show_a_preset_each(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "labels.csv").write_text("id,emotion\nA,happy\nB,sad\n")
    assert run(command(*FILES, "--labels", "labels.csv", "--preset", "codetalker", "--preset", "artalk")) == 0
    said = capsys.readouterr().err
    assert "codetalker by emotion" in said
    assert "artalk by emotion" in said
    assert "…" not in "".join(line for line in said.splitlines() if line.startswith(("│ happy", "│ sad")))


def test_wrong_options_are_named(root: Path, refused: Refused) -> None:
    for arguments, word in (
        (("--preset", "mine"), "unknown preset"),
        (("--unit", "furlong"), "--unit"),
        (("--length", "short"), "--length"),
        (("--match", "x"), "--match"),
        (("--names", "{who}"), "--names"),
        (("--labels", "none.csv"), "none.csv"),
        (("--confidence", "2"), "--confidence"),
        (("--bootstrap-by", "subject"), "subject"),
        (("--speech", "nowhere"), "nowhere"),
        (("--fps", "0"), "--fps"),
    ):
        assert word in refused(*arguments, code=2), arguments
    assert "mouth" in refused(code=2, files=("--lips", "mouth"))


def test_predictions_as_clips_against_arrays_and_groups_by_emotion(root: Path, answer: Answer) -> None:
    for name, emotion in (("A", "happy"), ("B", "sad")):
        prediction, _ = worked.sequences()[name]
        (root / "pred" / f"{name}.npy").unlink()
        worked.write_clip(root / "pred" / f"{name}.npz", prediction, emotion=emotion, intensity=1.5)
    found = answer("--preset", "codetalker")
    assert found["presets"]["codetalker"]["lines"]["LVE"]["value"] == pytest.approx(25.8)
    assert set(found["groups"]["emotion"]) == {"happy", "sad"}
    assert found["groups"]["emotion"]["sad"]["presets"]["codetalker"]["lines"]["LVE"]["value"] == pytest.approx(100 / 3)
    assert found["groups"]["intensity"]["1.5"]["sequences"] == 2
    assert any("--fps" in note for note in found["notes"])


def test_a_prediction_in_another_unit_is_brought_to_the_truths(root: Path, answer: Answer) -> None:
    for name, (prediction, truth) in worked.sequences().items():
        (root / "pred" / f"{name}.npy").unlink()
        worked.write_clip(root / "pred" / f"{name}.npz", prediction / 1000)
        np.save(root / "truth" / f"{name}.npy", truth)
    found = answer("--unit", "mm", "--preset", "codetalker")
    assert found["presets"]["codetalker"]["lines"]["LVE"]["value"] == pytest.approx(25.8, rel=1e-5)
    assert found["presets"]["codetalker"]["lines"]["LVE"]["unit"] == "unit^2"
    assert found["metrics"]["lve_max_l2_mm"]["value"] == pytest.approx(3.4, rel=1e-5)


def test_labels_from_tables_names_and_templates(root: Path, answer: Answer, refused: Refused) -> None:
    (root / "labels.csv").write_text("id,subject,emotion,intensity\nA,ann,happy,3\nB,bob,,\n")
    found = answer("--labels", "labels.csv", "--bootstrap-by", "subject")
    assert {by: list(members) for by, members in found["groups"].items()} == {
        "emotion": ["happy"], "intensity": ["3"], "subject": ["ann", "bob"],
    }  # fmt: skip
    nothing = Labels()
    pattern = name_pattern("{subject}_{*}_{emotion}_{intensity}")
    assert labels_of("ann_s_01_calm_2", table={}, pattern=pattern, known=(), clip=nothing) == Labels("ann_s", "calm", 2.0)
    assert labels_of("abel_s01_happy_2", table={}, pattern=None, known=(), clip=nothing) == Labels("abel", "happy", 2.0)
    assert labels_of("F2_e37", table={}, pattern=None, known=("F", "F2"), clip=nothing).subject == "F2"
    faces = {"A": worked.REST.astype(np.float32), "B": worked.REST.astype(np.float32)}
    (root / "templates.pkl").write_bytes(pickle.dumps(faces, protocol=2))
    found = answer(files=("--template", "templates.pkl", *FILES[2:]))
    assert "fdd" in found["metrics"]
    assert set(found["groups"]["subject"]) == {"A", "B"}
    (root / "templates.pkl").write_bytes(pickle.dumps({"A": faces["A"]}, protocol=2))
    assert "--template" in refused(code=1, files=("--template", "templates.pkl", *FILES[2:]))


def test_region_lists_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("3, 1, 2\n")
    (tmp_path / "b.json").write_text('{"lips": [1, 2], "eye": [3]}')
    np.save(tmp_path / "c.npy", np.array([False, True, True, True]))
    (tmp_path / "d.pkl").write_bytes(pickle.dumps({"lips": np.array([1, 2]), "brow": [3]}, protocol=2))
    hashes = set()
    for spec in ("a.txt", "b.json:lips+eye", "c.npy", "d.pkl:lips+brow"):
        region = find_region("lips", str(tmp_path / spec), {}, 4, owner="")
        assert region is not None
        assert sorted(region.indices) == [1, 2, 3]
        hashes.add(region.sha256)
    assert len(hashes) == 1
    masks = {"eyes": np.array([True, False]), "forehead": np.array([False, True])}
    upper = find_region("upper", None, masks, 2, owner="head")
    assert upper is not None
    assert (list(upper.indices), upper.source) == ([0, 1], "eyes+forehead of head")
    assert find_region("lips", None, masks, 2, owner="head") is None
    for spec, word in (("d.pkl", "several"), ("d.pkl:nose", "nose"), ("a.txt:lips", "one list"), ("z.txt", "exist")):
        with pytest.raises(Exception, match=word):
            read_indices(str(tmp_path / spec))
    (tmp_path / "w.txt").write_text("0.1\n0.7\n")
    (tmp_path / "e.txt").write_text("")
    for spec, word in (("w.txt", "threshold"), ("e.txt", "empty"), ("a.txt", "counted from 1")):
        with pytest.raises(Exception, match=word):
            find_region("lips", str(tmp_path / spec), {}, 3, owner="")


def test_the_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        values = generator.normal(1.0, 1.0, 40)
        tally = Tally()
        for index, value in enumerate(values):
            tally.add(index, str(index), value, 1.0)
        found = estimate(tally, Bootstrap(300, trial, 0.9), lambda means: means)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        assert found.value == pytest.approx(values.mean())
        hits += found.low <= 1.0 <= found.high
    assert 0.82 <= hits / 200 <= 0.96
    assert estimate(Tally(), Bootstrap(), lambda means: means) is None


def test_a_clip_with_life_in_it_is_not_scored(tmp_path: Path) -> None:
    worked.write_clip(tmp_path / "a.npz", np.zeros((3, 4, 3), np.float32))
    clip = Clip.load(tmp_path / "a.npz")
    assert _from_clip(tmp_path / "a.npz").frames == 3
    replace(clip, provenance={**clip.provenance, "life": {"seed": 0}}).save(tmp_path / "b.npz")
    with pytest.raises(DataError, match="--no-life"):
        _from_clip(tmp_path / "b.npz")
