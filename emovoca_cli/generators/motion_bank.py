"""What E-FaceFormer trains on, held in memory: the motion of the chosen sequences beside the speech bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.arrays import Npz
from emovoca_cli.config.faceformer import FaceFormerConfig
from emovoca_cli.constants import INTENSITIES
from emovoca_cli.data.sequences import SequenceEntry, SequenceSource
from emovoca_cli.errors import DataError, EmovocaError
from emovoca_cli.files import atomic_write
from emovoca_cli.generators.bank import Half, Preparing, Recording, SpeechBank, one_hots
from emovoca_cli.generators.motion_space import MotionSpace, fit_space
from emovoca_cli.generators.tracks import retime
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Float, MeshTemplate

MOTION_CACHE = "motion.npz"


class MotionBank:
    """Coordinates (T,K) of chosen sequences as half floats; of those that are scored also the true landmarks (T,68,3), metres."""

    def __init__(self, source: SequenceSource, space: MotionSpace) -> None:
        self.source, self.space = source, space
        self.tracks: dict[str, Half] = {}
        self.landmarks: dict[str, Float] = {}

    def add(self, entry: SequenceEntry, *, scored: bool) -> None:
        """Decode and keep one sequence. Raises DataError when it has another shape than its template or is not finite."""
        moved = self.source.displacement(entry)
        if moved.shape[1:] != self.source.template.vertices.shape or len(moved) == 0 or not np.isfinite(moved).all():
            raise DataError(f"sequence {entry.id} has vertices of shape {moved.shape} or not finite; rebuild the data folder")
        self.tracks[entry.id] = self.space.project(moved).astype(np.float16)
        if scored:
            self.landmarks[entry.id] = landmarks_of(self.source.template, moved)

    def rest(self, entry: SequenceEntry) -> Float:
        """The landmarks (68,3) of an entry's subject at rest, metres."""
        return landmarks_of(self.source.template, self.source.neutral(entry.subject))


def landmarks_of(template: MeshTemplate, vertices: Float) -> Float:
    """Landmarks (...,68,3) of vertices or displacements (...,V,3) of a template's topology."""
    return landmark_points(vertices, template.faces, template.landmark_faces, template.landmark_weights)


def load_motion(
    source: SequenceSource,
    chosen: dict[str, list[SequenceEntry]],
    config: FaceFormerConfig,
    cache: Path,
    key: str,
    preparing: Preparing | None = None,
    *,
    keep: bool = True,
) -> MotionBank:
    """The motion of the chosen sequences of each split; with `keep` written to `cache` under `key`, so that it need not be decoded
    again by a resumed run or another process."""
    everything = [(entry, split != "train") for split, entries in chosen.items() for entry in entries]
    bank = _cached(source, cache, key)
    if bank is not None and all(entry.id in bank.tracks for entry, _ in everything):
        return bank
    bank = MotionBank(source, fit_space(source, chosen["train"], config))
    for number, (entry, scored) in enumerate(everything, 1):
        bank.add(entry, scored=scored)
        if preparing is not None:
            preparing("motion", number, len(everything))
    if not keep:
        return bank
    space = bank.space
    arrays: dict[str, NDArray[np.generic]] = {
        "key": np.array(key),
        "weight": space.weight,
        "numbers": np.array([space.scale, space.energy]),
        **({} if space.axes is None else {"axes": space.axes}),
        **{f"track/{name}": track for name, track in bank.tracks.items()},
        **{f"landmarks/{name}": points for name, points in bank.landmarks.items()},
    }
    with atomic_write(cache) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    return bank


def _cached(source: SequenceSource, cache: Path, key: str) -> MotionBank | None:
    try:
        with Npz(cache) as stored:
            if str(stored["key"]) != key:
                return None
            scale, energy = (float(value) for value in stored["numbers"])
            space = MotionSpace(stored["weight"], scale, energy, stored.get("axes"))
            bank = MotionBank(source, space)
            for name in stored:
                kind, _, entry = name.partition("/")
                if kind == "track":
                    bank.tracks[entry] = stored[name]
                elif kind == "landmarks":
                    bank.landmarks[entry] = stored[name]
            return bank
    except (EmovocaError, ValueError, KeyError):
        return None  # missing, of other data, or cut short: decode again


@dataclass(frozen=True, eq=False)
class MotionBatch:
    """Padded rows: speech (B,T,C), emotion (B,T,K), intensity (B,T,3), style (B,S), truth (B,T,N), lengths (B,)."""

    speech: Float
    emotion: Float
    intensity: Float
    style: Float
    truth: Float
    lengths: NDArray[np.int64]


def style_weights(subject: str, styles: Sequence[str]) -> Float:
    """One-hot (S,) of a training subject, or the mean of all for one that no style was learnt from."""
    if subject in styles:
        return np.array([float(name == subject) for name in styles], dtype=np.float32)
    return np.full(len(styles), 1 / len(styles), dtype=np.float32)


def draw_crop(
    entries: Sequence[SequenceEntry], speech: SpeechBank, *, config: FaceFormerConfig, rng: np.random.Generator
) -> tuple[SequenceEntry, Recording, slice]:
    """Draw a sequence, one of its recordings, and at most `crop_seconds` of its frames."""
    crop = max(2, round(config.crop_seconds * speech.fps))
    entry = entries[int(rng.integers(0, len(entries)))]
    versions = speech.recordings[entry.talk]
    recording = versions[int(rng.integers(0, len(versions)))]
    start = int(rng.integers(0, max(1, recording.frames - crop + 1)))
    return entry, recording, slice(start, min(start + crop, recording.frames))


def motion_batch(
    entries: Sequence[SequenceEntry],
    emotions: Sequence[str],
    styles: Sequence[str],
    speech: SpeechBank,
    motion: MotionBank,
    *,
    config: FaceFormerConfig,
    rngs: Sequence[np.random.Generator],
) -> MotionBatch:
    """Draw a crop with each of `rngs`, one in ten of them clean, under its subject's style or the mean one."""
    parts = []
    for rng in rngs:
        entry, recording, rows = draw_crop(entries, speech, config=config, rng=rng)
        changed = rng if len(speech.recordings[entry.talk]) > 1 and rng.random() < 0.9 else None
        positions = recording.timing.positions(recording.frames, speech.fps)[rows]
        subject = "" if rng.random() < config.style_dropout else entry.subject
        track = motion.tracks[entry.id].astype(np.float32)
        parts.append((entry, subject, speech.features(recording, changed)[rows], retime(track, positions)))
    return _collate(parts, emotions, styles)


def whole_motion(entry: SequenceEntry, emotions: Sequence[str], styles: Sequence[str], speech: SpeechBank) -> MotionBatch:
    """One whole clean sequence as a batch of one, without its truth."""
    features = speech.features(speech.recordings[entry.talk][0], None)
    return _collate([(entry, entry.subject, features, np.zeros((len(features), 0), np.float32))], emotions, styles)


def _collate(
    parts: Sequence[tuple[SequenceEntry, str, Float, Float]], emotions: Sequence[str], styles: Sequence[str]
) -> MotionBatch:
    lengths = np.array([len(features) for _, _, features, _ in parts], dtype=np.int64)
    shape = (len(parts), int(lengths.max()))
    speech = np.zeros((*shape, parts[0][2].shape[1]), dtype=np.float32)
    truth = np.zeros((*shape, parts[0][3].shape[1]), dtype=np.float32)
    emotion = np.zeros((*shape, len(emotions)), dtype=np.float32)
    intensity = np.zeros((*shape, len(INTENSITIES)), dtype=np.float32)
    for row, (entry, _, features, target) in enumerate(parts):
        speech[row, : len(features)], truth[row, : len(target)] = features, target
        if emotions:
            emotion[row], intensity[row] = one_hots(entry, emotions)
    style = np.stack([style_weights(subject, styles) for _, subject, _, _ in parts])
    return MotionBatch(speech, emotion, intensity, style, truth, lengths)
