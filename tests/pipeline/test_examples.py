"""The example that fills the model card: it lets a model speak a test set on its own faces, beside the truth."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from emovoca_cli.config.faceformer import faceformer_preset
from emovoca_cli.generators.train_faceformer import train_faceformer
from emovoca_cli.types import Clip
from tests.generators.fakes import FakeSource

pytestmark = pytest.mark.pipeline


@pytest.fixture
def example() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "examples" / "test_set_clips.py"
    spec = importlib.util.spec_from_file_location("test_set_clips", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_test_set_is_spoken_and_scored(example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FakeSource(tmp_path)
    train_faceformer(faceformer_preset("tiny"), source, tmp_path / "mine")
    monkeypatch.setattr(example, "EmoDataset", lambda _: source)
    out = tmp_path / "out"
    example.main(tmp_path, out, [str(tmp_path / "mine")], 1)
    tested = [entry for entry in source.entries if entry.talk == "dot_0"]
    assert sorted(path.stem for path in (out / "mine").iterdir()) == sorted(entry.id for entry in tested)
    for entry in tested:
        clip, truth = Clip.load(out / "mine" / f"{entry.id}.npz"), Clip.load(out / "truth" / f"{entry.id}.npz")
        assert np.array_equal(clip.template, source.neutral(entry.subject).astype(np.float32))
        np.testing.assert_allclose(truth.vertices - truth.template, source.displacement(entry)[: truth.frames], atol=1e-7)
        assert truth.intensity.tolist() == [entry.intensity] * truth.frames
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    example.main(tmp_path, out, [str(tmp_path / "mine")], 1)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")} == before
