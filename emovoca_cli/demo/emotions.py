"""The expressions: 14 emotions as coefficients of the ARKit-named rig."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from emovoca_cli.demo.visemes import read_coefficients
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.types import Float

EMOTION_NAMES = (
    "neutral", "afraid", "angry", "disgust", "happy", "sad", "moody", "drunk", "ill", "suspicious", "pleased", "upset",
    "surprised", "contempt",
)  # fmt: skip


@cache
def load_emotions() -> Mapping[str, Float]:
    """The 14 emotions at natural full strength: name -> (52,) coefficients in 0-1, read-only."""
    emotions = read_coefficients(Path(__file__).with_name("emotions.yaml"))
    if set(emotions) != set(EMOTION_NAMES):
        raise DataError(f"emotions.yaml has {sorted(emotions)}, expected {sorted(EMOTION_NAMES)}; restore the missing ones")
    return emotions


def emotion_coefficients(name: str) -> Float:
    """One emotion's (52,) coefficients. Raises UsageError that names the known ones for an unknown name."""
    emotions = load_emotions()
    if name not in emotions:
        near = difflib.get_close_matches(name.lower(), EMOTION_NAMES, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"there is no emotion {name!r} in the rig; choose one of {', '.join(EMOTION_NAMES)}{hint}")
    return emotions[name]
