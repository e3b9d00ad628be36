"""glTF 2.0, as much of it as a face needs: containers, buffers and accessors, every size checked before memory is taken."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.errors import DataError, UsageError

LARGEST_FILE = 2**31
"""Bytes of a .glb, .gltf or .bin."""
LARGEST_ACCESSOR = 2**28
"""Bytes of one array; a million vertices have 12 MB."""
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True)
class Gltf:
    """A parsed file: its JSON and its buffers."""

    path: Path
    json: Mapping[str, Any]
    buffers: tuple[bytes, ...]

    def items(self, key: str) -> list[Any]:
        """A top-level list such as "meshes"; empty where the file has none."""
        value = self.json.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise DataError(f"{self.path}: '{key}' is not a list of objects; export it again")
        return value

    def item(self, key: str, index: Any) -> dict[str, Any]:
        """One entry of a top-level list. Raises DataError for an index that is none."""
        rows = self.items(key)
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(rows):
            raise DataError(f"{self.path}: {key}[{index!r}] does not exist; there are {len(rows)}")
        found: dict[str, Any] = rows[index]
        return found

    def array(self, index: Any, width: int) -> NDArray[Any]:
        """Accessor `index` as (N,width): floats as float32 (normalised integers scaled), integers as they are.

        Raises DataError for an accessor of another kind, or one that reaches beyond its buffer.
        """
        accessor = self.item("accessors", index)
        label = f"{self.path}: accessors[{index}]"
        kind, shape, count = accessor.get("componentType"), accessor.get("type"), accessor.get("count")
        if kind not in _TYPES or _WIDTHS.get(str(shape)) != width or not _natural(count):
            raise DataError(f"{label} is {shape} of {kind} x {count}, expected {width} components of a known type")
        dtype = np.dtype(_TYPES[kind])
        if count * width * dtype.itemsize > LARGEST_ACCESSOR:
            raise DataError(f"{label} would take {count * width * dtype.itemsize} bytes, at most {LARGEST_ACCESSOR} are read")
        if "bufferView" in accessor:
            values = self._view(accessor["bufferView"], accessor.get("byteOffset", 0), count, width, dtype, label)
        else:
            values = np.zeros((count, width), dtype)
        if "sparse" in accessor:
            values = self._sparse(accessor["sparse"], values.copy(), label)
        if accessor.get("normalized") and dtype.kind in "iu":
            values = np.maximum(values.astype(np.float32) / np.iinfo(dtype).max, -1)
        if dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{label} holds numbers that are not finite; export it again")
        return values

    def _sparse(self, sparse: Any, values: NDArray[Any], label: str) -> NDArray[Any]:
        try:
            count, where, what = sparse["count"], sparse["indices"], sparse["values"]
            kind = np.dtype(_TYPES[where["componentType"]])
            if not _natural(count) or count > len(values) or kind.kind != "u":
                raise DataError(f"{label}: its sparse part has {count} values of {len(values)}; export it again")
            rows = self._view(where["bufferView"], where.get("byteOffset", 0), count, 1, kind, label)[:, 0].astype(np.int64)
            new = self._view(what["bufferView"], what.get("byteOffset", 0), count, values.shape[1], values.dtype, label)
        except (KeyError, TypeError) as error:
            raise DataError(f"{label}: its sparse part lacks {error}; export it again") from error
        if len(rows) and rows.max() >= len(values):
            raise DataError(f"{label}: its sparse part names element {int(rows.max())} of {len(values)}; export it again")
        values[rows] = new
        return values

    def _view(self, index: Any, offset: Any, count: int, width: int, dtype: np.dtype[Any], label: str) -> NDArray[Any]:
        """(count,width) from a buffer view, interleaved or not."""
        view = self.item("bufferViews", index)
        which, start, length = view.get("buffer"), view.get("byteOffset", 0), view.get("byteLength")
        step = view.get("byteStride", width * dtype.itemsize)
        if not (_natural(which) and _natural(offset) and _natural(start) and _natural(length) and _natural(step)) or (
            which >= len(self.buffers)
        ):
            raise DataError(f"{label}: bufferViews[{index}] has no usable buffer, offset or length; export it again")
        need = offset + (step * (count - 1) + width * dtype.itemsize if count else 0)
        if step < width * dtype.itemsize or need > length or start + length > len(self.buffers[which]):
            raise DataError(
                f"{label} reaches to byte {start + need} of a view that ends at {start + length} in a buffer of "
                f"{len(self.buffers[which])} bytes; the file is cut off or broken, export it again"
            )
        shape, strides = (count, width), (step, dtype.itemsize)
        flat: NDArray[Any] = np.ndarray(shape, dtype, self.buffers[which], start + offset, strides)
        return np.ascontiguousarray(flat)


def read_gltf(path: Path) -> Gltf:
    """Parse a .glb or .gltf with its buffers. Raises UsageError for a missing file and DataError for a broken one."""
    if not path.is_file():
        raise UsageError(f"{path} does not exist; give a .glb or .gltf")
    data = _bytes(path)
    head, inside = _container(path, data) if data[:4] == b"glTF" else (data, None)
    try:
        content = json.loads(head.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not glTF ({' '.join(str(error).split())}); export it as .glb") from error
    version = (
        content.get("asset", {}).get("version") if isinstance(content, dict) and isinstance(content.get("asset"), dict) else None
    )
    if not isinstance(version, str) or not version.startswith("2."):
        raise DataError(f"{path} has glTF version {version!r}, expected 2.0; export it as .glb")
    compressed = {"KHR_draco_mesh_compression", "EXT_meshopt_compression"} & set(map(str, content.get("extensionsRequired", [])))
    if compressed:
        raise DataError(f"{path} is compressed ({', '.join(sorted(compressed))}), which is not read; export it without compression")
    bare = Gltf(path, content, ())
    empty = sum(_claimed(row) for row in bare.items("accessors") if "bufferView" not in row)
    if empty > LARGEST_ACCESSOR:
        raise DataError(f"{path} has {empty:,} bytes of arrays that it holds no numbers for, at most {LARGEST_ACCESSOR:,} are read")
    return Gltf(path, content, tuple(_buffer(path, row, index, inside) for index, row in enumerate(bare.items("buffers"))))


def _container(path: Path, data: bytes) -> tuple[bytes, bytes | None]:
    """The JSON and the binary chunk of a .glb."""
    if len(data) < 20:
        raise DataError(f"{path} has {len(data)} bytes, too few for a .glb; it is cut off")
    magic, version, length = struct.unpack_from("<III", data)
    if magic != _MAGIC or version != 2:
        raise DataError(f"{path} is .glb version {version}, expected 2; export it as glTF 2.0")
    if length > len(data):
        raise DataError(f"{path} says it has {length} bytes and has {len(data)}; it is cut off, export or download it again")
    chunks: dict[int, bytes] = {}
    at = 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<II", data, at)
        if at + 8 + size > length:
            raise DataError(
                f"{path}: a chunk at byte {at} says it has {size} bytes, {length - at - 8} are left; the file is broken"
            )
        chunks.setdefault(kind, data[at + 8 : at + 8 + size])
        at += 8 + size
    if _JSON not in chunks:
        raise DataError(f"{path} has no JSON chunk; it is not a .glb")
    return chunks[_JSON], chunks.get(_BIN)


def _buffer(path: Path, row: Mapping[str, Any], index: int, inside: bytes | None) -> bytes:
    """One buffer: the binary chunk, a data URI or a file beside the .gltf; never a file elsewhere."""
    length, uri = row.get("byteLength"), row.get("uri")
    if not _natural(length) or length > LARGEST_FILE:
        raise DataError(f"{path}: buffers[{index}] has {length!r} bytes, at most {LARGEST_FILE} are read")
    if uri is None:
        data = inside if inside is not None and index == 0 else b""
    elif isinstance(uri, str) and uri.startswith("data:"):
        try:
            data = base64.b64decode(uri.partition(",")[2], validate=True)
        except (binascii.Error, ValueError) as error:
            raise DataError(f"{path}: buffers[{index}] is not base64 ({error}); export it again") from error
    else:
        folder = path.resolve().parent
        place = (folder / unquote(str(uri))).resolve()
        if "://" in str(uri) or not place.is_relative_to(folder):
            raise DataError(f"{path}: buffers[{index}] points outside the file's folder ({uri}), which is not followed")
        if not place.is_file():
            raise DataError(f"{path}: its buffer {uri} is missing; keep the .bin beside the .gltf")
        data = _bytes(place)
    if len(data) < length:
        raise DataError(f"{path}: buffers[{index}] has {len(data)} bytes, expected {length}; the file is cut off")
    return data


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise DataError(f"{path} has {size} bytes, at most {LARGEST_FILE} are read")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _claimed(accessor: Mapping[str, Any]) -> int:
    """Bytes that an accessor says it has; 0 for one that `Gltf.array` refuses anyway."""
    kind, width, count = accessor.get("componentType"), _WIDTHS.get(str(accessor.get("type"))), accessor.get("count")
    return count * width * np.dtype(_TYPES[kind]).itemsize if kind in _TYPES and width and _natural(count) else 0


def _natural(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
