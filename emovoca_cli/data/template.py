"""A mesh template in one .npz file: no pickles, the same bytes for the same template."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.arrays import Npz
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import atomic_write, hash_bytes
from emovoca_cli.types import MeshTemplate, Part

TEMPLATE_SCHEMA = 1


def save_template(template: MeshTemplate, path: Path) -> None:
    """Write a template with its regions, colours and parts, whole or not at all. Raises OutputError."""
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        write: Any = np.savez_compressed  # its stubs take the arrays for its own options
        write(stream, **_arrays(template))


def template_hash(template: MeshTemplate) -> str:
    """Hash of everything a template holds, not only of its topology."""
    return hash_bytes(*(name.encode() + array.tobytes() for name, array in sorted(_arrays(template).items())))


def _arrays(template: MeshTemplate) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "vertices": template.vertices.astype(np.float32),
        "faces": template.faces.astype(np.int32),
        "landmark_faces": template.landmark_faces.astype(np.int32),
        "landmark_weights": template.landmark_weights.astype(np.float32),
    }
    if template.colors is not None:
        arrays["colors"] = template.colors.astype(np.float32)
    for name, mask in template.regions.items():
        arrays[f"region.{name}"] = np.asarray(mask, dtype=np.bool_)
    for index, part in enumerate(template.parts):
        arrays[f"part.{index}.vertices"] = part.vertices.astype(np.float32)
        arrays[f"part.{index}.faces"] = part.faces.astype(np.int32)
        arrays[f"part.{index}.colors"] = part.colors.astype(np.float32)
        arrays[f"part.{index}.anchors"] = part.anchors.astype(np.int32)
    head = {
        "schema": TEMPLATE_SCHEMA,
        "name": template.name,
        "colors": template.colors is not None,
        "regions": sorted(template.regions),
        "parts": [{"name": part.name, "drive": part.drive} for part in template.parts],
    }
    return arrays | {"head": np.array(json.dumps(head, sort_keys=True))}


def load_template(path: Path) -> MeshTemplate:
    """Read a template. Raises UsageError for a missing file and DataError for one that is not a template."""
    if not path.is_file():
        raise UsageError(f"{path} does not exist; expected a template written by emovoca (template.npz)")
    try:
        with Npz(path, "an emovoca template") as data:
            head = json.loads(str(data["head"]))
            if int(head["schema"]) > TEMPLATE_SCHEMA:
                raise DataError(
                    f"{path} has template schema {head['schema']}, this version reads up to {TEMPLATE_SCHEMA}; update emovoca"
                )
            parts = tuple(
                Part(
                    name=part["name"],
                    vertices=data[f"part.{index}.vertices"],
                    faces=data[f"part.{index}.faces"],
                    colors=data[f"part.{index}.colors"],
                    drive=part["drive"],
                    anchors=data[f"part.{index}.anchors"],
                )
                for index, part in enumerate(head["parts"])
            )
            return MeshTemplate(
                name=head["name"],
                vertices=data["vertices"],
                faces=data["faces"],
                landmark_faces=data["landmark_faces"],
                landmark_weights=data["landmark_weights"],
                regions=MappingProxyType({name: data[f"region.{name}"] for name in head["regions"]}),
                colors=data["colors"] if head["colors"] else None,
                parts=parts,
            )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not an emovoca template ({error}); write one with save_template") from error
