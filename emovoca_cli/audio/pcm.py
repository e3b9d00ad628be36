"""Raw sound as it comes from a microphone or a pipe: 16-bit mono samples in pieces of any size."""

from __future__ import annotations

import numpy as np
import soxr

from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

RATES = (4000, 192_000)
FULL_SCALE = 32768.0


class PcmReader:
    """Little-endian 16-bit mono bytes at any rate to float32 at 16 kHz; the same however the bytes were cut."""

    def __init__(self, rate: int) -> None:
        """Read bytes of `rate` samples a second. Raises UsageError for a rate that sound does not have."""
        if not RATES[0] <= rate <= RATES[1]:
            raise UsageError(f"the rate is {rate} Hz; give {RATES[0]} to {RATES[1]}")
        self._rate, self._odd = rate, b""
        self._resample = None if rate == SAMPLE_RATE else _stream(rate)

    @property
    def odd(self) -> bool:
        """Whether half a sample is left over."""
        return bool(self._odd)

    @property
    def delay(self) -> float:
        """Seconds that resampling holds sound back."""
        if self._resample is None:
            return 0.0
        return 1.0 - len(_stream(self._rate).resample_chunk(np.zeros(self._rate, np.float32))) / SAMPLE_RATE

    def read(self, data: bytes, *, last: bool = False) -> Float:
        """Samples (n,) in -1 to 1 that the bytes complete; with `last` those too that resampling still held back."""
        data = self._odd + data
        whole = len(data) // 2 * 2
        self._odd = data[whole:]
        samples = np.frombuffer(data[:whole], dtype="<i2").astype(np.float32) / np.float32(FULL_SCALE)
        if self._resample is None:
            return samples
        return np.asarray(self._resample.resample_chunk(samples, last=last), dtype=np.float32)


def _stream(rate: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
