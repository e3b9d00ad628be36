"""Both backends put points where the camera says and agree with each other; nothing broken passes as a picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from emovoca_cli.errors import DataError, DeviceError, TopologyError, UsageError
from emovoca_cli.render import backends
from emovoca_cli.render.backends import pick_backend, probe, try_backend
from emovoca_cli.render.camera import look_at
from emovoca_cli.render.lighting import background, portrait_lights
from emovoca_cli.render.occlusion import pose
from emovoca_cli.render.shading import encode, shoulder
from emovoca_cli.render.surface import EYE, Geometry, linear_to_srgb, srgb_to_linear
from tests.render.shapes import MATT, backend_or_skip, ball, colored, geometry

pytestmark = pytest.mark.unit
NAMES = ("embreex", "pyrender")
CAMERA = look_at(np.array([0.05, 0.1, 1.0], np.float32), np.array([0.0, 0.0, 0.0], np.float32), fov=24.0)
LIGHTS = portrait_lights()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(160, 160), (201, 120)])
def test_a_known_point_lands_on_its_pixel(name: str, size: tuple[int, int]) -> None:
    backend = backend_or_skip(name)
    points = [(-0.08, 0.05, 0.02), (0.09, -0.06, -0.1), (0.0, 0.0, 0.0)]
    for point in points:
        vertices, faces = ball(0.006, point, rows=12)
        shape = geometry(colored(vertices, faces, (1.0, 0.9, 0.8)))
        picture = backend.render(shape, vertices, CAMERA, LIGHTS, size).astype(float)
        difference = np.abs(picture - np.round(background(LIGHTS, size) * 255)).sum(axis=2)
        rows, columns = np.nonzero(difference > 40)
        expected = CAMERA.project(np.array(point, np.float32), size)
        assert len(rows) > 4
        assert np.allclose([columns.mean() + 0.5, rows.mean() + 0.5], expected, atol=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_the_nearer_of_two_surfaces_is_drawn(name: str) -> None:
    backend = backend_or_skip(name)
    near, far = ball(0.03, (0, 0, 0.1)), ball(0.03, (0, 0, -0.1))
    camera = look_at(np.array([0, 0, 1], np.float32), np.zeros(3, np.float32), fov=20)
    for order in ((0, 1), (1, 0)):
        pair = [colored(*near, (0.9, 0.1, 0.1), MATT), colored(*far, (0.1, 0.1, 0.9), MATT)]
        shape = geometry(*(pair[i] for i in order))
        pixel = backend.render(shape, shape.rest, camera, LIGHTS, (64, 64))[32, 32].astype(int)
        assert pixel[0] > pixel[2] + 60


def test_both_backends_draw_nearly_the_same_picture() -> None:
    ray, gl = backend_or_skip("embreex"), backend_or_skip("pyrender")
    skin, eye = ball(0.11), ball(0.03, (0.03, 0.03, 0.1))
    shape = geometry(colored(*skin), colored(*eye, (0.9, 0.9, 0.92), EYE))
    for size in ((192, 192), (120, 160)):
        a = ray.render(shape, shape.rest, CAMERA, LIGHTS, size).astype(float)
        b = gl.render(shape, shape.rest, CAMERA, LIGHTS, size).astype(float)
        assert np.abs(a - b).mean() < 0.4
        assert (np.abs(a - b).max(axis=2) > 6).mean() < 0.02
        assert a.std() > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_does_not_depend_on_what_was_drawn_before(name: str) -> None:
    backend = backend_or_skip(name)
    shape = geometry(colored(*ball(0.1)))
    first = backend.render(shape, shape.rest, CAMERA, LIGHTS, (96, 96))
    backend.render(shape, shape.rest * 0.5, CAMERA, LIGHTS, (64, 80))
    assert np.array_equal(first, backend.render(shape, shape.rest, CAMERA, LIGHTS, (96, 96)))


@pytest.mark.parametrize("name", NAMES)
def test_threads_may_draw_at_once(name: str) -> None:
    """OpenGL belongs to one thread; callers do not need to know."""
    backend = backend_or_skip(name)
    shape = geometry(colored(*ball(0.1)))
    alone = backend.render(shape, shape.rest, CAMERA, LIGHTS, (64, 64))
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(backend.render, shape, shape.rest, CAMERA, LIGHTS, (64, 64)) for _ in range(6)]
    assert all(np.array_equal(job.result(), alone) for job in jobs)


def test_inside_out_faces_are_turned_round() -> None:
    vertices, faces = ball(0.1)
    backend = backend_or_skip("embreex")
    right = backend.render(geometry(colored(vertices, faces)), vertices, CAMERA, LIGHTS, (96, 96))
    wrong = backend.render(geometry(colored(vertices, faces[:, ::-1].copy())), vertices, CAMERA, LIGHTS, (96, 96))
    assert np.abs(right.astype(int) - wrong).mean() < 0.5


def test_normals_of_a_ball_point_away_from_its_middle() -> None:
    vertices, faces = ball(0.1, (0.2, 0.1, 0.0), rows=40)
    normals = geometry(colored(vertices, faces)).normals(vertices)
    outward = (vertices - np.array([0.2, 0.1, 0.0])) / 0.1
    assert np.einsum("ij,ij->i", normals, outward).min() > 0.995


def test_shadows_deepen_towards_the_foot_of_a_wall_and_under_a_roof() -> None:
    """Far from everything a floor sees the whole sky, at the foot of a wall half of it, under a low roof next to nothing."""
    backend_or_skip("embreex")
    camera = look_at(np.array([0.0, 3.0, 0.5], np.float32), np.zeros(3, np.float32))
    index = np.arange(41 * 41).reshape(41, 41)
    floor = np.stack([*np.meshgrid(np.linspace(-1, 1, 41), [0.0], np.linspace(-1, 1, 41), indexing="ij")], -1).reshape(-1, 3)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    wall = np.array([[0, -0.5, -1], [0, -0.5, 1], [0, 1.5, 1], [0, 1.5, -1]], np.float32)
    shape = geometry(colored(floor.astype(np.float32), faces), colored(wall, np.array([[0, 1, 2], [0, 2, 3]], np.int32)))
    posed = pose(shape, shape.rest, camera, LIGHTS)
    assert np.allclose(posed.normals[: index.size, 1], 1.0)
    foot, far = posed.ambient[index[22, 20]], posed.ambient[index[38, 20]]
    assert 0.35 < foot < 0.7
    assert far > 0.8
    assert far > foot + 0.2
    roof = np.array([[-1, 0.1, -1], [1, 0.1, -1], [1, 0.1, 1], [-1, 0.1, 1]], np.float32)
    side = look_at(np.array([0.0, 0.05, 3.0], np.float32), np.array([0.0, 0.05, 0.0], np.float32))
    shape = geometry(colored(floor.astype(np.float32), faces), colored(roof, np.array([[0, 1, 2], [0, 2, 3]], np.int32)))
    posed = pose(shape, shape.rest, side, LIGHTS)
    assert posed.ambient[index[20, 20]] < 0.1
    assert posed.key[index[20, 20]] < 0.2


def test_srgb_is_its_own_inverse_and_the_shoulder_never_burns_out() -> None:
    values = np.linspace(0, 1, 257, dtype=np.float32)
    assert np.allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-5)
    light = np.linspace(0, 4, 1000, dtype=np.float32)
    bent = shoulder(light)
    assert np.all(np.diff(bent) >= 0)
    assert bent.max() <= 1.0
    assert np.allclose(bent[light < 0.5], light[light < 0.5])
    exact = np.round(linear_to_srgb(bent) * 255)
    assert np.abs(encode(light).astype(int) - exact).max() <= 1


def test_probe_answers_for_every_backend_and_auto_takes_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    results = {result.name: result for result in probe()}
    assert set(results) == {"embreex", "pyrender"}
    for result in results.values():
        assert result.works == (result.milliseconds is not None)
        assert result.works or result.reason
    working = [result for result in results.values() if result.works]
    monkeypatch.setattr(backends, "_graphics_device", lambda: True)  # without one, auto takes rays and does not measure
    assert pick_backend("auto").name == min(working, key=lambda result: result.milliseconds or 0).name


def test_unknown_backend_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match="unknown backend 'vulkan', expected one of auto, pyrender, embreex"):
        pick_backend("vulkan")


def test_a_backend_that_does_not_work_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = backends.Probe("pyrender", False, "egl: no library", None)
    monkeypatch.setattr(backends, "_probe_pyrender", lambda: broken)
    with pytest.raises(DeviceError, match="egl: no library"):
        pick_backend("pyrender")
    assert pick_backend("auto").name == "embreex"


def test_a_backend_that_draws_nothing_is_found_out() -> None:
    black = SimpleNamespace(name="fake", render=lambda *_: np.zeros((256, 256, 3), np.uint8))
    with pytest.raises(DeviceError, match="not what it was given"):
        try_backend(black)  # type: ignore[arg-type]


def test_geometry_refuses_what_cannot_be_drawn() -> None:
    vertices, faces = ball(0.1)
    with pytest.raises(DataError, match="no surface has a face"):
        Geometry([colored(vertices, faces[:0])])
    with pytest.raises(TopologyError, match="faces point at vertex"):
        Geometry([colored(vertices[:-1], faces)])
