"""A clip to a video: pose skin and parts, draw frame after frame on several threads, write with the sound."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emovoca_cli.errors import DataError, DeviceError, TopologyError, UsageError
from emovoca_cli.render.backends import Backend, pick_backend
from emovoca_cli.render.camera import DEFAULT_PITCH, DEFAULT_YAW, Camera, portrait_camera
from emovoca_cli.render.lighting import Lights, background, portrait_lights
from emovoca_cli.render.occlusion import pose
from emovoca_cli.render.parts import Matrix, apply, part_motions
from emovoca_cli.render.surface import EYE, SKIN, TEETH, WET, Geometry, Material, Posed, Surface
from emovoca_cli.render.video import Picture, write_frames
from emovoca_cli.types import Clip, Float, MeshTemplate, Part

PLAIN_SKIN = (0.80, 0.63, 0.55)
PLAIN_LIPS = (0.68, 0.43, 0.41)
MIN_SIZE, MAX_SIZE = 16, 4096
_LIP_GLOSS = 1.7
_SMALLEST_HEAD = 0.002


@dataclass(frozen=True)
class RenderReport:
    """What was written: where, by which backend, how many frames at which rate and size (width, height)."""

    path: Path
    backend: str
    frames: int
    fps: float
    size: tuple[int, int]


class Stage:
    """A face with its parts before camera and lights: everything about a picture that stays the same over a clip.

    template: topology, colours, parts; neutral (V,3): the identity at rest, metres (default the template's own).
    """

    def __init__(
        self, template: MeshTemplate, neutral: Float | None = None, *, camera: Camera | None = None, lights: Lights | None = None
    ) -> None:
        rest = template.vertices if neutral is None else np.asarray(neutral, np.float32)
        if rest.shape != template.vertices.shape:
            raise TopologyError(
                f"the face has shape {rest.shape}, {template.name} has {template.vertices.shape}; use a face of its topology"
            )
        self.template = template
        self.neutral = rest
        self.camera = camera or portrait_camera(template, rest)
        self.lights = lights or portrait_lights()
        colors, gloss = _skin_look(template)
        surfaces = [Surface(rest, template.faces, colors, SKIN, gloss)]
        fits = part_motions(template, rest, rest[None])
        for part, fit in zip(template.parts, fits, strict=True):
            surfaces.append(Surface(apply(fit[0], part.vertices), part.faces, part.colors, _part_material(part)))
        self.geometry = Geometry(surfaces)

    def pose(self, skin: Float, motions: list[Matrix]) -> Posed:
        """One frame ready to draw: skin (V,3) and the parts' transforms (4,4)."""
        moved = [apply(motion, part.vertices) for motion, part in zip(motions, self.template.parts, strict=True)]
        return pose(self.geometry, np.concatenate([np.asarray(skin, np.float32), *moved]), self.camera, self.lights)


def render_clip(
    clip: Clip,
    template: MeshTemplate,
    out: Path,
    *,
    fps: float | None = None,
    size: int | tuple[int, int] = 512,
    backend: str = "auto",
    speech: Path | None = None,
    yaw: float = DEFAULT_YAW,
    pitch: float = DEFAULT_PITCH,
    zoom: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> RenderReport:
    """Draw a clip to a video, GIF or folder of pictures (see `video.write_frames`), with the sound of `speech` in a video.

    template: the clip's topology with colours and parts; the clip's own `template` is the identity that wears them.
    fps: default the clip's; another rate is interpolated. size: pixels, square or (width, height). backend: see BACKENDS.
    yaw, pitch in degrees, progress(done, total), threads: default one a processor, at most 8.
    Raises UsageError, TopologyError, DataError (not finite), DeviceError (a frame cannot be drawn or is empty), OutputError.
    """
    width, height = _size(size)
    # frame by frame, as a long clip lies in a file
    if (frame := next((index for index, skin in enumerate(clip.vertices) if not np.isfinite(skin).all()), None)) is not None:
        raise DataError(f"frame {frame} of the clip holds numbers that are not finite; nothing was drawn")
    if clip.faces.shape != template.faces.shape or not np.array_equal(clip.faces, template.faces):
        raise TopologyError(f"the clip has other faces than {template.name}; give the template it was made with")
    if speech is not None and not speech.is_file():
        raise UsageError(f"{speech} does not exist; give the speech that the clip was made from, or none")
    rate = clip.fps if fps is None else float(fps)
    times = frame_times(clip.frames, clip.fps, rate)
    drawer = pick_backend(backend)
    camera = portrait_camera(template, clip.template, yaw=yaw, pitch=pitch, zoom=zoom, aspect=width / height)
    stage = Stage(template, clip.template, camera=camera)
    frames = _draw_all(stage, clip, times, drawer=drawer, size=(width, height), threads=threads or _processors())
    write_frames(out, _counted(frames, len(times), progress), fps=rate, count=len(times), speech=speech)
    return RenderReport(out, drawer.name, len(times), rate, (width, height))


def render_mesh(
    vertices: Float,
    template: MeshTemplate,
    *,
    neutral: Float | None = None,
    size: int | tuple[int, int] = 512,
    backend: str | Backend = "auto",
    yaw: float = DEFAULT_YAW,
    pitch: float = DEFAULT_PITCH,
    zoom: float = 1.0,
    camera: Camera | None = None,
    lights: Lights | None = None,
    supersample: int = 1,
) -> Picture:
    """A still picture (H,W,3) of a face (V,3), metres, with its parts; supersample 2 draws twice as large and reduces.

    neutral (V,3): the identity at rest when it is not the template's own; camera overrides yaw, pitch and zoom.
    """
    width, height = _size(size)
    if not np.isfinite(vertices).all():
        raise DataError("the mesh holds numbers that are not finite; nothing was drawn")
    drawer = pick_backend(backend) if isinstance(backend, str) else backend
    rest = template.vertices if neutral is None else neutral
    view = camera or portrait_camera(template, rest, yaw=yaw, pitch=pitch, zoom=zoom, aspect=width / height)
    stage = Stage(template, rest, camera=view, lights=lights)
    motions = [motion[0] for motion in part_motions(template, stage.neutral, np.asarray(vertices, np.float32)[None])]
    large = (width * supersample, height * supersample)
    picture = drawer.draw(stage.pose(vertices, motions), stage.camera, stage.lights, large)
    _check_frame(picture, background(stage.lights, large), 0)
    if supersample == 1:
        return picture
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), np.uint8)


def frame_times(frames: int, source_fps: float, fps: float) -> Float:
    """Places (T',) in a clip, in its frames, of the frames of a video at another rate; the length stays the same."""
    if not (math.isfinite(fps) and 0 < fps <= 240):
        raise UsageError(f"fps is {fps}, expected more than 0 and at most 240")
    if not (math.isfinite(source_fps) and source_fps > 0):
        raise DataError(f"the clip's fps is {source_fps}, expected a positive number")
    count = max(1, round(frames / source_fps * fps))
    return np.asarray(np.minimum(np.arange(count) * (source_fps / fps), frames - 1), np.float32)


def skin_at(clip: Clip, place: float) -> Float:
    """Vertices (V,3) at a place between frames, linearly interpolated."""
    low = min(int(place), clip.frames - 1)
    share = np.float32(place - low)
    if share < 1e-5 or low + 1 >= clip.frames:
        return np.asarray(clip.vertices[low], np.float32)
    return np.asarray(clip.vertices[low] * (1 - share) + clip.vertices[low + 1] * share, np.float32)


def _draw_all(stage: Stage, clip: Clip, times: Float, *, drawer: Backend, size: tuple[int, int], threads: int) -> Iterator[Picture]:
    """Frames in order, drawn ahead by several threads."""
    backdrop = background(stage.lights, size)

    def work(place: float) -> Picture:
        skin = skin_at(clip, place)
        motions = [motion[0] for motion in part_motions(stage.template, stage.neutral, skin[None])]
        return drawer.draw(stage.pose(skin, motions), stage.camera, stage.lights, size)

    pool = ThreadPoolExecutor(max_workers=threads)
    waiting: deque[Future[Picture]] = deque()
    try:
        upcoming = iter(float(place) for place in times)
        for index in range(len(times)):
            while len(waiting) < threads + 1 and (place := next(upcoming, None)) is not None:
                waiting.append(pool.submit(work, place))
            picture = waiting.popleft().result()
            _check_frame(picture, backdrop, index)
            yield picture
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _check_frame(picture: Picture, backdrop: Float, index: int) -> None:
    """Raise DeviceError for a black frame or one that shows only the backdrop."""
    if int(picture.max()) < 24:
        raise DeviceError(f"frame {index} came out black; try another --backend, `emovoca doctor` says which work here")
    differ = np.abs(picture[..., 0].astype(np.int16) - np.round(backdrop[..., 0] * 255).astype(np.int16)) > 3
    if float(differ.mean()) < _SMALLEST_HEAD:
        raise DeviceError(
            f"frame {index} shows no face; is it in front of the camera? Units are metres, y is up, z out of the face"
        )


def _counted(frames: Iterator[Picture], total: int, progress: Callable[[int, int], None] | None) -> Iterator[Picture]:
    for done, frame in enumerate(frames, 1):
        yield frame
        if progress is not None:
            progress(done, total)


def _size(size: int | tuple[int, int]) -> tuple[int, int]:
    width, height = (size, size) if isinstance(size, int) else size
    if not (MIN_SIZE <= width <= MAX_SIZE and MIN_SIZE <= height <= MAX_SIZE):
        raise UsageError(f"the picture size is {width}x{height}, expected {MIN_SIZE} to {MAX_SIZE} pixels each way")
    return int(width), int(height)


def _processors() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, available))


def _skin_look(template: MeshTemplate) -> tuple[Float, Float]:
    """Colours (V,3) and gloss (V,) of the skin: the template's colours or a plain skin, and lips that are a little wet."""
    count = len(template.vertices)
    lips = np.zeros(count, np.float32)
    if "lips" in template.regions:
        lips[np.asarray(template.regions["lips"], bool)] = 1.0
    if template.colors is not None:
        colors = np.asarray(template.colors, np.float32)
    else:
        colors = np.asarray(PLAIN_SKIN, np.float32) * (1 - lips[:, None]) + np.asarray(PLAIN_LIPS, np.float32) * lips[:, None]
    return colors.astype(np.float32), (1 + (_LIP_GLOSS - 1) * lips).astype(np.float32)


def _part_material(part: Part) -> Material:
    if part.name.startswith("eye"):
        return EYE
    if part.name.startswith("teeth"):
        return TEETH
    return WET if part.name.startswith("tongue") else SKIN
