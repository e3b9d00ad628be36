"""Generators on speech that is still being spoken: the landmarks of one frame after another."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from emovoca_cli.audio.logmel import LogMel
from emovoca_cli.errors import UsageError
from emovoca_cli.generators.faceformer import Loop
from emovoca_cli.generators.front import KERNEL
from emovoca_cli.generators.load import SpeechGenerator
from emovoca_cli.generators.predict import Generator, S2LModel
from emovoca_cli.generators.predict_faceformer import FaceFormerModel
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Float

LOOK_AHEAD_SECONDS = 0.2
"""Speech after a frame that E-S2L waits for when nothing is said: less loses closures, more gains little (docs/streaming.md)."""

LONGEST_LOOK_AHEAD = 2.0

PAST_SECONDS = 1.5
"""Speech before a frame that E-S2L hears: its recurrence has forgotten what lies further back."""

RECALL_SECONDS = 1200.0
"""What E-FaceFormer looks back on in a stream at most; the older half is then forgotten, so that a frame's cost has a bound."""


class LiveGenerator(Protocol):
    """One frame's landmarks at a time, in order, from the features around it.

    past and ahead: frames before and after a frame that it hears, if there are any.
    """

    @property
    def past(self) -> int:
        """Frames before a frame that it hears."""

    @property
    def ahead(self) -> int:
        """Frames after a frame that it hears: what a live face is late by."""

    def step(self, features: Float, emotion: Float, intensity: Float, frame: int) -> Float:
        """Landmark displacements (68,3) in metres of row `frame` of features (n,C), emotion (n,K) and intensity (n,3)."""


class LiveS2L:
    """E-S2L over a window that slides from frame to frame; it reads both ways, so every frame waits for what is ahead of it."""

    def __init__(self, model: S2LModel, *, look_ahead: float = LOOK_AHEAD_SECONDS) -> None:
        """Hold a model; look_ahead in seconds, rounded to frames. Raises UsageError for one out of range."""
        if not 0 <= look_ahead <= LONGEST_LOOK_AHEAD:
            raise UsageError(f"the look-ahead is {look_ahead:g} s; give 0 to {LONGEST_LOOK_AHEAD:g} seconds")
        self.model = model
        self.past, self.ahead = round(PAST_SECONDS * model.fps), round(look_ahead * model.fps)

    def step(self, features: Float, emotion: Float, intensity: Float, frame: int) -> Float:
        """Landmark displacements (68,3) in metres of one row of the window; see `LiveGenerator`."""
        moved: Float = self.model.predict(features, emotion, intensity)[frame]
        return moved


class LiveFaceFormer:
    """E-FaceFormer's loop, one turn a frame: a frame hears what its front layers reach, and without them its own speech alone.

    The window is as wide as that reach, so each frame is what it is in the recording with the same features.
    """

    def __init__(self, model: FaceFormerModel, *, recall: float = RECALL_SECONDS) -> None:
        """Begin with the model's usual style; recall: seconds to look back on at most."""
        self.model = model
        self.past = self.ahead = KERNEL // 2 * len(getattr(model.network, "front", ()))
        second = round(model.fps)
        self._loop = Loop(model.network, model.style_vector(), room=10 * second, longest=round(recall * model.fps))

    def step(self, features: Float, emotion: Float, intensity: Float, frame: int) -> Float:
        """Landmark displacements (68,3) in metres of one row of the window; see `LiveGenerator`."""
        rows = [torch.from_numpy(np.array(row[None], np.float32)) for row in (features, emotion, intensity)]
        with torch.inference_mode():
            heard = self.model.network.heard(*(row.to(self.model.device) for row in rows))[:, frame]
            state = self._loop.step(heard).cpu().numpy()
        template = self.model.template
        moved = self.model.vertices(state)
        return landmark_points(moved[0], template.faces, template.landmark_faces, template.landmark_weights)


def live_generator(generator: SpeechGenerator, *, look_ahead: float | None = None) -> LiveGenerator:
    """Whichever live form a generator has; look_ahead in seconds, for E-S2L, None = LOOK_AHEAD_SECONDS.

    Raises UsageError for a speech encoder that has to hear the whole recording, and for a look-ahead where there is none.
    """
    if isinstance(generator, Generator):
        _check_encoder(generator.s2l.encoder_name)
        return LiveS2L(generator.s2l, look_ahead=LOOK_AHEAD_SECONDS if look_ahead is None else look_ahead)
    if isinstance(generator, FaceFormerModel):
        _check_encoder(generator.encoder_name)
        if look_ahead is not None:
            raise UsageError("E-FaceFormer hears as far ahead as it was trained to, there is no look-ahead to set; leave it out")
        return LiveFaceFormer(generator)
    raise UsageError(f"a {type(generator).__name__} cannot follow live speech; use E-S2L or E-FaceFormer")


def _check_encoder(name: str) -> None:
    if name != LogMel.name:
        raise UsageError(
            f"this model hears {name.partition(':')[0]}, which needs the whole recording; live speech takes a model on logmel"
        )
