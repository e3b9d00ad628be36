"""Whichever generator a name or a folder stands for, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from emovoca_cli.errors import UsageError
from emovoca_cli.files import read_json
from emovoca_cli.generators.predict import Generator
from emovoca_cli.generators.predict_faceformer import FACEFORMER_KIND, FaceFormerModel
from emovoca_cli.runtime.checkpoint import CONFIG, find_checkpoint
from emovoca_cli.runtime.hub import is_hub_name, pull
from emovoca_cli.types import Float, MeshTemplate


class SpeechGenerator(Protocol):
    """Speech and emotion over time in, a moving mesh out.

    Its motion is whatever (T,...) it thinks in, landmarks or latents: to be interpolated over time, cut in pieces, and unfolded.
    """

    @property
    def fps(self) -> float:
        """Frames a second of what it predicts."""

    @property
    def emotions(self) -> tuple[str, ...]:
        """Labels in one-hot order; none = it only speaks neutrally."""

    @property
    def template(self) -> MeshTemplate:
        """The topology of what it predicts."""

    @property
    def licence(self) -> str:
        """Licence of what it was trained on."""

    @property
    def hashes(self) -> dict[str, str]:
        """The hash that names each of its networks."""

    def frames(self, speech: Float) -> int:
        """Frames T that (N,) 16 kHz speech gives."""

    def motion(self, speech: Float, emotion: Float, intensity: Float) -> Float:
        """Motion (T,...) of (N,) speech under emotion (T,K) and intensity (T,3)."""

    def motion_of_many(self, clips: Sequence[tuple[Float, Float, Float]]) -> list[Float]:
        """The same for several recordings (speech, emotion, intensity) of any lengths."""

    def vertices(self, motion: Float, /) -> Float:
        """Vertex displacements (T,V,3) in metres from motion (T,...)."""


def load_generator(model: str | Path = "s2l", *, device: torch.device | None = None) -> SpeechGenerator:
    """Read a generator: built in are "s2l" (E-S2L with S2D) and "faceformer"; else a folder of E-FaceFormer, one with s2l/ and
    s2d/, or one of E-S2L.

    A lone E-S2L is joined with the built-in S2D; user/name is fetched from the Hub. Raises UsageError and CheckpointError.
    """
    if is_hub_name(model):
        model = pull(str(model))
    if _kind(model) == FACEFORMER_KIND:
        return FaceFormerModel.load(model, device=device)
    return Generator.load(model, "s2d", device=device)


def _kind(model: str | Path) -> str | None:
    try:
        head = read_json(find_checkpoint(model) / CONFIG)
    except UsageError:
        return None  # no single checkpoint: the pair's loader says what is wrong
    return head.get("kind") if isinstance(head, dict) else None
