"""Reading what is scored: folders of .npy (T,V,3) or (T,3V), or clips, of any system."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.arrays import map_npy
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Clip, Float, Int, MeshTemplate

SUFFIXES = (".npy", ".npz")


@dataclass(frozen=True, eq=False)
class Take:
    """One sequence as it lies in a file.

    vertices (T,V,3) in the file's own unit, `metres` a unit, fps or None when the file does not say; rest (V,3) in the same unit,
    faces (F,3) and landmarks (T,68,3) where known; emotion and intensity None where unknown.
    """

    path: Path
    vertices: NDArray[Any]
    metres: float
    fps: float | None = None
    rest: NDArray[Any] | None = None
    faces: Int | None = None
    landmarks: Float | None = None
    emotion: str | None = None
    intensity: float | None = None
    speech: str | None = None

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return int(self.vertices.shape[0])

    @property
    def vertex_count(self) -> int:
        """Number of vertices V."""
        return int(self.vertices.shape[1])


def list_takes(folder: Path, what: str) -> dict[str, Path]:
    """The sequence files of a folder by name without suffix, sorted. `what` is the option that named it.

    Raises UsageError when it is no folder, DataError when it holds no sequence or two of one name.
    """
    if not folder.is_dir():
        raise UsageError(f"{what} {folder} is not a folder; expected one of .npy (T,V,3) or (T,3V) files, or of clips (.npz)")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith("."):
            if path.stem in found:
                raise DataError(f"{what} {folder} has both {found[path.stem].name} and {path.name}; keep one of them")
            found[path.stem] = path
    if not found:
        raise DataError(f"{what} {folder} holds no .npy or .npz sequences; there is nothing to score")
    return found


def read_take(path: Path, *, metres: float, fps: float | None = None) -> Take:
    """Read a sequence; `metres` a unit and `fps` are those of .npy files, a clip knows its own.

    Raises DataError for a file that is not one, of another shape, without frames, or with values that are not finite.
    """
    take = _from_clip(path) if path.suffix.lower() == ".npz" else _from_npy(path, metres, fps)
    for start in range(0, take.frames, 256):
        bad = ~np.isfinite(take.vertices[start : start + 256]).all(axis=(1, 2))
        if bad.any():
            frame = start + int(np.flatnonzero(bad)[0])
            raise DataError(f"{path} has vertices that are not finite numbers, first in frame {frame}; nothing was scored")
    return take


def _from_npy(path: Path, metres: float, fps: float | None) -> Take:
    array = map_npy(path)
    shape = array.shape
    if array.dtype.kind not in "fiu":
        raise DataError(f"{path} holds {array.dtype} values, expected numbers (T,V,3) or (T,3V)")
    if array.ndim == 3 and shape[0] == 1 and shape[2] != 3 and shape[2] % 3 == 0:
        array = array[0]  # a batch of one, as several systems write it
    if array.ndim == 2 and array.shape[1] % 3 == 0 and array.shape[1] > 3:
        array = array.reshape(len(array), -1, 3)  # (T,V,3)
    if array.ndim != 3 or array.shape[2] != 3:
        hint = "; a single mesh is no sequence" if array.ndim == 2 and array.shape[1] == 3 else ""
        raise DataError(f"{path} has shape {shape}, expected (T,V,3) or (T,3V){hint}")
    if 0 in array.shape:
        raise DataError(f"{path} has shape {shape}: no {'frames' if len(array) == 0 else 'vertices'}, there is nothing to score")
    return Take(path, array, metres, fps)


def _from_clip(path: Path) -> Take:
    clip = Clip.load(path)
    if not (np.isfinite(clip.fps) and clip.fps > 0):
        raise DataError(f"{path} has {clip.fps:g} frames a second, expected a positive number; nothing was scored")
    for name in ("template", "landmarks", "emotion", "intensity"):
        if not np.isfinite(getattr(clip, name)).all():
            raise DataError(f"{path} has a {name} with numbers that are not finite; nothing was scored")
    if clip.provenance.get("life"):
        # Blinks and head motion are drawn by chance: a score over them would measure the dice.
        raise DataError(f"{path} has blinks, gaze and head motion laid over it; make it again with --no-life to score it")
    emotion, intensity = emotion_of(clip)
    said = clip.provenance.get("speech")
    speech = str(said["path"]) if isinstance(said, dict) and "path" in said else None
    return Take(
        path, clip.vertices, 1.0, clip.fps, clip.template, clip.faces, clip.landmarks,
        emotion=emotion, intensity=intensity, speech=speech,
    )  # fmt: skip


def emotion_of(clip: Clip) -> tuple[str | None, float | None]:
    """Emotion and intensity of a clip: its strongest label on average, "neutral" for none.

    None for a clip that knows no labels, and for an intensity that changes.
    """
    if not clip.emotion_names:
        return None, None
    weights = clip.emotion.mean(axis=0)
    if weights.max() <= 0:
        return "neutral", 0.0
    steady = float(np.ptp(clip.intensity)) < 1e-6
    return clip.emotion_names[int(weights.argmax())], float(clip.intensity[0]) if steady else None


def with_template(take: Take, template: MeshTemplate, rest: NDArray[Any] | None) -> Take:
    """Fill in what a file does not say: face at rest, faces, and landmarks by the template's own. Vertex counts have to agree."""
    landmarks = take.landmarks
    if landmarks is None and len(template.landmark_faces):
        landmarks = landmark_points(take.vertices, template.faces, template.landmark_faces, template.landmark_weights)
    return replace(
        take,
        rest=take.rest if take.rest is not None else rest,
        faces=take.faces if take.faces is not None or not len(template.faces) else template.faces,
        landmarks=landmarks,
    )


def resampled(take: Take, fps: float) -> Take:
    """The same motion at another rate, linear between frames: frame i at i / fps seconds, none past the last."""
    if take.fps is None:
        raise UsageError(f"{take.path} does not say its frames a second; give --fps")
    count = int(np.floor((take.frames - 1) / take.fps * fps + 1e-6)) + 1
    at = np.minimum(np.arange(count) * (take.fps / fps), take.frames - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, take.frames - 1)
    share = (at - low)[:, None, None]

    def between(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(values[low] * (1 - share) + values[high] * share)

    return replace(
        take,
        vertices=between(take.vertices),
        fps=fps,
        landmarks=None if take.landmarks is None else between(take.landmarks).astype(np.float32),
    )


def match_names(predictions: Collection[str], truths: Collection[str], pattern: str) -> list[tuple[str, str]]:
    """Pairs (prediction, truth) by name: a prediction is called `pattern` with {id} standing for the truth and * for anything.

    Raises UsageError for a pattern without {id}, DataError when a prediction fits two truths.
    """
    if pattern.count("{id}") != 1:
        raise UsageError(f"--match is {pattern!r}, expected {{id}} in it once, such as '{{id}}_condition_*'")
    expression = re.escape(pattern).replace(r"\*", ".*")
    pairs: list[tuple[str, str]] = []
    for name in predictions:
        if pattern == "{id}":
            fitting = [name] if name in truths else []
        else:
            fitting = [truth for truth in truths if re.fullmatch(expression.replace(r"\{id\}", re.escape(truth)), name)]
        if len(fitting) > 1:
            raise DataError(f"the prediction {name} fits the truths {fitting[0]} and {fitting[1]}; give a stricter --match")
        pairs.extend((name, truth) for truth in fitting)
    return pairs
