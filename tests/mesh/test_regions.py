"""Regions and loss weights on real faces."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import eye_distance, landmark_points, nearest_surface
from emovoca_cli.mesh.regions import regions
from emovoca_cli.mesh.topology import components
from emovoca_cli.mesh.weights import vertex_weights
from emovoca_cli.types import REGION_NAMES, Bool, Float, MeshTemplate
from tests.helpers import shared_data
from tests.mesh import meshes

pytestmark = pytest.mark.unit


def marks_of(template: MeshTemplate) -> Float:
    return landmark_points(template.vertices, template.faces, template.landmark_faces, template.landmark_weights)


@cache
def face(source: str) -> tuple[MeshTemplate, Float, dict[str, Bool]]:
    template = meshes.flame() if source == "flame" else meshes.ict_face()
    marks = marks_of(template)
    return template, marks, regions(template.vertices, template.faces, marks)


def listed(path: Path, count: int) -> Bool:
    mask = np.zeros(count, dtype=np.bool_)
    mask[[int(word) for word in path.read_text().replace(",", " ").split()]] = True
    return mask


@pytest.mark.parametrize("source", ["flame", "ict"])
def test_regions_lie_where_their_names_say(source: str) -> None:
    template, marks, found = face(source)
    assert tuple(found) == REGION_NAMES
    height = template.vertices[:, 1]
    for mask in found.values():
        assert mask.dtype == np.bool_
        assert mask.shape == (len(template.vertices),)
        middle = template.vertices[mask][:, 0].mean()
        assert abs(middle - marks[30, 0]) < 0.06 * eye_distance(marks), "both sides alike"
    assert (found["mouth"] | ~found["lips"]).all()
    assert (found["upper_face"] | ~(found["eyes"] | found["forehead"])).all()
    assert not (found["upper_face"] & found["mouth"]).any()
    assert height[found["lips"]].max() < marks[33, 1]
    assert height[found["lips"]].min() > marks[8, 1]
    assert height[found["forehead"]].min() > marks[36:48, 1].max()
    # Every landmark's face touches its own region, and the chin and the nostrils none of them.
    for numbers, name in ((range(48, 68), "lips"), (range(36, 48), "eyes"), (range(17, 27), "upper_face")):
        touched = found[name][template.faces[template.landmark_faces[list(numbers)]]].any(axis=1)
        assert touched.all(), name
    chin = template.faces[template.landmark_faces[8]]
    assert not any(mask[chin].any() for name, mask in found.items())


def test_regions_do_not_depend_on_size_or_place() -> None:
    template, marks, found = face("flame")
    moved = regions(template.vertices * 1000 + [3, -4, 5], template.faces, marks * 1000 + [3, -4, 5])
    for name, mask in found.items():
        assert (moved[name] != mask).sum() <= 4, name
    assert not (found["eyes"] & (components(template.faces, 5023) > 0)).any(), "eyeballs are not skin"


def test_flames_regions_overlap_with_the_published_lists() -> None:
    template, _, found = face("flame")
    folder = shared_data() / "regions"
    skin = components(template.faces, 5023) == 0
    lower, upper = listed(folder / "flame_lve.txt", 5023), listed(folder / "flame_fdd.txt", 5023) & skin
    assert (lower.sum(), upper.sum()) == (428, 1254)

    def shares(mask: Bool, other: Bool) -> tuple[float, float]:
        both = (mask & other).sum()
        return float(both / mask.sum()), float(both / other.sum())

    precision, recall = shares(found["mouth"], lower)
    assert precision > 0.75
    assert recall > 0.75
    precision, recall = shares(found["upper_face"], upper)
    assert precision > 0.8
    assert recall > 0.7
    assert shares(found["lips"], lower)[0] > 0.8
    assert not (found["upper_face"] & lower).any()


def test_bad_landmarks_are_named() -> None:
    template, marks, _ = face("flame")
    for bad, message in (
        (marks[:51], r"68 finite landmarks \(68, 3\), got \(51, 3\)"),
        (np.where(np.arange(68)[:, None] == 3, np.nan, marks), "68 finite landmarks"),
        (np.zeros_like(marks), "outer eye corners .36 and 45. apart"),
    ):
        with pytest.raises(DataError, match=message):
            regions(template.vertices, template.faces, bad)


@pytest.mark.parametrize("source", ["flame", "ict"])
def test_weights_are_the_clipped_inverse_distance(source: str) -> None:
    template, marks, _ = face(source)
    weights = vertex_weights(template)
    assert weights.dtype == np.float32
    assert weights.max() == 1
    assert weights.min() > 0
    distance = np.linalg.norm(template.vertices[:, None].astype(np.float64) - marks[None], axis=-1).min(axis=1)
    near = 4 / 89 * eye_distance(marks)
    assert (distance < near).any()
    np.testing.assert_allclose(weights, near / np.maximum(distance, near), rtol=1e-4)


def test_weights_reach_one_even_when_no_vertex_is_near_a_landmark() -> None:
    vertices, faces = meshes.grid(4, 4)
    marks = np.repeat(np.array([[0.015, 0.005, 0.0]], dtype=np.float32), 68, axis=0)
    marks[45] = [0.0151, 0.005, 0]
    template = MeshTemplate("sheet", vertices, faces, *nearest_surface(marks, vertices, faces))
    assert vertex_weights(template).max() == 1
