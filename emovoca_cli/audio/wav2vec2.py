"""wav2vec 2.0 as speech encoder (paper section 4.2), through transformers; frozen."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emovoca_cli.audio.windows import join, windows
from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

WINDOW_SECONDS, OVERLAP_SECONDS = 30.0, 6.0
"""Longer speech is heard in windows of this length that share this much: one convolution's output alone takes 6.5 MB a second.
With random weights of the base size (4 layers) and 50 s of speech, features differ from those of one pass by 4 % of their RMS on
average and 9 % at most, everywhere rather than at seams: the first norm and the attention run over all that is heard at once."""


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
        self._hop, self._field = 1, 1
        """Samples from one row of the convolutions to the next, and samples that a row hears: 320 and 400."""
        for kernel, stride in zip(self._model.config.conv_kernel, self._model.config.conv_stride, strict=True):
            self._field += (kernel - 1) * self._hop
            self._hop *= stride

    def encode(self, speech: Float, fps: float, frames: int) -> Float:
        """Features (frames,C) of (N,) 16 kHz speech.

        The convolutional features (50 a second) are interpolated to `frames` rows with aligned ends *before* the projection and the
        transformer, as FaceFormer and the release of E-S2L do; `fps` is therefore implied by `frames` and the length of the speech.
        Speech over `WINDOW_SECONDS` is heard in overlapping windows, cross-faded: memory does not grow with its length.
        """
        wave = np.asarray(speech, dtype=np.float32)
        wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)  # what the pretrained processor does
        wave = np.pad(wave, (0, max(0, self._field - len(wave))))
        rows = (len(wave) - self._field) // self._hop + 1  # of the convolutions
        places = np.linspace(0, rows - 1, frames)  # of the frames in them: aligned ends
        second = frames * SAMPLE_RATE / len(wave)  # in frames
        spans = windows(frames, max(2, round(WINDOW_SECONDS * second)), max(1, round(OVERLAP_SECONDS * second)))
        return join([self._context(wave, places[start:end]) for start, end in spans], spans)

    def _context(self, wave: Float, places: NDArray[np.float64]) -> Float:
        """Features (n,C) at places (n,) in the rows of the convolutions, which hear no more of the wave than they need."""
        first, last = int(places[0]), int(np.ceil(places[-1]))
        # the last row is followed by samples that are too few for another, which the norm over time has always seen
        end = last * self._hop + self._field
        part = np.ascontiguousarray(wave[first * self._hop : end if len(wave) - end >= self._hop else None])
        with torch.inference_mode():
            local = self._model.feature_extractor(torch.from_numpy(part)[None])[0].T  # (rows,512), 50 a second
            lower = torch.from_numpy(np.minimum(places.astype(np.int64), max(first, last - 1)) - first)
            share = torch.from_numpy((places - first).astype(np.float32))[:, None] - lower[:, None]
            upper = torch.clamp(lower + 1, max=len(local) - 1)
            hidden, _ = self._model.feature_projection((local[lower] * (1 - share) + local[upper] * share)[None])
            context = self._model.encoder(hidden).last_hidden_state[0]  # (n,C)
        return np.asarray(context.numpy(), dtype=np.float32)
