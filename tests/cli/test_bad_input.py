"""What the command line says to bad input: one line, the right exit code, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.cli.app import run
from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.mesh.io import write_mesh

pytestmark = pytest.mark.pipeline
Fails = Callable[..., str]


@pytest.fixture
def fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run in an empty folder, expect an exit code, one line on standard error, nothing new on disk; returns the line."""
    monkeypatch.chdir(tmp_path)

    def check(*arguments: str, code: int) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        seen = run(arguments)
        said = capsys.readouterr()
        line = [text for text in said.err.splitlines() if text.startswith("emovoca: ")]
        assert seen == code, said.err
        assert len(line) == 1
        assert "Traceback" not in said.err
        assert said.out == ""
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before, "something was written"
        return line[0]

    return check


def tone(path: Path, seconds: float = 1.0, *, level: float = 0.3, rate: int = 16000) -> Path:
    times = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, level * np.sin(2 * np.pi * 200 * times), rate, subtype="FLOAT")
    return path


def test_no_such_command_or_option(fails: Fails) -> None:
    assert "anmate" in fails("anmate", "x.wav", code=2)
    assert "--emotoin" in fails("animate", "x.wav", "--emotoin", "happy", code=2)
    assert "'loud'" in fails("animate", "x.wav", "--intensity", "loud", code=2)


def test_missing_speech(fails: Fails) -> None:
    assert "nowhere.wav" in fails("animate", "nowhere.wav", "--out", "clip.npz", code=2)


def test_unknown_emotion_is_told_what_there_is(fails: Fails, tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    line = fails("animate", "a.wav", "--emotion", "hapy", "--out", "clip.npz", code=2)
    assert "did you mean happy?" in line
    assert "suspicious" in line


@pytest.mark.parametrize("intensity", ["-1", "3.5", "nan"])
def test_intensity_out_of_range(fails: Fails, tmp_path: Path, intensity: str) -> None:
    tone(tmp_path / "a.wav")
    assert "out of range" in fails("animate", "a.wav", "--emotion", "sad", "--intensity", intensity, "--out", "clip.npz", code=2)


def test_speech_that_is_none(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("this is not sound, it only says so in its name")
    tone(tmp_path / "silent.wav", level=0.0)
    tone(tmp_path / "short.wav", 0.02)
    soundfile.write(tmp_path / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    for name, word in (("empty", "empty"), ("text", "text.wav"), ("silent", "silent"), ("short", "short"), ("nan", "not numbers")):
        assert word in fails("animate", f"{name}.wav", "--out", "clip.npz", code=1), name


def test_outputs_that_cannot_be(fails: Fails, tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "there.npz").write_bytes(b"mine")
    assert "no-such-folder" in fails("animate", "a.wav", "--out", "no-such-folder/clip.npz", code=2)
    assert "--overwrite" in fails("animate", "a.wav", "--out", "there.npz", code=2)
    assert "no-such-folder" in fails("animate", "a.wav", "--render", "no-such-folder/out.mp4", code=2)
    assert (tmp_path / "there.npz").read_bytes() == b"mine"


def test_faces_that_do_not_fit(fails: Fails, tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    head = builtin_template()
    broken = head.vertices.copy()
    broken[7] = np.nan
    write = {
        "other.ply": (head.vertices[:3], head.faces[:0] if False else np.array([[0, 1, 2]], dtype=np.int32)),
        "shuffled.ply": (head.vertices, head.faces[::-1]),
    }
    for name, (vertices, faces) in write.items():
        write_mesh(tmp_path / name, vertices, faces)
    text = ["ply", "format ascii 1.0", "element vertex 3", *(f"property float {axis}" for axis in "xyz")]
    text += ["element face 1", "property list uchar int vertex_indices", "end_header", "0 0 nan", "1 0 0", "0 1 0", "3 0 1 2", ""]
    (tmp_path / "nan.ply").write_text("\n".join(text))
    (tmp_path / "faceless.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    (tmp_path / "words.ply").write_text("hello")
    for name, word in (
        ("other.ply", "topology"),
        ("shuffled.ply", "topology"),
        ("nan.ply", "finite"),
        ("faceless.obj", "faces"),
        ("words.ply", "words.ply"),
    ):
        assert word in fails("mix", "--talk", name, "--expr", name, code=1), name
        code = 2 if name == "other.ply" else 1  # a mesh of no known topology only lacks its landmarks
        assert word in fails("animate", "a.wav", "--template", name, "--out", "clip.npz", code=code), name
    assert "neither a file nor" in fails("animate", "a.wav", "--template", "nobody", "--out", "clip.npz", code=2)
    assert "missing.ply" in fails("mix", "--talk", "missing.ply", "--expr", "missing.ply", code=2)


def test_folders_that_are_no_datasets(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbled" / "talk").mkdir(parents=True)
    (tmp_path / "garbled" / "talk" / "manifest.json").write_text("{]")
    fails("build-dataset", "--data", "empty", "--out", "set", code=2)
    assert "manifest.json" in fails("build-dataset", "--data", "garbled", "--out", "set", code=1)
    fails("train", "s2l", "--data", "empty", "--out", "model", code=2)
    fails("build-dataset", "--verify", "--out", "empty", code=2)
    fails("info", "empty", code=2)
    fails("render", "empty/none.npz", code=2)


def test_values_that_make_no_sense(fails: Fails) -> None:
    head = ("mix", "--talk", "a.ply", "--expr", "b.ply")
    assert "--mu-e" in fails(*head, "--mu-e", "strong", code=2)
    assert "--mu-e" in fails(*head, "--mu-e", "inf", code=2)
    assert "steps" in fails("train", "desd", "--set", "stepz=3", "--out", "m", code=2)
    assert "unknown source" in fails("prep", "vox", code=2)
    assert "unknown preset" in fails("train", "s2d", "--preset", "huge", "--out", "m", code=2)
