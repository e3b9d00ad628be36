"""Reading other people's pickles without running them.

Datasets and releases of the field come as pickles, often of Python 2. A pickle is a programme that may name any function to be
called; this reader lets it name NumPy arrays, SciPy sparse matrices and plain containers, and refuses the rest by name.
"""

from __future__ import annotations

import codecs
import collections
import copyreg
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from scipy import sparse

from emovoca_cli.errors import DataError, UsageError

LONGEST_RANGE = 1 << 20
"""Numbers that a pickled range may stand for: a list of it takes that much memory."""

BUILTINS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, slice, range, object)
}
# Python 2's own names: `long` is an int of today, `unicode` a str.
BUILTINS |= {"long": int, "unicode": str}
SPARSE = {
    name: getattr(sparse, name) for name in ("bsr_matrix", "coo_matrix", "csc_matrix", "csr_matrix", "dia_matrix", "lil_matrix")
}
SPARSE |= {name.replace("_matrix", "_array"): getattr(sparse, name.replace("_matrix", "_array")) for name in SPARSE}


def load_pickle(path: Path, *, encoding: str = "latin1") -> Any:
    """The plain data in a pickle file; `encoding` says how Python 2's strings are read.

    Raises UsageError for a missing file, DataError for one that is not a pickle or asks for anything but data, naming what it
    asked for.
    """
    with _opened(path) as stream:
        return _unpickle(stream, path, encoding)


def load_npy(path: Path, *, encoding: str = "latin1") -> Any:
    """An .npy array of any dtype; objects inside are read by the same rules as pickles. Same errors as `load_pickle`."""
    with _opened(path) as stream:
        try:
            version = npy_format.read_magic(stream)
            header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, _, dtype = header(stream)
        except ValueError as error:
            raise DataError(f"{path} is not an .npy file ({str(error).splitlines()[0]})") from error
        if dtype.hasobject:
            content = _unpickle(stream, path, encoding)
            if not isinstance(content, np.ndarray) or content.shape != shape:
                raise DataError(f"{path} promises an array of shape {shape} and holds something else")
            return content
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{path} is not a whole .npy file ({str(error).splitlines()[0]})") from error


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _unpickle(stream: BinaryIO, path: Path, encoding: str) -> Any:
    try:
        return _Unpickler(stream, encoding=encoding).load()
    except _RefusedError as refusal:
        raise DataError(
            f"{path} was refused: it asks to run {refusal}; only NumPy and SciPy arrays and plain containers are read"
        ) from refusal
    except Exception as error:  # broken bytes make the unpickler fail in ways that nobody can list
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is not a readable pickle ({reason})") from error


class _RefusedError(Exception):
    """Carries the name that a pickle asked for."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        found = _admitted(module, name)
        if found is None:
            raise _RefusedError(f"{module}.{name}")
        return found

    def persistent_load(self, pid: Any, /) -> Any:
        raise _RefusedError(f"a persistent reference ({pid!r})")


def _admitted(module: str, name: str) -> Any:
    """The harmless object behind a pickled name, or None."""
    if module in ("builtins", "__builtin__"):
        return BUILTINS.get(name)
    if module == "collections":
        return {"OrderedDict": collections.OrderedDict, "deque": collections.deque}.get(name)
    if module in ("copyreg", "copy_reg"):
        return {"_reconstructor": copyreg._reconstructor}.get(name)  # type: ignore[attr-defined]
    if module == "_codecs" and name == "encode":
        return _encode
    if module.split(".", 1)[0] == "numpy":
        return _admitted_numpy(module.replace("numpy._core", "numpy.core", 1), name)
    if module.startswith("scipy.sparse"):
        return SPARSE.get(name)
    return None


def _admitted_numpy(module: str, name: str) -> Any:
    if module == "numpy" and name in ("ndarray", "dtype"):
        return getattr(np, name)
    # Arrays and scalars are rebuilt by functions of numpy's core; they are taken from what numpy itself pickles.
    rebuild = {"_reconstruct": np.zeros(0).__reduce__()[0], "scalar": np.float64(0).__reduce__()[0]}
    if module == "numpy.core.multiarray":
        return rebuild.get(name)
    if module == "numpy.core.numeric" and name == "_frombuffer":
        return np.zeros(1).__reduce_ex__(5)[0]
    return None


def _sized(kind: type) -> Any:
    """The constructor of bytes or a bytearray from what is there, not from a length that a pickle merely claims."""

    def make(*parts: Any) -> Any:
        if parts and isinstance(parts[0], int):
            raise _RefusedError(f"builtins.{kind.__name__} of length {parts[0]}")
        return kind(*parts)

    return make


def _range(*parts: int) -> range:
    made = range(*parts)
    if len(made[: LONGEST_RANGE + 1]) > LONGEST_RANGE:
        raise _RefusedError(f"builtins.range of more than {LONGEST_RANGE} numbers")
    return made


BUILTINS |= {"bytes": _sized(bytes), "bytearray": _sized(bytearray), "range": _range, "xrange": _range}


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Python 3 pickles bytes at protocol 2 as text to be encoded; no other encoding is asked for by NumPy."""
    if encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"_codecs.encode with {encoding!r}")
    return codecs.latin_1_encode(text)[0]
