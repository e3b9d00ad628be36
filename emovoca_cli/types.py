"""The records that travel between the parts of the toolkit.

Shape letters everywhere: B batch, T frames, V vertices, F faces, K labels or coefficients, L landmarks (68), C channels.
Units: metres, seconds; y up, z out of the face, x to the subject's left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.arrays import Npz
from emovoca_cli.constants import LANDMARKS
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import atomic_write, hash_bytes

Float = NDArray[np.float32]
Int = NDArray[np.int32]
Bool = NDArray[np.bool_]
REGION_NAMES = ("lips", "mouth", "eyes", "forehead", "upper_face")
CLIP_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Part:
    """A rigid companion of the skin: an eyeball, a row of teeth, the tongue. It is drawn, never learnt.

    vertices (P,3) metres at the template's rest pose, faces (Q,3), colors (P,3) in 0-1 (sRGB).
    `drive` names what moves it: "head", "jaw", "eye_left", "eye_right" or "own"; `anchors` are the skin vertices it is fitted to,
    or the mesh's own vertices that it stands for ("own").
    """

    name: str
    vertices: Float
    faces: Int
    colors: Float
    drive: str
    anchors: Int


@dataclass(frozen=True, eq=False)
class MeshTemplate:
    """A face at rest and all that is known of its topology.

    vertices (V,3) metres, faces (F,3), landmarks as face index (68,) + barycentric weights (68,3), regions by name (V,) bool,
    colors (V,3) in 0-1 (sRGB) or None, parts drawn beside the skin.
    """

    name: str
    vertices: Float
    faces: Int
    landmark_faces: Int
    landmark_weights: Float
    regions: Mapping[str, Bool] = field(default_factory=lambda: MappingProxyType({}))
    colors: Float | None = None
    parts: tuple[Part, ...] = ()

    @cached_property
    def topology_hash(self) -> str:
        """SHA-256 over the vertex count and the faces: equal for equal topology and vertex order."""
        return topology_hash(len(self.vertices), self.faces)


def topology_hash(vertex_count: int, faces: NDArray[np.integer[Any]]) -> str:
    """Hash of a vertex count and faces (F,3), independent of the integer type they are stored in."""
    return hash_bytes(vertex_count.to_bytes(8, "little"), np.ascontiguousarray(faces, dtype="<i4").tobytes())


@dataclass(frozen=True, eq=False)
class Clip:
    """An animated face.

    vertices (T,V,3) and template (V,3) metres, faces (F,3), landmarks (T,68,3) metres, fps, emotion_names (K,), emotion (T,K)
    in 0-1, intensity (T,) in 0-3, provenance: plain JSON (versions, checkpoints by hash, seed, arguments, data licence, speech).
    """

    vertices: Float
    faces: Int
    template: Float
    landmarks: Float
    fps: float
    emotion_names: tuple[str, ...]
    emotion: Float
    intensity: Float
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        frames, count = self.vertices.shape[0], self.template.shape[0]
        expected = {
            "vertices": (self.vertices.shape, (frames, count, 3)),
            "landmarks": (self.landmarks.shape, (frames, LANDMARKS, 3)),
            "emotion": (self.emotion.shape, (frames, len(self.emotion_names))),
            "intensity": (self.intensity.shape, (frames,)),
        }
        for name, (seen, wanted) in expected.items():
            if seen != wanted:
                raise DataError(f"a clip's {name} has shape {seen}, expected {wanted}")
        if frames == 0:
            raise DataError("a clip needs at least one frame, this one has none")

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return int(self.vertices.shape[0])

    def save(self, path: Path) -> None:
        """Write the clip as .npz without pickles, whole or not at all. Raises OutputError."""
        with atomic_write(path) as temporary, temporary.open("wb") as stream:
            np.savez(
                stream,
                schema=np.int64(CLIP_SCHEMA),
                vertices=self.vertices,
                faces=self.faces,
                template=self.template,
                landmarks=self.landmarks,
                fps=np.float64(self.fps),
                emotion_names=np.array(self.emotion_names, dtype=np.str_),
                emotion=self.emotion,
                intensity=self.intensity,
                provenance=np.array(json.dumps(dict(self.provenance), sort_keys=True)),
            )

    @classmethod
    def load(cls, path: Path) -> Clip:
        """Read a clip; the vertices of a long one stay in the file and are mapped, not to be written to.

        Raises UsageError for a missing file and DataError for one that is not a clip.
        """
        if not path.is_file():
            raise UsageError(f"{path} does not exist; give a clip made by `emovoca animate --out clip.npz`")
        try:
            with Npz(path, "an emovoca clip") as data:
                if int(data["schema"]) > CLIP_SCHEMA:
                    raise DataError(
                        f"{path} has clip schema {int(data['schema'])}, this version reads up to {CLIP_SCHEMA}; update emovoca"
                    )
                return cls(
                    vertices=data.long("vertices"),
                    faces=data["faces"],
                    template=data["template"],
                    landmarks=data["landmarks"],
                    fps=float(data["fps"]),
                    emotion_names=tuple(str(name) for name in data["emotion_names"]),
                    emotion=data["emotion"],
                    intensity=data["intensity"],
                    provenance=json.loads(str(data["provenance"])),
                )
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is not an emovoca clip ({error}); make one with `emovoca animate --out clip.npz`") from error
