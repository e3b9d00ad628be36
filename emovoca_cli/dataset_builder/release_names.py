"""How the authors' release names and encodes things: one table for reading and writing it."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.data.florence4d import read_labels
from emovoca_cli.data.store import ClipRow
from emovoca_cli.types import Float

RELEASE_FPS = 60.0
"""Frames a second of VOCASET, of the authors' sequences, and of what FaceFormer's and CodeTalker's loaders halve."""
SEQUENCES, LABEL, INTENSITY, WAV, LANDMARKS = "sequences", "label", "intensity", "wav", "landmarks_sequences"
VIEW = "vocaset"
"""Folder in FaceFormer's and CodeTalker's own layout; FaceFormer's loader insists on this name."""


@dataclass(frozen=True)
class ReleaseName:
    """The parts of `<subject>_<sentence>_<Expression>_<intensity>`."""

    subject: str
    sentence: str
    expression: str
    level: int

    @classmethod
    def parse(cls, stem: str) -> ReleaseName | None:
        """The parts of a file's stem, or None when it is not named so."""
        match = re.fullmatch(r"(.+)_([^_]+)_([^_]+)_(\d)", stem)
        return None if match is None else cls(match[1], match[2], match[3], int(match[4]))

    def __str__(self) -> str:
        return f"{self.subject}_{self.sentence}_{self.expression}_{self.level}"

    @property
    def view(self) -> str:
        """The name for FaceFormer's and CodeTalker's loaders: subject before the last underscore, sentence number at the end."""
        return f"{self.subject}_{self.expression}-{self.level}-{self.sentence}"


def expression_of(label: str) -> str:
    """The authors' name of a label, such as Smile2 for happy; one without gets itself, capitalised."""
    return next((name for name, known in read_labels().items() if known == label), label.capitalize())


def label_number(label: str) -> int:
    """The authors' number of a label, its place in EmoVOCAv2."""
    return EMOTIONS_V2.index(label)


def sentence_tokens(clips: tuple[ClipRow, ...]) -> dict[str, str]:
    """Clip id to a sentence name that ends in two digits and has no underscore, as all these loaders take it apart.

    VOCASET's own names stay; others are numbered, subject by subject.
    """
    tokens: dict[str, str] = {}
    for subject in dict.fromkeys(row.subject for row in clips):
        mine = [row for row in clips if row.subject == subject]
        own = {row.id: row.id.removeprefix(f"{subject}_") for row in mine}
        fits = all(re.fullmatch(r"sentence\d\d", name) for name in own.values()) and len(set(own.values())) == len(mine)
        tokens |= own if fits else {row.id: f"sentence{number:02d}" for number, row in enumerate(mine, start=1)}
    return tokens


def normalised(landmarks: Float) -> Float:
    """Landmarks (T,68,3) as the authors' trainers expect them: each frame centred, then divided by its Frobenius norm."""
    centred = np.asarray(landmarks, np.float64) - np.mean(landmarks, axis=1, keepdims=True, dtype=np.float64)
    return np.asarray(centred / np.linalg.norm(centred, axis=(1, 2), keepdims=True), np.float32)


def doubled(frames: Float) -> Float:
    """Frames (2T,...) at twice the rate: the given ones (T,...) in the even places, their means between, the last one held."""
    out = np.repeat(frames, 2, axis=0)
    out[1:-1:2] = (frames[:-1] + frames[1:]) / 2
    return out


def template_pickle(neutrals: Mapping[str, Float]) -> bytes:
    """`templates.pkl`: subject to (V,3), readable from Python 3.6 and any NumPy."""
    stream = io.BytesIO()
    pickle.Pickler(stream, protocol=2).dump({subject: np.asarray(value, np.float32) for subject, value in sorted(neutrals.items())})
    content = stream.getvalue()
    # NumPy 2 names its rebuilding function by a module that NumPy 1 lacks; the old name is known to both.
    return content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1)
