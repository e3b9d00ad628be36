"""Random frames: every one once an epoch, the same after a resume, equal to the slow reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.data.loaders import FrameSampler
from emovoca_cli.errors import DataError
from tests.data.fakes import write_talk

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("coefficients", [True, False])
def test_frames_equal_the_slow_reading(tmp_path: Path, coefficients: bool) -> None:
    store = write_talk(tmp_path / "talk", coefficients=coefficients)
    sampler = FrameSampler(store, split="train", batch=4, seed=0)
    slow = np.concatenate([store.displacement(row.id) for row in store.select(split="train")])
    assert sampler.frames == len(slow)
    np.testing.assert_allclose(sampler[np.arange(len(slow))[::-1]], slow[::-1], atol=1e-8)
    assert sampler.mean_square() == pytest.approx(float(np.square(slow, dtype=np.float64).mean()), rel=1e-5)
    for number in range(len(slow)):
        row, frame = sampler.locate(number)
        np.testing.assert_allclose(store.displacement(row.id)[frame], slow[number], atol=1e-8)


def test_an_epoch_has_every_frame_once(tmp_path: Path) -> None:
    sampler = FrameSampler(write_talk(tmp_path / "talk"), split="train", batch=7, seed=3)
    drawn = np.concatenate([sampler.numbers(step) for step in range(3 * sampler.frames)])
    for epoch in range(20):
        part = drawn[epoch * sampler.frames : (epoch + 1) * sampler.frames]
        assert sorted(part) == list(range(sampler.frames))
    assert not np.array_equal(drawn[: sampler.frames], drawn[sampler.frames : 2 * sampler.frames])


def test_a_step_depends_on_seed_and_step_alone(tmp_path: Path) -> None:
    store = write_talk(tmp_path / "talk")
    first, second = (FrameSampler(store, split="train", batch=5, seed=9) for _ in range(2))
    for step in range(12):
        first.at(step)
    np.testing.assert_array_equal(first.at(12), second.at(12))
    assert not np.array_equal(first.numbers(0), FrameSampler(store, split="train", batch=5, seed=8).numbers(0))


def test_an_empty_split_is_named(tmp_path: Path) -> None:
    store = write_talk(tmp_path / "talk", splits={"ann": "train"})
    with pytest.raises(DataError, match="no clip in split 'val'"):
        FrameSampler(store, split="val", batch=4, seed=0)
    with pytest.raises(DataError, match="no batch of 0"):
        FrameSampler(store, split="train", batch=0, seed=0)
