"""FLAME's own files: landmarks and regions exactly as they say, other topologies refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.data.flame import flame_template, mask_regions
from emovoca_cli.data.release_mesh import flame_landmarks
from emovoca_cli.errors import DataError, TopologyError
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.mesh.transfer import transfer_landmarks
from tests.data import real_layouts as real

pytestmark = pytest.mark.unit


def test_landmarks_and_masks_are_those_of_the_files(tmp_path: Path) -> None:
    real.write_flame_files(tmp_path)
    vertices, faces = real.head()
    masks = {"lips": [3, 5], "left_eye_region": [10], "right_eye_region": [11], "forehead": [20, 21], "eye_region": [10, 11, 30]}
    real.dump(tmp_path / "FLAME_masks.pkl", {name: np.array(value) for name, value in masks.items()})
    made, notes = flame_template(vertices * 1000, faces, folders=[tmp_path], known=builtin_template(), any_topology=True)
    assert notes == ()
    np.testing.assert_allclose(made.vertices, vertices, atol=1e-6)
    np.testing.assert_array_equal(made.landmark_faces, builtin_template().landmark_faces)
    assert {name: np.flatnonzero(made.regions[name]).tolist() for name in ("lips", "eyes", "forehead", "upper_face")} == {
        "lips": [3, 5], "eyes": [10, 11], "forehead": [20, 21], "upper_face": [10, 11, 20, 21, 30],
    }  # fmt: skip
    assert made.regions["mouth"].any()  # FLAME has no such mask: from geometry
    with pytest.raises(TopologyError, match="not FLAME's topology"):
        flame_template(vertices, faces, folders=[tmp_path], known=builtin_template())


def test_files_of_another_topology_are_refused(tmp_path: Path) -> None:
    real.write_flame_files(tmp_path)
    files = tmp_path / "flame_static_embedding.pkl", tmp_path / "flame_dynamic_embedding.npy"
    with pytest.raises(DataError, match="is it FLAME's"):
        flame_landmarks(*files, 100)
    real.dump(tmp_path / "FLAME_masks.pkl", {name: [9000] for name in ("lips", "left_eye_region", "forehead")})
    with pytest.raises(DataError, match="vertices outside"):
        mask_regions(tmp_path / "FLAME_masks.pkl", 5023)
    real.dump(files[0], {"lmk_face_idx": np.arange(3)})
    with pytest.raises(DataError, match="not FLAME's landmark embeddings"):
        flame_landmarks(*files, 9000)


def test_without_files_landmarks_are_carried_over_from_the_known_face() -> None:
    known = builtin_template()
    vertices, faces = real.head()
    moved = vertices * np.float32(1.1) + np.array([0.01, 0.05, -0.02], np.float32)
    found, weights = transfer_landmarks(known, moved, faces)
    wanted = landmark_points(moved, faces, known.landmark_faces, known.landmark_weights)
    apart = np.linalg.norm(landmark_points(moved, faces, found, weights) - wanted, axis=1)
    assert apart.mean() < 0.002
    assert apart.max() < 0.008
