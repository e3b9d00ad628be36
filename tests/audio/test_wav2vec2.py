"""wav2vec 2.0 with a tiny random model saved to disk; nothing is downloaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emovoca_cli.audio import wav2vec2
from emovoca_cli.audio.features import speech_encoder
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("w2v")
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, apply_spec_augment=True,
    )  # fmt: skip
    Wav2Vec2Model(config).save_pretrained(folder)
    return folder


def test_rows_at_the_frame_rate_and_repeatable(tiny: Path) -> None:
    encoder = speech_encoder(f"wav2vec2:{tiny}")
    speech = np.random.default_rng(0).normal(size=24000).astype(np.float32)
    first, again = encoder.encode(speech, 30.0, 45), encoder.encode(speech, 30.0, 45)
    assert first.shape == (45, encoder.dim) == (45, 16)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(encoder.encode(speech * 0.01, 30.0, 45), first, atol=1e-3)  # level is normalised away


def test_without_interpolation_equals_transformers_own_forward(tiny: Path) -> None:
    from transformers import Wav2Vec2Model

    model = Wav2Vec2Model.from_pretrained(tiny).eval()
    speech = np.random.default_rng(1).normal(size=16000).astype(np.float32)
    speech = (speech - speech.mean()) / speech.std()
    with torch.inference_mode():
        truth = model(torch.from_numpy(speech)[None]).last_hidden_state[0].numpy()
    np.testing.assert_allclose(speech_encoder(f"wav2vec2:{tiny}").encode(speech, 50.0, len(truth)), truth, atol=1e-4)


def test_shorter_than_the_receptive_field(tiny: Path) -> None:
    features = speech_encoder(f"wav2vec2:{tiny}").encode(np.ones(300, np.float32), 30.0, 3)
    assert features.shape == (3, 16)
    assert np.isfinite(features).all()


def test_not_cached_and_offline_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from transformers import Wav2Vec2Model

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect to 'https://huggingface.co'\nlots of lines")

    monkeypatch.setattr(Wav2Vec2Model, "from_pretrained", unreachable)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    with pytest.raises(UsageError, match="not cached and could not be downloaded") as caught:
        speech_encoder("wav2vec2:some/model")
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.json"):
        speech_encoder(f"wav2vec2:{tmp_path}")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="does not load"):
        speech_encoder(f"wav2vec2:{tmp_path}")


def test_logmel_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from emovoca_cli.audio.features import speech_encoder; speech_encoder('logmel'); "
        "print('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_a_minute_in_windows_is_near_one_pass(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    loud = 0.1 + np.repeat(rng.uniform(size=160), 4000)  # syllables: what a window normalises over is alike everywhere
    speech = (loud * rng.normal(size=len(loud))).astype(np.float32)  # 40 s
    encoder = speech_encoder(f"wav2vec2:{tiny}")
    heard: list[int] = []
    whole_context = wav2vec2.Wav2Vec2._context

    def count(self: wav2vec2.Wav2Vec2, wave: Float, places: NDArray[np.float64]) -> Float:
        heard.append(len(places))
        return whole_context(self, wave, places)

    monkeypatch.setattr(wav2vec2.Wav2Vec2, "_context", count)
    cut = encoder.encode(speech, 30.0, 1200)
    assert cut.shape == (1200, 16)
    assert heard == [900, 900]
    monkeypatch.setattr(wav2vec2, "WINDOW_SECONDS", 60.0)
    whole = encoder.encode(speech, 30.0, 1200)
    assert heard[2:] == [1200]
    error = np.sqrt(((cut - whole) ** 2).mean(axis=1))  # the features' own deviation is 1
    assert error.max() < 0.1, error.max()
    assert not np.array_equal(cut, whole), "two passes cannot be one"
