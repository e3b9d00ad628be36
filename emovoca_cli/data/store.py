"""The displacement store, reading side: neutral faces, clips of motion and their speech, memory-mapped.

A folder with `manifest.json`, `template.npz`, `neutral/<subject>.npy` (V,3), `clips/<id>.npy` (displacements (T,V,3) float16 or
float32, or coefficients (T,K) float32 with `basis/<subject>.npy` (K,V,3)), `speech/*` and `speech.json` (text and phones of every
utterance).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.arrays import map_npy
from emovoca_cli.data.folder import FileRow, check_files, manifest_files, read_manifest
from emovoca_cli.data.sequences import FrameIndex, Phone, frame_numbers
from emovoca_cli.data.splits import check_splits
from emovoca_cli.data.template import load_template
from emovoca_cli.data.writer import STORE_SCHEMA, StoreWriter
from emovoca_cli.errors import DataError, EmovocaError, TopologyError, UsageError
from emovoca_cli.files import hash_file, read_json
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Float, MeshTemplate

__all__ = ["ClipRow", "Store", "StoreWriter", "open_data"]

TALK, EXPRESSION = "talk", "expression"
_HINT = "make it with `emovoca prep`"

RowT = TypeVar("RowT")


class ClipRow(NamedTuple):
    """One clip of a store: `label` for expressions, `sentence` for talk."""

    id: str
    subject: str
    split: str
    frames: int
    label: str | None
    sentence: str | None


class Store:
    """An opened store. Opening reads the manifest only; arrays are mapped when they are asked for."""

    def __init__(self, root: Path, *, kind: str | None = None) -> None:
        """Open the store in `root`, of `kind` "talk" or "expression" when given. Raises UsageError or DataError."""
        manifest = read_manifest(root, (kind,) if kind else (TALK, EXPRESSION), STORE_SCHEMA, _HINT)
        self.root = root
        self.manifest: Mapping[str, Any] = manifest
        try:
            self.kind: str = manifest["kind"]
            self.fps = float(manifest["fps"])
            self.topology_hash: str = manifest["topology_hash"]
            self.vertex_count = int(manifest["vertices"])
            self.storage: str = manifest["storage"]
            self.subjects: tuple[str, ...] = tuple(manifest["subjects"])
            self.labels: tuple[str, ...] = tuple(manifest["labels"])
            self.licence: str = manifest["licence"]
            self.splits = check_splits(manifest["splits"], self.subjects)
            placed = {subject: name for name, members in self.splits.items() for subject in members}
            self.clips: tuple[ClipRow, ...] = tuple(
                ClipRow(row[0], row[1], placed[row[1]], int(row[2]), row[3], row[4]) for row in manifest["clips"]
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"{root}/manifest.json misses or garbles {error}; {_HINT}") from error
        self._by_id = {row.id: row for row in self.clips}
        self._neutral: dict[str, Float] = {}
        self._basis: dict[str, Float] = {}
        self._landmark_basis: dict[str, Float] = {}

    @classmethod
    def open(cls, root: Path, *, kind: str | None = None) -> Store:
        """The store in `root`; reads well beside `StoreWriter`."""
        return cls(root, kind=kind)

    @cached_property
    def template(self) -> MeshTemplate:
        """The topology, landmarks and regions of all its meshes."""
        template = load_template(self.root / "template.npz")
        if template.topology_hash != self.topology_hash:
            raise TopologyError(f"{self.root}/template.npz is not the topology that the manifest names; {_HINT} again")
        return template

    @property
    def content_hash(self) -> str:
        """Hash of the manifest, and through its file hashes of everything in the store."""
        return hash_file(self.root / "manifest.json")

    def clip(self, clip_id: str) -> ClipRow:
        """The row of a clip. Raises DataError for an unknown id."""
        row = self._by_id.get(clip_id)
        if row is None:
            raise DataError(f"{self.root} has no clip {clip_id!r}; it holds {len(self.clips)}, the first is {self.clips[0].id!r}")
        return row

    def select(self, *, split: str | None = None, subject: str | None = None, label: str | None = None) -> tuple[ClipRow, ...]:
        """The clips of a split, subject and label, in the store's order."""
        return tuple(
            row
            for row in self.clips
            if (split is None or row.split == split)
            and (subject is None or row.subject == subject)
            and (label is None or row.label == label)
        )

    def thinned(self, count: int | None) -> Store:
        """The same store with at most `count` clips of each subject, spread over what there is; None for all of them."""
        kept = {row.id for subject in self.subjects for row in spread(self.select(subject=subject), count)}
        thinned = copy.copy(self)
        thinned.clips = tuple(row for row in self.clips if row.id in kept)
        return thinned

    def _map(self, path: str) -> NDArray[Any]:
        try:
            return map_npy(self.root / path)
        except EmovocaError as error:
            raise DataError(f"{error}; run the command that wrote it again, which replaces damaged files") from error

    def neutral(self, subject: str) -> Float:
        """A subject's face at rest (V,3), metres."""
        if subject not in self._neutral:
            self._known(subject)
            self._neutral[subject] = self._shaped(np.asarray(self._map(f"neutral/{subject}.npy"), np.float32), "neutral", subject)
        return self._neutral[subject]

    def basis(self, subject: str) -> Float:
        """A subject's blendshapes (K,V,3), metres at coefficient 1. Raises DataError for a store of displacements."""
        if subject not in self._basis:
            if self.storage != "coefficients":
                raise DataError(f"{self.root} stores displacements, not coefficients; it has no basis")
            self._known(subject)
            self._basis[subject] = self._shaped(np.asarray(self._map(f"basis/{subject}.npy"), np.float32), "basis", subject)
        return self._basis[subject]

    def _known(self, subject: str) -> None:
        if subject not in self.subjects:
            raise DataError(f"{self.root} has no subject {subject!r}; it has {', '.join(self.subjects)}")

    def _shaped(self, array: Float, what: str, subject: str) -> Float:
        if array.shape[-2:] != (self.vertex_count, 3):
            raise TopologyError(
                f"the {what} of {subject} in {self.root} has shape {array.shape}, expected {self.vertex_count} vertices"
            )
        return array

    def raw(self, clip_id: str) -> NDArray[Any]:
        """The stored array of a clip, mapped: (T,V,3) displacements or (T,K) coefficients."""
        row = self.clip(clip_id)
        array = self._map(f"clips/{clip_id}.npy")
        if len(array) != row.frames or (self.storage == "displacement" and array.shape[1:] != (self.vertex_count, 3)):
            raise DataError(
                f"clip {clip_id} in {self.root} has shape {array.shape}, expected {row.frames} frames; write the store again"
            )
        return array

    def coefficients(self, clip_id: str) -> Float:
        """The rig coefficients (T,K) of a clip. Raises DataError for a store of displacements."""
        if self.storage != "coefficients":
            raise DataError(f"{self.root} stores displacements, not coefficients")
        return np.asarray(self.raw(clip_id), np.float32)

    def displacement(self, clip_id: str, frames: FrameIndex = None) -> Float:
        """Displacements from the subject's neutral (n,V,3) in metres of the asked frames (paper eq. 2)."""
        row = self.clip(clip_id)
        chosen = self.raw(clip_id)[frame_numbers(frames, row.frames)]
        if self.storage == "displacement":
            return np.asarray(chosen, np.float32)
        basis = self.basis(row.subject)
        return (np.asarray(chosen, np.float32) @ basis.reshape(len(basis), -1)).reshape(len(chosen), -1, 3)

    def landmarks(self, clip_id: str, frames: FrameIndex = None) -> Float:
        """Displacements of the 68 landmarks (n,68,3) in metres: linear in the vertices, so cheap for coefficients."""
        row, template = self.clip(clip_id), self.template
        if self.storage == "displacement":
            points = landmark_points(
                self.displacement(clip_id, frames), template.faces, template.landmark_faces, template.landmark_weights
            )
            return np.asarray(points, np.float32)
        if row.subject not in self._landmark_basis:
            points = landmark_points(self.basis(row.subject), template.faces, template.landmark_faces, template.landmark_weights)
            self._landmark_basis[row.subject] = np.asarray(points, np.float32)
        basis = self._landmark_basis[row.subject]
        chosen = np.asarray(self.raw(clip_id)[frame_numbers(frames, row.frames)], np.float32)
        return (chosen @ basis.reshape(len(basis), -1)).reshape(len(chosen), -1, 3)

    def neutral_landmarks(self, subject: str) -> Float:
        """The landmarks (68,3) of a subject's face at rest, metres."""
        template = self.template
        points = landmark_points(self.neutral(subject), template.faces, template.landmark_faces, template.landmark_weights)
        return np.asarray(points, np.float32)

    @cached_property
    def _speech(self) -> dict[str, dict[str, Any]]:
        if self.kind != TALK:
            raise DataError(f"{self.root} holds silent expressions; speech is in the talk store")
        value: dict[str, dict[str, Any]] = read_json(self.root / "speech.json")
        return value

    def utterance(self, clip_id: str) -> Mapping[str, Any]:
        """What a talk clip says: `audio` (file name), `text`, `phones`."""
        sentence = self.clip(clip_id).sentence
        if sentence is None or sentence not in self._speech:
            raise DataError(f"clip {clip_id} in {self.root} names the utterance {sentence!r}, which speech.json does not have")
        return self._speech[sentence]

    def audio_path(self, clip_id: str) -> Path:
        """The recording of a talk clip. Raises DataError when the file is gone."""
        path = self.root / "speech" / str(self.utterance(clip_id)["audio"])
        if not path.is_file():
            raise DataError(f"the speech {path} of clip {clip_id} is missing; {_HINT} again")
        return path

    def phones(self, clip_id: str) -> tuple[Phone, ...]:
        """Phones of a talk clip with their start and end in seconds; empty when unknown."""
        return tuple((str(name), float(start), float(end)) for name, start, end in self.utterance(clip_id)["phones"])

    def text(self, clip_id: str) -> str:
        """The words of a talk clip."""
        return str(self.utterance(clip_id)["text"])

    @property
    def files(self) -> dict[str, FileRow]:
        """Every file of the store with its hash and size."""
        return manifest_files(self.manifest)

    def verify(self) -> list[str]:
        """One line for every bad file (missing, cut off, changed); empty when the store is whole."""
        return check_files(self.root, self.files)


def spread(rows: Sequence[RowT], count: int | None) -> tuple[RowT, ...]:
    """At most `count` of the rows, evenly spread over them, in their order; None for all."""
    if count is None or count >= len(rows):
        return tuple(rows)
    return tuple(rows[index] for index in np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int)))


def open_data(folder: Path) -> tuple[Store, Store]:
    """The talk and the expression store of a data folder. Raises TopologyError when their meshes differ."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; {_HINT}, or point --data at one that it wrote")
    talk, expression = Store(folder / TALK, kind=TALK), Store(folder / EXPRESSION, kind=EXPRESSION)
    if talk.topology_hash != expression.topology_hash:
        raise TopologyError(
            f"{folder}: talk has {talk.vertex_count} vertices and expression {expression.vertex_count}, or other faces; "
            "both need one topology"
        )
    return talk, expression
