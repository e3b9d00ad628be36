"""Reading torch's .tar, .pth and .pt files as arrays, without running them and without torch.

Both of torch's formats are a pickle that names tensors, and their numbers beside it. The pickle is read by the rules of
`data/restricted.py`, narrowed to what a checkpoint needs; the numbers of a tensor are read when it is asked for, so that an
optimiser's state, twice the size of the weights, costs nothing.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from emovoca_cli.data import restricted
from emovoca_cli.errors import DataError

LARGEST_PICKLE = 64 << 20
"""Bytes of the longest pickle that is read; one of a thousand tensors has about 0.1 MB."""

DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip

_MAGIC = 0x1950A86A20F9469CFC6C
_ADVICE = "give a checkpoint that torch.save wrote"


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    numel: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class TorchState(Mapping[str, NDArray[Any]]):
    """The tensors of one state dict by name. `shapes` are known at once; numbers are read when a name is looked up."""

    def __init__(self, path: Path, tensors: Mapping[str, _Tensor], read: Callable[[str, int], bytes]) -> None:
        self.path = path
        self._tensors = tensors
        self._read = read
        self.shapes = {name: tensor.shape for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The numbers of a tensor, in its own type. Raises DataError when they are not in the file."""
        tensor = self._tensors[name]
        dtype = np.dtype(tensor.storage.dtype)
        raw = self._read(tensor.storage.key, tensor.storage.numel * dtype.itemsize)
        flat = np.frombuffer(raw, dtype=dtype)[tensor.offset :]
        view = as_strided(flat, tensor.shape, [step * dtype.itemsize for step in tensor.stride], writeable=False)
        return np.array(view)

    def __iter__(self) -> Iterator[str]:
        """Names in the file's order."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """Number of tensors."""
        return len(self._tensors)


def load_torch_state(path: Path, key: str = "") -> TorchState:
    """The state dict in a file that torch.save wrote: the entry `key` of what was saved, or all of it.

    Nothing in the file is run. Raises UsageError for a missing file; DataError for one that is not torch's, asks for anything but
    tensors and plain containers (naming what it asked for), promises more numbers than it has, or has no such entry.
    """
    with restricted.opened(path) as stream:
        content, sizes, read = _of_zip(path) if stream.read(4) == b"PK\x03\x04" else _of_legacy(path, stream)
    state = content.get(key) if key and isinstance(content, dict) else content
    if not isinstance(state, dict):
        found = ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{path} has no {key or 'state dict'}; it holds {found}")
    tensors = {name: tensor for name, tensor in state.items() if isinstance(name, str) and isinstance(tensor, _Tensor)}
    for name, tensor in tensors.items():
        problem = _problem(tensor, sizes)
        if problem:
            raise DataError(f"{path}: the tensor {name!r} {problem}; the file is damaged or crafted")
    if not tensors:
        raise DataError(f"{path} holds no tensors{f' under {key}' if key else ''}; {_ADVICE}")
    return TorchState(path, tensors, read)


def _problem(tensor: _Tensor, sizes: Mapping[str, int]) -> str:
    """What is impossible about a tensor, before memory is taken for it; sizes: bytes of the storages that are really there."""
    numbers = (tensor.storage.numel, tensor.offset, *tensor.shape, *tensor.stride)
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or len(tensor.shape) != len(tensor.stride):
        return f"has no plain shape ({tensor.shape}, strides {tensor.stride})"
    count = math.prod(tensor.shape)
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride, strict=True))
    if count and (count > tensor.storage.numel or last >= tensor.storage.numel):
        return f"of shape {tensor.shape} does not fit its {tensor.storage.numel} stored numbers"
    promised = tensor.storage.numel * np.dtype(tensor.storage.dtype).itemsize
    if promised > sizes.get(tensor.storage.key, -1):
        return f"promises {promised} bytes and has {sizes.get(tensor.storage.key, 'none')}"
    return ""


_Opened = tuple[Any, Mapping[str, int], Callable[[str, int], bytes]]
"""What was saved, the bytes of each storage, and how to read some of them."""


def _of_zip(path: Path) -> _Opened:
    whole = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            heads = [name for name in entries if name.endswith("/data.pkl")]
            if len(heads) != 1:
                raise DataError(f"{path} is a zip file, but not of torch (it has {len(heads)} data.pkl); {_ADVICE}")
            folder = heads[0][: -len("data.pkl")]
            for info in entries.values():
                if info.compress_type != zipfile.ZIP_STORED or info.file_size > whole:
                    raise DataError(f"{path} has {info.filename} compressed or cut off, which torch never does; {_ADVICE}")
            if f"{folder}byteorder" in entries and archive.open(f"{folder}byteorder").read(16) != b"little":
                raise DataError(f"{path} was written by a big-endian machine; save it again on another")
            if entries[heads[0]].file_size > LARGEST_PICKLE:
                raise DataError(f"{path} has a pickle of more than {LARGEST_PICKLE >> 20} MB; {_ADVICE}")
            content = _unpickle(path, io.BytesIO(archive.read(heads[0])))
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} is not a whole checkpoint of torch ({error}); {_ADVICE}") from error

    inside = f"{folder}data/"
    sizes = {name[len(inside) :]: info.file_size for name, info in entries.items() if name.startswith(inside)}

    def read(key: str, size: int) -> bytes:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(f"{inside}{key}") as numbers:
                raw = numbers.read(size)
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise DataError(f"{path} is damaged in data/{key} ({error})") from error
        if len(raw) != size:
            raise DataError(f"{path} promises {size} bytes in data/{key} and has {len(raw)}")
        return raw

    return content, sizes, read


def _of_legacy(path: Path, stream: BinaryIO) -> _Opened:
    """Torch's format before 1.6: five pickles in a row, then each storage as a count and its numbers."""
    size = path.stat().st_size
    storages: dict[str, _Storage] = {}
    stream.seek(0)
    if _unpickle(path, stream) != _MAGIC:
        raise DataError(f"{path} is not a checkpoint of torch; {_ADVICE}")
    _unpickle(path, stream)  # version of the format
    system = _unpickle(path, stream)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise DataError(f"{path} was written by a big-endian machine; save it again on another")
    content = _unpickle(path, stream, storages)
    keys = _unpickle(path, stream)
    places: dict[str, tuple[int, int]] = {}
    for key in keys if isinstance(keys, list) else []:
        storage = storages.get(str(key))
        count = int.from_bytes(stream.read(8), "little")
        if storage is None or count != storage.numel:
            raise DataError(f"{path} has {count} numbers in storage {str(key)[:40]}, promised otherwise; it is damaged")
        length = count * np.dtype(storage.dtype).itemsize
        places[str(key)] = (stream.tell(), length)
        if stream.tell() + length > size:
            raise DataError(f"{path} ends in the middle of its numbers; copy it again")
        stream.seek(stream.tell() + length)

    def read(key: str, size: int) -> bytes:
        with restricted.opened(path) as numbers:
            numbers.seek(places[key][0])
            return numbers.read(size)

    return content, {key: length for key, (_, length) in places.items()}, read


def _unpickle(path: Path, stream: BinaryIO, storages: dict[str, _Storage] | None = None) -> Any:
    try:
        return _Unpickler(_Short(stream), {} if storages is None else storages).load()
    except restricted.RefusedError as refusal:
        raise DataError(
            f"{path} was refused: it asks to run {refusal}; only tensors, numbers and plain containers are read"
        ) from refusal
    except DataError as error:
        raise DataError(f"{path}: {error}; {_ADVICE}") from error
    except Exception as error:  # broken bytes make the unpickler fail in ways that nobody can list
        raise DataError(f"{path} is not a readable checkpoint of torch ({restricted.first_line(error)}); {_ADVICE}") from error


class _Short:
    """A stream that ends a pickle which is longer than any checkpoint's, before it fills the memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = LARGEST_PICKLE

    def _counted(self, content: bytes) -> bytes:
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"has a pickle of more than {LARGEST_PICKLE >> 20} MB")
        return content

    def read(self, size: int) -> bytes:
        return self._counted(self._stream.read(min(size, LARGEST_PICKLE + 1)))

    def readline(self) -> bytes:
        return self._counted(self._stream.readline())


class _Unpickler(restricted.Unpickler):
    def __init__(self, stream: _Short, storages: dict[str, _Storage]) -> None:
        super().__init__(stream, encoding="utf-8", size=0)
        self._storages = storages

    def admits(self, name: str) -> bool:
        return name in CALLS or name in INERT

    def call(self, name: str, parts: tuple[Any, ...]) -> Any:
        build = CALLS.get(name)
        if build is None:
            raise restricted.RefusedError(f"{name} with {len(parts)} values")
        return build(self, *parts)

    def persistent_load(self, pid: Any, /) -> Any:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[1], restricted.Symbol)):
            raise restricted.RefusedError(f"a persistent reference ({str(pid)[:60]!r})")
        if len(pid) > 5 and pid[5] is not None:
            raise DataError("it has views of storages, which no checkpoint since torch 0.4 has; save it again with a newer torch")
        dtype = DTYPES.get(pid[1].name.removeprefix("torch."))
        if dtype is None:
            raise restricted.RefusedError(f"a storage of {pid[1].name}")
        return self._storages.setdefault(str(pid[2]), _Storage(str(pid[2]), dtype, int(pid[4])))


def _tensor(reader: _Unpickler, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise restricted.RefusedError(f"a tensor of {type(storage).__name__}")
    return _Tensor(storage, offset, tuple(shape), tuple(stride))


CALLS: dict[str, Callable[..., Any]] = {
    name: restricted.CALLS[name]
    for name in ("collections.OrderedDict", "_codecs.encode", "builtins.set", "numpy.dtype", "numpy.core.multiarray.scalar")
}
CALLS |= {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda reader, data, *_: data,
    "torch.Size": lambda reader, *parts: tuple(*parts),
    "torch.device": lambda reader, *parts: ":".join(map(str, parts)),
}
"""What a checkpoint may ask to be called, and what is done instead. Nothing here takes memory for a size that is merely claimed."""

INERT = {f"torch.{kind}" for kind in DTYPES}
