"""A folder of many files that is whole when its manifest is there, and continues where it was stopped.

Every file is written then renamed, and noted with its hash in a journal (one JSON line a file, beside the data). The manifest,
which lists all hashes, is written last. The journal's first line is the fingerprint of what is being built: a stopped build goes
on only under the same fingerprint. Shards write one journal each; whoever finishes last writes the manifest.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.errors import DataError, OutputError, UsageError
from emovoca_cli.files import atomic_write, hash_bytes, hash_file, left_over, read_json, write_json

MANIFEST = "manifest.json"
JOURNAL = ".build"


@dataclass(frozen=True)
class FileRow:
    """One written file: its path under the folder, SHA-256 and size in bytes."""

    path: str
    sha256: str
    bytes: int


def fingerprint(value: Any) -> str:
    """Hash of a plain JSON value: equal values, equal hash."""
    return hash_bytes(json.dumps(value, sort_keys=True).encode())


class BuildFolder:
    """The writing side of such a folder."""

    def __init__(self, root: Path, *, kind: str, mark: str, shard: tuple[int, int] = (0, 1), overwrite: bool = False) -> None:
        """Start or continue a build of `kind` with fingerprint `mark` in `root`.

        Raises UsageError when the folder holds something else and `overwrite` is off, OutputError when it cannot be written.
        """
        index, count = shard
        if count < 1 or not 0 <= index < count:
            raise UsageError(f"shard {index}/{count} does not exist; the first number goes from 0 to {count - 1}")
        self.root = root
        self._mark = mark
        self._kind = kind
        self._journal = root / f"{JOURNAL}-{index}-of-{count}.jsonl"
        self._rows: dict[str, FileRow] = {}
        self._adopt(overwrite)
        if not self._journal.exists():
            self._note(self._journal, {"kind": kind, "mark": mark})

    def _adopt(self, overwrite: bool) -> None:
        """Keep what an earlier build of the same thing wrote; refuse or clear anything else."""
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"{self.root} is a file; --out has to be a folder")
        manifest = self.root / MANIFEST
        journals = sorted(self.root.glob(f"{JOURNAL}-*.jsonl")) if self.root.is_dir() else []
        if not manifest.exists() and not journals:
            if self.root.is_dir() and any(self.root.iterdir()):
                raise UsageError(f"{self.root} is not empty and not an unfinished {self._kind} folder; choose another --out")
            return
        marks = {read_journal(path)[0] for path in journals}
        if manifest.exists():
            seen = read_json(manifest)
            marks.add(str(seen.get("fingerprint")) if isinstance(seen, dict) else "")
        if marks != {self._mark}:
            if not overwrite:
                raise UsageError(
                    f"{self.root} holds another {self._kind} (other inputs or settings); pass --overwrite or choose another --out"
                )
            self._clear()
            return
        if manifest.exists():
            self._keep(manifest_files(seen))
        self._keep(rows_of(journals))

    def _clear(self) -> None:
        """Forget an other build: the manifest first, so that it is never seen as whole."""
        try:
            listed = manifest_files(read_json(self.root / MANIFEST)) if (self.root / MANIFEST).exists() else {}
            (self.root / MANIFEST).unlink(missing_ok=True)
            journals = sorted(self.root.glob(f"{JOURNAL}-*.jsonl"))
            for path in {**listed, **rows_of(journals)}:
                (self.root / path).unlink(missing_ok=True)
            for journal in journals:
                journal.unlink()
        except OSError as error:
            raise OutputError(f"cannot clear {self.root}: {error.strerror or error}") from error

    def _keep(self, rows: Mapping[str, FileRow]) -> None:
        """Enter files that are there with the content they were noted with; a damaged one is made again."""
        self._rows.update({path: row for path, row in rows.items() if problem_of(self.root, row) is None})

    def kept(self, path: str) -> FileRow | None:
        """The row of a file that is there already, whole, or None."""
        return self._rows.get(path)

    def forget(self, *paths: str) -> None:
        """Take files for missing, so that they are written anew."""
        for path in paths:
            self._rows.pop(path, None)

    def paths(self) -> tuple[str, ...]:
        """The files that are there already, whole."""
        return tuple(self._rows)

    def save(self, path: str, array: NDArray[Any]) -> FileRow:
        """Write an array as .npy and note it."""
        with atomic_write(self.root / path) as temporary, temporary.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)
        return self.note(path)

    def copy(self, path: str, source: Path) -> FileRow:
        """Copy a file in and note it. Raises UsageError when it is missing."""
        if not source.is_file():
            raise UsageError(f"{source} does not exist; it belongs to the data being written")
        with atomic_write(self.root / path) as temporary:
            shutil.copyfile(source, temporary)
        return self.note(path)

    def json(self, path: str, value: Any) -> FileRow:
        """Write JSON and note it."""
        write_json(self.root / path, value)
        return self.note(path)

    def note(self, path: str) -> FileRow:
        """Note a file that was written under the folder."""
        target = self.root / path
        row = FileRow(path, hash_file(target), target.stat().st_size)
        self._note(self._journal, [row.path, row.sha256, row.bytes])
        self._rows[path] = row
        return row

    def _note(self, journal: Path, value: Any) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with journal.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(value) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {journal}: {error.strerror or error}") from error

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """Which of the wanted files nobody (no shard) has written yet."""
        others = rows_of(sorted(self.root.glob(f"{JOURNAL}-*.jsonl")))
        self._keep({path: row for path, row in others.items() if path not in self._rows})
        return [path for path in wanted if path not in self._rows]

    def finish(self, manifest: Mapping[str, Any], wanted: Iterable[str]) -> bool:
        """Write the manifest over the wanted files and drop the journals; False when other shards still have to write some."""
        wanted = list(wanted)
        if self.missing(wanted):
            return False
        for folder in {(self.root / path).parent for path in wanted}:
            for file, name in left_over(folder):
                if (folder / name).relative_to(self.root).as_posix() in self._rows:
                    file.unlink(missing_ok=True)
        files = {path: [self._rows[path].sha256, self._rows[path].bytes] for path in wanted}
        write_json(self.root / MANIFEST, {**manifest, "fingerprint": self._mark, "files": files})
        for journal in self.root.glob(f"{JOURNAL}-*.jsonl"):
            journal.unlink(missing_ok=True)
        return True


def read_journal(path: Path) -> tuple[str, dict[str, FileRow]]:
    """Fingerprint and rows of a journal; a last line cut off by a crash is dropped."""
    mark, rows = "", {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(value, dict):
            mark = str(value.get("mark", ""))
        elif isinstance(value, list) and len(value) == 3:
            rows[str(value[0])] = FileRow(str(value[0]), str(value[1]), int(value[2]))
    return mark, rows


def rows_of(journals: Iterable[Path]) -> dict[str, FileRow]:
    """The rows of several journals together."""
    together: dict[str, FileRow] = {}
    for journal in journals:
        together.update(read_journal(journal)[1])
    return together


def manifest_files(manifest: Any) -> dict[str, FileRow]:
    """The file rows of a manifest; empty when it has none."""
    listed = manifest.get("files", {}) if isinstance(manifest, dict) else {}
    return {path: FileRow(path, str(row[0]), int(row[1])) for path, row in listed.items()}


def read_manifest(root: Path, kinds: Iterable[str], schema: int, hint: str) -> dict[str, Any]:
    """The manifest of a whole folder of one of `kinds`, schema at most `schema`; `hint` says how to make such a folder.

    Raises UsageError for a folder that is missing or not one, DataError for an unfinished, newer or foreign one.
    """
    kinds = tuple(kinds)
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder; expected {' or '.join(kinds)} data; {hint}")
    path = root / MANIFEST
    if not path.is_file():
        if any(root.glob(f"{JOURNAL}-*.jsonl")):
            raise DataError(f"{root} is unfinished (no {MANIFEST}); run the command that writes it again to continue it")
        raise UsageError(f"{root} has no {MANIFEST}, so it is not {' or '.join(kinds)} data; {hint}")
    manifest = read_json(path)
    if not isinstance(manifest, dict) or "kind" not in manifest or "schema" not in manifest:
        raise DataError(f"{path} is not an emovoca manifest (no kind, no schema); {hint}")
    if manifest["kind"] not in kinds:
        raise DataError(f"{root} holds {manifest['kind']} data, expected {' or '.join(kinds)}; {hint}")
    if not isinstance(manifest["schema"], int) or manifest["schema"] > schema:
        raise DataError(f"{root} has schema {manifest['schema']}, this version reads up to {schema}; update emovoca")
    return manifest


def check_files(root: Path, rows: Mapping[str, FileRow]) -> list[str]:
    """One line for every file that is missing, cut off or changed; empty when all is whole."""
    return [problem for _, row in sorted(rows.items()) if (problem := problem_of(root, row)) is not None]


def problem_of(root: Path, row: FileRow) -> str | None:
    """What is wrong with a file, or None when it is whole."""
    target = root / row.path
    try:
        size = target.stat().st_size
        if size != row.bytes:
            return f"{row.path}: {size} bytes, expected {row.bytes}"
        return None if hash_file(target) == row.sha256 else f"{row.path}: content changed (hash differs)"
    except OSError as error:
        return f"{row.path}: missing" if not target.exists() else f"{row.path}: unreadable ({error.strerror})"
