"""The displacement store, writing side: files written then renamed, the manifest last, a stopped run continued."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.arrays import map_npy
from emovoca_cli.data.folder import BuildFolder, fingerprint
from emovoca_cli.data.sequences import Phone
from emovoca_cli.data.splits import SPLIT_NAMES, check_splits
from emovoca_cli.data.template import save_template, template_hash
from emovoca_cli.errors import DataError, TopologyError
from emovoca_cli.types import Float, MeshTemplate

STORE_SCHEMA = 1


class StoreWriter:
    """Writes one store. Add subjects, then speech and clips in any order, then `finish`."""

    def __init__(
        self,
        root: Path,
        *,
        kind: str,
        template: MeshTemplate,
        fps: float,
        licence: str,
        provenance: Mapping[str, Any],
        labels: Iterable[str] = (),
        coefficient_names: Iterable[str] = (),
        overwrite: bool = False,
    ) -> None:
        """Start or continue a store.

        `provenance` (plain JSON) must say all that decides the content: it is the fingerprint under which a stopped run continues.
        With `coefficient_names` (K,) clips are coefficients, otherwise displacements. Raises UsageError or OutputError.
        """
        self._template = template
        self._names = tuple(coefficient_names)
        self._head: dict[str, Any] = {
            "schema": STORE_SCHEMA,
            "kind": kind,
            "topology_hash": template.topology_hash,
            "template_hash": template_hash(template),
            "vertices": len(template.vertices),
            "fps": float(fps),
            "units": "metres",
            "storage": "coefficients" if self._names else "displacement",
            "coefficient_names": list(self._names),
            "labels": list(labels),
            "licence": licence,
            "provenance": dict(provenance),
        }
        self._folder = BuildFolder(root, kind=f"{kind} store", mark=fingerprint(self._head), overwrite=overwrite)
        self._splits: dict[str, list[str]] = {name: [] for name in SPLIT_NAMES}
        self._clips: dict[str, list[Any]] = {}
        self._speech: dict[str, dict[str, Any]] = {}
        self._wanted = ["template.npz"]
        if self._folder.kept("template.npz") is None:
            save_template(template, root / "template.npz")
            self._folder.note("template.npz")

    def add_subject(self, subject: str, split: str, neutral: Float, basis: Float | None = None) -> None:
        """Add a subject: face at rest (V,3) metres and, for coefficients, blendshapes (K,V,3) metres (kept as float16)."""
        shape = self._template.vertices.shape
        if neutral.shape != shape:
            raise TopologyError(f"the neutral of {subject} has shape {neutral.shape}, the template {shape}; both need one topology")
        if split not in SPLIT_NAMES:
            raise DataError(f"unknown split {split!r} of {subject}; the splits are {', '.join(SPLIT_NAMES)}")
        self._splits[split].append(subject)
        self._save(f"neutral/{subject}.npy", neutral.astype(np.float32))
        if self._names:
            if basis is None or basis.shape != (len(self._names), *shape):
                seen = None if basis is None else basis.shape
                raise TopologyError(f"the basis of {subject} has shape {seen}, expected {(len(self._names), *shape)}")
            self._save(f"basis/{subject}.npy", basis.astype(np.float16))

    def add_speech(self, utterance: str, source: Path, *, text: str, phones: Iterable[Phone]) -> None:
        """Copy a recording in, once for all clips that speak it. Phones in seconds."""
        name = utterance + source.suffix
        self._wanted.append(f"speech/{name}")
        if self._folder.kept(f"speech/{name}") is None:
            self._folder.copy(f"speech/{name}", source)
        self._speech[utterance] = {
            "audio": name,
            "text": text,
            "phones": [[phone, round(start, 5), round(end, 5)] for phone, start, end in phones],
        }

    def has_clip(self, clip_id: str) -> bool:
        """Whether a stopped run wrote this clip already; then `keep_clip` it instead of making it again."""
        return self._folder.kept(f"clips/{clip_id}.npy") is not None

    def forget_clip(self, clip_id: str) -> None:
        """Have a clip written anew even when a stopped run wrote it: its source has changed."""
        self._folder.forget(f"clips/{clip_id}.npy")

    def forget_neutral(self, subject: str) -> None:
        """The same for a subject's face at rest."""
        self._folder.forget(f"neutral/{subject}.npy")

    def forget_speech(self, utterance: str) -> None:
        """The same for a recording, of whatever format."""
        self._folder.forget(*(path for path in self._folder.paths() if path.rpartition(".")[0] == f"speech/{utterance}"))

    def clip_frames(self) -> dict[str, int]:
        """Number of frames of every clip entered so far."""
        return {name: int(row[2]) for name, row in self._clips.items()}

    def keep_clip(self, clip_id: str, subject: str, *, label: str | None = None, sentence: str | None = None) -> None:
        """Enter a clip that is there already."""
        frames = len(map_npy(self._folder.root / f"clips/{clip_id}.npy"))
        if clip_id in self._clips:
            raise DataError(f"clip {clip_id} was added twice; every clip needs its own id")
        self._clips[clip_id] = [clip_id, subject, frames, label, sentence]
        self._wanted.append(f"clips/{clip_id}.npy")

    def add_clip(
        self,
        clip_id: str,
        subject: str,
        values: NDArray[Any],
        *,
        label: str | None = None,
        sentence: str | None = None,
        half: bool = True,
    ) -> None:
        """Write a clip: coefficients (T,K), kept as float32, or displacements (T,V,3) metres, kept as float16 unless `half` is off.

        Raises DataError for no frames, values that are not finite or of another shape, or a sentence without speech.
        """
        wanted = (len(self._names),) if self._names else self._template.vertices.shape
        if values.ndim != len(wanted) + 1 or values.shape[1:] != wanted or len(values) == 0:
            raise DataError(
                f"clip {clip_id} has shape {values.shape}, expected (frames, {', '.join(map(str, wanted))}) with at least one frame"
            )
        if not np.isfinite(values).all():
            raise DataError(f"clip {clip_id} has values that are not finite; check its source")
        self._save(f"clips/{clip_id}.npy", values.astype(np.float16 if half and not self._names else np.float32), listed=False)
        self.keep_clip(clip_id, subject, label=label, sentence=sentence)

    def _save(self, path: str, array: NDArray[Any], *, listed: bool = True) -> None:
        if self._folder.kept(path) is None:
            self._folder.save(path, array)
        if listed:
            self._wanted.append(path)

    def finish(self) -> Path:
        """Write the manifest and return the store's folder. Raises DataError for an empty or inconsistent store."""
        if not self._clips:
            raise DataError(f"{self._folder.root} would have no clips; a store needs at least one")
        clips = list(self._clips.values())
        splits = check_splits(self._splits, {row[1] for row in clips})
        unspoken = [row[0] for row in clips if row[4] is not None and row[4] not in self._speech]
        if unspoken:
            raise DataError(f"clip {unspoken[0]} speaks an utterance that was not added; call add_speech for it")
        if self._speech:
            self._folder.json("speech.json", self._speech)
            self._wanted.append("speech.json")
        subjects = sorted(subject for members in splits.values() for subject in members)
        self._folder.finish({**self._head, "subjects": subjects, "splits": splits, "clips": clips}, self._wanted)
        return self._folder.root
