"""The release's hierarchy and FLAME's landmark files: what is something else is named before it does harm."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from emovoca_cli.data.release_mesh import (
    flame_landmarks,
    flame_vertices,
    load_release_hierarchy,
    release_template,
    with_dummies,
)
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.mesh.io import write_mesh
from tests.helpers import shared_data
from tests.nn.toy import toy_hierarchy, toy_template

pytestmark = pytest.mark.unit


def content() -> dict[str, Any]:
    """A file in the release's form, for the toy face."""
    plain = toy_hierarchy()
    down, up = [], []
    for step, (kept, (indices, weights)) in enumerate(zip(plain.down, plain.up, strict=True)):
        finer, coarser = plain.sizes[step], plain.sizes[step + 1]
        down.append(sparse.csc_matrix((np.ones(coarser), (np.arange(coarser), kept)), shape=(coarser, finer)))
        rows = np.repeat(np.arange(finer), 3)
        up.append(sparse.csc_matrix((weights.ravel().astype(float), (rows, indices.ravel())), shape=(finer, coarser)))
    return {"M_verts_faces": [(level.vertices, level.faces) for level in plain.levels], "D": down, "U": up, "A": [], "F": []}


def written(folder: Path, value: Any) -> Path:
    path = folder / "downsampling_matrices.pkl"
    path.write_bytes(pickle.dumps(value, 2))
    return path


def test_the_file_gives_levels_steps_and_spirals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = toy_hierarchy()
    middle = len(plain.levels[0].vertices) // 2
    monkeypatch.setattr("emovoca_cli.data.release_mesh.REFERENCES", (middle,))
    read = load_release_hierarchy(written(tmp_path, content()))
    assert read.sizes == plain.sizes
    for mine, other in zip(read.down, plain.down, strict=True):
        np.testing.assert_array_equal(mine, other)
    probe = np.random.default_rng(0).normal(size=plain.sizes[1])
    (indices, weights), (other_indices, other_weights) = read.up[0], plain.up[0]
    np.testing.assert_allclose((probe[indices] * weights).sum(1), (probe[other_indices] * other_weights).sum(1), atol=1e-5)
    np.testing.assert_array_equal(read.levels[0].spirals, plain.levels[0].spirals)


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in content().items() if name != key}


def _changed(key: str, place: int, change: Any) -> dict[str, Any]:
    made = content()
    made[key][place] = change(made[key][place])
    return made


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "has no M_verts_faces, D, U"),
        (_without("U"), "has no U"),
        (content(), "do not fit; expected the release's file for FLAME"),  # whole, but too small for FLAME's references
        (_changed("D", 0, lambda d: d * 2), "a row of D is not a single one"),
        (_changed("U", 0, lambda u: sparse.csc_matrix(np.ones(u.shape))), "a row of U has more than three numbers"),
        (_changed("D", 1, lambda d: d[:-1]), "do not fit"),
        (_changed("U", 0, lambda u: u[:-1]), "do not fit"),
        (_changed("M_verts_faces", 1, lambda m: (m[0], m[1] + 10**6)), "do not fit"),
        (_changed("M_verts_faces", 1, lambda m: (m[0] * np.nan, m[1])), "do not fit"),
        (_changed("M_verts_faces", 1, lambda m: 3), "does not hold meshes and sparse matrices"),
        (_changed("D", 0, lambda d: "x"), "does not hold meshes and sparse matrices|do not fit"),
    ],
)
def test_what_is_not_the_releases_hierarchy_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_release_hierarchy(written(tmp_path, value))


def test_missing_and_huge_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_release_hierarchy(tmp_path / "none.pkl")
    monkeypatch.setattr("emovoca_cli.data.release_mesh.LARGEST_FILE", 10)
    with pytest.raises(DataError, match="is it the right file"):
        load_release_hierarchy(written(tmp_path, content()))


def embeddings(folder: Path, faces: Any = None, static: int = 51) -> tuple[Path, Path]:
    still, moving = folder / "static.pkl", folder / "dynamic.npy"
    weights = np.full((static, 3), 1 / 3)
    numbers = np.arange(static) if faces is None else np.full(static, faces)
    still.write_bytes(pickle.dumps({"lmk_face_idx": numbers, "lmk_b_coords": weights}, 2))
    contour = {"lmk_face_idx": [np.arange(17)] * 3, "lmk_b_coords": [np.full((17, 3), 1 / 3)] * 3}
    np.save(moving, np.array(contour, dtype=object), allow_pickle=True)
    return still, moving


def test_landmarks_are_the_frontal_jaw_line_and_the_static_ones(tmp_path: Path) -> None:
    faces, weights = flame_landmarks(*embeddings(tmp_path), 100)
    assert faces.tolist() == [*range(17), *range(51)]
    np.testing.assert_allclose(weights, 1 / 3)
    template = release_template(toy_hierarchy().levels[0], toy_template().vertices, (faces, weights))
    assert template.topology_hash == toy_template().topology_hash
    assert {"lips", "mouth", "upper_face"} <= set(template.regions)


def test_embeddings_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name face 200, the mesh has 100"):
        flame_landmarks(*embeddings(tmp_path, faces=200), 100)
    with pytest.raises(DataError, match="give 67 landmarks, expected 68"):
        flame_landmarks(*embeddings(tmp_path, static=50), 100)
    still, moving = embeddings(tmp_path)
    still.write_bytes(pickle.dumps([1], 2))
    with pytest.raises(DataError, match="are not FLAME's landmark embeddings"):
        flame_landmarks(still, moving, 100)


def test_a_mesh_of_another_order_is_refused(tmp_path: Path) -> None:
    finest = toy_hierarchy().levels[0]
    write_mesh(tmp_path / "same.ply", finest.vertices, finest.faces)
    np.testing.assert_array_equal(flame_vertices(tmp_path / "same.ply", finest), finest.vertices)
    write_mesh(tmp_path / "turned.ply", finest.vertices, finest.faces[::-1].copy())
    with pytest.raises(TopologyError, match="another order of them"):
        flame_vertices(tmp_path / "turned.ply", finest)


def test_the_released_hierarchy_keeps_its_step_off_by_one() -> None:
    plain = load_release_hierarchy(shared_data() / "emovoca_release" / "template" / "downsampling_matrices.pkl")
    assert plain.sizes == (5023, 1256, 314, 79, 20)
    shifted, plainly = with_dummies(plain, finest=True), with_dummies(plain, finest=False)
    assert shifted.sizes == (5023, 1257, 315, 80, 21)
    np.testing.assert_array_equal(shifted.down[0][:-1], plain.down[0] - 1)
    assert shifted.down[0][-1] == 5022 == shifted.levels[0].held
    np.testing.assert_array_equal(shifted.up[0][0][:-1], plain.up[0][0][1:])
    assert (shifted.up[0][0][-1] == 1256).all()
    assert plainly.levels[0].held == -1
    np.testing.assert_array_equal(plainly.up[0][0], plain.up[0][0])
