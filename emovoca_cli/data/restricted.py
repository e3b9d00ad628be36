"""Reading other people's pickles without running them.

Datasets and releases of the field come as pickles, often of Python 2. A pickle is a programme that may name any function to be
called. Here nothing that it names is ever called: a name becomes a `Symbol`, and what a pickle asks to do with one is looked up in
a table of NumPy arrays, SciPy sparse matrices and plain containers; the rest is refused by name. What is built can be no larger
than the file: lengths that are only claimed, and copies of copies, are refused before memory is taken.
"""

from __future__ import annotations

import collections
import mmap
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from emovoca_cli.arrays import npy_header, open_file, read_npy
from emovoca_cli.errors import DataError

SLACK = 1 << 20
"""Bytes that a pickle may build beyond its own size: small values are written shorter than they are."""

LARGEST_SIDE = 1 << 24
"""Rows or columns of a sparse matrix at most: converting one takes memory for all of them, stored or not."""

DTYPE = re.compile(r"[<>|=]?([biufc]\d{1,2}|[SU]\d{1,9}|O8?)")
"""Types of numbers, of text, and of objects. Records and dates are never met, and objects are kept as a list."""

SPARSE: dict[str, Any] = {
    name: getattr(sparse, name) for form in ("coo", "csc", "csr") for name in (f"{form}_matrix", f"{form}_array")
}


@dataclass(frozen=True)
class Symbol:
    """A name in a pickle, as "module.name". It stands for nothing that could be called."""

    name: str


class RefusedError(Exception):
    """Carries what a pickle asked for."""


def load_pickle(path: Path, *, encoding: str = "latin1") -> Any:
    """The plain data in a pickle file; `encoding` says how Python 2's strings are read.

    Raises UsageError for a missing file, DataError for one that is not a pickle or asks for anything but data, naming what it
    asked for.
    """
    with opened(path) as stream:
        return _unpickle(stream, path, encoding)


def load_npy(path: Path, *, encoding: str = "latin1") -> Any:
    """An .npy array of any dtype; objects inside are read by the same rules as pickles. Same errors as `load_pickle`."""
    with open_file(path) as stream:
        shape, _, dtype = npy_header(stream, path.stat().st_size, str(path), objects=True)
        start = stream.tell()
    if not dtype.hasobject:
        return read_npy(path)
    with opened(path) as mapped:
        mapped.seek(start)
        content = _unpickle(mapped, path, encoding)
    if not isinstance(content, np.ndarray) or content.shape != shape:
        raise DataError(f"{path} promises an array of shape {shape} and holds something else")
    return content


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file to be unpickled: mapped, so that a length which is only claimed takes no memory when it is read.

    Raises UsageError for a file that cannot be opened, DataError for an empty one.
    """
    with open_file(path) as stream:
        try:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (ValueError, OSError) as error:
            raise DataError(f"{path} is not a readable pickle (it is empty or no plain file)") from error
        with mapped:
            yield mapped  # type: ignore[misc]


def _unpickle(stream: BinaryIO, path: Path, encoding: str) -> Any:
    try:
        return Unpickler(stream, encoding=encoding, size=path.stat().st_size).load()
    except RefusedError as refusal:
        raise DataError(
            f"{path} was refused: it asks to run {refusal}; only NumPy and SciPy arrays and plain containers are read"
        ) from refusal
    except Exception as error:  # broken bytes make the unpickler fail in ways that nobody can list
        raise DataError(f"{path} is not a readable pickle ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    """What an exception says, in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


# Python's own unpickler, not the one in C: that one takes memory for any length or number of a part that a pickle claims.
_Python: Any = pickle._Unpickler


class Unpickler(_Python):  # type: ignore[misc]
    """Builds plain data from a pickle; `size` bounds the bytes of what it builds beside the pickle's own values."""

    dispatch: ClassVar[dict[int, Any]] = dict(_Python.dispatch)

    def __init__(self, stream: Any, *, encoding: str, size: int) -> None:
        super().__init__(stream, encoding=encoding)
        self._left = size + SLACK

    def find_class(self, module: str, name: str, /) -> Any:
        """A symbol, never what it names. Raises RefusedError for one that no table knows."""
        symbol = Symbol(_plain_name(module, name))
        if not self.admits(symbol.name):
            raise RefusedError(f"{module}.{name}")
        return symbol

    def admits(self, name: str) -> bool:
        """Whether a pickle may have this name in it."""
        return name in CALLS or name in INERT or name.removeprefix("scipy.sparse.") in SPARSE

    def call(self, name: str, parts: tuple[Any, ...]) -> Any:
        """What calling a name with some parts would give, for those that only build data. Raises RefusedError."""
        build = CALLS.get(name)
        if build is None:
            raise RefusedError(f"{name} with {len(parts)} values")
        return build(self, *parts)

    def persistent_load(self, pid: Any, /) -> Any:
        """Refuse: only torch's files have such references."""
        raise RefusedError(f"a persistent reference ({pid!r})")

    def spend(self, size: int, what: str) -> None:
        """Note bytes that are about to be taken. Raises RefusedError when a file would grow beyond itself."""
        self._left -= size
        if self._left < 0:
            raise RefusedError(f"{what} of {size} bytes or values, more than the file has")

    def _reduce(self) -> None:
        parts = self.stack.pop()
        symbol = self.stack.pop()
        if not isinstance(symbol, Symbol) or not isinstance(parts, tuple):
            raise RefusedError(f"a {type(symbol).__name__}")
        self.append(self.call(symbol.name, parts))

    def _new(self) -> None:
        parts = self.stack.pop()
        symbol = self.stack.pop()
        if not isinstance(symbol, Symbol) or parts != ():
            raise RefusedError(f"a new {getattr(symbol, 'name', type(symbol).__name__)} with {parts!r:.60}")
        self.append(_empty_sparse(symbol))

    def _build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, DataType):
            target.order = _order(state)
        elif isinstance(target, np.ndarray):
            _fill(self, target, state)
        elif sparse.issparse(target):
            _fill_sparse(target, state)
        elif not isinstance(target, collections.OrderedDict):  # torch puts notes on one, which nobody needs
            raise RefusedError(f"the state of a {type(target).__name__}")

    def _old_instance(self) -> None:
        raise RefusedError("an instance of a class")

    def _item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._table()[key] = value

    def _items(self) -> None:
        items = self.pop_mark()
        self._table().update(zip(items[::2], items[1::2], strict=True))

    def _table(self) -> dict[Any, Any]:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise RefusedError(f"items of a {type(target).__name__}")
        return target

    def _bytearray8(self) -> None:
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.NEWOBJ[0]] = _new
    dispatch[pickle.NEWOBJ_EX[0]] = _old_instance
    dispatch[pickle.OBJ[0]] = _old_instance
    dispatch[pickle.INST[0]] = _old_instance
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.SETITEM[0]] = _item
    dispatch[pickle.SETITEMS[0]] = _items
    dispatch[pickle.BYTEARRAY8[0]] = _bytearray8


def _plain_name(module: str, name: str) -> str:
    """One name for what Python 2 and 3, and older and newer NumPy and SciPy, call differently."""
    module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
    if module.startswith("scipy.sparse"):
        module = "scipy.sparse"
    module = module.replace("numpy._core", "numpy.core", 1)
    return f"{module}.{name}"


# --- what may be built -------------------------------------------------------------------------------------------------------


def _container(kind: Callable[..., Any]) -> Callable[..., Any]:
    def build(reader: Unpickler, *parts: Any) -> Any:
        if parts:
            reader.spend(len(parts[0]), f"builtins.{getattr(kind, '__name__', kind)}")
        return kind(*parts)

    return build


def _bytes(kind: type) -> Callable[..., Any]:
    def build(reader: Unpickler, content: Any = b"", encoding: str = "latin1") -> Any:
        if not isinstance(content, bytes | bytearray | str):
            raise RefusedError(f"builtins.{kind.__name__} of length {content!r:.40}")
        return kind(_raw(reader, content, encoding))

    return build


def _raw(reader: Unpickler, content: Any, encoding: str = "latin1") -> bytes:
    """Bytes that a pickle has as bytes, or as text: so Python 3 writes them at protocol 2, and so Python 2's are read."""
    if encoding not in ("latin1", "latin-1"):
        raise RefusedError(f"_codecs.encode with {encoding!r}")
    reader.spend(len(content), "bytes")
    return content.encode("latin1") if isinstance(content, str) else bytes(content)


def _range(reader: Unpickler, *parts: int) -> range:
    return range(*parts)  # takes no memory; what would unfold it counts its numbers first


def _reconstructor(reader: Unpickler, symbol: Any, base: Any, state: Any) -> Any:
    if base != Symbol("builtins.object") or state is not None:
        raise RefusedError(f"copyreg._reconstructor on {getattr(base, 'name', base)!r}")
    return _empty_sparse(symbol)


@dataclass
class DataType:
    """A NumPy dtype in the making: NumPy itself would believe any flags that a pickle gives it."""

    code: str
    order: str = "="

    def dtype(self) -> np.dtype[Any]:
        """The type, made from its plain name."""
        return np.dtype("O") if "O" in self.code else np.dtype(self.code).newbyteorder(cast("Any", self.order))


def _dtype(reader: Unpickler, code: Any, *_: Any) -> DataType:
    text = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(text, str) or DTYPE.fullmatch(text) is None:
        raise RefusedError(f"numpy.dtype of {code!r:.60}")
    return DataType(text, text[0] if text[0] in "<>|=" else "=")


def _order(state: Any) -> str:
    order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
    if order not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
        raise RefusedError("numpy.dtype of records")
    return str(order)


def _type_of(value: Any) -> np.dtype[Any]:
    if not isinstance(value, DataType):
        raise RefusedError(f"an array of {type(value).__name__}")
    return value.dtype()


def _array(reader: Unpickler, kind: Any, shape: Any, code: Any) -> NDArray[Any]:
    """NumPy's empty array, whose shape and numbers follow."""
    if kind != Symbol("numpy.ndarray") or tuple(shape) != (0,):
        raise RefusedError(f"numpy.core.multiarray._reconstruct of {getattr(kind, 'name', kind)} with shape {shape}")
    return np.ndarray((0,), "b")


def _fill(reader: Unpickler, target: NDArray[Any], state: Any) -> None:
    """Give an empty array its shape, type and numbers."""
    shape, kind, fortran, content = state[-4:]
    dtype, shape = _type_of(kind), tuple(shape)
    if target.shape != (0,) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise RefusedError(f"an array of shape {shape!r:.60}")
    count = 1
    for size in shape:
        count *= size
    if dtype.hasobject:
        if not isinstance(content, list) or len(content) != count:
            raise DataError("an array of objects has another number of them than its shape")
        reader.spend(count, "an array")
        stored: Any = content
    else:
        if len(content) != count * dtype.itemsize or (count > 1 and dtype.itemsize == 0):
            raise DataError(f"an array of shape {shape} promises {count * dtype.itemsize} bytes and has {len(content)}")
        stored = _raw(reader, content)
    target.__setstate__((1, shape, dtype, bool(fortran), stored))  # type: ignore[arg-type]


def _scalar(reader: Unpickler, kind: Any, content: Any) -> Any:
    dtype = _type_of(kind)
    raw = _raw(reader, content) if not dtype.hasobject else b""
    if len(raw) != dtype.itemsize:
        raise RefusedError(f"numpy.core.multiarray.scalar of {dtype} with {len(raw)} bytes")
    return np.frombuffer(raw, dtype)[0]


def _from_buffer(reader: Unpickler, content: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    dtype = _type_of(kind)
    if dtype.hasobject:
        raise RefusedError("numpy.core.numeric._frombuffer of objects")
    return np.frombuffer(bytearray(_raw(reader, content)), dtype).reshape(shape, order=order)


def _empty_sparse(symbol: Any) -> Any:
    kind = SPARSE.get(symbol.name.removeprefix("scipy.sparse.")) if isinstance(symbol, Symbol) else None
    if kind is None:
        raise RefusedError(f"a new {getattr(symbol, 'name', type(symbol).__name__)}")
    return kind((0, 0))


def _fill_sparse(target: Any, state: Any) -> None:
    """Give an empty sparse matrix its content. SciPy's own code follows indices without looking, so they are checked here."""
    rows, columns = (int(side) for side in state.get("_shape", state.get("shape")))
    if not (0 <= rows <= LARGEST_SIDE and 0 <= columns <= LARGEST_SIDE):
        raise DataError(f"a sparse matrix promises {rows} x {columns} numbers, at most {LARGEST_SIDE} a side are read")
    if target.format == "coo":
        where = state["coords"] if "coords" in state else (state["row"], state["col"])
        made = type(target)((state["data"], tuple(where)), shape=(rows, columns))
    else:
        made = type(target)((state["data"], state["indices"], state["indptr"]), shape=(rows, columns))
        made.check_format(full_check=True)
    target.__dict__.update(made.__dict__)


CALLS: dict[str, Callable[..., Any]] = {
    "builtins.set": _container(set),
    "builtins.frozenset": _container(frozenset),
    "builtins.bytes": _bytes(bytes),
    "builtins.bytearray": _bytes(bytearray),
    "builtins.complex": lambda reader, real, imaginary: complex(real, imaginary),
    "builtins.slice": lambda reader, *parts: slice(*parts),
    "builtins.range": _range,
    "builtins.xrange": _range,
    "collections.OrderedDict": _container(collections.OrderedDict),
    "collections.deque": _container(collections.deque),
    "copyreg._reconstructor": _reconstructor,
    "_codecs.encode": _raw,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
}
"""What a pickle may ask to be called, and what is done instead."""

INERT = {"numpy.ndarray"} | {f"builtins.{kind}" for kind in ("object", "bool", "int", "float", "str", "list", "tuple", "dict")}
"""Names that may be there, but not be called."""
