"""E-FaceFormer through the command line: train, resume, animate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import emovoca_cli.dataset_builder.reader
from emovoca_cli.cli.app import run
from emovoca_cli.types import Clip
from tests.generators.fakes import FakeSource

pytestmark = pytest.mark.pipeline


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """A dataset that needs no DE-SD."""
    fake = FakeSource(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(emovoca_cli.dataset_builder.reader, "EmoDataset", lambda _: fake)
    return fake


def test_train_and_animate(source: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ("train", "faceformer", "--data", "set", "--out", "model", "--preset", "tiny")
    assert run([*tiny, "--set", "teacher_forcing=0.5", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["out"] == "model"
    assert "neutral" in answer["report"]["by_emotion"]
    assert json.loads((tmp_path / "model" / "report.json").read_text()) == answer["report"]
    assert run([*tiny, "--quiet"]) == 2
    assert "not empty" in capsys.readouterr().err
    assert run([*tiny, "--resume", "--quiet"]) == 2
    assert "other settings" in capsys.readouterr().err

    speech = str(source.entries[0].audio)
    happy = ("animate", speech, "--model", "model", "--emotion", "happy", "--intensity", "2.5", "--quiet")
    assert run([*happy, "--out", "a.npz"]) == 0
    assert run([*happy, "--out", "b.npz"]) == 0
    first, second = Clip.load(tmp_path / "a.npz"), Clip.load(tmp_path / "b.npz")
    assert first.vertices.shape == (source.entries[0].frames, 96, 3)
    assert first.emotion_names == source.emotions
    assert set(first.provenance["models"]) == {"faceformer"}
    assert np.array_equal(first.vertices, second.vertices)
    assert run(["animate", speech, "--model", "model", "--emotion", "drunk", "--out", "c.npz"]) == 2


def test_settings_are_checked_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for setting, word in (("heads=3", "power of two"), ("teacher_forcing=2", "share from 0 to 1"), ("stepz=3", "steps")):
        assert run(["train", "faceformer", "--set", setting, "--out", str(tmp_path / "m")]) == 2
        assert word in capsys.readouterr().err
