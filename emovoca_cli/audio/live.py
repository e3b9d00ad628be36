"""Log-mel features of speech that is still being spoken: as `logmel`, with statistics of what was heard so far."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.audio.io import frame_count
from emovoca_cli.audio.logmel import ACTIVE_DB, BANDS, FLOOR_DB, HOP, MARGIN, MEL_RATE, WINDOW, align, mel_decibels, taps
from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.types import Float

Array = NDArray[np.float64]

USUAL_LEVEL = 33.0
"""dB of the loudest hundredth of a clean recording's rows: where a stream begins to look for speech."""
USUAL_BANDS, USUAL_MEANS = (0, 10, 20, 30, 79), (-50.0, -33.0, -40.0, -48.0, -52.0)
USUAL_DEVIATION = 11.0
"""What speech looks like under its level (dB, by band) before any was heard; rounded means of clean recordings."""
LEAST_LEVEL = -20.0
"""A stream whose speech stays under this level (about a peak of -60 dB of full scale) is silent."""

LEVEL_ROWS = 0.03
"""Weight of the usual level: under a hundredth of three rows, after which the level is the speaker's own, near or far."""
PRIOR_ROWS = 100.0
"""Rows (a second) of speech that weigh as much as what speech usually looks like."""
HALF_LIFE = 30.0
"""Seconds of speech after which what was heard counts half: a speaker may come nearer."""
PAUSE_ROWS = 30
"""Rows after speech that still belong to it: longer pauses say nothing about a voice."""
NOISE_DB = 12.0
"""Speech stands this far over the quietest tenth of what is heard."""
NOISE_ROWS = 20.0
LEAST_DEVIATION = 3.0


class LiveLogMel:
    """Features of video frames as speech comes in, in steps of one frame.

    `hear` takes samples, `ready` says how many frames they are enough for, `step` lets one more frame into the statistics and
    `window` gives features normalised by them. The step of a frame does the same whatever the samples were cut into.
    """

    def __init__(self, fps: float, *, keep: int) -> None:
        """Features at `fps` of which a window may reach `keep` frames back from the last step."""
        self.fps, self.frames = fps, 0
        self._kept = math.ceil((keep + 2) / fps * MEL_RATE) + 2 * MARGIN
        self._samples = np.zeros(WINDOW // 2, np.float32)  # row 0 is centred at the first sample
        self._sample = -(WINDOW // 2)  # place of the first kept sample in the recording
        self._heard, self.closed = 0, False
        self._rows, self._row = np.zeros((0, BANDS), np.float32), 0
        self._voice = _Voice()

    def hear(self, speech: Float) -> None:
        """Take (n,) samples of 16 kHz speech, any number of them."""
        self._samples = np.concatenate([self._samples, np.asarray(speech, np.float32)])
        self._heard += len(speech)

    def close(self) -> None:
        """Say that the speech is over: what stands behind it is silence."""
        self.closed = True
        self._samples = np.concatenate([self._samples, np.zeros(WINDOW + HOP, np.float32)])

    @property
    def ready(self) -> int:
        """Frames that the samples so far are enough for; after `close` all that belong to them."""
        if self.closed:
            return frame_count(self._heard, self.fps) if self._heard else 0
        count = self.frames
        while _samples_for(count, self.fps) <= self._heard:
            count += 1
        return count

    @staticmethod
    def reach(fps: float, *, ahead: int) -> float:
        """Seconds from the time of a frame to the last sample that it needs when it waits for `ahead` more; the longest."""
        frames = range(round(fps) * 2)
        return max(_samples_for(frame + ahead, fps) / SAMPLE_RATE - frame / fps for frame in frames)

    @property
    def voiced(self) -> bool:
        """Whether speech was heard at all."""
        return self._voice.last >= 0

    def step(self) -> None:
        """Let the rows of the next frame into the statistics; it has to be ready."""
        last = _last_row(self.frames, self.fps)
        if self.closed:
            last = min(last, self._heard // HOP)
        first = self._row + len(self._rows)
        if last >= first:
            start = first * HOP - WINDOW // 2 - self._sample
            stretch = self._samples[start : start + (last - first) * HOP + WINDOW]
            rows = mel_decibels(np.lib.stride_tricks.sliding_window_view(stretch, WINDOW)[::HOP])
            self._rows = np.concatenate([self._rows, rows])
            self._voice.hear(self._rows, self._row, first)
            gone = max(0, len(self._rows) - self._kept)
            self._rows, self._row = self._rows[gone:], self._row + gone
            used = (last + 1) * HOP - WINDOW // 2 - self._sample
            self._samples, self._sample = self._samples[used:], self._sample + used
        self.frames += 1

    def window(self, first: int, last: int) -> Float:
        """Features (last - first, 320) of frames that have been stepped over and are still kept."""
        begin = max(self._row, math.floor(float(taps(first, 1, self.fps)[0, 0])) - 1)
        rows = self._voice.normalise(self._rows[begin - self._row :], begin)
        return align(rows, self.fps, last - first, first=first, row=begin)


def _last_row(frame: int, fps: float) -> int:
    """The last row that a frame's taps are interpolated from."""
    return int(taps(frame, 1, fps)[0, -1]) + 1


def _samples_for(frame: int, fps: float) -> int:
    """Samples from the start that all of a frame's rows can be made of."""
    return _last_row(frame, fps) * HOP + WINDOW // 2


class _Voice:
    """Level, spectrum and liveliness of the voice heard so far, and where in the rows it last was."""

    def __init__(self) -> None:
        self.first, self.last = -1, -1
        """Rows where speech was first and last found; -1 = none yet."""
        self._counted = -1
        self._loud = _Levels({USUAL_LEVEL: LEVEL_ROWS})
        self._all = _Levels({USUAL_LEVEL - FLOOR_DB: NOISE_ROWS})
        self._decay = 0.5 ** (1.0 / (HALF_LIFE * MEL_RATE))
        self._usual = np.interp(np.arange(BANDS), USUAL_BANDS, USUAL_MEANS)
        self._prior, self._count = PRIOR_ROWS, 0.0
        self._sum, self._squares = np.zeros(BANDS), np.zeros(BANDS)

    @property
    def level(self) -> float:
        return max(LEAST_LEVEL, self._loud.quantile(0.99))

    def hear(self, rows: Float, row: int, first: int) -> None:
        """Take the rows (n,80) dB, which begin with number `row`, from number `first` on."""
        energy = rows.max(axis=1)
        for number in range(first, row + len(rows)):
            self._all.add(float(energy[number - row]), self._decay)
            threshold = max(self.level - ACTIVE_DB, self._all.quantile(0.1) + NOISE_DB)
            # three rows together, as in a whole recording: a click is not speech
            middle, beside = number - 1, energy[max(0, number - 2 - row) : number + 1 - row]
            if len(beside) == 3 and (beside > threshold).all():
                self.first = middle if self.first < 0 else self.first
                self.last = middle
                self._loud.add(float(energy[middle - row]), self._decay)
                self._count_rows(rows, row, max(self._counted + 1, middle - 1 - MARGIN, row), middle + 1)
            elif self.last >= 0 and middle - self.last <= PAUSE_ROWS and middle > self._counted:
                self._count_rows(rows, row, middle, middle + 1)

    def _count_rows(self, rows: Float, row: int, start: int, end: int) -> None:
        lifted = np.maximum(rows[start - row : end - row], self.level - FLOOR_DB).astype(np.float64)
        for one in lifted:
            self._sum = self._sum * self._decay + one
            self._squares = self._squares * self._decay + one * one
            self._count = self._count * self._decay + 1.0
            self._prior *= self._decay
        self._counted = end - 1

    def normalise(self, rows: Float, row: int) -> Float:
        """Rows (n,80) dB from number `row` on, floored and scaled as those of a whole recording are."""
        floor = self.level - FLOOR_DB
        lifted = np.maximum(rows, np.float32(floor))
        numbers = row + np.arange(len(rows))
        lifted[(self.last < 0) | (numbers < self.first - 1 - MARGIN) | (numbers >= self.last + 2 + MARGIN)] = floor
        usual = self.level + self._usual
        total = self._prior + self._count
        mean = (self._prior * usual + self._sum) / total
        squares = (self._prior * (usual**2 + USUAL_DEVIATION**2) + self._squares) / total
        deviation = np.maximum(np.sqrt(np.maximum(squares - mean**2, 0.0)), LEAST_DEVIATION)
        return np.asarray((lifted - mean) / deviation, dtype=np.float32)


class _Levels:
    """How often each level (whole dB) was heard, what is long past counting less."""

    LOWEST, HIGHEST = -150, 80

    def __init__(self, seen: dict[float, float]) -> None:
        self._counts = np.zeros(self.HIGHEST - self.LOWEST + 1)
        for level, count in seen.items():
            self._counts[self._place(level)] += count

    def _place(self, level: float) -> int:
        return min(max(round(level), self.LOWEST), self.HIGHEST) - self.LOWEST

    def add(self, level: float, decay: float) -> None:
        self._counts *= decay
        self._counts[self._place(level)] += 1.0

    def quantile(self, share: float) -> float:
        """The level that this share of what was heard stays under."""
        summed = np.cumsum(self._counts)
        return float(self.LOWEST + int(np.searchsorted(summed, share * summed[-1])))
