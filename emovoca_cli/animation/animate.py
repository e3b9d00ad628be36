"""Speech and an emotion in, a clip out (paper sections 4.2 and 4.5); one recording, or many in padded batches."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli import __version__
from emovoca_cli.animation.cues import parse_timeline
from emovoca_cli.animation.track import TRANSITION, Timeline
from emovoca_cli.arrays import IN_MEMORY, gather
from emovoca_cli.audio.io import frame_count, load_speech
from emovoca_cli.constants import LANDMARKS, SAMPLE_RATE
from emovoca_cli.errors import EmovocaError, UsageError
from emovoca_cli.files import hash_file
from emovoca_cli.generators.load import SpeechGenerator
from emovoca_cli.generators.tracks import retime
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Clip, Float

FPS_RANGE = (1.0, 240.0)

BLOCK, CONTEXT = 600, 30
"""Frames that a long clip is unfolded in at once, and those around them that are unfolded along: a rig's coefficients are steadied
over their neighbours."""

BATCH_SECONDS = 900.0
"""Speech that is read before it is put through the first network, whatever the batch size: memory is for one long recording."""

BATCH_SIZE = 8
"""Recordings read and put through E-S2L together when nothing is said."""


def animate(
    speech: Path,
    generator: SpeechGenerator,
    *,
    emotion: str | Path | Timeline = "neutral",
    intensity: str | float | Path = 2.0,
    transition: float = TRANSITION,
    face: Float | None = None,
    fps: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Clip:
    """Make a face (V,3), default the generator's template, speak a recording with an emotion.

    emotion, intensity, transition: what `cues.parse_timeline` reads, or a timeline that it made. fps: frames a second of the
    clip, default the model's (its motion is interpolated). provenance: what the caller adds to the clip's (seed, arguments).
    Raises UsageError and DataError for bad input.
    """
    # Checked before the recording is read, so that a misspelt emotion is answered at once.
    plan = _Plan.of(generator, emotion, intensity, transition, face=face, fps=fps, provenance=provenance)
    samples = load_speech(speech)
    (motion,) = generator.motion_of_many([plan.conditioned(samples)])
    return plan.clip(speech, samples, motion)


def animate_many(
    speeches: Sequence[Path],
    generator: SpeechGenerator,
    *,
    emotion: str | Path | Timeline = "neutral",
    intensity: str | float | Path = 2.0,
    transition: float = TRANSITION,
    face: Float | None = None,
    fps: float | None = None,
    provenance: Mapping[str, Any] | None = None,
    batch_size: int = BATCH_SIZE,
) -> Iterator[tuple[Path, Clip | EmovocaError]]:
    """Animate recordings as `animate` does, `batch_size` at a time; yields each with its clip, or with why it has none.

    What is wrong for all of them (the emotion, the frame rate) is raised at once.
    """
    if batch_size < 1:
        raise UsageError(f"the batch size is {batch_size}; give 1 or more")
    plan = _Plan.of(generator, emotion, intensity, transition, face=face, fps=fps, provenance=provenance)
    return _each(plan, speeches, batch_size)


def _each(plan: _Plan, speeches: Sequence[Path], batch_size: int) -> Iterator[tuple[Path, Clip | EmovocaError]]:
    waiting = deque(speeches)
    while waiting:
        read: dict[Path, Float | EmovocaError] = {}
        seconds = 0.0
        while waiting and len(read) < batch_size and seconds < BATCH_SECONDS:
            path = waiting.popleft()
            try:
                samples = read[path] = load_speech(path)
                seconds += len(samples) / SAMPLE_RATE
            except EmovocaError as error:
                read[path] = error
        good = {path: samples for path, samples in read.items() if not isinstance(samples, EmovocaError)}
        moved = plan.generator.motion_of_many([plan.conditioned(samples) for samples in good.values()])
        motions = dict(zip(good, moved, strict=True))
        for path, found in read.items():
            yield path, found if isinstance(found, EmovocaError) else plan.clip(path, found, motions[path])


@dataclass(frozen=True, eq=False)
class _Plan:
    """What all recordings of one call have in common."""

    generator: SpeechGenerator
    timeline: Timeline
    rate: float
    rest: Float
    said: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        generator: SpeechGenerator,
        emotion: str | Path | Timeline,
        intensity: str | float | Path,
        transition: float,
        *,
        face: Float | None,
        fps: float | None,
        provenance: Mapping[str, Any] | None,
    ) -> _Plan:
        rate = generator.fps if fps is None else fps
        if not FPS_RANGE[0] <= rate <= FPS_RANGE[1]:
            raise UsageError(f"fps {rate:g} is out of range; give {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g}")
        timeline = (
            emotion
            if isinstance(emotion, Timeline)
            else parse_timeline(emotion, intensity, names=generator.emotions, transition=transition)
        )
        said = {"emotion": timeline.words, "track": timeline.record(), **(provenance or {})}
        return cls(generator, timeline, rate, generator.template.vertices if face is None else face, said)

    def conditioned(self, samples: Float) -> tuple[Float, Float, Float]:
        """Speech (N,) with the emotion (T,K) and intensity (T,3) of the generator's own frames."""
        times = np.arange(self.generator.frames(samples)) / self.generator.fps
        return (samples, *self.timeline.sample(times, self.generator.emotions).conditions())

    def _unfold(self, motion: Float) -> tuple[Float, Float]:
        """Vertices (T,V,3) and landmarks (T,68,3) in metres of motion (T,...): at once, or block by block and mapped when long."""
        template, frames = self.generator.template, len(motion)
        shape = (frames, len(template.vertices), 3)
        block = frames if math.prod(shape) * self.rest.itemsize <= IN_MEMORY else BLOCK
        landmarks = np.empty((frames, LANDMARKS, 3), np.float32)

        def blocks() -> Iterator[Float]:
            for start in range(0, frames, block):
                first, end = max(0, start - CONTEXT), min(frames, start + block)
                vertices = self.generator.vertices(motion[first : end + CONTEXT])[start - first : end - first]
                vertices += self.rest
                landmarks[start:end] = landmark_points(vertices, template.faces, template.landmark_faces, template.landmark_weights)
                yield vertices

        return gather(blocks(), shape), landmarks

    def clip(self, speech: Path, samples: Float, motion: Float) -> Clip:
        """The clip of predicted motion (T,...) at the generator's frame rate."""
        template, rate = self.generator.template, self.rate
        times = np.arange(frame_count(len(samples), rate)) / rate
        if rate != self.generator.fps:
            motion = retime(motion, times * self.generator.fps)
        track = self.timeline.sample(times, self.generator.emotions)
        vertices, landmarks = self._unfold(motion)
        said = {
            "emovoca": __version__,
            "speech": {"path": str(speech), "sha256": hash_file(speech)},
            "models": self.generator.hashes,
            "licence": self.generator.licence,
            **self.said,
        }
        return Clip(
            vertices=vertices,
            faces=template.faces,
            template=self.rest.astype(np.float32),
            landmarks=landmarks,
            fps=rate,
            emotion_names=track.names,
            emotion=track.emotion,
            intensity=track.intensity,
            provenance=said,
        )
