"""The commands that need no training, through their entry point."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.cli.app import run
from emovoca_cli.mesh.io import read_mesh
from emovoca_cli.types import Clip

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    code = run([*arguments, "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    value = json.loads(said.out)
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    "words",
    [
        "",
        "prep",
        "mix",
        "build-dataset",
        "animate",
        "render",
        "doctor",
        "info",
        "import desd",
        "import s2d",
        "import s2l",
        "train",
        "train desd",
        "train s2l",
        "train s2d",
        "train faceformer",
        "train classifier",
        "import faceformer",
        "evaluate score",
        "reproduce",
    ],
)
def test_every_help_has_an_example(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"emovoca {words}".strip() in " ".join(shown.split()) or words == "train"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"emovoca \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_doctor_tries_everything(capsys: pytest.CaptureFixture[str]) -> None:
    report = answer(capsys, "doctor")
    assert report["ok"] is True
    checks = report["checks"]
    assert isinstance(checks, list)
    names = {check["name"] for check in checks}
    assert {"python", "torch", "ffmpeg", "render embreex", "render pyrender", "built-in head.npz", "built-in s2l"} <= names


def test_mix_keeps_the_talking_face_at_no_expression_and_grows_with_mu(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk, expr = str(ROOT / "examples" / "a.ply"), str(ROOT / "examples" / "b.ply")
    assert run(["mix", "--talk", talk, "--expr", expr, "--mu-e", "0.8", "--quiet"]) == 0
    made = answer(capsys, "mix", "--talk", talk, "--expr", expr, "--mu-e", "0,1,2", "--out", "many.ply")
    assert made["out"] == ["many-mu-e-0.ply", "many-mu-e-1.ply", "many-mu-e-2.ply"]
    spoken, faces = read_mesh(Path(talk))
    mixed = [read_mesh(here / str(name)) for name in ["mix.ply", *map(str, made["out"])]]  # type: ignore[call-overload]
    assert all(np.array_equal(other, faces) for _, other in mixed)
    away = [float(np.linalg.norm(vertices - spoken, axis=1).mean()) for vertices, _ in mixed]
    assert away[1] < away[0] < away[2] < away[3]
    assert away[1] < 0.5e-3


def test_mix_of_a_sequence_gives_a_clip(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = here / "frames"
    frames.mkdir()
    for index in range(3):
        (frames / f"{index:03d}.ply").write_bytes((ROOT / "examples" / "a.ply").read_bytes())
    answer(capsys, "mix", "--talk", "frames", "--expr", str(ROOT / "examples" / "b.ply"), "--seal", "--fps", "25")
    clip = Clip.load(here / "mix.npz")
    assert (clip.frames, clip.fps) == (3, 25.0)


@pytest.mark.parametrize(
    ("suffix", "rate", "channels"), [("wav", 44100, 2), ("flac", 48000, 1), ("ogg", 22050, 1), ("mp3", 32000, 2)]
)
def test_any_recording_speaks(here: Path, capsys: pytest.CaptureFixture[str], suffix: str, rate: int, channels: int) -> None:
    samples, original = soundfile.read(ROOT / "examples" / "speech.wav")
    times = np.arange(int(1.2 * rate)) / rate
    speech = np.interp(times, np.arange(len(samples)) / original, samples)
    soundfile.write(here / f"speech.{suffix}", np.stack([speech] * channels, axis=1), rate)
    made = answer(capsys, "animate", f"speech.{suffix}", "--emotion", "happy", "--out", "clip.npz")
    assert abs(int(str(made["frames"])) - 36) <= 2


def test_animate_an_identity_and_draw_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples, rate = soundfile.read(ROOT / "examples" / "speech.wav")
    soundfile.write(here / "short.wav", samples[: rate // 2], rate)
    answer(capsys, "animate", "short.wav", "--template", "ada", "--emotion", "angry", "--out", "clip.npz")
    seen = answer(capsys, "render", "clip.npz", "--out", "frames", "--size", "96", "--backend", "embreex")
    pictures = sorted((here / "frames").glob("*.png"))
    assert len(pictures) == seen["frames"] == Clip.load(here / "clip.npz").frames
    about = answer(capsys, "info", "clip.npz")
    assert about["emotions"] == ["angry"]
    assert "arguments" in about["provenance"]  # type: ignore[operator]


def test_info_of_built_in_models(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("desd", "s2l", "s2d"):
        about = answer(capsys, "info", name)
        assert about["kind"] == f"model {name}"
        assert about["licence"]


def test_the_example_meshes_are_what_their_script_writes(here: Path) -> None:
    import runpy
    import sys

    arguments, sys.argv = sys.argv, ["make_meshes.py", str(here)]
    try:
        runpy.run_path(str(ROOT / "examples" / "make_meshes.py"), run_name="__main__")
    finally:
        sys.argv = arguments
    for name in ("a.ply", "b.ply"):
        np.testing.assert_allclose(read_mesh(here / name)[0], read_mesh(ROOT / "examples" / name)[0], atol=1e-6)
