"""Phone times of a recording whose words are known, by PocketSphinx's forced alignment (English, 16 kHz)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.data.sequences import Phone
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.types import Float

FRAME = 0.01
"""Seconds of the aligner's frames."""

MARGIN = 25
"""Frames of near silence put before and after: a word at the very edge is otherwise not found."""

HISS = 1e-3
"""Standard deviation of the noise that is added: the aligner's features are undefined on digital silence."""


def align(samples: Float, words: str, *, name: str = "the recording") -> tuple[Phone, ...]:
    """Phones (name, start s, end s) of 16 kHz samples (N,) that say `words`; the same recording gives the same answer.

    Raises UsageError when the aligner is not installed, DataError for words it cannot pronounce or does not find.
    """
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise UsageError('aligning words to speech needs PocketSphinx: pip install "emovoca[align]"') from error
    spoken = re.findall(r"[a-z']+", words.lower())
    decoder = Decoder(lm=None, loglevel="FATAL", beam=1e-300, pbeam=1e-300, wbeam=1e-300, bestpath=False)
    strange = sorted({word for word in spoken if decoder.lookup_word(word) is None})
    if not spoken or strange:
        what = f"no pronunciation is known for {', '.join(strange)}; spell them another way" if strange else "its words are empty"
        raise DataError(f"{name} cannot be aligned: {what}")
    pcm = _pcm(samples)
    try:
        decoder.set_align_text(" ".join(spoken))
        _decode(decoder, pcm)
        decoder.set_alignment()
        _decode(decoder, pcm)
        found = decoder.get_alignment()
        phones = [(phone.name, phone.start, phone.duration) for word in found or () for phone in word]
    except RuntimeError as error:
        raise DataError(f"{name} cannot be aligned to its words ({error}); does it say them?") from error
    length = len(samples) / SAMPLE_RATE
    placed = [
        (label, max(0.0, (start - MARGIN) * FRAME), min(length, (start - MARGIN + duration) * FRAME))
        for label, start, duration in phones
    ]
    kept = tuple((label, start, end) for label, start, end in placed if end > start)
    if not any(label != "SIL" for label, _, _ in kept):
        raise DataError(f"{name} cannot be aligned to its words: nothing of them was found; does it say them?")
    return kept


def _pcm(samples: Float) -> bytes:
    signal = np.asarray(samples, np.float64)
    signal = 0.9 * signal / max(float(np.abs(signal).max()), 1e-9)
    signal = np.pad(signal, round(MARGIN * FRAME * SAMPLE_RATE))
    signal = signal + np.random.default_rng(0).normal(0.0, HISS, len(signal))
    return (np.clip(signal, -1.0, 1.0) * 32767).astype("<i2").tobytes()


def _decode(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
