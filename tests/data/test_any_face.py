"""Strange meshes as faces: unit, pose, seams and landmarks are found or repaired and said, what cannot be is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.data import any_face
from emovoca_cli.data.any_face import read_any_face
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.mesh.io import write_mesh
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.mesh.seams import join_seams
from emovoca_cli.mesh.topology import boundary_mask
from emovoca_cli.types import Float, Int, MeshTemplate
from tests.helpers import shared_data
from tests.mesh.meshes import grid, stranger

pytestmark = pytest.mark.unit
KNOWN = (builtin_template(),)


def marks(face: MeshTemplate) -> Float:
    return landmark_points(face.vertices, face.faces, face.landmark_faces, face.landmark_weights)


def written(
    folder: Path, vertices: NDArray[np.floating], faces: Int, points: NDArray[np.floating] | None = None
) -> tuple[Path, Path]:
    write_mesh(folder / "face.ply", np.asarray(vertices, np.float32), faces)
    if points is not None:
        np.save(folder / "marks.npy", points)
    return folder / "face.ply", folder / "marks.npy"


@pytest.mark.parametrize(("factor", "unit"), [(1.0, "m"), (100.0, "cm"), (1000.0, "mm")])
def test_units_are_guessed_and_said(tmp_path: Path, factor: float, unit: str) -> None:
    vertices, faces, points, _ = stranger()
    mesh, file = written(tmp_path, vertices * factor, faces, points * factor)
    face = read_any_face(mesh, landmarks=file, known=KNOWN)
    np.testing.assert_allclose(face.template.vertices, vertices, atol=1e-6)
    np.testing.assert_allclose(marks(face.template), points, atol=1e-5)
    assert face.notes == (f"unit {unit} (guessed: outer eye corners 87.8 mm apart)",)
    np.testing.assert_array_equal(face.template.faces, faces)
    assert not face.shapes


def test_a_face_of_no_unit_is_scaled_to_an_adults(tmp_path: Path) -> None:
    vertices, faces, points, _ = stranger()
    mesh, file = written(tmp_path, vertices * 7.7, faces, points * 7.7)
    face = read_any_face(mesh, landmarks=file, known=KNOWN)
    assert np.linalg.norm(marks(face.template)[36] - marks(face.template)[45]) == pytest.approx(0.0892, abs=1e-5)
    assert "unknown: scaled" in face.notes[0]


QUARTERS = {
    "z up, looking along -y (Blender)": ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], "turned: z was up and -y the way it looks"),
    "looking to the left": ([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], "turned: y was up and x the way it looks"),
    "upside down": ([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], "turned: -y was up and z the way it looks"),
}


@pytest.mark.parametrize("name", QUARTERS)
def test_faces_turned_by_quarters_are_put_upright_and_it_is_said(tmp_path: Path, name: str) -> None:
    turn, words = np.array(QUARTERS[name][0], np.float64), str(QUARTERS[name][1])
    vertices, faces, points, _ = stranger()
    mesh, file = written(tmp_path, vertices @ turn.T, faces, points @ turn.T)
    face = read_any_face(mesh, landmarks=file, known=KNOWN)
    np.testing.assert_allclose(face.template.vertices, vertices, atol=1e-6)
    assert any(words in note for note in face.notes), face.notes


def test_a_tilt_is_said_and_kept_and_a_mirrored_face_refused(tmp_path: Path) -> None:
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    vertices, faces, points, _ = stranger()
    mesh, file = written(tmp_path, vertices @ turn.T, faces, points @ turn.T)
    assert any("tilted by some 20 degrees" in note for note in read_any_face(mesh, landmarks=file, known=KNOWN).notes)
    flip = np.array([-1, 1, 1])
    mesh, file = written(tmp_path, vertices * flip, faces, points * flip)
    with pytest.raises(DataError, match="is turned"):
        read_any_face(mesh, landmarks=file, known=KNOWN)


def test_known_topologies_bring_their_landmarks_and_others_are_asked_for_them(tmp_path: Path) -> None:
    head = builtin_template()
    mesh, _ = written(tmp_path, head.vertices * 100, head.faces)
    face = read_any_face(mesh, known=KNOWN)
    np.testing.assert_allclose(marks(face.template), marks(head), atol=1e-5)
    vertices, faces, _, _ = stranger()
    mesh, _ = written(tmp_path, vertices, faces)
    with pytest.raises(TopologyError, match="as many vertices, other faces"):
        read_any_face(mesh, known=KNOWN)
    mesh, _ = written(tmp_path, vertices, faces[:-1])
    with pytest.raises(TopologyError, match="give --landmarks FILE"):
        read_any_face(mesh, known=KNOWN)
    with pytest.raises(UsageError, match="no known topology"):
        read_any_face(mesh, known=())


def test_what_is_no_face_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, faces, points, _ = stranger()
    mesh, file = written(tmp_path, vertices, faces, points + np.array([0, 0, 0.03]))
    with pytest.raises(DataError, match=r"landmark \d+ lies 0.\d+ outer-eye distances off"):
        read_any_face(mesh, landmarks=file, known=KNOWN)
    np.save(file, np.ones((68, 3)))
    with pytest.raises(DataError, match="do not show two eyes"):
        read_any_face(mesh, landmarks=file, known=KNOWN)
    (tmp_path / "face.stl").write_text("solid")
    with pytest.raises(UsageError, match=r"give \.ply, \.obj, \.glb"):
        read_any_face(tmp_path / "face.stl", known=KNOWN)
    with pytest.raises(UsageError, match=r"folder without generic_neutral_mesh\.obj"):
        read_any_face(tmp_path, known=KNOWN)
    monkeypatch.setattr(any_face, "MOST_VERTICES", 1000)
    with pytest.raises(DataError, match="at most 1000 are animated"):
        read_any_face(mesh, landmarks=file, known=KNOWN)


def cut_at_seam(vertices: Float, faces: Int) -> tuple[Float, Int]:
    """The mesh torn in two along the middle plane, as a seam of texture coordinates leaves it."""
    left = vertices[faces].mean(axis=1)[:, 0] > 0
    both = np.intersect1d(faces[left], faces[~left])
    place = np.arange(len(vertices))
    place[both] = len(vertices) + np.arange(len(both))
    torn = faces.copy()
    torn[left] = place[faces[left]]
    return np.concatenate([vertices, vertices[both]]), torn.astype(np.int32)


def test_seams_are_joined_for_computing_and_the_files_vertices_stay(tmp_path: Path) -> None:
    vertices, faces, points, _ = stranger()
    torn, rows = cut_at_seam(vertices, faces)
    mesh, file = written(tmp_path, torn, rows, points)
    face = read_any_face(mesh, landmarks=file, known=KNOWN)
    np.testing.assert_array_equal(face.template.faces, rows)
    assert any("double others along seams" in note for note in face.notes)
    np.testing.assert_array_equal(torn[face.stands], torn)
    # All but what lies on the line between the lips: there two lips may touch.
    joined = face.stands != np.arange(len(torn))
    assert 0.9 * (len(torn) - len(vertices)) < joined.sum() <= len(torn) - len(vertices)


def test_lips_that_touch_are_not_joined() -> None:
    """A sheet with a closed slit: its two sides lie at one place along the line between the lips, and must stay two."""
    vertices, faces = grid(41, 41, 0.005)
    slit = np.flatnonzero((np.abs(vertices[:, 1] - 0.1) < 1e-6) & (np.abs(vertices[:, 0] - 0.1) < 0.022))
    above = vertices[faces].mean(axis=1)[:, 1] > 0.1
    place = np.arange(len(vertices))
    place[slit[1:-1]] = len(vertices) + np.arange(len(slit) - 2)
    torn = faces.copy()
    torn[above] = place[faces[above]]
    points = np.zeros((68, 3), np.float32)
    points[36], points[45] = (0.06, 0.16, 0), (0.14, 0.16, 0)
    points[36:48, 1] = 0.16
    across = {48: 0, 60: 0.05, 61: 0.25, 67: 0.25, 62: 0.5, 66: 0.5, 63: 0.75, 65: 0.75, 64: 0.95, 54: 1}
    for number, share in across.items():
        points[number] = (vertices[slit[0], 0] + share * np.ptp(vertices[slit, 0]), 0.1, 0)
    points[36:48, 0] = np.linspace(0.06, 0.14, 12)
    everything = np.concatenate([vertices, vertices[slit[1:-1]]])
    joined, stands = join_seams(everything, torn, points)
    assert boundary_mask(joined, len(everything))[slit[1:-1]].all()
    np.testing.assert_array_equal(stands, np.arange(len(everything)))
    # Far from any lips the same slit is a seam.
    far = points.copy()
    far[48:] += np.array([0, -0.05, 0], np.float32)
    joined, _ = join_seams(everything, torn, far)
    assert not boundary_mask(joined, len(everything))[slit[1:-1]].any()


def test_what_is_unclean_is_said(tmp_path: Path) -> None:
    vertices, faces, points, _ = stranger()
    extra = np.concatenate([vertices, vertices[:1] + np.float32(0.5), vertices[faces[5][:1]] + np.float32(0.01)])
    rows = np.concatenate([faces, [[faces[0][0], faces[0][0], faces[0][1]]], [[faces[5][0], faces[5][1], len(vertices) + 1]]])
    mesh, file = written(tmp_path, extra, rows.astype(np.int32), points)
    said = " | ".join(read_any_face(mesh, landmarks=file, known=KNOWN).notes)
    assert "1 of 9420 faces have no area" in said
    assert "belong to more than two faces" in said
    assert "1 vertices belong to no face" in said


def test_a_mouth_that_is_one_surface_is_said(tmp_path: Path) -> None:
    """A sheet in the shape of a face, without any slit between the lips."""
    head = builtin_template()
    x, y = np.meshgrid(np.linspace(-0.08, 0.08, 81), np.linspace(-0.14, 0.1, 121))
    vertices, faces = grid(81, 121)
    points = marks(head)
    from scipy.interpolate import RBFInterpolator

    depth = RBFInterpolator(points[:, :2], points[:, 2], smoothing=1e-6)(np.stack([x.ravel(), y.ravel()], 1))
    vertices = np.stack([x.ravel(), y.ravel(), depth], axis=1).astype(np.float32)
    mesh, file = written(tmp_path, vertices, faces, points)
    assert any("the mouth cannot open" in note for note in read_any_face(mesh, landmarks=file, known=KNOWN).notes)
    write_mesh(tmp_path / "own.ply", head.vertices, head.faces)
    assert not any("cannot open" in note for note in read_any_face(tmp_path / "own.ply", known=KNOWN).notes)


def test_flame_and_ict_are_known_by_their_topology() -> None:
    folder = shared_data()
    flame = read_any_face(folder / "emovoca_release" / "template" / "FLAME_sample.ply", known=KNOWN)
    assert flame.notes[0] == "the topology is FLAME's, with its own landmarks"
    ict = read_any_face(folder / "ict_facekit" / "generic_neutral_mesh.obj", known=KNOWN)
    assert ict.notes[:2] == (
        "the topology is ICT-FaceKit's, with its own landmarks",
        "unit cm (guessed: outer eye corners 89.2 mm apart)",
    )
    assert len(ict.template.vertices) == 26719
    assert replace(ict.template, name="x").topology_hash == any_face.TOPOLOGY
