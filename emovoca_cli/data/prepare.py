"""From a reader to a store: clip after clip, what is broken left out by name, what is there and unchanged kept."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emovoca_cli.data.checks import Findings, Ruler
from emovoca_cli.data.writer import StoreWriter
from emovoca_cli.errors import DataError, OutputError, UsageError
from emovoca_cli.files import hash_bytes
from emovoca_cli.types import Float, MeshTemplate

STAMPS = ".sources.jsonl"
Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with (done, total, metrics)."""


def stamp(*files: Path) -> str:
    """What says that files are still the same ones without reading them: sizes and times of change."""
    rows = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists()]
    return hash_bytes(json.dumps(rows).encode())


@dataclass(frozen=True)
class SourceClip:
    """One clip of a source: what it is, the file that messages name, and how to read it.

    `read` gives frames (T,V,3) in any unit; `speech` gives its recording, which it may have to write into the folder handed to it.
    """

    id: str
    subject: str
    file: str
    stamp: str
    read: Callable[[], Float]
    label: str | None = None
    sentence: str | None = None
    speech: Callable[[Path], Path] | None = None
    text: str = ""
    check: Callable[[Float], None] | None = None


class Stamps:
    """What every written file was made from, beside the store, so that a repaired source is read again and the rest is not."""

    def __init__(self, root: Path) -> None:
        self._path = root / STAMPS
        self._known: dict[str, str] = {}
        if self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    name, value = json.loads(line)
                except (json.JSONDecodeError, ValueError, TypeError):
                    continue
                self._known[str(name)] = str(value)

    def same(self, name: str, value: str) -> bool:
        """Whether a file was made from just this."""
        return self._known.get(name) == value

    def note(self, name: str, value: str) -> None:
        """Remember what a file was made from. Raises OutputError."""
        if self.same(name, value):
            return
        self._known[name] = value
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps([name, value]) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from error


@dataclass(frozen=True)
class Prepared:
    """What a store was made of."""

    root: Path
    clips: int
    kept: int
    frames: int
    subjects: tuple[str, ...]


def write_store(
    root: Path,
    clips: list[SourceClip],
    neutrals: Mapping[str, Float],
    splits: Mapping[str, str],
    *,
    kind: str,
    template: MeshTemplate,
    fps: float,
    licence: str,
    provenance: Mapping[str, Any],
    findings: Findings,
    labels: tuple[str, ...] = (),
    pose: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Write a store of displacements from `neutrals` (V,3) metres; a broken clip is reported and left out.

    Raises UsageError, OutputError, and DataError when no clip is left.
    """
    writer = StoreWriter(
        root, kind=kind, template=template, fps=fps, licence=licence, provenance=provenance, labels=labels, overwrite=overwrite
    )
    stamps = Stamps(root)
    rulers: dict[str, Ruler] = {}
    entered, kept, frames = set(), 0, 0
    units: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for done, clip in enumerate(clips, start=1):
            neutral = neutrals[clip.subject]
            mark = hash_bytes(clip.stamp.encode(), neutral.tobytes())
            ready = writer.has_clip(clip.id) and stamps.same(clip.id, mark)
            try:
                if not ready:
                    if clip.subject not in rulers:
                        rulers = {clip.subject: Ruler(neutral, template.faces)}
                    motion, unit = rulers[clip.subject].motion(clip.read(), pose=pose)
                    displacement = motion - neutral
                    if clip.check is not None:
                        clip.check(displacement)
                    units[unit] = units.get(unit, 0) + 1
                if clip.speech is not None and clip.sentence is not None:
                    if not stamps.same(f"speech/{clip.sentence}", clip.stamp):
                        writer.forget_speech(clip.sentence)
                    writer.add_speech(clip.sentence, clip.speech(Path(scratch)), text=clip.text, phones=())
                    stamps.note(f"speech/{clip.sentence}", clip.stamp)
            except (DataError, UsageError, OSError) as error:
                findings.problem(clip.file, str(error))
                continue
            if clip.subject not in entered:
                if not stamps.same(f"neutral/{clip.subject}", hash_bytes(neutral.tobytes())):
                    writer.forget_neutral(clip.subject)
                writer.add_subject(clip.subject, splits[clip.subject], neutral)
                stamps.note(f"neutral/{clip.subject}", hash_bytes(neutral.tobytes()))
                entered.add(clip.subject)
            if ready:
                writer.keep_clip(clip.id, clip.subject, label=clip.label, sentence=clip.sentence)
                kept += 1
            else:
                writer.forget_clip(clip.id)
                writer.add_clip(clip.id, clip.subject, displacement, label=clip.label, sentence=clip.sentence)
                stamps.note(clip.id, mark)
            for file in Path(scratch).iterdir():
                file.unlink()
            if progress is not None:
                progress(done, len(clips), {})
    for unit, count in units.items():
        if unit != "metres":
            findings.note(f"{count} clips were in {unit} and are stored in metres")
    if not entered:
        raise DataError(f"no usable {kind} clip was found; {_first(findings)}")
    frames = sum(writer.clip_frames().values())
    writer.finish()
    return Prepared(root, len(writer.clip_frames()), kept, frames, tuple(sorted(entered)))


def _first(findings: Findings) -> str:
    if not findings.problems:
        return "look at --input"
    file, what = findings.problems[0]
    return f"the first of {len(findings.problems)} problems: {file}: {what}"
