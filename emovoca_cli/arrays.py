"""Reading .npy and .npz files: what a header promises is compared with what the file has before memory is taken for it.

A header of a hundred bytes may claim an array of a terabyte; NumPy believes it. Arrays of objects, which are pickles, are never
read here (`data/restricted.py` does).
"""

from __future__ import annotations

import math
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from emovoca_cli.errors import DataError, OutputError, UsageError

LONGEST_HEADER = 1 << 16
"""Bytes of an .npy header that are parsed at most; VOCASET's published file has one longer than NumPy's own limit."""

LARGEST_UNPACKED = 1 << 30
"""Bytes that the compressed arrays of one .npz may unpack to; those written here are templates and hierarchies of a few MB."""

IN_MEMORY = 1 << 28
"""Bytes of an array that are held in memory; a longer one lies in a file and is mapped: an hour of a face takes 6 GB."""

_LOCAL_HEADER = 30
"""Bytes before the name of a member in a zip file; the last four are the lengths of the name and of what follows it."""

BROKEN = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
"""What NumPy and zipfile raise for bytes that are not what they should be."""


def read_npy(path: Path) -> NDArray[Any]:
    """The array of an .npy file, in memory. Raises UsageError for a missing file, DataError for one that is not a whole array."""
    with open_file(path) as stream:
        return _read(stream, path.stat().st_size, str(path))


def map_npy(path: Path) -> NDArray[Any]:
    """The array of an .npy file, mapped: rows are read when they are asked for. Same errors as `read_npy`."""
    with open_file(path) as stream:
        shape, fortran, dtype = npy_header(stream, path.stat().st_size, str(path))
        start = stream.tell()
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype)
    try:
        return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
    except BROKEN as error:
        raise DataError(f"{path} cannot be mapped ({_reason(error)})") from error


def gather(pieces: Iterable[NDArray[np.float32]], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """One array (T,...) of pieces (t,...) that follow one another: in memory, or in a temporary file and mapped when it is long.

    The file lies where temporary files do (TMPDIR) and is gone with the array. Raises OutputError when it cannot be written and
    DataError when the pieces are not T rows together.
    """
    size = math.prod(shape) * np.dtype(np.float32).itemsize
    if size <= IN_MEMORY:
        whole, done = np.empty(shape, np.float32), 0  # takes no memory until it is written to
        for piece in pieces:
            if piece.shape == shape and not done:
                whole = piece
            elif done + len(piece) <= len(whole):
                whole[done : done + len(piece)] = piece
            done += len(piece)
        _check_rows(done, shape[0])
        return whole
    try:
        with tempfile.TemporaryFile(prefix="emovoca-") as stream:
            done = 0
            for piece in pieces:
                stream.write(np.ascontiguousarray(piece, np.float32).data)
                done += len(piece)
            stream.flush()
            _check_rows(done, shape[0])
            return np.memmap(stream, np.float32, "r", shape=shape)
    except OSError as error:
        place, why = tempfile.gettempdir(), error.strerror or error
        raise OutputError(f"no room for {size / 1e9:.1f} GB of frames in {place} ({why}); set TMPDIR to a larger disk") from error


def _check_rows(came: int, expected: int) -> None:
    if came != expected:
        raise DataError(f"{came} rows came in pieces, expected {expected}")


def npy_header(stream: IO[bytes], size: int, name: str, *, objects: bool = False) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and type of the array that starts here; the stream then stands at its numbers.

    size: bytes from the stream's start to its end; name: of the file in errors; objects: whether an array of objects is fine, whose
    size nothing promises. Raises DataError for a header that is none, or that promises more than is there.
    """
    try:
        version = npy_format.read_magic(stream)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise ValueError(f"its format is version {version[0]}.{version[1]}")
        parse = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran, dtype = parse(stream, max_header_size=LONGEST_HEADER)
    except Exception as error:  # the header is Python's text, and NumPy parses it in ways that fail in ways nobody can list
        raise DataError(f"{name} is not an .npy file ({_reason(error)})") from error
    if dtype.hasobject:
        if not objects:
            raise DataError(f"{name} holds Python objects, expected numbers")
        return shape, fortran, dtype
    if min(shape, default=0) < 0 or (dtype.itemsize == 0 and math.prod(shape) > 1):
        raise DataError(f"{name} promises an array of shape {shape} of {dtype}, which cannot be")
    promised, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if promised > there:
        raise DataError(
            f"{name} promises {promised:,} bytes (shape {shape} of {dtype}) and has {there:,}; it is cut off or crafted"
        )
    return shape, fortran, dtype


def _read(stream: IO[bytes], size: int, name: str) -> NDArray[Any]:
    shape, fortran, dtype = npy_header(stream, size, name)
    raw = bytearray(math.prod(shape) * dtype.itemsize)
    filled = 0
    try:
        while filled < len(raw):
            part = stream.read(min(len(raw) - filled, 1 << 24))
            if not part:
                raise DataError(f"{name} ends after {filled:,} of {len(raw):,} bytes; copy it again")
            raw[filled : filled + len(part)] = part
            filled += len(part)
    except BROKEN as error:
        raise DataError(f"{name} cannot be read ({_reason(error)})") from error
    return np.ndarray(shape, dtype, raw, order="F" if fortran else "C") if raw else np.zeros(shape, dtype)


class Npz(Mapping[str, NDArray[Any]]):
    """The arrays of an .npz file by name, each read when it is looked up. A context manager, as it holds the file open."""

    def __init__(self, path: Path, what: str = "an .npz file") -> None:
        """Open it and compare what its members promise; `what` it should be, in errors.

        Raises UsageError for a missing file, DataError for one that is broken or would unpack to more than it may.
        """
        stream = open_file(path)
        self._name = str(path)
        try:
            self._archive = zipfile.ZipFile(stream)
        except BROKEN as error:
            stream.close()
            raise DataError(f"{path} is not {what} ({_reason(error)})") from error
        self._stream = stream
        members = self._archive.infolist()
        self._members = {info.filename.removesuffix(".npy"): info for info in members}
        packed = sum(info.file_size for info in members if info.compress_type != zipfile.ZIP_STORED)
        plain = sum(info.file_size for info in members if info.compress_type == zipfile.ZIP_STORED)
        if packed > LARGEST_UNPACKED or plain > path.stat().st_size:
            self._archive.close()
            stream.close()
            raise DataError(f"{path} would unpack to {packed + plain:,} bytes from {path.stat().st_size:,}; it is not {what}")

    def __enter__(self) -> Npz:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()
        self._stream.close()

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One array. Raises KeyError for an unknown name, DataError for one that is broken."""
        info = self._members[name]
        label = f"{self._name} ({name})"
        try:
            with self._archive.open(info) as stream:
                return _read(stream, info.file_size, label)
        except BROKEN as error:
            raise DataError(f"{label} cannot be read ({_reason(error)})") from error

    def long(self, name: str) -> NDArray[Any]:
        """One array, mapped when it is stored plainly and longer than `IN_MEMORY`, otherwise read; errors as for a look-up."""
        info = self._members[name]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size <= IN_MEMORY:
            return self[name]
        label = f"{self._name} ({name})"
        try:
            with open(self._name, "rb") as stream:
                stream.seek(info.header_offset)
                words, extra = struct.unpack("<HH", stream.read(_LOCAL_HEADER)[-4:])
                start = info.header_offset + _LOCAL_HEADER + words + extra
                stream.seek(start)
                shape, fortran, dtype = npy_header(stream, start + info.file_size, label)
                return np.memmap(self._name, dtype, "r", stream.tell(), shape, "F" if fortran else "C")
        except (*BROKEN, struct.error) as error:
            raise DataError(f"{label} cannot be mapped ({_reason(error)})") from error

    def __iter__(self) -> Iterator[str]:
        """Names in the file's order."""
        return iter(self._members)

    def __len__(self) -> int:
        """Number of arrays."""
        return len(self._members)


def open_file(path: Path) -> BinaryIO:
    """A file opened for reading. Raises UsageError, saying why it cannot be."""
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
