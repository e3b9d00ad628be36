"""The FLAME topology as a template: landmarks and regions from FLAME's own files where the user has them, else from geometry.

Nothing of FLAME ships here. `flame_static_embedding.pkl`, `flame_dynamic_embedding.npy` and `FLAME_masks.pkl` come from FLAME's and
VOCA's pages under their own licences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from emovoca_cli.data.checks import UNITS, size_unit
from emovoca_cli.data.release_mesh import flame_landmarks
from emovoca_cli.data.restricted import load_pickle
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.mesh.io import read_mesh
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.mesh.regions import regions
from emovoca_cli.mesh.transfer import transfer_landmarks
from emovoca_cli.types import Bool, Float, Int, MeshTemplate, topology_hash

FLAME_VERTICES = 5023
FLAME_TOPOLOGY = "815ad64970ad30585bc47a24aaa4d449065f23c9139330e9e6996dc151921795"
"""Topology hash of FLAME's faces in their published order."""
STATIC, DYNAMIC, MASKS = "flame_static_embedding.pkl", "flame_dynamic_embedding.npy", "FLAME_masks.pkl"
JAW_LINE = 17
PLACES = ("", "template", "templates", "flame", "flame_model", "template/flame_model", "template/template")
"""Folders, under the one that the user names, where the files lie in the copies that people have."""
MESHES = ("FLAME_sample.ply", "FLAME_sample.obj", "template.ply", "template.obj", "head_template.obj")
REGION_PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "lips": ("lips",),
        "eyes": ("left_eye_region", "right_eye_region"),
        "forehead": ("forehead",),
        "upper_face": ("forehead", "eye_region", "left_eye_region", "right_eye_region"),
    }
)
"""Our regions as unions of FLAME's masks; "mouth" has none there and comes from geometry."""


def find_file(name: str, folders: Iterable[Path]) -> Path | None:
    """The first file of a name in the usual places under some folders, or None."""
    return next((file for folder in folders for place in PLACES if (file := folder / place / name).is_file()), None)


def find_mesh(folders: Iterable[Path]) -> Path | None:
    """A mesh file that gives the topology: one of the usual names, else the first of a `templates` folder, or None."""
    folders = list(folders)
    for name in MESHES:
        if (found := find_file(name, folders)) is not None:
            return found
    places = [folder / "templates" for folder in folders]
    return next((path for place in places for kind in ("ply", "obj") for path in sorted(place.glob(f"*.{kind}"))), None)


def flame_template(
    vertices: Float, faces: Int, *, folders: Iterable[Path], known: MeshTemplate, name: str = "flame", any_topology: bool = False
) -> tuple[MeshTemplate, tuple[str, ...]]:
    """A template of a face at rest (V,3), in any unit, with faces (F,3), and one line for each thing that had to be estimated.

    FLAME's own files are looked for in `folders`; without them landmarks are carried over from `known` and regions follow from
    landmarks. Raises TopologyError for another topology than FLAME's unless `any_topology`, DataError for files that do not fit.
    """
    if not any_topology and topology_hash(len(vertices), faces) != FLAME_TOPOLOGY:
        why = "the same counts, but other faces: re-ordered by the program that saved it?" if len(vertices) == FLAME_VERTICES else (
            f"{len(vertices)} vertices and {len(faces)} faces"
        )  # fmt: skip
        raise TopologyError(f"{name} is not FLAME's topology ({why}); pass --template MESH when another topology is meant")
    metres = np.asarray(vertices / UNITS[size_unit(vertices, name)], np.float32)
    folders = list(folders)
    static, dynamic, masks = (find_file(file, folders) for file in (STATIC, DYNAMIC, MASKS))
    notes = []
    if static is not None and dynamic is not None:
        where, weights = flame_landmarks(static, dynamic, len(faces))
    else:
        missing = " and ".join(file for file, found in ((STATIC, static), (DYNAMIC, dynamic)) if found is None)
        notes.append(f"landmarks are estimated, some 3-10 mm off: {missing} not found (pass --flame FOLDER for FLAME's own)")
        where, weights = transfer_landmarks(known, metres, faces)
    areas = regions(metres, faces, landmark_points(metres, faces, where, weights))
    if masks is not None:
        areas |= mask_regions(masks, len(vertices))
    return MeshTemplate(name, metres, faces, where, weights, MappingProxyType(areas)), tuple(notes)


def mask_regions(path: Path, vertex_count: int) -> dict[str, Bool]:
    """The regions (V,) that FLAME_masks.pkl gives. Raises DataError for another form or topology."""
    content: Any = load_pickle(path)
    found: dict[str, Bool] = {}
    for name, parts in REGION_PARTS.items():
        try:
            chosen = np.concatenate([np.asarray(content[part]).reshape(-1).astype(np.int64) for part in parts if part in content])
        except (TypeError, ValueError) as error:
            raise DataError(f"{path} has no {' or '.join(parts)}; expected FLAME's vertex masks (FLAME_masks.pkl)") from error
        if len(chosen) == 0 or chosen.min() < 0 or chosen.max() >= vertex_count:
            raise DataError(f"{path} names vertices outside 0..{vertex_count - 1} in {name}: it belongs to another topology")
        found[name] = np.isin(np.arange(vertex_count), chosen)
    found["upper_face"] |= found["eyes"] | found["forehead"]
    return found


def read_topology(given: Path | None, folders: Iterable[Path]) -> tuple[Float, Int] | None:
    """Vertices and faces of the mesh that gives the topology: the one given, else one found. Raises UsageError, DataError."""
    path = given if given is not None else find_mesh(folders)
    if path is None:
        return None
    if not path.is_file():
        raise UsageError(f"--template {path} does not exist; give a mesh of the data's topology (.ply or .obj)")
    return read_mesh(path)
