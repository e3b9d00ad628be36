"""The commands that need no training, through their entry point."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from emovoca_cli.cli.app import run
from emovoca_cli.data.template import save_template
from emovoca_cli.demo.head import load_head
from emovoca_cli.files import write_json
from emovoca_cli.generators.load import load_generator
from emovoca_cli.mesh.io import read_mesh
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Clip, MeshTemplate

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
        "push",
        "pull",
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


def test_another_rigs_eyes_and_teeth_are_drawn(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = load_head().template
    rig = replace(head, faces=np.roll(head.faces, 1, axis=0), landmark_faces=(head.landmark_faces + 1) % len(head.faces))
    (here / "my-data" / "talk").mkdir(parents=True)
    save_template(rig, here / "my-data" / "talk" / "template.npz")
    points = landmark_points(rig.vertices, rig.faces, rig.landmark_faces, rig.landmark_weights)
    shape = np.zeros((1, 0), np.float32), np.zeros(1, np.float32)
    Clip(rig.vertices[None], rig.faces, rig.vertices, points[None], 30.0, (), *shape, {}).save(here / "rig.npz")
    drawn = {}
    for name, more in (("bare", []), ("whole", ["--template", "my-data"])):
        answer(capsys, "render", "rig.npz", "--out", name, "--size", "128", "--backend", "embreex", *more)
        drawn[name] = np.asarray(Image.open(next((here / name).glob("*.png"))), np.float32).mean(axis=2)
    brighter = drawn["whole"] - drawn["bare"]
    assert brighter.max() > 60  # the white of the eyes, where the bare skin has holes
    assert run(["render", "rig.npz", "--out", "x.mp4", "--template", "s2d"]) == 2
    assert "is no template.npz" in capsys.readouterr().err
    save_template(head, here / "head.npz")
    assert run(["render", "rig.npz", "--out", "x.mp4", "--template", "head.npz"]) == 1
    assert "or other faces" in capsys.readouterr().err

    # animate draws with what its model was made on
    loaded = load_generator("s2l")
    monkeypatch.setattr(type(loaded), "template", rig)
    monkeypatch.setattr("emovoca_cli.generators.load.load_generator", lambda *_, **__: loaded)
    seen: list[MeshTemplate] = []
    monkeypatch.setattr("emovoca_cli.render.clip.render_clip", lambda clip, template, out, **_: seen.append(template))
    samples, rate = soundfile.read(ROOT / "examples" / "speech.wav")
    soundfile.write(here / "short.wav", samples[: rate // 2], rate)
    run(["animate", "short.wav", "--render", "out.mp4"])
    assert seen == [rig]


def test_info_of_a_data_folder_says_the_licence_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("talk", "expression"):
        write_json(here / "data" / part / "manifest.json", {"kind": part, "licence": "mine"})
    assert answer(capsys, "info", "data")["licence"] == "mine"
    write_json(here / "data" / "expression" / "manifest.json", {"kind": "expression", "licence": "another's"})
    assert answer(capsys, "info", "data")["licence"] == "mine; another's"


def test_info_of_a_dataset_says_from_what_it_was_built(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = {part: {"hash": f"{part} hash", "licence": "mine"} for part in ("talk", "expression")}
    write_json(here / "made" / "manifest.json", {"kind": "dataset", "licence": "mine", "sources": sources})
    assert answer(capsys, "info", "made")["provenance"] == sources


def test_info_of_built_in_models(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("desd", "s2l", "s2d", "faceformer"):
        about = answer(capsys, "info", name)
        assert about["kind"] == f"model {name}"
        assert about["licence"]
    both = answer(capsys, "info", str(ROOT / "emovoca_cli" / "assets"))
    assert both["kind"] == "generator"
    assert [both[part]["kind"] for part in ("s2l", "s2d")] == ["model s2l", "model s2d"]


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
