"""FaceFormer's published weights: answers equal to the original's, and files that are something else."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from emovoca_cli.audio.features import speech_encoder
from emovoca_cli.cli.app import run
from emovoca_cli.data.template import save_template
from emovoca_cli.errors import CheckpointError, TopologyError, UsageError
from emovoca_cli.generators.import_faceformer import VOCASET_STYLE, import_faceformer
from emovoca_cli.generators.load import load_generator
from emovoca_cli.generators.predict_faceformer import FaceFormerModel
from emovoca_cli.types import Clip, MeshTemplate
from tests.helpers import shared_data

from .fakes import strip_template

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """What writes checkpoints in the published formats, with made-up weights."""
    path = shared_data().parent / "tools" / "make_release_checkpoints.py"
    if not path.is_file():
        pytest.skip("the script that writes published checkpoints is not here")
    spec = importlib.util.spec_from_file_location("make_release_checkpoints", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def weights(maker: ModuleType) -> Mapping[str, torch.Tensor]:
    state: Mapping[str, torch.Tensor] = maker.faceformer()
    return state


@pytest.fixture
def config(tmp_path: Path, maker: ModuleType) -> Path:
    path = tmp_path / "wav2vec2.json"
    path.write_text(json.dumps({"model_type": "wav2vec2", **maker.CONFIG}))
    return path


def flame() -> MeshTemplate:
    """As many vertices as FLAME, in a sheet."""
    columns = 5023
    x = np.linspace(-0.1, 0.1, columns, dtype=np.float32)
    vertices = np.stack([x, (np.arange(columns) % 2).astype(np.float32) * 0.1, 0 * x], axis=1)
    corner = np.arange(columns - 2, dtype=np.int32)
    return MeshTemplate(
        "sheet", vertices, np.stack([corner, corner + 1, corner + 2], axis=1), np.arange(68, dtype=np.int32) * 70,
        np.full((68, 3), 1 / 3, np.float32),
    )  # fmt: skip


def small(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The published layout for the strip's 96 vertices."""
    count = 3 * len(strip_template().vertices)
    cut = {name: value.clone() for name, value in weights.items()}
    for name in ("vertice_map_r.weight", "vertice_map_r.bias"):
        cut[name] = cut[name][:count]
    cut["vertice_map.weight"] = cut["vertice_map.weight"][:, :count]
    return cut


def test_parity_with_the_original(tmp_path: Path, maker: ModuleType, weights: Mapping[str, torch.Tensor], config: Path) -> None:
    torch.save(weights, tmp_path / "vocaset.pth")
    import_faceformer(tmp_path / "vocaset.pth", flame(), tmp_path / "model", wav2vec2_config=config)
    model = FaceFormerModel.load(tmp_path / "model")
    assert (model.fps, model.emotions, model.style, model.network.period) == (30.0, (), VOCASET_STYLE, 30)
    with np.load(shared_data() / "release_parity" / "faceformer.npz") as answer:
        truth, mean, deviation, subject = (answer[name] for name in ("displacement_every_50th", "mean", "std", "subject"))
    speech = maker.inputs()["speech"][0]
    frames = len(truth)
    features = speech_encoder(model.encoder_name).encode(speech, model.fps, frames)
    nothing = np.zeros((frames, 0), np.float32), np.zeros((frames, 3), np.float32)
    moved = model.vertices(model.states(features, *nothing, style=model.styles[int(subject)])).reshape(frames, -1)
    largest = np.abs(truth).max()
    assert np.abs(moved[:, ::50] - truth).max() < 1e-5 * largest
    np.testing.assert_allclose(moved.mean(1), mean, atol=1e-5 * largest)
    np.testing.assert_allclose(moved.std(1), deviation, rtol=1e-4)
    other = model.vertices(model.states(features, *nothing)).reshape(frames, -1)
    assert np.abs(other - moved).max() > 1e-3 * largest


def test_from_the_command_line_to_a_clip(
    tmp_path: Path, weights: Mapping[str, torch.Tensor], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(small(weights), tmp_path / "vocaset.pth")
    save_template(strip_template(), tmp_path / "strip.npz")
    line = ["import", "faceformer", str(tmp_path / "vocaset.pth"), "--template", str(tmp_path / "strip.npz")]
    line += ["--wav2vec2-config", str(config), "--out", str(tmp_path / "model"), "--json"]
    assert run(line) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)["style"] == VOCASET_STYLE
    assert run(line) == 2
    assert "is not empty" in capsys.readouterr().err
    shutil.move(tmp_path / "model", tmp_path / "moved")  # the speech model travels along
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(np.arange(16000) / 9), 16000)
    said = ["animate", str(tmp_path / "a.wav"), "--model", str(tmp_path / "moved"), "--out", str(tmp_path / "clip.npz")]
    assert run(said) == 0, capsys.readouterr().err
    clip = Clip.load(tmp_path / "clip.npz")
    assert (clip.frames, clip.emotion_names) == (30, ())
    assert "non-commercial" in clip.provenance["licence"]
    (tmp_path / "moved" / "speech" / "model.safetensors").write_bytes(b"another")
    with pytest.raises(CheckpointError, match=r"own wav2vec 2\.0"):
        load_generator(tmp_path / "moved")


class Evil:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def test_other_files_are_refused_by_name(tmp_path: Path, weights: Mapping[str, torch.Tensor], config: Path) -> None:
    def attempt(content: Any, template: MeshTemplate | None = None, **more: Any) -> None:
        path = tmp_path / "x.pth"
        torch.save(content, path)
        import_faceformer(path, template or strip_template(), tmp_path / "model", wav2vec2_config=config, **more)

    with pytest.raises(UsageError, match="does not exist"):
        import_faceformer(tmp_path / "none.pth", strip_template(), tmp_path / "model")
    with pytest.raises(CheckpointError, match=r"asks to run .*mkdir"):
        attempt({"a": Evil(tmp_path / "made")})
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Evil(tmp_path / "made")))
    with pytest.raises(CheckpointError):
        import_faceformer(tmp_path / "raw.pth", strip_template(), tmp_path / "model")
    assert not (tmp_path / "made").exists()
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(CheckpointError, match=r"text\.pth"):
        import_faceformer(tmp_path / "text.pth", strip_template(), tmp_path / "model")
    with pytest.raises(CheckpointError, match="has no state dict; it holds list"):
        attempt([1, 2])
    with pytest.raises(CheckpointError, match="holds no tensors"):
        attempt({})
    with pytest.raises(CheckpointError, match=r"misses 'audio_feature_map\.bias'"):
        attempt({"w": torch.ones(2)})
    cut = small(weights)
    with pytest.raises(CheckpointError, match=r"'vertice_map_r\.weight' has shape"):
        attempt({**cut, "vertice_map_r.weight": torch.ones(3)})
    with pytest.raises(CheckpointError, match="not numbers"):
        attempt({**cut, "vertice_map.bias": cut["vertice_map.bias"] * torch.nan})
    with pytest.raises(TopologyError, match="96 vertices, the template has 5023"):
        attempt(cut, flame())
    with pytest.raises(UsageError, match="8 styles, 1 names"):
        attempt(cut, styles=["ann"])
    with pytest.raises(UsageError, match="unknown style 'ann'"):
        attempt(cut, style="ann")
    with pytest.raises(CheckpointError, match="not whole"):
        attempt({**cut, "audio_feature_map.bias": cut["audio_feature_map.bias"][:5]})
    with pytest.raises(CheckpointError, match=r"wav2vec 2\.0"):
        attempt({name: value for name, value in cut.items() if "audio_encoder.encoder" not in name})
    assert not (tmp_path / "model" / "config.json").exists()
