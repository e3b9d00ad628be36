"""Training E-S2L from end to end on a fake dataset: it learns, resumes exactly, and says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emovoca_cli.audio.io import load_speech
from emovoca_cli.config.generators import s2l_preset
from emovoca_cli.errors import CheckpointError, DataError, UsageError
from emovoca_cli.generators.predict import S2LModel
from emovoca_cli.generators.scores import by_emotion, means, score_sequence
from emovoca_cli.generators.train_s2l import LANDMARK_CACHE, train_s2l
from emovoca_cli.runtime.checkpoint import load_checkpoint

from .fakes import FakeSource

pytestmark = pytest.mark.pipeline
TINY = s2l_preset("tiny")


class StopError(Exception):
    pass


def weights(folder: Path) -> Mapping[str, torch.Tensor]:
    return load_checkpoint(folder, kind="s2l").state


def test_learns_loudness_and_emotion(tmp_path: Path) -> None:
    source = FakeSource(tmp_path, clips=4)
    config = replace(
        TINY, steps=100, hidden=32, speech_dim=32, lr=5e-3, batch=6, conditions_per_clip=3, validation_sequences=4, warmup=10
    )
    seen: list[tuple[str, int, int]] = []
    trained = train_s2l(config, source, tmp_path / "s2l", preparing=lambda *row: seen.append(row))
    assert seen[-1] == ("speech", 8 + 2 * 2, 8 + 2 * 2)
    assert trained.test["l2_mm"] < 1.5
    assert set(trained.test_by_emotion) <= {"neutral", "happy", "sad"}
    talk = next(entry for entry in source.entries if entry.split == "test")
    speech = load_speech(talk.audio)
    from emovoca_cli.audio.features import speech_encoder

    features = speech_encoder("logmel").encode(speech, source.fps, talk.frames)
    model = S2LModel.load(tmp_path / "s2l")
    zero = np.zeros((talk.frames, 2), np.float32), np.zeros((talk.frames, 3), np.float32)
    happy = zero[0] + np.float32([1, 0]), zero[1] + np.float32([0, 0, 1])
    neutral, smiling = model.predict(features, *zero), model.predict(features, *happy)
    truth = source.landmarks(talk)
    lower = truth[:, :, 1].min(0) < -0.005
    assert np.corrcoef(neutral[:, lower, 1].mean(1), truth[:, lower, 1].mean(1))[0, 1] > 0.8
    rest = source.template.vertices[source.template.faces[source.template.landmark_faces]].mean(1)
    widened = (smiling - neutral).mean(0)[:, 0]
    assert np.corrcoef(widened, rest[:, 0])[0, 1] > 0.6
    np.testing.assert_array_equal(model.predict(features, *happy), smiling)


def test_a_resumed_run_ends_with_the_same_weights_and_does_not_decode_again(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    train_s2l(TINY, source, tmp_path / "whole")

    def stop(step: int, total: int, metrics: Mapping[str, float]) -> None:
        if step == 3:
            raise StopError

    with pytest.raises(StopError):
        train_s2l(TINY, source, tmp_path / "parts", progress=stop)
    assert (tmp_path / "parts" / "training" / LANDMARK_CACHE).is_file()
    source.decoded.clear()
    trained = train_s2l(TINY, source, tmp_path / "parts", resume=True)
    assert trained.loop.first_step == 2
    assert source.decoded == []
    assert not (tmp_path / "parts" / "training" / LANDMARK_CACHE).exists()
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_a_resumed_run_of_other_settings_is_refused_and_a_broken_cache_ignored(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    train_s2l(TINY, source, tmp_path / "s2l")
    (tmp_path / "s2l" / "training" / LANDMARK_CACHE).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UsageError, match="other settings"):
        train_s2l(replace(TINY, lr=0.5), source, tmp_path / "s2l", resume=True)


def test_half_floats_predict_nearly_the_same(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    for name in ("float16", "float32"):
        train_s2l(replace(TINY, storage=name), source, tmp_path / name)  # type: ignore[arg-type]
    features = np.random.default_rng(0).normal(size=(20, 320)).astype(np.float32)
    tracks = np.zeros((20, 2), np.float32), np.zeros((20, 3), np.float32)
    half, full = (S2LModel.load(tmp_path / name).predict(features, *tracks) for name in ("float16", "float32"))
    np.testing.assert_allclose(half, full, atol=2e-5)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    trained = train_s2l(TINY, source, tmp_path / "s2l")
    with pytest.raises(UsageError, match=r"emotion track has shape \(5, 3\), expected \(5, 2\)"):
        trained.model.predict(np.zeros((5, 320), np.float32), np.zeros((5, 3), np.float32), np.zeros((5, 3), np.float32))
    with pytest.raises(CheckpointError, match="kind 's2l', expected 's2d'"):
        load_checkpoint(tmp_path / "s2l", kind="s2d")
    source.entries = [entry for entry in source.entries if entry.split != "train"]
    with pytest.raises(DataError, match="no training sequences"):
        train_s2l(TINY, source, tmp_path / "none")


def test_scores_by_hand() -> None:
    rest = np.zeros((68, 3), np.float32)
    truth = np.zeros((10, 68, 3), np.float32)
    truth[:, 61:64, 1] = np.linspace(0, 0.009, 10)[:, None]
    perfect = score_sequence(truth, truth, rest)
    assert (perfect.l2_mm, perfect.gap_mm, perfect.closed) == (0, 0, 1)
    assert perfect.gap_corr == pytest.approx(1)
    moved = truth + np.float32([0.003, 0, 0.004])  # every landmark 5 mm off, the gap untouched
    score = score_sequence(moved, truth, rest, emotion="sad")
    assert score.l2_mm == pytest.approx(5, rel=1e-4)
    assert score.mouth_mm == pytest.approx(5, rel=1e-4)
    assert score.gap_corr == pytest.approx(1)
    upside = score_sequence(truth[::-1], truth, rest)
    assert upside.closed == 0
    assert upside.gap_corr == pytest.approx(-1)
    assert means([score, perfect])["l2_mm"] == pytest.approx(2.5, rel=1e-4)
    assert list(by_emotion([score, perfect])) == ["neutral", "sad"]
    assert means([]) == {}
