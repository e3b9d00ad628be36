"""`emovoca animate` on a tiny model: emotion tracks, many recordings in one call, and what is said when some fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.cli.app import run
from emovoca_cli.config.generators import s2d_preset, s2l_preset
from emovoca_cli.generators.train_s2d import train_s2d
from emovoca_cli.generators.train_s2l import train_s2l
from emovoca_cli.types import Clip
from tests.generators.fakes import FakeSource

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained tiny model and recordings of different lengths, two of them broken."""
    folder = tmp_path_factory.mktemp("animate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOVOCA_CACHE", str(folder / "cache"))
        (folder / "train").mkdir()
        source = FakeSource(folder / "train")
        settings = replace(s2l_preset("tiny"), steps=60, hidden=32, lr=5e-3, batch=6, conditions_per_clip=3, pose_frames=3)
        train_s2l(settings, source, folder / "model" / "s2l")
        train_s2d(replace(s2d_preset("tiny"), filters=(8, 8, 4, 3)), source, folder / "model" / "s2d")
    rng = np.random.default_rng(0)
    (folder / "more").mkdir()
    for name, seconds in (("a.wav", 2.0), ("b.flac", 1.0), ("more/a.wav", 1.5), ("more/c.wav", 0.7)):
        times = np.arange(int(seconds * 16000)) / 16000
        loud = 0.1 * (np.sin(2 * np.pi * 2 * times) > 0) + 0.001
        soundfile.write(folder / name, loud * rng.normal(size=len(times)), 16000)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "nothing").mkdir()
    return folder


@pytest.fixture(autouse=True)
def here(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)


def animate(*arguments: str | Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[dict[str, object], str]:
    seen = run(["animate", *map(str, arguments), "--model", "model", "--json"])
    said = capsys.readouterr()
    assert seen == code, said.err
    return (json.loads(said.out) if said.out else {}), said.err


def test_the_track_is_printed_and_stored_per_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("a.wav", "--emotion", "0:neutral, 0.5:happy@3, 1.2:sad@2, 9:happy", "--transition", "0.3", "--out", tmp_path / "c.npz")
    made, said = animate(*line, capsys=capsys)
    assert "track: 0 s neutral, 0.5 s happy@3, 1.2 s sad@2, 9 s happy@2 (eased over 0.3 s)" in said
    assert "not reached, for the speech lasts 2.00 s: happy" in said
    clip = Clip.load(tmp_path / "c.npz")
    assert clip.emotion_names == ("happy", "sad")
    assert clip.emotion[[0, 30, 59]].tolist() == [[0, 0], [1, 0], [0, 1]]
    assert clip.intensity[[0, 30, 59]].tolist() == [0, 3, 2]
    assert made["track"] == clip.provenance["track"]
    wide = np.ptp(clip.vertices[:, :, 0], axis=1)
    assert wide[30] > wide[5], "happy widens the strip"


def test_a_constant_track_is_the_same_however_it_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.srt").write_text("1\n00:00:00,000 --> 00:00:10,000\nhappy\n")
    words = (("happy", "3"), ("happy@3", "2"), ("0:happy", "high"), ("happy:0.2", "0:3"), (str(tmp_path / "t.srt"), "3"))
    clips = []
    for index, (emotion, intensity) in enumerate(words):
        out = tmp_path / f"{index}.npz"
        animate("a.wav", "--emotion", emotion, "--intensity", intensity, "--out", out, capsys=capsys)
        clips.append(Clip.load(out).vertices)
    assert all(np.array_equal(clips[0], other) for other in clips[1:])


def test_many_recordings_are_each_what_they_are_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, said = animate("a.wav", "b.flac", "more", "a.wav", "--emotion", "sad", "--out", tmp_path / "clips", capsys=capsys)
    assert "4 of 4" not in said, "the table is for people, not beside JSON"
    assert made["failed"] == 0
    names = [Path(str(row["clip"])).name for row in made["clips"]]  # type: ignore[attr-defined]
    folder = Path.cwd().name
    assert names == [f"{folder}-a.npz", f"{folder}-b.npz", "more-a.npz", "more-c.npz"]
    for name, source in zip(names, ("a.wav", "b.flac", "more/a.wav", "more/c.wav"), strict=True):
        animate(source, "--emotion", "sad", "--out", tmp_path / name, capsys=capsys)
        np.testing.assert_allclose(
            Clip.load(tmp_path / "clips" / name).vertices, Clip.load(tmp_path / name).vertices, atol=1e-7, rtol=1e-5
        )


def test_the_same_call_gives_the_same_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out in ("one", "two"):
        animate("a.wav", "b.flac", "--seed", "3", "--emotion", "happy", "--out", tmp_path / out, capsys=capsys)
    for name in ("a.npz", "b.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_when_some_fail_the_rest_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, said = animate("a.wav", "empty.wav", "gone.wav", "b.flac", "--out", tmp_path / "clips", capsys=capsys, code=1)
    assert made["failed"] == 2
    assert [("clip" in row, "error" in row) for row in made["clips"]] == [  # type: ignore[attr-defined]
        (True, False), (False, True), (False, True), (True, False),
    ]  # fmt: skip
    assert "emovoca: 2 of 4 recordings failed, the rest is done; the first: empty.wav is empty" in said
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == ["a.npz", "b.npz"]


def test_the_table_of_a_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["animate", "a.wav", "empty.wav", "--model", "model", "--out", str(tmp_path / "clips")]) == 1
    said = capsys.readouterr().err
    assert "1 of 2 animated" in said
    assert "2.00" in said
    assert "failed" in said


def test_a_pattern_and_one_batch_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, _ = animate("more/*.wav", "--batch-size", "1", "--out", tmp_path / "clips", capsys=capsys)
    assert [Path(str(row["clip"])).name for row in made["clips"]] == ["a.npz", "c.npz"]  # type: ignore[attr-defined]


def test_videos_of_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("more/c.wav", "b.flac", "--render", tmp_path / "videos", "--size", "32", "--fps", "5", "--backend", "embreex")
    animate(*line, capsys=capsys)
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == ["b.mp4", "c.mp4"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing",), "the folder nothing holds no recording"),
        (("none*.wav",), "no file fits the pattern"),
        (("a.wav", "b.flac", "--out", "x.npz"), "give a folder"),
        (("a.wav", "b.flac", "--render", "x.mp4"), "give a folder"),
        (("a.wav", "b.flac", "--out", "x", "--render", "x"), "each a folder of its own"),
        (("a.wav", "b.flac", "--out", "no/where"), "does not exist"),
        (("a.wav", "b.flac", "--batch-size", "0", "--out", "x"), "batch size is 0"),
        (("a.wav", "--emotion", "0:happy, 0.5:hapy"), "did you mean happy?"),
        (("a.wav", "--emotion", "1:happy, 0.5:sad"), "goes backwards"),
        (("a.wav", "--emotion", "gone.yaml"), "gone.yaml does not exist"),
        (("a.wav", "--emotion", "happy", "--transition", "-1"), "the transition lasts -1 s"),
        (("a.wav", "--emotion", ""), "--emotion is empty"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], work: Path
) -> None:
    before = sorted(work.rglob("*"))
    _, said = animate(*words, capsys=capsys, code=2)
    assert message in said.splitlines()[-1]
    assert sorted(work.rglob("*")) == before


def test_nothing_is_replaced_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "b.npz").write_bytes(b"mine")
    line = ("a.wav", "b.flac", "--out", tmp_path / "clips")
    _, said = animate(*line, capsys=capsys, code=2)
    assert "b.npz exists already" in said
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["b.npz"]
    animate(*line, "--overwrite", capsys=capsys)


def test_an_empty_track_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.srt").write_text("")
    _, said = animate("a.wav", "--emotion", tmp_path / "t.srt", "--out", tmp_path / "c.npz", capsys=capsys, code=1)
    assert "t.srt is empty" in said


def test_life_is_in_videos_not_in_clips_unless_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = ("--render", tmp_path / "a.gif", "--size", "32", "--fps", "5", "--backend", "embreex", "--overwrite")
    made, said = animate("a.wav", "--out", tmp_path / "a.npz", *draw, capsys=capsys)
    assert made["life"] == {"clip": False, "video": True}
    assert "--no-life leaves them out" in said
    alive = (tmp_path / "a.gif").read_bytes()
    animate("a.wav", "--no-life", "--out", tmp_path / "b.npz", *draw, capsys=capsys)
    assert (tmp_path / "a.gif").read_bytes() != alive
    plain = Clip.load(tmp_path / "a.npz")
    assert np.array_equal(plain.vertices, Clip.load(tmp_path / "b.npz").vertices)
    assert "life" not in plain.provenance
    for name in ("c", "d"):
        animate("a.wav", "--life", "--seed", "7", "--fps", "5", "--out", tmp_path / f"{name}.npz", capsys=capsys)
    assert (tmp_path / "c.npz").read_bytes() == (tmp_path / "d.npz").read_bytes()
    living = Clip.load(tmp_path / "c.npz")
    assert living.provenance["life"]["seed"] == 7
    assert not np.array_equal(living.vertices, plain.vertices)
    made, _ = animate("more", "--life", "--out", tmp_path / "many", capsys=capsys)
    assert all(row["life"] == {"clip": True, "video": False} for row in made["clips"])  # type: ignore[attr-defined]
