"""An EmoVOCA dataset as the generators see it: emotional sequences decoded when asked for, and the neutral speech behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.arrays import map_npy
from emovoca_cli.data.folder import FileRow, manifest_files, read_manifest
from emovoca_cli.data.sequences import FrameIndex, SequenceEntry, frame_numbers
from emovoca_cli.data.splits import check_splits, split_of
from emovoca_cli.data.store import Store
from emovoca_cli.data.template import load_template
from emovoca_cli.dataset_builder.build import DATASET, DATASET_SCHEMA, MixerLike, seal_track
from emovoca_cli.errors import DataError, EmovocaError, TopologyError
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Float, MeshTemplate

_HINT = "make it with `emovoca build-dataset`"


class EmoDataset:
    """An opened dataset; a `SequenceSource`.

    Opening reads the manifests of the dataset and of the talk store it speaks with; the mixer is loaded at the first decoding.
    One made from the authors' folders (`prep release`) carries its speech itself: it has no talk store and no neutral entries.
    """

    def __init__(self, root: Path, *, talk: Path | None = None, load_mixer: Callable[[Path], MixerLike] | None = None) -> None:
        """Open the dataset in `root`; `talk` says where its talk store lies when it has moved. Raises UsageError or DataError."""
        manifest = read_manifest(root, (DATASET,), DATASET_SCHEMA, _HINT)
        self.root = root
        self.manifest: dict[str, Any] = manifest
        try:
            self.store: str = manifest["store"]
            self.version: str = manifest["version"]
            self.emotions: tuple[str, ...] = tuple(manifest["emotions"])
            self.mu_e = {int(level): float(mu) for level, mu in manifest["intensities"].items()}
            self.mu_t = float(manifest["mu_t"])
            self.seal = bool(manifest["seal"])
            self.fps = float(manifest["fps"])
            self.licence: str = manifest["licence"]
            self.subjects: tuple[str, ...] = tuple(manifest["subjects"])
            self.splits = check_splits(manifest["splits"], self.subjects)
            self._partners: dict[str, str] = manifest["partners"]
            self._codes = {(row[0], row[1]): index for index, row in enumerate(manifest["codes"])}
            self._clips: list[tuple[str, str, int]] = [(row[0], row[1], int(row[2])) for row in manifest["clips"]]
            self._speech: dict[str, str] | None = manifest.get("speech")
            self._present = frozenset(manifest["present"]) if "present" in manifest else None
            self._talk_hash: str = manifest["sources"]["talk"]["hash"] if self._speech is None else ""
            self._places: dict[str, str] = manifest["places"]["talk"] if self._speech is None else {}
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"{root}/manifest.json misses or garbles {error}; {_HINT}") from error
        self._talk_path = talk
        self._load_mixer = load_mixer or _load_mixer
        self._neutral: dict[str, Float] = {}

    @cached_property
    def template(self) -> MeshTemplate:
        """The topology and its landmarks."""
        template = load_template(self.root / "template.npz")
        if template.topology_hash != self.manifest["topology_hash"]:
            raise TopologyError(f"{self.root}/template.npz is not the topology that the manifest names; {_HINT} again")
        return template

    @cached_property
    def talk(self) -> Store:
        """The talk store it was made from: its speech, phones and neutral talk. Raises DataError when it is gone or has changed."""
        if self._speech is not None:
            raise DataError(
                f"{self.root} was read from the authors' release, which has no neutral motion; it carries its own speech"
            )
        candidates = (
            [self._talk_path] if self._talk_path else [self.root / self._places["relative"], Path(self._places["absolute"])]
        )
        found = [path for path in candidates if (path / "manifest.json").is_file()]
        if not found:
            raise DataError(
                f"{self.root} speaks with the talk store {candidates[-1]}, which is not there; give its new place or build again"
            )
        store = Store(found[0].resolve(), kind="talk")
        if store.content_hash != self._talk_hash:
            raise DataError(f"the talk store {found[0]} has changed since {self.root} was built from it; build the dataset again")
        return store

    @cached_property
    def mixer(self) -> MixerLike:
        """The DE-SD mixer that decodes, from the dataset's own copy."""
        mixer = self._load_mixer(self.root / "mixer")
        if mixer.template.topology_hash != self.manifest["topology_hash"]:
            raise TopologyError(f"{self.root}/mixer has another topology than the dataset; {_HINT} again")
        return mixer

    @cached_property
    def entries(self) -> Sequence[SequenceEntry]:
        """For every talking clip its neutral entry (the recorded motion itself) where there is one, then its mixtures."""
        made: list[SequenceEntry] = []
        for clip_id, subject, frames in self._clips:
            split = split_of(self.splits, subject)
            if self._speech is None:
                shared = (frames, self.talk.audio_path(clip_id), self.talk.phones(clip_id), clip_id)
                made.append(SequenceEntry(clip_id, subject, split, None, 0.0, *shared))
            else:
                shared = (frames, self.root / self._speech[clip_id], (), clip_id)
            for emotion in self.emotions:
                made.extend(
                    SequenceEntry(f"{clip_id}_{emotion}_{level}", subject, split, emotion, float(level), *shared)
                    for level in self.mu_e
                    if self._present is None or f"{clip_id}_{emotion}_{level}" in self._present
                )
        return tuple(made)

    def __len__(self) -> int:
        """Number of emotional sequences (the manifest's count, without the neutral entries)."""
        return int(self.manifest["counts"]["sequences"])

    def neutral(self, subject: str) -> Float:
        """The subject's face at rest (V,3), metres."""
        if subject not in self._neutral:
            if subject not in self._partners:
                raise DataError(f"{self.root} has no subject {subject!r}; it has {', '.join(self.subjects)}")
            self._neutral[subject] = np.asarray(self._map(f"neutral/{subject}.npy"), np.float32)
        return self._neutral[subject]

    def displacement(self, entry: SequenceEntry, frames: FrameIndex = None) -> Float:
        """Displacements (n,V,3) in metres; only the asked frames are decoded."""
        if entry.emotion is None:
            return self.talk.displacement(entry.talk, frames)
        if self.store == "mesh":
            return np.asarray(self._map(f"sequences/{entry.id}.npy")[frame_numbers(frames, entry.frames)], np.float32)
        z_talk, z_expr, mu_e, closed = self.codes(entry, frames)
        return np.asarray(self.mixer.mix(z_talk, z_expr, self.mu_t, mu_e, closedness=closed), np.float32)

    def landmarks(self, entry: SequenceEntry) -> Float:
        """Landmark displacements (T,68,3) in metres, without decoding the rest of the face."""
        if entry.emotion is None:
            return self.talk.landmarks(entry.talk)
        if self.store == "mesh":
            template = self.template
            points = landmark_points(self.displacement(entry), template.faces, template.landmark_faces, template.landmark_weights)
            return np.asarray(points, np.float32)
        z_talk, z_expr, mu_e, closed = self.codes(entry)
        return np.asarray(self.mixer.mix_landmarks(z_talk, z_expr, self.mu_t, mu_e, closedness=closed), np.float32)

    def codes(self, entry: SequenceEntry, frames: FrameIndex = None) -> tuple[Float, Float, float, Float | None]:
        """What the mixer decodes for an emotional entry: talk codes (n,C), expression code (C,), mu_e, closedness (n,) or None."""
        chosen = frame_numbers(frames, entry.frames)
        z_talk = np.asarray(self._map(f"talk/{entry.talk}.npy")[chosen], np.float32)
        if entry.emotion is None or entry.emotion not in self.emotions or int(entry.intensity) not in self.mu_e:
            raise DataError(f"{self.root} has no sequence of {entry.talk} with {entry.emotion} at {entry.intensity:g}")
        z_expr = self._expressions[self._codes[self._partners[entry.subject], entry.emotion]]
        closed = self._closedness(entry)[chosen] if self.seal else None
        return z_talk, z_expr, self.mu_e[int(entry.intensity)], closed

    @cached_property
    def _expressions(self) -> Float:
        return np.asarray(self._map("expressions.npy"), np.float32)

    def _closedness(self, entry: SequenceEntry) -> Float:
        return seal_track(self.template, np.asarray(self._map(f"opening/{entry.talk}.npy"), np.float32), fps=self.fps)

    def _map(self, path: str) -> NDArray[Any]:
        try:
            return map_npy(self.root / path)
        except EmovocaError as error:
            raise DataError(f"{error}; `emovoca build-dataset --verify` names every bad file") from error

    @property
    def files(self) -> dict[str, FileRow]:
        """Every file of the dataset with its hash and size."""
        return manifest_files(self.manifest)


def _load_mixer(folder: Path) -> MixerLike:
    from emovoca_cli.desd.mix import Mixer

    mixer: MixerLike = Mixer.load(folder)
    return mixer
