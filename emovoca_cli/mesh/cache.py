"""Hierarchies kept on disk by the content they follow from: the same face is decimated once on a machine."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import numpy as np

from emovoca_cli.errors import EmovocaError
from emovoca_cli.files import hash_bytes
from emovoca_cli.mesh.hierarchy import SCHEMA, Hierarchy, build_hierarchy
from emovoca_cli.types import MeshTemplate

ENVIRONMENT = "EMOVOCA_CACHE"
METHOD = 1
"""Raised whenever the same input gives another hierarchy, so that old entries are not found."""


def cache_folder() -> Path:
    """Where derived data is kept: $EMOVOCA_CACHE, else the platform's cache folder for emovoca (~/.cache/emovoca on Linux)."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "emovoca"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "emovoca" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emovoca"


def hierarchy_key(template: MeshTemplate, *, levels: int = 4, factor: int = 4) -> str:
    """Name of a template's hierarchy: a hash of all that it follows from and of the method's version."""
    return hash_bytes(
        f"hierarchy {SCHEMA} {METHOD} {levels} {factor}".encode(),
        np.ascontiguousarray(template.vertices, dtype="<f4").tobytes(),
        np.ascontiguousarray(template.faces, dtype="<i4").tobytes(),
        np.ascontiguousarray(template.landmark_faces, dtype="<i4").tobytes(),
        np.ascontiguousarray(template.landmark_weights, dtype="<f4").tobytes(),
    )


def cached_hierarchy(template: MeshTemplate, *, levels: int = 4, factor: int = 4) -> Hierarchy:
    """`build_hierarchy`, read from the cache where it is there and whole; a damaged entry is built anew and replaced.

    A cache that cannot be written costs time, not the result.
    """
    path = cache_folder() / f"hierarchy-{hierarchy_key(template, levels=levels, factor=factor)[:32]}.npz"
    with contextlib.suppress(EmovocaError, OSError):
        found = Hierarchy.load(path)
        if len(found.levels) == levels + 1 and found.sizes[0] == len(template.vertices):
            return found
    built = build_hierarchy(template, levels=levels, factor=factor)
    with contextlib.suppress(EmovocaError, OSError):
        built.save(path)
    return built
