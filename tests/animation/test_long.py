"""Clips too long for memory: unfolded block by block, mapped, saved, loaded, brought to life and checked as short ones are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emovoca_cli import arrays
from emovoca_cli.animation import animate as module
from emovoca_cli.animation import life
from emovoca_cli.animation.animate import animate
from emovoca_cli.arrays import gather
from emovoca_cli.errors import DataError, OutputError
from emovoca_cli.generators.predict import Generator
from emovoca_cli.types import Clip

pytestmark = pytest.mark.pipeline
SPEECH = Path(__file__).resolve().parents[2] / "examples" / "speech.wav"


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator.load()


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if five seconds were too long, in blocks that do not divide them."""
    monkeypatch.setattr(arrays, "IN_MEMORY", 1 << 20)
    monkeypatch.setattr(module, "IN_MEMORY", 1 << 20)
    monkeypatch.setattr(module, "BLOCK", 37)
    monkeypatch.setattr(module, "CONTEXT", 5)
    monkeypatch.setattr(life, "BLOCK", 41)


def make(generator: Generator) -> tuple[Clip, Clip]:
    """A clip, and the same with life."""
    clip = animate(SPEECH, generator, emotion="happy", intensity=3)
    template = generator.template
    layers = life.draw_life(np.zeros(80_000, np.float32), np.arange(clip.frames) / clip.fps, seed=1)
    return clip, life.with_life(clip, template, layers, lids=life.landmark_lids(template, clip.template))


def test_a_long_clip_is_the_short_one_in_a_file(generator: Generator, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    short = make(generator)
    request.getfixturevalue("little_memory")
    long = make(generator)
    for small, large in zip(short, long, strict=True):
        assert isinstance(large.vertices, np.memmap)
        assert not isinstance(small.vertices, np.memmap)
        np.testing.assert_allclose(large.vertices, small.vertices, atol=1e-6)
        np.testing.assert_allclose(large.landmarks, small.landmarks, atol=1e-6)
    long[0].save(tmp_path / "long.npz")
    again = Clip.load(tmp_path / "long.npz")
    assert isinstance(again.vertices, np.memmap)
    np.testing.assert_array_equal(again.vertices, long[0].vertices)
    with np.load(tmp_path / "long.npz") as plain:  # NumPy's own reader finds an ordinary file
        np.testing.assert_array_equal(plain["vertices"], long[0].vertices)
        assert set(plain.files) >= {"landmarks", "provenance", "faces"}


@pytest.mark.usefixtures("little_memory")
def test_a_long_clip_that_is_cut_off_is_refused(generator: Generator, tmp_path: Path) -> None:
    clip, _ = make(generator)
    clip.save(tmp_path / "c.npz")
    whole = (tmp_path / "c.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="not an emovoca clip"):
        Clip.load(tmp_path / "cut.npz")


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_pieces_are_gathered_whole_or_refused(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "IN_MEMORY", memory)
    truth = np.random.default_rng(0).normal(size=(7, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(gather(iter([truth[:3], truth[3:4], truth[4:]]), truth.shape), truth)
    with pytest.raises(DataError, match="6 rows came in pieces, expected 7"):
        gather(iter([truth[:6]]), truth.shape)
    with pytest.raises(DataError, match="8 rows came in pieces, expected 7"):
        gather(iter([truth, truth[:1]]), truth.shape)


def test_a_full_disk_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(SimpleNamespace):
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None: ...

        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays, "IN_MEMORY", 0)
    monkeypatch.setattr(arrays.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(OutputError, match=r"No space left on device.*set TMPDIR"):
        gather(iter([np.zeros((2, 3), np.float32)]), (2, 3))
