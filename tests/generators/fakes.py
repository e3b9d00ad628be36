"""A small talking thing to train on: a strip of mesh whose 68 landmarks follow the loudness of a hiss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from emovoca_cli.constants import LANDMARKS
from emovoca_cli.data.sequences import SequenceEntry, frame_numbers
from emovoca_cli.types import MeshTemplate

FPS = 30.0


def strip_template(columns: int = 12, rows: int = 8) -> MeshTemplate:
    """A bent grid of columns x rows vertices (metres) with 68 landmarks spread over its faces."""
    x, y = np.meshgrid(np.linspace(-0.05, 0.05, columns), np.linspace(-0.05, 0.05, rows))
    vertices = np.stack([x, y, 0.05 - 8 * x**2], axis=2).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + columns], 1),
            np.stack([corner + 1, corner + columns + 1, corner + columns], 1),
        ]
    ).astype(np.int32)
    chosen = np.linspace(0, len(faces) - 1, LANDMARKS).astype(np.int32)
    return MeshTemplate("strip", vertices, faces, chosen, np.full((LANDMARKS, 3), 1 / 3, np.float32))


class FakeSource:
    """Implements SequenceSource: every subject says `clips` sentences; "happy" widens and "sad" lowers the strip."""

    fps = FPS
    emotions = ("happy", "sad")
    licence = "made for tests"

    def __init__(self, folder: Path, *, clips: int = 2, seconds: float = 1.2, lag: float = 0.0) -> None:
        self.template = strip_template()
        self.entries: list[SequenceEntry] = []
        self._level: dict[str, np.ndarray] = {}
        self.decoded: list[str] = []
        for subject, split in (("ann", "train"), ("bob", "train"), ("cid", "val"), ("dot", "test")):
            for clip in range(clips):
                talk = f"{subject}_{clip}"
                rng = np.random.default_rng(hash_of(talk))
                length = seconds * (1 + 0.2 * rng.random())
                time = np.arange(round(length * 16000)) / 16000
                loud = (np.sin(2 * np.pi * 2 * time + rng.uniform(0, 6)) > 0).astype(np.float32)
                path = folder / f"{talk}.wav"
                wave = 0.1 * (0.005 + loud) * rng.normal(size=len(time))
                soundfile.write(path, wave.astype(np.float32), 16000)
                frames = round(length * FPS)
                self._level[talk] = np.interp(np.arange(frames) / FPS - lag, time, loud).astype(np.float32)
                self.entries.append(SequenceEntry(talk, subject, split, None, 0.0, frames, path, (), talk))
                for emotion in self.emotions:
                    for level in (1.0, 2.0, 3.0):
                        name = f"{talk}_{emotion}_{level:g}"
                        self.entries.append(SequenceEntry(name, subject, split, emotion, level, frames, path, (), talk))

    def displacement(self, entry: SequenceEntry, frames=None) -> np.ndarray:  # type: ignore[no-untyped-def]
        rest = self.template.vertices
        moved = np.zeros((entry.frames, len(rest), 3), np.float32)
        moved[:, :, 1] = -0.01 * self._level[entry.talk][:, None] * (rest[:, 1] < 0)
        if entry.emotion == "happy":
            moved[:, :, 0] += 0.05 * entry.intensity * rest[:, 0]
        if entry.emotion == "sad":
            moved[:, :, 1] -= 0.002 * entry.intensity
        return moved[frame_numbers(frames, entry.frames)]

    def landmarks(self, entry: SequenceEntry) -> np.ndarray:
        self.decoded.append(entry.id)
        corners = self.template.faces[self.template.landmark_faces]
        return (self.displacement(entry)[:, corners] * self.template.landmark_weights[..., None]).sum(2)

    def neutral(self, subject: str) -> np.ndarray:
        return self.template.vertices


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[:7], "little")
