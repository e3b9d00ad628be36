"""Taking known files out of a .zip or .tar: members that point outside are refused, sizes are checked before anything is read."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from emovoca_cli.data.download import Remote, sha256
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import atomic_write

MOST_MEMBERS = 100_000
MOST_BYTES = 1 << 34
"""Bytes that all members together may unpack to: in a .tar.gz those in between have to be unpacked to be passed over."""


def extract_known(
    archive: Path, wanted: Mapping[str, Remote], folder: Path, told: Callable[[int, int], None] = lambda a, b: None
) -> int:
    """Write the wanted files (by path below the archive's own top folder, or without one) to `folder`; returns how many.

    Raises UsageError for a file that is no archive, DataError for a member that points outside, is a link where a file is wanted,
    or has other content than published.
    """
    with _members(archive) as (members, open_member):
        found: dict[str, Any] = {}
        unpacked = 0
        for count, (name, size, plain, member) in enumerate(members):
            unpacked += size
            if count >= MOST_MEMBERS or unpacked > MOST_BYTES:
                raise DataError(
                    f"{archive} has more than {MOST_MEMBERS} members or {MOST_BYTES >> 30} GB; it is not the published archive"
                )
            key = _known(archive, name, wanted)
            if key is None:
                continue
            if not plain:
                raise DataError(f"{archive}: {name} is not a plain file; it is not the published archive")
            if size != wanted[key].bytes:
                raise DataError(f"{archive}: {name} has {size} bytes, {wanted[key].bytes} were published; is it another version?")
            found.setdefault(key, member)
        for done, (key, member) in enumerate(sorted(found.items()), start=1):
            with open_member(member) as stream:
                data = stream.read(wanted[key].bytes + 1)
            if sha256(data) != wanted[key].sha256:
                raise DataError(f"{archive}: {key} is not the published file (its hash differs); download the archive again")
            with atomic_write(folder / key) as temporary:
                temporary.write_bytes(data)
            told(done, len(found))
    return len(found)


def _known(archive: Path, name: str, wanted: Mapping[str, Remote]) -> str | None:
    """The wanted path that a member's name means. Raises DataError for a name that leads outside."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        raise DataError(f"{archive}: its member {name!r} points outside the folder; nothing was taken from it")
    for parts in (path.parts, path.parts[1:]):
        if "/".join(parts) in wanted:
            return "/".join(parts)
    return None


@contextmanager
def _members(archive: Path) -> Iterator[tuple[Iterator[tuple[str, int, bool, Any]], Callable[[Any], IO[bytes]]]]:
    """Name, size, whether it is a plain file, and handle of each member; and what opens one."""
    if not archive.is_file():
        raise UsageError(f"{archive} does not exist; give a .zip or .tar.gz")
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                rows = ((m.filename, m.file_size, _plain(m), m) for m in zipped.infolist())
                yield rows, zipped.open
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tarred:
                yield ((m.name, m.size, m.isreg(), m) for m in tarred), lambda member: _opened(tarred, member)
        else:
            raise UsageError(f"{archive} is neither a .zip nor a .tar; give the archive that the project's page offers")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError) as error:
        raise DataError(f"{archive} is broken ({error}); download it again") from error


def _plain(member: zipfile.ZipInfo) -> bool:
    kind = (member.external_attr >> 16) & 0o170000
    return not member.is_dir() and kind in (0, 0o100000)


def _opened(tarred: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = tarred.extractfile(member)
    if stream is None:
        raise DataError(f"{member.name} is not a file; it is not the published archive")
    return stream
