"""What E-S2L trains on, held in memory: speech with its augmented copies, and the landmarks of the chosen sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.audio.features import SpeechEncoder
from emovoca_cli.audio.io import frame_count, load_speech
from emovoca_cli.audio.logmel import BANDS, LogMel, align, normalise, spectrogram
from emovoca_cli.config.faceformer import FaceFormerConfig
from emovoca_cli.config.generators import S2LConfig
from emovoca_cli.constants import INTENSITIES, LANDMARKS, MM
from emovoca_cli.data.sequences import SequenceEntry, SequenceSource
from emovoca_cli.errors import DataError
from emovoca_cli.files import hash_bytes
from emovoca_cli.generators.augment import FLOORS, Timing, augment_mels, augment_wave, mask_features
from emovoca_cli.generators.tracks import retime
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.runtime.processes import Share
from emovoca_cli.types import Float

Half = NDArray[np.float16]

Preparing = Callable[[str, int, int], None]
"""Called with (what, done, in all) while data are read and decoded."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One copy of a clip's speech: rows (M,C) that features come from, its timing, and the video frames it lasts."""

    rows: Half
    timing: Timing
    frames: int


class SpeechBank:
    """Speech features of every talking clip, in one clean and several augmented copies, kept as half floats.

    For log-mel the spectrograms are kept and finished when asked for, so that each use can sound different.
    """

    def __init__(self, encoder: SpeechEncoder, fps: float) -> None:
        self.encoder, self.fps = encoder, fps
        self.recordings: dict[str, list[Recording]] = {}

    def add(self, talk: str, speech: Float, *, copies: int, seed: int) -> None:
        """Keep a talking clip's (N,) speech and `copies` changed versions of it."""
        rng = np.random.default_rng((seed, len(self.recordings)))
        versions = [(speech, Timing())] + [augment_wave(speech, rng) for _ in range(copies)]
        self.recordings[talk] = [self._record(wave, timing) for wave, timing in versions]

    def _record(self, wave: Float, timing: Timing) -> Recording:
        frames = frame_count(len(wave), self.fps)
        rows = spectrogram(wave) if isinstance(self.encoder, LogMel) else self.encoder.encode(wave, self.fps, frames)
        return Recording(rows.astype(np.float16), timing, frames)

    def features(self, recording: Recording, rng: np.random.Generator | None) -> Float:
        """Features (T,C) of a recording; with `rng`, changed on the fly."""
        rows = recording.rows.astype(np.float32)
        if not isinstance(self.encoder, LogMel):
            return rows if rng is None else mask_features(rows, rows.shape[1], rng)
        if rng is None:
            return align(normalise(rows), self.fps, recording.frames)
        mels = normalise(augment_mels(rows, rng), floor=float(rng.uniform(*FLOORS)))
        return mask_features(align(mels, self.fps, recording.frames), BANDS, rng)


@dataclass(frozen=True, eq=False)
class Batch:
    """Padded rows: speech (B,T,C), emotion (B,T,K), intensity (B,T,3), truth (B,T,68,3), rest (B,68,3), lengths (B,); metres."""

    speech: Float
    emotion: Float
    intensity: Float
    truth: Float
    rest: Float
    lengths: NDArray[np.int64]


def one_hots(entry: SequenceEntry, emotions: Sequence[str]) -> tuple[Float, Float]:
    """Return an entry's emotion (K,) and intensity (3,); both zero for neutral speech. Raises DataError for an unknown label."""
    emotion = np.zeros(len(emotions), dtype=np.float32)
    levels = np.asarray(INTENSITIES, dtype=np.float32)
    if entry.emotion is None:
        return emotion, np.zeros(len(levels), dtype=np.float32)
    if entry.emotion not in emotions:
        raise DataError(f"sequence {entry.id} has the label '{entry.emotion}', the data folder lists {', '.join(emotions)}")
    emotion[list(emotions).index(entry.emotion)] = 1.0
    strength = np.float32(np.clip(entry.intensity, levels[0], levels[-1]))
    return emotion, np.maximum(0, 1 - np.abs(levels - strength)).astype(np.float32)


def choose_entries(entries: Sequence[SequenceEntry], *, per_clip: int, seed: int) -> list[SequenceEntry]:
    """Pick every neutral entry and `per_clip` emotional ones of each talking clip, all conditions equally often."""
    emotional: dict[str, dict[tuple[str, float], SequenceEntry]] = {}
    chosen = [entry for entry in entries if entry.emotion is None]
    for entry in entries:
        if entry.emotion is not None:
            emotional.setdefault(entry.talk, {})[entry.emotion, entry.intensity] = entry
    rng = np.random.default_rng(seed)
    conditions = sorted({condition for versions in emotional.values() for condition in versions})
    waiting: list[tuple[str, float]] = []
    for versions in emotional.values():
        taken, wanted = 0, min(per_clip, len(versions))
        for _ in range(2 * len(conditions)):
            if taken == wanted:
                break
            if not waiting:
                waiting = [conditions[index] for index in rng.permutation(len(conditions))]
            condition = waiting.pop()
            if condition in versions:
                chosen.append(versions.pop(condition))
                taken += 1
    return chosen


def split_entries(everything: Sequence[SequenceEntry], split: str, *, per_clip: int, held: int, seed: int) -> list[SequenceEntry]:
    """What a training takes of a split: of "train" all neutral entries and `per_clip` emotional ones of each talking clip; of the
    held-out splits about `held` sequences: neutral ones, spread over the split, and one emotional version of each."""
    entries = [entry for entry in everything if entry.split == split]
    if split == "train":
        return choose_entries(entries, per_clip=per_clip, seed=seed)
    half = max(1, held // 2)
    talks = [entry.talk for entry in entries if entry.emotion is None] or list(dict.fromkeys(entry.talk for entry in entries))
    kept = {talks[index] for index in np.unique(np.linspace(0, len(talks) - 1, half).astype(int))} if talks else set()
    return choose_entries([entry for entry in entries if entry.talk in kept], per_clip=1, seed=seed)


def choose_splits(entries: Sequence[SequenceEntry], config: S2LConfig | FaceFormerConfig) -> dict[str, list[SequenceEntry]]:
    """What a training takes of the splits "train", "val" and "test". Raises DataError where there is nothing to train on."""
    chosen = {
        split: split_entries(
            entries, split, per_clip=config.conditions_per_clip, held=config.validation_sequences, seed=config.seed
        )
        for split in ("train", "val", "test")
    }
    if not chosen["train"]:
        raise DataError("the dataset has no training sequences of this kind; check its splits or build it again")
    return chosen


def fingerprint(source: SequenceSource, entries: Sequence[SequenceEntry]) -> str:
    """Hash of what a training reads: topology, labels, frame rate, and the names and lengths of its sequences."""
    rows = [f"{entry.id} {entry.subject} {entry.emotion} {entry.intensity:g} {entry.frames}" for entry in entries]
    head = [source.template.topology_hash, f"{source.fps:g}", ",".join(source.emotions)]
    return hash_bytes("\n".join([*head, *rows]).encode())


def sample_generators(seed: int, share: Share, batch: int) -> list[np.random.Generator]:
    """A generator for each sample of a batch: what a sample is depends on its number alone, not on how a step is shared out."""
    return [np.random.default_rng((seed, sample)) for sample in share.samples(batch)]


class LandmarkBank:
    """Landmark displacements of chosen sequences (T,68,3), kept in millimetres as half floats, and the subjects' rest (68,3)."""

    def __init__(self, source: SequenceSource) -> None:
        self._source = source
        self.tracks: dict[str, Half] = {}
        self.rest: dict[str, Float] = {}

    def add(self, entry: SequenceEntry) -> None:
        """Decode and keep one sequence."""
        self.put(entry, np.asarray(self._source.landmarks(entry) * MM, dtype=np.float16))

    def put(self, entry: SequenceEntry, millimetres: Half) -> None:
        """Keep one sequence that was decoded before, (T,68,3) in millimetres."""
        if millimetres.shape[1:] != (LANDMARKS, 3) or len(millimetres) == 0 or not np.isfinite(millimetres).all():
            raise DataError(
                f"sequence {entry.id} has landmarks of shape {millimetres.shape} or not finite; rebuild the data folder"
            )
        self.tracks[entry.id] = millimetres
        if entry.subject not in self.rest:
            template = self._source.template
            points = landmark_points(
                self._source.neutral(entry.subject), template.faces, template.landmark_faces, template.landmark_weights
            )
            self.rest[entry.subject] = np.asarray(points, dtype=np.float32)

    def rms(self, names: Sequence[str]) -> float:
        """Root mean square of some kept sequences' displacement components in metres. Raises DataError when nothing moves."""
        squares = sum(float((self.tracks[name].astype(np.float32) ** 2).sum()) for name in names)
        size = float(np.sqrt(squares / max(1, sum(self.tracks[name].size for name in names)))) / MM
        if not size > 0:
            raise DataError("the landmarks of the training sequences never move; build the dataset again")
        return size


def load_bank(
    entries: Sequence[SequenceEntry], bank: SpeechBank, *, copies: int, seed: int, tick: Callable[[], None] = lambda: None
) -> None:
    """Read and keep the speech of every talking clip among `entries`."""
    for entry in entries:
        if entry.talk not in bank.recordings:
            bank.add(entry.talk, load_speech(entry.audio), copies=copies, seed=seed)
            tick()


def listen(
    chosen: Mapping[str, Sequence[SequenceEntry]], bank: SpeechBank, *, copies: int, seed: int, preparing: Preparing | None = None
) -> SpeechBank:
    """Fill a bank with the speech of the chosen entries of each split; only "train" gets `copies` changed versions."""
    total = len({entry.talk for entries in chosen.values() for entry in entries})

    def tick() -> None:
        if preparing is not None:
            preparing("speech", len(bank.recordings), total)

    for split, entries in chosen.items():
        load_bank(entries, bank, copies=copies if split == "train" else 0, seed=seed, tick=tick)
    return bank


def training_batch(
    entries: Sequence[SequenceEntry],
    emotions: Sequence[str],
    speech: SpeechBank,
    landmarks: LandmarkBank,
    *,
    crop: int,
    rngs: Sequence[np.random.Generator],
) -> Batch:
    """Draw a random crop of `crop` frames with each of `rngs`; shorter recordings are held at their end, where they are silent.

    Equal lengths matter: an LSTM over padded rows takes twice as long.
    """
    parts = []
    for rng in rngs:
        entry = entries[int(rng.integers(0, len(entries)))]
        versions = speech.recordings[entry.talk]
        which = int(rng.integers(0, len(versions)))
        recording = versions[which]
        changed = rng if len(versions) > 1 and rng.random() < 0.9 else None
        start = int(rng.integers(0, max(1, recording.frames - crop + 1)))
        rows = np.minimum(np.arange(start, start + crop), recording.frames - 1)
        features = speech.features(recording, changed)[rows]
        track = landmarks.tracks[entry.id]
        positions = recording.timing.positions(recording.frames, speech.fps)[rows]
        parts.append((entry, features, retime(track.astype(np.float32), positions) / np.float32(MM)))
    return collate(parts, emotions, landmarks)


def whole_sequence(entry: SequenceEntry, emotions: Sequence[str], speech: SpeechBank, landmarks: LandmarkBank) -> Batch:
    """One whole clean sequence as a batch of one."""
    recording = speech.recordings[entry.talk][0]
    features = speech.features(recording, None)
    track = landmarks.tracks[entry.id].astype(np.float32)
    truth = retime(track, np.arange(len(features), dtype=np.float32)) / np.float32(MM)
    return collate([(entry, features, truth)], emotions, landmarks)


def collate(parts: Sequence[tuple[SequenceEntry, Float, Float]], emotions: Sequence[str], landmarks: LandmarkBank) -> Batch:
    """Pad (entry, features (T,C), truth (T,68,3)) to the longest; (B,...)."""
    lengths = np.array([len(features) for _, features, _ in parts], dtype=np.int64)
    count, frames = len(parts), int(lengths.max())
    speech = np.zeros((count, frames, parts[0][1].shape[1]), dtype=np.float32)
    emotion = np.zeros((count, frames, len(emotions)), dtype=np.float32)
    intensity = np.zeros((count, frames, len(INTENSITIES)), dtype=np.float32)
    truth = np.zeros((count, frames, LANDMARKS, 3), dtype=np.float32)
    for row, (entry, features, target) in enumerate(parts):
        speech[row, : len(features)] = features
        truth[row, : len(target)] = target
        emotion[row], intensity[row] = one_hots(entry, emotions)
    rest = np.stack([landmarks.rest[entry.subject] for entry, _, _ in parts])
    return Batch(speech, emotion, intensity, truth, rest, lengths)
