"""Batches and windows of E-S2L: what stands beside a clip, and where it is cut, changes nothing that matters."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emovoca_cli.audio.windows import join, windows
from emovoca_cli.errors import UsageError
from emovoca_cli.generators import predict
from emovoca_cli.generators.predict import S2LModel

from .test_s2l import model as network

pytestmark = pytest.mark.unit


def tiny_model() -> S2LModel:
    return S2LModel(network(), encoder="logmel", emotions=("a", "b", "c", "d"), fps=30.0, device=torch.device("cpu"))


def clip(frames: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(frames, width)).astype(np.float32) for width in (6, 4, 3))  # type: ignore[return-value]


def test_padding_in_a_batch_changes_nothing() -> None:
    model = tiny_model()
    clips = [clip(frames, frames) for frames in (40, 7, 93, 40)]
    for together, alone in zip(model.predict_many(clips), (model.predict(*one) for one in clips), strict=True):
        assert together.shape == alone.shape
        np.testing.assert_allclose(together, alone, atol=1e-7, rtol=1e-4)


def test_small_batches_are_the_same_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    clips = [clip(frames, frames) for frames in (40, 7, 93, 40)]
    whole = model.predict_many(clips)
    sizes: list[tuple[int, ...]] = []
    model.network.register_forward_hook(lambda _m, rows, _o: sizes.append(tuple(rows[0].shape[:2])))
    monkeypatch.setattr(predict, "BATCH_SECONDS", 80 / 30)
    for small, large in zip(model.predict_many(clips), whole, strict=True):
        np.testing.assert_allclose(small, large, atol=1e-7, rtol=1e-4)
    assert sizes == [(2, 40), (1, 93), (1, 40)]


def test_windows_of_long_speech_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    features, emotion, intensity = clip(700, 1)
    whole = model.predict(features, emotion, intensity)
    monkeypatch.setattr(predict, "WINDOW_SECONDS", 5.0)
    monkeypatch.setattr(predict, "OVERLAP_SECONDS", 2.0)
    cut = model.predict(features, emotion, intensity)
    assert cut.shape == whole.shape
    assert np.abs(cut - whole).max() < 1e-3 * np.abs(whole).max()


@given(st.integers(1, 500), st.integers(4, 90), st.data())
def test_windows_cover_everything_and_join_to_it(frames: int, window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(1, window - 1))
    spans = windows(frames, window, overlap)
    assert spans[0][0] == 0
    assert spans[-1][1] == frames
    assert all(end - start <= window for start, end in spans)
    assert all(after[0] <= before[1] - overlap and after[0] > before[0] for before, after in itertools.pairwise(spans))
    motion = np.random.default_rng(0).normal(size=(frames, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(join([motion[start:end] for start, end in spans], spans), motion, atol=1e-6)


def test_a_step_between_windows_is_faded() -> None:
    joined = join([np.zeros((30, 1), np.float32), np.ones((30, 1), np.float32)], [(0, 30), (12, 42)])
    assert (np.diff(joined[:, 0]) >= 0).all()
    assert np.diff(joined[:, 0]).max() < 0.25
    assert joined[17, 0] == 0
    assert joined[24, 0] == 1


def test_an_overlap_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="cannot share 9"):
        windows(100, 9, 9)
