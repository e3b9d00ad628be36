"""The published ICT-FaceKit (light): which files it has at the pinned version, and putting them into the user's cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

from emovoca_cli.data.archive import extract_known
from emovoca_cli.data.download import NetworkError, Remote, fetch, is_whole
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.cache import cache_folder

NAME = "ict-facekit"
COMMIT = "da5f95a607f5e6b37755b38d3385d7f2853732e5"
PAGE = "https://github.com/ICT-VGL/ICT-FaceKit"
BASE = f"https://raw.githubusercontent.com/ICT-VGL/ICT-FaceKit/{COMMIT}"
LICENCE = "MIT, (c) 2020 USC Institute for Creative Technologies"

Told = Callable[[int, int], None]


@cache
def published() -> dict[str, Remote]:
    """The kit's files by path, with hash and size."""
    rows = {}
    for line in files("emovoca_cli.data.arkit").joinpath("ict_facekit.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            digest, size, path = line.split(" ", 2)
            rows[path] = Remote(path, digest, int(size))
    return rows


def kit_folder() -> Path:
    """Where this version of the kit lies; it holds LICENSE and FaceXModel/."""
    return cache_folder() / "faces" / f"{NAME}-{COMMIT[:12]}"


def missing(folder: Path) -> list[Remote]:
    """The files that are not there whole yet."""
    return [row for row in published().values() if not is_whole(row, folder / row.path)]


def get_kit(folder: Path, *, base: str = BASE, told: Told = lambda done, total: None) -> int:
    """Fetch what is missing into the folder; returns how many files. told(bytes done, bytes in all).

    Raises NetworkError that says what to place where, DataError, OutputError.
    """
    rows = missing(folder)
    total = sum(row.bytes for row in published().values())
    done = total - sum(row.bytes for row in rows)
    told(done, total)
    for row in rows:
        so_far = done

        def count(size: int) -> None:
            nonlocal so_far
            so_far += size
            told(so_far, total)

        try:
            fetch(f"{base}/{row.path}", row, folder / row.path, count)
        except NetworkError as error:
            raise NetworkError(
                f"{error}; without a network, download {PAGE}/archive/{COMMIT}.zip elsewhere and give it: "
                f"emovoca face get {NAME} --archive FILE.zip, or place its FaceXModel folder at {folder / 'FaceXModel'}"
            ) from error
        done += row.bytes
    return len(rows)


def unpack_kit(archive: Path, folder: Path, *, told: Told = lambda done, total: None) -> int:
    """Take the kit's files out of an archive that the user has; returns how many. Raises UsageError, DataError, OutputError."""
    count = extract_known(archive, published(), folder, told)
    left = missing(folder)
    if left:
        raise DataError(
            f"{archive} lacks {len(left)} of the kit's {len(published())} files (such as {left[0].path}); {PAGE} has them"
        )
    return count
