"""wav2vec 2.0 as speech encoder (paper section 4.2), through transformers; frozen."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float


def _load(where: str) -> Any:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from transformers import Wav2Vec2Model
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("transformers").setLevel(logging.ERROR)  # heads of the published checkpoint that we do not use are no news
    folder = Path(where).expanduser()
    if folder.exists() or where.startswith((".", "/", "~")):
        if not (folder / "config.json").is_file():
            raise UsageError(
                f"{where} is not a wav2vec 2.0 folder (no config.json); give a folder saved by transformers or a hub name"
            )
        try:
            return Wav2Vec2Model.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise UsageError(
                f"{where} does not load as wav2vec 2.0 ({_first_line(error)}); save it again with transformers"
            ) from error
    try:
        return Wav2Vec2Model.from_pretrained(where, local_files_only=True)
    except Exception as error:  # not cached, or half of it
        failure = error
    try:
        # one question without retries first: offline, from_pretrained alone asks for half a minute
        get_hf_file_metadata(hf_hub_url(where, "config.json"), timeout=10)
        return Wav2Vec2Model.from_pretrained(where)
    except Exception as error:  # whatever the hub client or the network raises, the advice is the same
        failure = error
    raise UsageError(
        f"wav2vec 2.0 weights '{where}' are not cached and could not be downloaded ({type(failure).__name__}); "
        "go online once, give wav2vec2:<local folder>, or use logmel"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class Wav2Vec2:
    """Contextual speech features of a pretrained wav2vec 2.0, see `emovoca_cli.audio.features.SpeechEncoder`."""

    def __init__(self, where: str) -> None:
        self.name = f"wav2vec2:{where}"
        self._model = _load(where).eval().requires_grad_(False)
        self.dim = int(self._model.config.hidden_size)

    def encode(self, speech: Float, fps: float, frames: int) -> Float:
        """Features (frames,C) of (N,) 16 kHz speech.

        The convolutional features (50 a second) are interpolated to `frames` rows with aligned ends *before* the projection and the
        transformer, as FaceFormer and the release of E-S2L do; `fps` is therefore implied by `frames` and the length of the speech.
        """
        wave = np.asarray(speech, dtype=np.float32)
        wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)  # what the pretrained processor does
        shortest = 400  # samples: the receptive field of the convolutions
        wave = np.pad(wave, (0, max(0, shortest - len(wave))))
        with torch.inference_mode():
            local = self._model.feature_extractor(torch.from_numpy(wave)[None])  # (1,512,50 a second)
            local = interpolate(local, size=frames, mode="linear", align_corners=True).transpose(1, 2)  # (1,frames,512)
            hidden, _ = self._model.feature_projection(local)
            context = self._model.encoder(hidden).last_hidden_state[0]  # (frames,C)
        return np.asarray(context.numpy(), dtype=np.float32)
