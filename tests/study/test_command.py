"""`emovoca study` through its entry point."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.cli.app import run
from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.study.make import Made, read_key
from emovoca_cli.study.media import look_at
from emovoca_cli.study.plot import plot_study
from emovoca_cli.types import Clip
from tests.study.test_score import prefer
from tests.study.videos import filled_in, save

pytestmark = pytest.mark.pipeline
Said = Callable[..., str]


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run a command that fails, and give its one line."""

    def check(*arguments: str, code: int) -> str:
        assert run(arguments) == code
        said = [text for text in capsys.readouterr().err.splitlines() if text.startswith("emovoca: ")]
        assert len(said) == 1
        return said[0]

    return check


def write_clip(path: Path, emotion: str) -> None:
    head = builtin_template()
    vertices = np.repeat(head.vertices[None], 3, axis=0)
    vertices[1:, :, 1] += 0.002
    landmarks = landmark_points(vertices, head.faces, head.landmark_faces, head.landmark_weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    Clip(
        vertices, head.faces, head.vertices, landmarks, 10.0, (emotion,), np.ones((3, 1), np.float32),
        np.full(3, 2, np.float32), {},
    ).save(path)  # fmt: skip


def test_clips_become_videos_with_their_speech_and_their_own_emotion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for system in ("ours", "theirs"):
        write_clip(tmp_path / system / "one.npz", "disgust")
    (tmp_path / "speech").mkdir()
    soundfile.write(tmp_path / "speech" / "one.wav", 0.1 * np.sin(np.arange(4800) / 5), 16000)
    systems = ["--system", f"ours={tmp_path / 'ours'}", "--system", f"theirs={tmp_path / 'theirs'}"]
    words = ["study", "make", *systems, "--out", str(tmp_path / "study"), "--size", "64", "--backend", "embreex", "--seed", "2"]
    assert run([*words, "--participants", "4"]) == 1
    assert "has no sound, and its lip-sync is to be judged; give --speech" in capsys.readouterr().err
    assert run([*words, "--participants", "4", "--speech", str(tmp_path / "speech"), "--json"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert (report["naming_trials"], report["pair_trials"]) == (2, 1)
    assert "using choices: happy, disgust, afraid, sad, angry" in said.err
    design = read_key(tmp_path / "study")
    assert design.items["one"].emotion == "disgust"
    pair = next(trial for trial in design.trials if len(trial.videos) == 2)
    look = look_at(tmp_path / "study" / "page" / "videos" / design.videos[pair.videos[0]].file)
    assert (look.size, look.sound, look.fps) == ((64, 64), True, 10)


def test_answers_become_tables_and_a_picture(
    study: tuple[Made, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    pytest.importorskip("matplotlib")
    design, folder = study[0].design, study[1]
    for participant in range(1, 5):
        save(tmp_path / "answers" / f"{participant}.json", filled_in(design, participant, prefer(design, "ours")))
    places = {name: str(tmp_path / f"scores.{name}") for name in ("json", "csv", "png")}
    words = ["study", "score", str(tmp_path / "answers"), "--study", str(folder), "--paper"]
    outputs = ["--out", places["json"], "--csv", places["csv"], "--plot", places["png"]]
    assert run([*words, *outputs]) == 0
    said = capsys.readouterr().err
    assert "100.0 % / 0.0 %" in said
    assert "72.7 % / 27.3 %" in said
    assert "52.3/9.5" in said
    assert "the emotion row adds up to 101 %" in said
    report = json.loads(Path(places["json"]).read_text())
    assert (report["participants"], report["answers"], report["left_out"]) == (4, 28, [])
    assert report["preferences"][0]["wilson"][0] == pytest.approx(100 * 8 / (8 + 1.959964**2))
    with Path(places["csv"]).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["kind"] for row in rows} == {"preference", "accuracy", "confusion"}
    assert Path(places["png"]).read_bytes().startswith(b"\x89PNG")
    for number, part in enumerate(({"naming": []}, {"preferences": []}, {"naming": report["naming"][:1]})):
        plot_study(report | part, tmp_path / f"part{number}.png")
        assert (tmp_path / f"part{number}.png").read_bytes().startswith(b"\x89PNG")
    assert run([*words, "--out", places["json"]]) == 2, "a report is not written over another"
    save(tmp_path / "answers" / "5.json", filled_in(design, 5, prefer(design, "ours"), screens=2))
    capsys.readouterr()
    assert run([*words, "--json"]) == 1, "what was left out is told by the exit code too"
    said_too = capsys.readouterr()
    assert json.loads(said_too.out)["participants"] == 4
    assert "5.json: incomplete, 2 of 5 screens" in said_too.err
    assert "1 answer files were left out, the rest is scored" in said_too.err


def test_wrong_use_is_one_line(line: Said, study: tuple[Made, Path], videos: Path, tmp_path: Path) -> None:
    make = ("study", "make", "--out", str(tmp_path / "s"))
    both = ("--system", f"ours={videos / 'ours'}", "--system", f"other={videos / 'other'}")
    assert "--system" in line(*make, code=2)
    assert "needs two" in line(*make, *both[:2], code=2)
    assert "'dance' is no question" in line(*make, *both, "--ask", "dance", code=2)
    assert "1 to 10000" in line(*make, *both, "--participants", "0", code=2)
    assert "nowhere.csv" in line(*make, *both, "--items", "nowhere.csv", code=2)
    assert "nowhere.yaml" in line(*make, *both, "--texts", "nowhere.yaml", code=2)
    assert "is not a folder of recordings" in line(*make, *both, "--speech", "nowhere", code=2)
    assert "--seed is -1" in line(*make, *both, "--seed", "-1", code=2)
    assert "emotion is unknown" in line(*make, *both, "--ask", "naming", code=1)
    assert not (tmp_path / "s").exists()
    score = ("study", "score", "--study", str(study[1]))
    assert "nothing.json does not exist" in line(*score, "nothing.json", code=2)
    assert "key.json" in line("study", "score", str(study[1] / "key.json"), "--study", str(tmp_path), code=2)
    assert "no usable answers" in line(*score, str(study[1] / "key.json"), code=1)
    assert "--confidence 2" in line(*score, str(study[1]), "--confidence", "2", code=2)
    assert ".png" in line(*score, str(study[1]), "--plot", "a.jpg", code=2)
