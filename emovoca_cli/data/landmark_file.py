"""The 68 landmarks of a mesh from a file, in the forms that people have: points, vertex numbers, or faces and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.arrays import Npz
from emovoca_cli.constants import LANDMARKS
from emovoca_cli.data.restricted import load_npy, load_pickle
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import read_json
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.mesh.topology import AnyFloat, AnyInt
from emovoca_cli.types import Float

SUFFIXES = (".json", ".npy", ".npz", ".txt", ".csv", ".pkl")
FORMS = f"{LANDMARKS} points, {LANDMARKS} vertex numbers, or {LANDMARKS} faces with three weights each"
LARGEST = 16 << 20
"""Bytes; 68 points have a few thousand."""
POINTS = ("landmarks", "points", "vertices", "lmk", "positions")
INDICES = ("indices", "vertex_indices", "idx_to_landmark_verts", "landmark_indices", "lmk_idx", "ids")
FACES = ("faces", "face_indices", "lmk_face_idx", "landmark_faces", "full_lmk_faces_idx")
WEIGHTS = ("weights", "barycentric", "lmk_b_coords", "bary_coords", "landmark_weights", "full_lmk_bary_coords")


def read_landmarks(path: Path, vertices: AnyFloat, faces: AnyInt, *, ordered: bool = True) -> Float:
    """Landmarks (68,3) of a mesh with vertices (V,3) and faces (F,3), in its unit and axes.

    .json, .npy, .npz, .txt, .csv or .pkl with points (68,3), vertex numbers (68,) from 0, or faces (68,) and weights (68,3) under
    names in common use; numbers are refused for a mesh that was not kept in its file's order (`ordered`).
    Raises UsageError for a missing file or another kind, DataError for another content.
    """
    if not path.is_file():
        raise UsageError(f"the landmarks {path} do not exist; give {FORMS} ({', '.join(SUFFIXES)})")
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"the landmarks {path} are no {', '.join(SUFFIXES)}; give {FORMS} in one of these")
    if path.stat().st_size > LARGEST:
        raise DataError(f"{path} has {path.stat().st_size} bytes, {LANDMARKS} landmarks have a few thousand; is it another file?")
    content = _read(path)
    if isinstance(content, Mapping):
        faces_, weights = _named(content, FACES), _named(content, WEIGHTS)
        if faces_ is not None and weights is not None:
            _in_order(path, ordered)
            return _on_faces(path, _numbers(path, faces_), _numbers(path, weights), vertices, faces)
        content = next((found for names in (POINTS, INDICES) if (found := _named(content, names)) is not None), None)
        if content is None:
            raise DataError(
                f"{path} names none of {', '.join((POINTS[0], INDICES[0]))} or {FACES[0]} with {WEIGHTS[0]}; give {FORMS}"
            )
    numbers = _numbers(path, content)
    if numbers.shape == (LANDMARKS, 3):
        return numbers.astype(np.float32)
    if numbers.size == LANDMARKS and numbers.ndim <= 2:
        _in_order(path, ordered)
        chosen = _whole(path, numbers.reshape(-1), len(vertices), "vertex")
        return np.asarray(np.asarray(vertices)[chosen], np.float32)
    raise DataError(f"{path} has landmarks of shape {numbers.shape}; give {FORMS}")


def _in_order(path: Path, ordered: bool) -> None:
    if not ordered:
        raise DataError(f"{path} has numbers, and a glTF's vertices are joined and numbered anew; give {LANDMARKS} points (68,3)")


def _on_faces(path: Path, which: NDArray[np.float64], weights: NDArray[np.float64], vertices: AnyFloat, faces: AnyInt) -> Float:
    if which.size != LANDMARKS or weights.shape != (LANDMARKS, 3):
        raise DataError(f"{path} has {which.size} faces with weights of shape {weights.shape}; give {FORMS}")
    if np.abs(weights.sum(axis=1) - 1).max() > 0.01 or weights.min() < -0.01:
        raise DataError(
            f"{path} has weights that are not between 0 and 1 with sum 1 (row {int(np.abs(weights.sum(axis=1) - 1).argmax())})"
        )
    chosen = _whole(path, which.reshape(-1), len(faces), "face")
    return landmark_points(vertices, faces, chosen, weights)


def _whole(path: Path, numbers: NDArray[np.float64], count: int, what: str) -> NDArray[np.int64]:
    if (numbers != np.round(numbers)).any():
        raise DataError(f"{path} has {LANDMARKS} numbers that are not whole; {what} numbers were expected, or points (68,3)")
    if numbers.min() < 0 or numbers.max() >= count:
        worst = int(np.flatnonzero((numbers < 0) | (numbers >= count))[0])
        raise DataError(
            f"{path}: landmark {worst} is {what} {int(numbers[worst])}, the mesh has {count} (numbers are 0 to {count - 1}); "
            "is the file of another mesh?"
        )
    return numbers.astype(np.int64)


def _named(content: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((content[name] for name in names if name in content), None)


def _numbers(path: Path, content: Any) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(content, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} holds something else than numbers ({' '.join(str(error).split())}); give {FORMS}") from error
    if not np.isfinite(numbers).all():
        raise DataError(f"{path} has landmarks that are not finite numbers; give {FORMS}")
    return numbers


def _read(path: Path) -> Any:
    """Whatever is in the file, plain."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return read_json(path)
    if suffix == ".pkl":
        return load_pickle(path)
    if suffix == ".npy":
        content = load_npy(path)
        return content.item() if content.dtype == object and content.shape == () else content
    try:
        if suffix == ".npz":
            with Npz(path, "an .npz file of landmarks") as data:
                return dict(data)
        lines = path.read_text(encoding="utf-8").replace(",", " ").splitlines()
        return [[float(word) for word in line.split()] for line in lines if line.strip() and not line.lstrip().startswith("#")]
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is not a readable {suffix} ({reason}); give {FORMS}") from error
