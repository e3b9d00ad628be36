"""The built-in head: its topology, its measures against the table it was modelled from, and that it can be rebuilt."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from emovoca_cli.constants import INNER_LIP_PAIRS
from emovoca_cli.demo.head import LABEL_NAMES, HeadModel, load_head
from emovoca_cli.demo.head_build import MIRRORED_LANDMARKS, VERMILION, build_head, read_layout
from emovoca_cli.demo.head_tables import EYE_CENTRE, EYE_RADIUS

pytestmark = pytest.mark.unit

# means of head-measurements (mm): landmark -> (x, y, z)
TABLE = {
    8: (0, -110, 18),
    30: (0, -31, 44),
    33: (0, -47, 30),
    36: (-44, 0, 0),
    39: (-18, -2, 6),
    42: (18, -2, 6),
    45: (44, 0, 0),
    17: (-58, 17, -7),
    19: (-38, 28, 12),
    21: (-12, 25, 21),
    22: (12, 25, 21),
    24: (38, 28, 12),
    26: (58, 17, -7),
    48: (-25, -70, 16),
    54: (25, -70, 16),
    51: (0, -59, 32),
    57: (0, -78, 30),
    62: (0, -68, 27),
    0: (-74, 2, -49),
    4: (-57, -80, -24),
    12: (57, -80, -24),
    16: (74, 2, -49),
    31: (-13, -46, 23),
    35: (13, -46, 23),
}


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def marks(head: HeadModel) -> np.ndarray:
    """The 68 landmarks, mm."""
    template = head.template
    corners = template.vertices[template.faces[template.landmark_faces]].astype(float)
    return (corners * template.landmark_weights[..., None]).sum(1) * 1000


def _half_edges(faces: np.ndarray) -> np.ndarray:
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def _boundary(faces: np.ndarray) -> np.ndarray:
    edges = np.sort(_half_edges(faces), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    return unique[count == 1]


def test_size_is_within_what_was_agreed(head: HeadModel) -> None:
    assert 4700 <= len(head.template.vertices) <= 5400
    assert files("emovoca_cli.assets").joinpath("head.npz").stat().st_size < 1_000_000  # type: ignore[attr-defined]


def test_skin_is_one_oriented_manifold(head: HeadModel) -> None:
    faces, count = head.template.faces, len(head.template.vertices)
    assert max(Counter(map(tuple, _half_edges(faces).tolist())).values()) == 1
    edges = _half_edges(faces)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    assert connected_components(graph, directed=False)[0] == 1
    assert set(np.unique(faces)) == set(range(count))
    # every vertex is surrounded by a single fan: as many faces as neighbours, or one fewer on the boundary
    neighbours = np.bincount(np.unique(np.sort(edges, 1), axis=0).ravel(), minlength=count)
    around = np.bincount(faces.ravel(), minlength=count)
    rim = np.zeros(count, bool)
    rim[_boundary(faces).ravel()] = True
    np.testing.assert_array_equal(neighbours - around, rim.astype(int))


def test_boundaries_are_the_neck_two_eyes_and_the_mouth_bag(head: HeadModel) -> None:
    rim, count = _boundary(head.template.faces), len(head.template.vertices)
    graph = coo_matrix((np.ones(len(rim)), (rim[:, 0], rim[:, 1])), shape=(count, count))
    label = connected_components(graph, directed=False)[1]
    loops = [np.flatnonzero(label == k) for k in np.unique(label[rim.ravel()])]
    kinds = Counter()
    for loop in loops:
        if (head.labels["eye_ring"][loop] > -999).all():
            kinds["eye"] += 1
        elif (head.labels["mouth_ring"][loop] == head.labels["mouth_ring"][head.labels["mouth_ring"] > -999].min()).all():
            kinds["mouth"] += 1
        elif (head.template.vertices[loop, 1] < -0.18).all():
            kinds["neck"] += 1
    assert kinds == {"eye": 2, "mouth": 1, "neck": 1}
    assert len(loops) == 4


def test_head_is_exactly_symmetric(head: HeadModel) -> None:
    mirror, vertices, faces = head.mirror, head.template.vertices, head.template.faces
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    np.testing.assert_array_equal(vertices[mirror] * np.float32([-1, 1, 1]), vertices)
    np.testing.assert_allclose(head.template.colors[mirror], head.template.colors, atol=1e-6)
    flipped = mirror[faces][:, ::-1]
    canonical = {tuple(np.roll(f, -int(np.argmin(f)))) for f in faces.tolist()}
    assert {tuple(np.roll(f, -int(np.argmin(f)))) for f in flipped.tolist()} == canonical


def test_labels_mirror_too(head: HeadModel) -> None:
    labels, mirror = head.labels, head.mirror
    assert set(labels) == set(LABEL_NAMES)
    for name in ("lip", "mouth_ring", "eye_ring", "ear_ring", "nostril_ring", "area"):
        np.testing.assert_array_equal(labels[name][mirror], labels[name], err_msg=name)
    np.testing.assert_array_equal(labels["eye_side"][mirror], -labels["eye_side"])
    mouth = labels["mouth_ring"] > -999
    turn = labels["mouth_u"]
    np.testing.assert_array_equal(np.isfinite(turn), mouth)
    np.testing.assert_allclose(np.cos(turn[mirror][mouth]), -np.cos(turn[mouth]), atol=1e-5)
    np.testing.assert_allclose(np.sin(turn[mirror][mouth]), np.sin(turn[mouth]), atol=1e-5)
    # subject's left is +x; upper lip is up
    side = mouth & (np.abs(np.cos(turn)) > 0.1)
    assert (np.sign(head.template.vertices[side, 0]) == np.sign(np.cos(turn[side]))).all()


def test_lip_rings_wrap_the_mouth_from_the_bag_to_the_skin(head: HeadModel) -> None:
    ring = head.labels["mouth_ring"]
    counts = {k: int((ring == k).sum()) for k in np.unique(ring[ring > -999])}
    assert set(counts.values()) == {52}
    assert min(counts) <= -5
    assert max(counts) > VERMILION
    depth = [head.template.vertices[ring == k, 2].mean() for k in range(-8, 1)]
    assert (np.diff(depth) > 0).all()
    assert depth[-1] - depth[0] > 0.02


def test_landmarks_are_where_the_table_has_them(marks: np.ndarray) -> None:
    off = {k: float(np.linalg.norm(marks[k] - place)) for k, place in TABLE.items()}
    assert max(off.values()) < 4.0, off


def test_landmarks_are_symmetric(marks: np.ndarray) -> None:
    np.testing.assert_allclose(marks[list(MIRRORED_LANDMARKS)] * [-1, 1, 1], marks, atol=1e-3)


@pytest.mark.parametrize(
    ("first", "second", "mean", "spread"),
    [
        (36, 45, 89, 2.1),
        (39, 42, 37, 1.9),
        (31, 35, 25, 2.0),
        (27, 30, 41, 3.0),
        (48, 54, 51, 4.0),
        (51, 62, 10, 2.0),
        (66, 57, 10, 2.0),
        (33, 51, 13, 3.0),
    ],
)
def test_distances_are_those_of_an_average_face(marks: np.ndarray, first: int, second: int, mean: float, spread: float) -> None:
    assert abs(np.linalg.norm(marks[first] - marks[second]) - mean) < 2 * spread


def test_head_is_as_large_as_a_head(head: HeadModel) -> None:
    size = head.template.vertices.astype(float) * 1000
    skull = size[(head.labels["area"] != 5) & (size[:, 1] > -20)]
    assert 120 < skull[:, 1].max() < 132
    assert 140 < np.ptp(skull[:, 0]) < 165
    assert 180 < size[size[:, 1] > 0][:, 2].max() - skull[:, 2].min() + 22 < 230


def test_eyes_are_open_and_lids_lie_on_the_eyeball(head: HeadModel, marks: np.ndarray) -> None:
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        assert 6.5 < np.linalg.norm(marks[upper] - marks[lower]) < 10.5
    left = head.labels["eye_side"] > 0
    points = head.template.vertices[left & (head.labels["eye_ring"] == 0)].astype(float) * 1000
    middle = np.abs(points[:, 0] - EYE_CENTRE[0]) < 7
    gap = np.linalg.norm(points[middle] - EYE_CENTRE, axis=1) - EYE_RADIUS
    assert (gap > 0).all()
    assert (gap < 1.0).all()


def test_lips_are_closed_at_rest(head: HeadModel, marks: np.ndarray) -> None:
    gaps = [np.linalg.norm(marks[a] - marks[b]) for a, b in INNER_LIP_PAIRS]
    assert min(gaps) >= 0
    assert max(gaps) < 0.5
    ring, lip = head.labels["mouth_ring"], head.labels["lip"]
    for edge in (1, -1):
        assert ((ring == 0) & (lip == edge)).sum() == 25


def test_triangles_are_sound(head: HeadModel) -> None:
    corners = head.template.vertices[head.template.faces].astype(float)
    sides = np.roll(corners, -1, 1) - corners
    sides /= np.linalg.norm(sides, axis=-1, keepdims=True)
    angles = np.degrees(np.arccos(np.clip(-(sides * np.roll(sides, 1, 1)).sum(-1), -1, 1))).min(1)
    assert angles.min() > 3.0
    assert (angles > 8.0).mean() > 0.985


def test_parts_are_closed_and_face_outwards(head: HeadModel) -> None:
    drives = {part.name: part.drive for part in head.template.parts}
    assert drives == {
        "eye_left": "eye_left",
        "eye_right": "eye_right",
        "teeth_upper": "head",
        "teeth_lower": "jaw",
        "tongue": "jaw",
        "throat": "head",
    }
    for part in head.template.parts:
        assert max(Counter(map(tuple, _half_edges(part.faces).tolist())).values()) == 1
        if part.name == "throat":  # a bowl, open to the front and seen from inside
            assert len(_boundary(part.faces)) == 24
        else:
            assert len(_boundary(part.faces)) == 0
            a, b, c = (part.vertices[part.faces[:, k]].astype(float) for k in range(3))
            assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0
        assert len(part.colors) == len(part.vertices)
        assert len(part.anchors) > 8
        assert np.linalg.norm(head.template.vertices[part.anchors].mean(0) - part.vertices.mean(0)) < 0.035


def test_skin_faces_outwards(head: HeadModel) -> None:
    a, b, c = (head.template.vertices[head.template.faces[:, k]].astype(float) for k in range(3))
    normal = np.cross(b - a, c - a)
    assert normal[np.argmax((a + b + c)[:, 2]), 2] > 0
    assert normal[np.argmax((a + b + c)[:, 1]), 1] > 0


def test_rebuilding_gives_the_shipped_head(head: HeadModel) -> None:
    built = build_head()
    np.testing.assert_array_equal(built["faces"], head.template.faces)
    np.testing.assert_allclose(built["vertices"], head.template.vertices, atol=1e-5)
    np.testing.assert_allclose(built["colors"], head.template.colors, atol=1e-3)
    np.testing.assert_array_equal(built["landmark_faces"], head.template.landmark_faces)
    for name in LABEL_NAMES:
        np.testing.assert_array_equal(built[f"label_{name}"], head.labels[name])
    for part in head.template.parts:
        np.testing.assert_allclose(built[f"{part.name}_vertices"], part.vertices, atol=1e-5)


def test_layout_covers_the_half_once() -> None:
    layout = read_layout()
    faces = layout.faces
    assert max(Counter(map(tuple, _half_edges(faces).tolist())).values()) == 1
    assert faces.max() + 1 == len(np.unique(faces))
