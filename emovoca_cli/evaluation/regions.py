"""The vertices an error is measured on: named sets, with a hash that says whether two reports mean the same ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.arrays import read_npy
from emovoca_cli.data.restricted import load_pickle
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import hash_bytes
from emovoca_cli.types import Bool

LIPS, UPPER, ALL = "lips", "upper", "all"
DEFAULT_SPEC = {LIPS: "lips", UPPER: "eyes+forehead"}
"""What stands for a region when nothing is given: names of the template's regions, joined by "+"."""

SUFFIXES = (".txt", ".csv", ".json", ".npy", ".pkl")


@dataclass(frozen=True, eq=False)
class Region:
    """A set of vertices: its name, zero-based indices (n,) as they were given, and what they were taken from.

    Indices given twice stay twice, because some repositories' means count them twice; a maximum does not care.
    """

    name: str
    indices: NDArray[np.int64]
    source: str

    @cached_property
    def sha256(self) -> str:
        """Hash of the sorted indices, repeats included: equal for equal sets in any order."""
        return hash_bytes(np.sort(self.indices).astype("<i8").tobytes())

    @cached_property
    def unique(self) -> NDArray[np.int64]:
        """The indices without repeats, sorted."""
        return np.unique(self.indices)

    def describe(self) -> dict[str, Any]:
        """Plain JSON about it."""
        return {
            "name": self.name,
            "source": self.source,
            "vertices": len(self.unique),
            "entries": len(self.indices),
            "sha256": self.sha256,
        }


def find_region(name: str, spec: str | None, named: Mapping[str, Bool], vertex_count: int, *, owner: str) -> Region | None:
    """The region `name` for meshes of `vertex_count`: `spec` is a file, names out of `named` joined by "+", or None.

    `named` are the masks (V,) of a template, `owner` says whose. None when nothing was asked for and the template has none.
    Raises UsageError for an unknown name, DataError for a file that does not fit.
    """
    wanted = spec or DEFAULT_SPEC[name]
    if wanted.rsplit(":", 1)[0].lower().endswith(SUFFIXES):
        return _checked(Region(name, read_indices(wanted), wanted), vertex_count)
    parts = [part.strip() for part in wanted.split("+")]
    unknown = [part for part in parts if part not in named]
    if unknown:
        if spec is None:
            return None
        known = ", ".join(named) or f"none for {vertex_count} vertices"
        files = f"a file of vertex numbers ({', '.join(SUFFIXES)})"
        raise UsageError(f"--{name} names the region {unknown[0]!r}; there are: {known}; or give {files}")
    mask = np.logical_or.reduce([np.asarray(named[part], dtype=np.bool_) for part in parts])
    return _checked(Region(name, np.flatnonzero(mask).astype(np.int64), f"{wanted} of {owner}"), vertex_count)


def _checked(region: Region, vertex_count: int) -> Region:
    if not len(region.indices):
        raise DataError(f"the region {region.name} ({region.source}) is empty; nothing can be measured on it")
    low, high = int(region.indices.min()), int(region.indices.max())
    if low < 0 or high >= vertex_count:
        raise DataError(
            f"the region {region.name} ({region.source}) names vertex {low if low < 0 else high}, the meshes have "
            f"0..{vertex_count - 1}; is the list of another topology, or counted from 1?"
        )
    return region


def read_indices(spec: str) -> NDArray[np.int64]:
    """Vertex numbers (n,) from FILE, or from FILE.pkl:KEY, FILE.json:KEY+KEY for a file of several lists.

    .txt and .csv hold whole numbers with commas or space between; .json a list; .npy numbers or a mask (V,) of booleans; .pkl a
    list or array (read without running anything). Raises UsageError for a missing file or key, DataError for other content.
    """
    place, keys = (spec, []) if Path(spec).is_file() else _split(spec)
    path = Path(place)
    if not path.is_file():
        raise UsageError(f"{path} does not exist; expected a file of vertex numbers")
    content = _content(path)
    if isinstance(content, Mapping):
        if not keys:
            raise UsageError(f"{path} holds several lists; name one as {path}:KEY, there are: {', '.join(map(str, content))}")
        missing = [key for key in keys if key not in content]
        if missing:
            raise UsageError(f"{path} has no list {missing[0]!r}; there are: {', '.join(map(str, content))}")
        return np.concatenate([_numbers(content[key], path) for key in keys])
    if keys:
        raise UsageError(f"{path} holds one list without a name; leave out ':{'+'.join(keys)}'")
    return _numbers(content, path)


def _split(spec: str) -> tuple[str, list[str]]:
    place, _, keys = spec.rpartition(":")
    return (place, keys.split("+")) if place else (spec, [])


def _content(path: Path) -> Any:
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return read_npy(path)
        if suffix == ".pkl":
            return load_pickle(path)
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if suffix == ".json" else [word for word in re.split(r"[\s,;]+", text.strip()) if word]
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is not a readable list of vertex numbers ({error})") from error


def _numbers(values: Any, path: Path) -> NDArray[np.int64]:
    try:
        array = np.asarray(values).reshape(-1)
        if array.dtype == np.bool_:
            return np.flatnonzero(array).astype(np.int64)
        numbers = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} is not a list of vertex numbers ({error})") from error
    if not np.isfinite(numbers).all() or (numbers != np.round(numbers)).any():
        raise DataError(
            f"{path} holds numbers that are not whole, such as {numbers[numbers != np.round(numbers)][0]:g}; "
            "a list of weights has to be cut at a threshold first"
        )
    return numbers.astype(np.int64)
