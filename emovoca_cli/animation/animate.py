"""Speech and an emotion in, a clip out (paper sections 4.2 and 4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli import __version__
from emovoca_cli.animation.track import constant_track
from emovoca_cli.audio.io import frame_count, load_speech
from emovoca_cli.errors import UsageError
from emovoca_cli.files import hash_file
from emovoca_cli.generators.load import SpeechGenerator
from emovoca_cli.generators.tracks import retime
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Clip, Float

FPS_RANGE = (1.0, 240.0)


def animate(
    speech: Path,
    generator: SpeechGenerator,
    *,
    emotion: str = "neutral",
    intensity: float = 2.0,
    face: Float | None = None,
    fps: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Clip:
    """Make a face (V,3), default the generator's template, speak a recording with an emotion.

    intensity 0-3. fps: frames a second of the clip, default the model's (its motion is interpolated).
    provenance: what the caller adds to the clip's (seed, arguments). Raises UsageError and DataError for bad input.
    """
    rate = generator.fps if fps is None else fps
    if not FPS_RANGE[0] <= rate <= FPS_RANGE[1]:
        raise UsageError(f"fps {rate:g} is out of range; give {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g}")
    # Checked before the recording is read, so that a misspelt emotion is answered at once.
    constant_track(emotion, intensity, names=generator.emotions, frames=1)
    samples = load_speech(speech)
    track = constant_track(emotion, intensity, names=generator.emotions, frames=generator.frames(samples))
    motion = generator.motion(samples, *track.conditions())
    feeling, strength = track.emotion, track.intensity
    if rate != generator.fps:
        frames = frame_count(len(samples), rate)
        times = np.arange(frames) * (generator.fps / rate)
        motion, feeling, strength = retime(motion, times), retime(feeling, times), retime(strength, times)
    template = generator.template
    rest = template.vertices if face is None else face
    vertices = generator.vertices(motion)
    vertices += rest  # in place: the largest array there is
    said = {
        "emovoca": __version__,
        "speech": {"path": str(speech), "sha256": hash_file(speech)},
        "emotion": emotion,
        "intensity": intensity,
        "models": generator.hashes,
        "licence": generator.licence,
        **(provenance or {}),
    }
    return Clip(
        vertices=vertices,
        faces=template.faces,
        template=rest.astype(np.float32),
        landmarks=landmark_points(vertices, template.faces, template.landmark_faces, template.landmark_weights),
        fps=rate,
        emotion_names=track.names,
        emotion=feeling,
        intensity=strength,
        provenance=said,
    )
