"""Landmarks in the forms that people have: every form says the same, and what fits none is refused in one line."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emovoca_cli.arrays import LARGEST_UNPACKED
from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.data.landmark_file import LARGEST, read_landmarks
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.mesh.landmarks import landmark_points

pytestmark = pytest.mark.unit
HEAD = builtin_template()
POINTS = landmark_points(HEAD.vertices, HEAD.faces, HEAD.landmark_faces, HEAD.landmark_weights)
NUMBERS = np.arange(68) * 7
ON_FACES = {"lmk_face_idx": HEAD.landmark_faces, "lmk_b_coords": HEAD.landmark_weights}


def dump(path: Path, content: Any) -> None:
    path.write_bytes(pickle.dumps(content))


def text(path: Path, rows: Any) -> None:
    np.savetxt(path, rows, fmt="%.9g", header="x y z")


def spread(path: Path, content: dict[str, Any]) -> None:
    np.savez(path, **content)


def as_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="ascii")


@pytest.mark.parametrize(
    ("name", "write", "content"),
    [
        ("a.npy", np.save, POINTS),
        ("a.json", as_json, POINTS.tolist()),
        ("a.json", as_json, {"landmarks": POINTS.tolist()}),
        ("a.txt", text, POINTS),
        ("a.pkl", dump, POINTS),
        ("a.npz", spread, {"points": POINTS}),
        ("a.npz", spread, ON_FACES),
        ("a.pkl", dump, ON_FACES),
        ("a.json", as_json, {"faces": HEAD.landmark_faces.tolist(), "weights": HEAD.landmark_weights.tolist()}),
    ],
)
def test_every_form_gives_the_points(tmp_path: Path, name: str, write: Callable[[Path, Any], None], content: Any) -> None:
    write(tmp_path / name, content)
    np.testing.assert_allclose(read_landmarks(tmp_path / name, HEAD.vertices, HEAD.faces), POINTS, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "write", "content"),
    [
        ("a.npy", np.save, NUMBERS),
        ("a.json", as_json, {"idx_to_landmark_verts": NUMBERS.tolist()}),
        ("a.txt", text, NUMBERS),
        ("a.csv", lambda path, rows: path.write_text(",".join(map(str, rows))), NUMBERS),
    ],
)
def test_vertex_numbers_give_those_vertices(tmp_path: Path, name: str, write: Callable[[Path, Any], None], content: Any) -> None:
    write(tmp_path / name, content)
    np.testing.assert_array_equal(read_landmarks(tmp_path / name, HEAD.vertices, HEAD.faces), HEAD.vertices[NUMBERS])
    with pytest.raises(DataError, match="numbered anew"):
        read_landmarks(tmp_path / name, HEAD.vertices, HEAD.faces, ordered=False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (POINTS[:51], r"shape \(51, 3\); give 68 points"),
        (NUMBERS + 5000, "is vertex 5000, the mesh has 4795"),
        (NUMBERS - 1, "landmark 0 is vertex -1"),
        (NUMBERS + 0.5, "not whole"),
        (np.full((68, 3), np.nan), "not finite"),
        (np.array(["a"] * 68), "something else than numbers"),
    ],
)
def test_arrays_that_are_no_landmarks(tmp_path: Path, content: Any, words: str) -> None:
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(DataError, match=words):
        read_landmarks(tmp_path / "a.npy", HEAD.vertices, HEAD.faces)


def test_files_that_are_no_landmarks(tmp_path: Path) -> None:
    for name, content, error, words in (
        ("none.json", None, UsageError, "do not exist"),
        ("a.ply", b"ply", UsageError, "are no .json"),
        ("a.json", b"{", DataError, "not readable JSON"),
        ("b.json", b'{"mesh": 1}', DataError, "names none of landmarks"),
        ("a.npz", b"PK", DataError, "not an .npz file of landmarks"),
        ("a.txt", b"1 2 three", DataError, "not a readable .txt"),
        ("big.json", b" " * (LARGEST + 1), DataError, "a few thousand"),
        ("a.pkl", pickle.dumps(print), DataError, "asks to run builtins.print"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(error, match=words):
            read_landmarks(tmp_path / name, HEAD.vertices, HEAD.faces)
    np.savez_compressed(tmp_path / "bomb.npz", points=np.zeros(LARGEST_UNPACKED // 8 + 1, np.float64))
    with pytest.raises(DataError, match="would unpack to"):
        read_landmarks(tmp_path / "bomb.npz", HEAD.vertices, HEAD.faces)
    as_json(tmp_path / "w.json", {"faces": HEAD.landmark_faces.tolist(), "weights": (2 * HEAD.landmark_weights).tolist()})
    with pytest.raises(DataError, match="not between 0 and 1"):
        read_landmarks(tmp_path / "w.json", HEAD.vertices, HEAD.faces)
    as_json(tmp_path / "f.json", {"faces": [99999] * 68, "weights": HEAD.landmark_weights.tolist()})
    with pytest.raises(DataError, match="is face 99999"):
        read_landmarks(tmp_path / "f.json", HEAD.vertices, HEAD.faces)
