"""Fetching files whose hash is known before: resumed where they stopped, never more bytes than announced, checked, then renamed."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emovoca_cli.errors import DataError, OutputError, UsageError
from emovoca_cli.files import hash_file

BLOCK = 1 << 16
TIMEOUT = 30.0
"""Seconds without an answer after which the network counts as gone."""


class NetworkError(DataError):
    """The file is out of reach: no network, no such host, no such file there."""


@dataclass(frozen=True)
class Remote:
    """A file elsewhere: path in its folder, SHA-256 in hex, size in bytes."""

    path: str
    sha256: str
    bytes: int


def is_whole(row: Remote, target: Path) -> bool:
    """Whether a file is there with the size and hash that it must have."""
    return target.is_file() and target.stat().st_size == row.bytes and hash_file(target) == row.sha256


def fetch(url: str, row: Remote, target: Path, told: Callable[[int], None] = lambda size: None) -> None:
    """Download `url` to `target`; told(bytes) as they come. Beside it, `.part` keeps what an interrupted run had.

    Raises NetworkError, DataError when the content is not what was published, OutputError when it cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is not an http address")
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.is_file() else 0
        if have > row.bytes:
            part.unlink()
            have = 0
        if have < row.bytes:
            _stream(url, row, part, have, told)
        else:
            told(have)
        if not is_whole(row, part):
            seen = part.stat().st_size
            part.unlink()
            raise DataError(
                f"{url} is not the published file ({seen} bytes of {row.bytes}, or another hash); it was thrown away, try again"
            )
        part.replace(target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise NetworkError(f"{url} cannot be fetched ({getattr(error, 'reason', None) or error})") from error
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


def _stream(url: str, row: Remote, part: Path, have: int, told: Callable[[int], None]) -> None:
    """Append to the part file from byte `have` on, or start anew where the server gives the whole file."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        resumed = have > 0 and answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")
        if not resumed:
            have = 0
        told(have)
        with part.open("ab" if resumed else "wb") as stream:
            while block := answer.read(BLOCK):
                have += len(block)
                if have > row.bytes:
                    stream.close()
                    part.unlink()
                    raise DataError(f"{url} sends more than the {row.bytes} bytes that were published; it was thrown away")
                stream.write(block)
                told(len(block))
    if have < row.bytes:
        raise NetworkError(f"{url} broke off after {have} of {row.bytes} bytes; run the same command again to continue")


def sha256(data: bytes) -> str:
    """SHA-256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()
