"""Live speech to a face: samples in as they come, frames out as soon as enough was heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emovoca_cli.animation.track import Timeline
from emovoca_cli.audio.live import LiveLogMel
from emovoca_cli.generators.live import LiveGenerator
from emovoca_cli.types import Float


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One frame: its number, time in seconds, emotion (K,) and intensity 0-3, landmark displacements (68,3) in metres."""

    number: int
    time: float
    emotion: Float
    intensity: float
    motion: Float


class SpeechStream:
    """A generator on a stream of 16 kHz speech.

    A frame comes out when its look-ahead was heard, and depends on the samples up to there alone: not on how they were cut. When
    the stream ends, the last frames see the end of the speech where their look-ahead would be, as they do in a recording: there are
    as many frames as the recording would have.
    """

    def __init__(self, live: LiveGenerator, timeline: Timeline, *, names: tuple[str, ...], fps: float) -> None:
        """Begin a stream at the generator's fps with its labels (K,) and what --emotion says over the stream's time."""
        self.live, self.timeline, self.names, self.fps = live, timeline, names, fps
        self._features = LiveLogMel(fps, keep=live.past + live.ahead)
        self._given = 0

    @property
    def voiced(self) -> bool:
        """Whether speech was heard yet, and not silence alone."""
        return self._features.voiced

    @property
    def latency(self) -> float:
        """Seconds from the middle of a frame to the last sample that it waits for."""
        return LiveLogMel.reach(self.fps, ahead=self.live.ahead)

    def hear(self, speech: Float) -> Iterator[LiveFrame]:
        """Take samples (n,), any number; yields the frames that they complete."""
        self._features.hear(speech)
        return self._frames()

    def end(self) -> Iterator[LiveFrame]:
        """Say that the speech is over; yields the frames that were still waiting."""
        self._features.close()
        return self._frames()

    def _frames(self) -> Iterator[LiveFrame]:
        ready, closed = self._features.ready, self._features.closed
        while self._features.frames < ready:
            self._features.step()
            if self._features.frames > self.live.ahead:
                yield self._frame(self._features.frames)
        while closed and self._given < ready:
            yield self._frame(ready)

    def _frame(self, heard: int) -> LiveFrame:
        """The next frame, when `heard` frames of features are there."""
        number = self._given
        first = max(0, number - self.live.past)
        track = self.timeline.sample(np.arange(first, heard) / self.fps, self.names)
        motion = self.live.step(self._features.window(first, heard), *track.conditions(), number - first)
        self._given += 1
        here = number - first
        return LiveFrame(number, number / self.fps, track.emotion[here], float(track.intensity[here]), motion)
