"""`emovoca animate --stream`: bytes in of any cut, a line of JSON a frame out, and what is said when it cannot be."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from emovoca_cli.animation.animate import animate
from emovoca_cli.audio.io import frame_count
from emovoca_cli.cli.app import run
from emovoca_cli.config.faceformer import faceformer_preset
from emovoca_cli.constants import ARKIT_NAMES
from emovoca_cli.generators.load import load_generator
from emovoca_cli.generators.train_faceformer import train_faceformer
from tests.generators.fakes import FakeSource

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).resolve().parents[2]
SOUND = soundfile.read(ROOT / "examples" / "speech.wav", dtype="int16")[0][16_000:40_000].astype("<i2").tobytes()  # 1.5 s
COUNT = 45
TRACK = "0:neutral, 0.5:happy@3"


class Pipe(io.RawIOBase):
    """Standard input that gives its bytes in pieces of given sizes, as pipes do."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self.pieces, start = [], 0
        for size in [*sizes, len(data)]:
            self.pieces.append(data[start : start + size])
            start += size
        self.pieces = [piece for piece in self.pieces if piece]

    def read1(self, _: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run_it(*options: str, data: bytes = SOUND, sizes: tuple[int, ...] = (), code: int = 0) -> tuple[list[Any], str]:
        stdin = io.TextIOWrapper(io.BytesIO())
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": Pipe(data, list(sizes)), "close": stdin.close})())
        seen = run(["animate", "--stream", *options])
        said = capsys.readouterr()
        assert seen == code, said.err
        return [json.loads(line) for line in said.out.splitlines()], said.err

    return run_it


def test_frames_are_those_of_the_sound_with_the_track_over_its_time(stream: Any) -> None:
    lines, said = stream("--emotion", TRACK, "--emit", "landmarks,coefficients")
    assert len(lines) == frame_count(len(SOUND) // 2, 30.0) == COUNT
    assert [line["frame"] for line in lines] == list(range(COUNT))
    np.testing.assert_allclose([line["time"] for line in lines], np.arange(COUNT) / 30, atol=1e-6)
    assert lines[0]["emotion"] == {"neutral": 1.0}
    assert lines[0]["intensity"] == 0
    assert lines[-1]["emotion"] == {"happy": 1.0}
    assert lines[-1]["intensity"] == 3
    assert np.shape([line["landmarks"] for line in lines]) == (COUNT, 68, 3)
    assert all(tuple(line["coefficients"]) == ARKIT_NAMES for line in lines)
    smile = [line["coefficients"]["mouthSmileLeft"] for line in lines]
    assert min(smile[30:]) > max(smile[:10]) + 0.1, "a smile comes with happy"
    assert re.search(r"a frame comes 233 ms after its sound \(200 ms of look-ahead in it\)", said)
    assert re.search(r"45 frames, [\d.]+ ms of work each where 33.3 ms are there", said)


@pytest.mark.parametrize("model", ["s2l", "faceformer"])
def test_how_the_bytes_are_cut_changes_nothing(stream: Any, model: str) -> None:
    whole, _ = stream("--model", model, "--emotion", TRACK)
    for sizes in ((1, 2, 3, 4095), (16_001,), (20_000, 1, 20_000), tuple([777] * 60)):
        cut, _ = stream("--model", model, "--emotion", TRACK, sizes=sizes)
        assert cut == whole


def test_half_a_sample_at_the_end_is_left_out_and_said(stream: Any) -> None:
    whole, _ = stream()
    odd, said = stream(data=SOUND + b"\x07")
    assert odd == whole
    assert "its last byte was left out" in said


def test_silence_is_a_face_at_rest(stream: Any) -> None:
    lines, said = stream(data=bytes(32_000))
    assert len(lines) == 30
    assert "only silence was heard" in said
    landmarks = np.array([line["landmarks"] for line in lines])
    assert np.ptp(landmarks, axis=0).max() < 2e-3


def test_sound_at_another_rate_gives_as_many_frames(stream: Any) -> None:
    times = np.arange(len(SOUND) // 2 * 3) / 48_000
    samples = np.interp(times, np.arange(len(SOUND) // 2) / 16_000, np.frombuffer(SOUND, "<i2")).astype("<i2")
    lines, said = stream("--rate", "48000", data=samples.tobytes())
    assert len(lines) == COUNT
    assert "16-bit mono at 48000 Hz" in said
    plain, _ = stream()
    away = np.array([line["landmarks"] for line in lines]) - np.array([line["landmarks"] for line in plain])
    assert np.linalg.norm(away, axis=2).mean() < 0.3e-3


def test_nothing_but_json_goes_to_standard_output_and_quiet_says_nothing(stream: Any) -> None:
    lines, said = stream("--quiet", "--emotion", "sad")
    assert len(lines) == COUNT
    assert said == ""


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("speech.wav",), "a recording does not go with --stream"),
        (("--out", "clip.npz"), "--out does not go with --stream"),
        (("--render", "out.mp4"), "--render does not go with --stream"),
        (("--fps", "60"), "--fps does not go with --stream"),
        (("--emit", "vertices"), "--emit 'vertices' is unknown; give landmarks or coefficients"),
        (("--rate", "3"), "the rate is 3 Hz"),
        (("--look-ahead", "9000"), "the look-ahead is 9 s; give 0 to 2 seconds"),
        (("--look-ahead", "100", "--model", "faceformer"), "there is no look-ahead to set"),
        (("--template", str(ROOT / "nothing.ply")), "neither a file nor a built-in face"),
        (("--emotion", "joyful"), "joyful"),
    ],
)
def test_wrong_use_is_one_line(stream: Any, options: tuple[str, ...], why: str) -> None:
    lines, said = stream(*options, code=2)
    assert lines == []
    assert why in said
    assert "Traceback" not in said


def test_flags_of_a_stream_do_not_go_with_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["animate", str(ROOT / "examples" / "speech.wav"), "--emit", "landmarks"]) == 2
    assert "--emit does not go without --stream" in capsys.readouterr().err
    assert run(["animate"]) == 2
    assert "there is no recording" in capsys.readouterr().err


def test_no_sound_at_all_is_a_failure(stream: Any) -> None:
    _, said = stream(data=b"", code=1)
    assert "no speech came on standard input" in said


def test_a_live_e_faceformer_says_what_it_says_of_a_recording_with_the_same_features(tmp_path: Path) -> None:
    """Its window is its front layers' whole reach: every frame, the first and the last too, is exactly the recording's."""
    from emovoca_cli.generators.live import live_generator
    from emovoca_cli.mesh.landmarks import landmark_points

    train_faceformer(replace(faceformer_preset("tiny"), front_layers=2), FakeSource(tmp_path), tmp_path / "mine")
    model = load_generator(tmp_path / "mine")
    live = live_generator(model)
    assert (live.past, live.ahead) == (4, 4)
    rng = np.random.default_rng(0)
    count = 20
    features = rng.normal(size=(count, 320)).astype(np.float32)
    emotion, intensity = np.zeros((count, 2), np.float32), np.zeros((count, 3), np.float32)
    emotion[5:, 0] = intensity[5:, 2] = 1
    seen = []
    for frame in range(count):
        near = slice(max(0, frame - live.past), min(count, frame + live.ahead + 1))
        seen.append(live.step(features[near], emotion[near], intensity[near], frame - near.start))
    moved = model.vertices(model.states(features, emotion, intensity))  # type: ignore[attr-defined]
    template = model.template
    truth = landmark_points(moved, template.faces, template.landmark_faces, template.landmark_weights)
    assert np.ptp(truth, axis=0).max() > 1e-4
    np.testing.assert_allclose(seen, truth, atol=1e-6)


def test_a_stream_comes_near_the_recording(stream: Any, tmp_path: Path) -> None:
    samples = soundfile.read(ROOT / "examples" / "speech.wav", dtype="int16")[0].astype("<i2")
    lines, _ = stream("--look-ahead", "1000", data=samples.tobytes())
    clip = animate(ROOT / "examples" / "speech.wav", load_generator("s2l"))
    away = np.linalg.norm(np.array([line["landmarks"] for line in lines]) - clip.landmarks, axis=2)
    assert away.shape == (150, 68)
    assert away[60:].mean() < 0.35e-3, away[60:].mean()


def emovoca(*options: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "emovoca_cli", "animate", "--stream", *options]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)


def test_frames_come_before_the_end_and_an_interrupt_gives_the_rest() -> None:
    process = emovoca("--emit", "coefficients")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(SOUND)
    process.stdin.flush()
    early = [json.loads(process.stdout.readline()) for _ in range(38)]  # the input is still open, and all of it heard
    assert early[-1]["frame"] == 37
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert len(early) + len(rest.splitlines()) == COUNT
    assert b"Traceback" not in said


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    process = emovoca()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    try:
        process.stdin.write(SOUND * 4)
        process.stdin.close()
    except BrokenPipeError:
        pass
    process.stdin = None
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(timeout=60) in (0, 1, -signal.SIGPIPE)
    assert b"Traceback" not in said
    assert b"Error" not in said, said


def test_the_example_prints_a_line_a_frame(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "live_smile.py"), str(ROOT / "examples" / "speech.wav")],
        capture_output=True, text=True, env=environment, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    lines = made.stdout.splitlines()
    assert len(lines) == 150
    assert re.fullmatch(r"0\.00 s  jawOpen [01]\.\d\d  smile [01]\.\d\d", lines[0])
