"""`emovoca info`: what is in a file or folder that the toolkit wrote, and under which licence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from emovoca_cli.cli.options import Json, Quiet

STORES = ("talk", "expression")
PAIR = ("s2l", "s2d")


def info(
    path: Annotated[str, typer.Argument(help="A clip, a mesh, a store, a dataset, a model folder, or a built-in model's name.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what something is, how large, from what it was made, and its licence.

    Examples:\n
      emovoca info clip.npz\n
      emovoca info emovoca-data/talk\n
      emovoca info desd
    """
    from emovoca_cli.cli.console import Reporter

    reporter = Reporter(json_output=json, quiet=quiet)
    facts = describe(path)
    reporter.table(path, ("", ""), [(name.replace("_", " "), _short(value)) for name, value in facts.items()])
    reporter.result(facts)


def describe(path: str) -> dict[str, Any]:
    """Facts about a file, a folder or a built-in model. Raises UsageError for what the toolkit does not know."""
    from emovoca_cli.data.folder import MANIFEST
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import read_json
    from emovoca_cli.runtime.checkpoint import CONFIG

    place = Path(path)
    if place.is_dir() and (place / MANIFEST).is_file():
        return _folder(read_json(place / MANIFEST))
    if place.is_dir() and any((place / part / MANIFEST).is_file() for part in STORES):
        stores = {part: _folder(read_json(place / part / MANIFEST)) for part in STORES if (place / part / MANIFEST).is_file()}
        return {
            "kind": "data folder",
            **stores,
            "licence": "; ".join(dict.fromkeys(str(store["licence"]) for store in stores.values())),
        }
    pair = [part for part in PAIR if (place / part / CONFIG).is_file()]
    if len(pair) == len(PAIR):
        models = {part: _model(str(place / part)) for part in pair}
        return {"kind": "generator", **models, "licence": "; ".join(dict.fromkeys(str(one["licence"]) for one in models.values()))}
    if place.suffix == ".npz" and place.is_file():
        return _clip(place)
    if place.is_file():
        return _mesh(place)
    if place.is_dir() or place.parent == Path():
        return _model(path)
    raise UsageError(f"{path} does not exist")


def _clip(path: Path) -> dict[str, Any]:
    from emovoca_cli.types import Clip

    clip = Clip.load(path)
    present = [name for index, name in enumerate(clip.emotion_names) if clip.emotion[:, index].any()]
    return {
        "kind": "clip",
        "frames": clip.frames,
        "seconds": round(clip.frames / clip.fps, 3),
        "fps": clip.fps,
        "vertices": clip.vertices.shape[1],
        "faces": len(clip.faces),
        "emotions": present or ["neutral"],
        "intensity": [float(clip.intensity.min()), float(clip.intensity.max())],
        "licence": clip.provenance.get("licence", "unknown"),
        "provenance": dict(clip.provenance),
    }


def _mesh(path: Path) -> dict[str, Any]:
    from emovoca_cli.mesh.io import read_mesh
    from emovoca_cli.types import topology_hash

    vertices, faces = read_mesh(path)
    size = vertices.max(axis=0) - vertices.min(axis=0)
    return {
        "kind": "mesh",
        "vertices": len(vertices),
        "faces": len(faces),
        "size": [round(float(length), 6) for length in size],
        "topology": topology_hash(len(vertices), faces),
    }


def _folder(manifest: dict[str, Any]) -> dict[str, Any]:
    facts = {"kind": manifest.get("kind", "unknown")}
    facts |= {
        key: manifest[key]
        for key in ("version", "store", "fps", "subjects", "splits", "emotions", "counts", "seal", "mu_t", "intensities")
        if key in manifest
    }
    if "clips" in manifest:
        facts["clips"] = len(manifest["clips"])
    # A dataset's origin is the stores and the mixer that it was built from.
    origin = manifest.get("provenance") or manifest.get("sources", {})
    return facts | {"licence": manifest.get("licence", "unknown"), "provenance": origin}


def _model(path: str) -> dict[str, Any]:
    from emovoca_cli.files import read_json
    from emovoca_cli.runtime.checkpoint import CONFIG, find_checkpoint

    folder = find_checkpoint(path)
    head = read_json(folder / CONFIG)
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return {
        "kind": f"model {head.get('kind', 'unknown')}",
        "path": str(folder),
        "megabytes": round(size / 1e6, 2),
        "config": head.get("config", {}),
        "licence": head.get("licence", "unknown"),
        "provenance": head.get("provenance", {}),
    }


def _short(value: Any) -> str:
    words = str(value)
    return words if len(words) <= 200 else words[:197] + "..."
