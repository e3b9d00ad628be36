"""From a clip to a file: frames, rates, camera and the failures on the way."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.errors import DataError, DeviceError, TopologyError, UsageError
from emovoca_cli.render.camera import look_at, portrait_camera
from emovoca_cli.render.clip import frame_times, render_clip, render_mesh, skin_at
from emovoca_cli.render.raycast import RaycastBackend
from tests.render.shapes import backend_or_skip, clip_of, face_template
from tests.render.test_video import about, decoded, seconds, speech

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["embreex", "pyrender"])
def test_a_clip_becomes_a_video_with_its_sound(tmp_path: Path, name: str) -> None:
    backend_or_skip(name)
    template = face_template()
    clip = clip_of(template, frames=8, sway=0.03)
    said: list[tuple[int, int]] = []
    out = tmp_path / "out.mp4"
    report = render_clip(
        clip,
        template,
        out,
        size=96,
        backend=name,
        speech=speech(tmp_path / "s.wav", 1.0),
        progress=lambda done, total: said.append((done, total)),
    )
    assert (report.backend, report.frames, report.fps, report.size) == (name, 8, 30.0, (96, 96))
    assert said == [(index, 8) for index in range(1, 9)]
    text = about(out)
    assert "Audio: aac" in text
    assert abs(seconds(text) - 8 / 30) < 0.011
    frames = decoded(out, 96, 96).astype(int)
    warm = (frames[..., 0] - frames[..., 2] > 25).astype(float)
    assert (warm.mean(axis=(1, 2)) > 0.1).all()
    middles = (warm * np.arange(96)).sum(axis=(1, 2)) / warm.sum(axis=(1, 2))
    assert (np.diff(middles) > 0.3).all()  # it sways to the subject's left, which is the picture's right


def test_another_rate_keeps_the_length_and_interpolates(tmp_path: Path) -> None:
    template = face_template()
    clip = clip_of(template, frames=10, fps=30.0)
    times = frame_times(10, 30.0, 60.0)
    assert len(times) == 20
    assert np.allclose(times[:4], [0, 0.5, 1, 1.5])
    assert times[-1] == 9
    assert np.allclose(skin_at(clip, 2.5), (clip.vertices[2] + clip.vertices[3]) / 2, atol=1e-7)
    assert np.array_equal(skin_at(clip, 9.0), clip.vertices[9])
    report = render_clip(clip, template, tmp_path / "frames", fps=15, size=48, backend="embreex")
    assert report.frames == len(list((tmp_path / "frames").iterdir())) == 5


def test_threads_do_not_change_the_pictures(tmp_path: Path) -> None:
    template = face_template()
    clip = clip_of(template, frames=5)
    for threads in (1, 3):
        render_clip(clip, template, tmp_path / str(threads), size=64, backend="embreex", threads=threads)
    for index in range(5):
        name = f"frame_{index:05d}.png"
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_a_black_or_empty_frame_is_an_error_not_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = face_template()
    clip = clip_of(template)
    monkeypatch.setattr(RaycastBackend, "draw", lambda *_: np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(DeviceError, match="frame 0 came out black"):
        render_clip(clip, template, tmp_path / "out.mp4", size=64, backend="embreex")
    monkeypatch.undo()
    away = dataclasses.replace(clip, vertices=clip.vertices + np.float32([0, 50, 0]))
    with pytest.raises(DeviceError, match="frame 0 shows no face"):
        render_clip(away, template, tmp_path / "out.mp4", size=64, backend="embreex")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_drawn_is_refused_first(tmp_path: Path) -> None:
    template = face_template()
    clip = clip_of(template)
    broken = clip.vertices.copy()
    broken[3, 5, 1] = np.nan
    with pytest.raises(DataError, match="frame 3 of the clip holds numbers that are not finite"):
        render_clip(dataclasses.replace(clip, vertices=broken), template, tmp_path / "o.mp4", backend="embreex")
    with pytest.raises(TopologyError, match="other faces"):
        render_clip(dataclasses.replace(clip, faces=clip.faces[:, ::-1].copy()), template, tmp_path / "o.mp4", backend="embreex")
    with pytest.raises(UsageError, match="picture size is 8x8"):
        render_clip(clip, template, tmp_path / "o.mp4", size=8, backend="embreex")
    with pytest.raises(UsageError, match="fps is -1"):
        render_clip(clip, template, tmp_path / "o.mp4", fps=-1, backend="embreex")
    with pytest.raises(UsageError, match="does not exist"):
        render_clip(clip, template, tmp_path / "o.mp4", speech=tmp_path / "none.wav", backend="embreex")
    assert list(tmp_path.iterdir()) == []


def test_the_default_camera_frames_the_whole_head() -> None:
    template = face_template()
    for yaw, pitch, aspect in ((0, 0, 1), (9, 2, 1), (-60, 20, 0.6), (90, -10, 1.8)):
        camera = portrait_camera(template, yaw=yaw, pitch=pitch, aspect=aspect)
        size = (round(400 * aspect), 400)
        pixels = camera.project(template.vertices, size)
        assert (pixels > 0).all()
        assert (pixels < size).all()
        assert np.ptp(pixels, axis=0).max() > 0.5 * min(size)
    with pytest.raises(UsageError, match="expected yaw"):
        portrait_camera(template, yaw=500)


def test_a_positive_yaw_looks_from_the_subjects_left() -> None:
    template = face_template()
    assert portrait_camera(template, yaw=20).eye[0] > 0.1
    assert portrait_camera(template, pitch=20).eye[1] > 0.1
    with pytest.raises(UsageError, match="stands on the point"):
        look_at(np.zeros(3, np.float32), np.zeros(3, np.float32))


def test_directions_are_the_inverse_of_project() -> None:
    camera = look_at(np.array([0.3, 0.2, 1.0], np.float32), np.zeros(3, np.float32), fov=30)
    points = np.random.default_rng(0).uniform(-0.2, 0.2, (50, 3)).astype(np.float32)
    pixels = camera.project(points, (320, 200))
    world = camera.directions(pixels, (320, 200)) @ camera.rotation.T
    towards = points - camera.eye
    cosine = np.einsum("ij,ij->i", world, towards) / np.linalg.norm(world, axis=1) / np.linalg.norm(towards, axis=1)
    assert np.allclose(cosine, 1.0, atol=1e-6)


def test_a_still_picture_and_its_supersampled_twin_agree() -> None:
    template = face_template()
    plain = render_mesh(template.vertices, template, size=80, backend="embreex")
    fine = render_mesh(template.vertices, template, size=80, backend="embreex", supersample=2)
    assert plain.shape == fine.shape == (80, 80, 3)
    assert np.abs(plain.astype(int) - fine).mean() < 2
    with pytest.raises(DataError, match="not finite"):
        render_mesh(template.vertices * np.float32(np.nan), template, size=80, backend="embreex")
