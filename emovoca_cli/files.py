"""Writing files so that a reader never sees a half of one, and hashing what was written."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emovoca_cli.errors import DataError, OutputError, UsageError


def check_output(path: Path, *, overwrite: bool = False, directory: bool = False) -> Path:
    """Refuse an output place early, before work is spent on it; returns the path.

    Raises UsageError when the parent folder is missing or the target exists and may not be replaced,
    OutputError when it cannot be written.
    """
    parent = path.parent
    if not parent.is_dir():
        raise UsageError(f"the folder {parent} does not exist; make it first or choose another --out")
    if path.exists():
        if directory != path.is_dir():
            kind = "a folder" if path.is_dir() else "a file"
            raise UsageError(f"{path} is {kind} already; choose another --out")
        if not directory and not overwrite:
            raise UsageError(f"{path} exists already; pass --overwrite to replace it")
    where = path if directory and path.is_dir() else parent
    if not os.access(where, os.W_OK | os.X_OK):
        raise OutputError(f"{where} is not writable; choose another --out")
    return path


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; rename it to `path` when the block ends without an error.

    Raises OutputError when the file cannot be written (no space, no permission).
    """
    # Named before it is made, so that whatever interrupts the making finds it to be removed.
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(mode=0o600, exist_ok=False)
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def left_over(folder: Path) -> Iterator[tuple[Path, str]]:
    """Temporary files that killed writers left in a folder, each with the name of the file that it would have become."""
    for file in folder.glob(".*-*"):
        found = re.fullmatch(r"\.(.+)-[0-9a-f]{8}(\.\w+)?", file.name)
        if found:
            yield file, found[1] + (found[2] or "")


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as .csv with a header, whole or not at all. Raises OutputError."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


def read_json(path: Path) -> Any:
    """Read JSON; raises UsageError when the file is missing and DataError when it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is not readable JSON: {error}") from error


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def hash_bytes(*parts: bytes) -> str:
    """SHA-256 of the parts, each with its length before it, in hex."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
