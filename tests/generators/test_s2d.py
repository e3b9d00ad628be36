"""S2D and the joined generator, on a small strip of mesh."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emovoca_cli.config.generators import S2DConfig, s2d_preset, s2l_preset
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.generators.predict import Generator, S2DModel
from emovoca_cli.generators.train_s2d import draw_frames, train_s2d
from emovoca_cli.generators.train_s2l import train_s2l

from .fakes import FakeSource

TINY = replace(s2d_preset("tiny"), filters=(8, 8, 4, 3))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOVOCA_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.pipeline
def test_learns_to_fill_in_the_mesh(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    config = replace(TINY, filters=(16, 16, 8, 3), steps=250, frames=300, batch=8, lr=1e-2, warmup=10, checkpoint_every=100)
    trained = train_s2d(config, source, tmp_path / "s2d")
    entry = next(e for e in source.entries if e.split == "test" and e.emotion == "happy" and e.intensity == 3)
    truth = source.displacement(entry)
    predicted = S2DModel.load(tmp_path / "s2d").predict(source.landmarks(entry), batch_size=7)
    error = np.linalg.norm(predicted - truth, axis=2).mean()
    assert error < 0.2 * np.linalg.norm(truth, axis=2).mean()
    assert trained.test["mean_mm"] < 1.0
    assert trained.test["mve_mm"] >= trained.test["mean_mm"]
    np.testing.assert_allclose(trained.model.predict(source.landmarks(entry), batch_size=64), predicted, atol=1e-7)


@pytest.mark.pipeline
def test_resume_is_exact(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    whole = train_s2d(replace(TINY, input_noise=0.1), source, tmp_path / "whole").model

    def stop(step: int, total: int, metrics: object) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_s2d(replace(TINY, input_noise=0.1), source, tmp_path / "parts", progress=stop)
    parts = train_s2d(replace(TINY, input_noise=0.1), source, tmp_path / "parts", resume=True)
    assert parts.loop.first_step > 0
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, parts.model.network.state_dict()[name]), name


@pytest.mark.pipeline
def test_speech_to_mesh_in_one_call(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    train_s2l(s2l_preset("tiny"), source, tmp_path / "both" / "s2l")
    train_s2d(TINY, source, tmp_path / "both" / "s2d")
    generator = Generator.load(tmp_path / "both")
    apart = Generator.load(tmp_path / "both" / "s2l", tmp_path / "both" / "s2d")
    assert generator.emotions == source.emotions
    assert generator.fps == source.fps
    speech = (0.1 * np.random.default_rng(0).normal(size=17000)).astype(np.float32)
    frames = generator.frames(speech)
    assert frames == 32
    emotion, intensity = np.zeros((frames, 2), np.float32), np.zeros((frames, 3), np.float32)
    emotion[10:, 1] = intensity[10:, 2] = 1
    first, again = generator.landmarks(speech, emotion, intensity), apart.landmarks(speech, emotion, intensity)
    assert first.shape == (frames, 68, 3)
    np.testing.assert_array_equal(first, again)
    vertices = generator.vertices(first)
    assert vertices.shape == (frames, len(generator.template.vertices), 3)
    np.testing.assert_array_equal(vertices, apart.vertices(again))
    with pytest.raises(UsageError, match="for 32 frames of speech"):
        generator.landmarks(speech, emotion[:5], intensity)
    with pytest.raises(UsageError, match=r"shape \(3, 5, 3\), expected \(T,68,3\)"):
        generator.s2d.predict(np.zeros((3, 5, 3), np.float32))


@pytest.mark.unit
def test_frames_are_drawn_evenly_and_never_twice(tmp_path: Path) -> None:
    source = FakeSource(tmp_path, clips=3)
    entries = [entry for entry in source.entries if entry.split == "train"]
    plan = draw_frames(entries, 200, seed=0)
    assert sum(len(numbers) for _, numbers in plan) == 200
    assert len({entry.id for entry, _ in plan}) == len(plan)
    for entry, numbers in plan:
        assert len(np.unique(numbers)) == len(numbers)
        assert numbers.max() < entry.frames
    counts = Counter()  # type: ignore[var-annotated]
    for entry, numbers in plan:
        counts[entry.emotion] += len(numbers)
    assert counts[None] == 50
    assert min(counts["happy"], counts["sad"]) >= 20
    everything = draw_frames(entries, 10**6, seed=0)
    assert len({entry.id for entry, _ in everything}) == len(entries)
    assert max(len(numbers) for _, numbers in everything) <= 24
    assert draw_frames([], 10, seed=0) == []


@pytest.mark.unit
def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="filters are"):
        S2DConfig(filters=(8, 4, 2))
    source = FakeSource(tmp_path)
    source.entries = []
    with pytest.raises(DataError, match="no training sequences"):
        train_s2d(TINY, source, tmp_path / "s2d")
