"""One interface over the speech encoders, and the names they go by."""

from __future__ import annotations

from typing import Protocol

from emovoca_cli.audio.logmel import LogMel
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

WAV2VEC2 = "wav2vec2"
DEFAULT_WAV2VEC2 = "facebook/wav2vec2-base-960h"


class SpeechEncoder(Protocol):
    """Turns speech into rows that stand beside the video frames."""

    @property
    def name(self) -> str:
        """What `speech_encoder` is called with to get the same encoder again."""

    @property
    def dim(self) -> int:
        """Length C of a row."""

    def encode(self, speech: Float, fps: float, frames: int) -> Float:
        """Features (frames,C) of (N,) mono 16 kHz speech; row i belongs to time i/fps."""


def speech_encoder(name: str) -> SpeechEncoder:
    """The encoder called `name`: "logmel", "wav2vec2" or "wav2vec2:<hub name or local folder>".

    Raises UsageError for an unknown name and for weights that are neither cached nor reachable.
    """
    kind, _, where = name.partition(":")
    if name == LogMel.name:
        return LogMel()
    if kind == WAV2VEC2:
        from emovoca_cli.audio.wav2vec2 import Wav2Vec2  # torch and transformers load only when they are asked for

        return Wav2Vec2(where or DEFAULT_WAV2VEC2)
    raise UsageError(f"unknown speech encoder '{name}'; choose logmel, wav2vec2 or wav2vec2:<hub name or folder>")
