"""Trained models as a folder of plain data: model.safetensors, config.json, template.npz and, for mesh networks, hierarchy.npz.

Nothing is unpickled. config.json is written last and names the hash of every other file, so a folder is either whole or says what
is wrong.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from emovoca_cli.errors import CheckpointError, DataError, OutputError, UsageError
from emovoca_cli.files import atomic_write, hash_file, read_json, write_json

CHECKPOINT_SCHEMA = 1
MODEL, CONFIG, TEMPLATE, HIERARCHY = "model.safetensors", "config.json", "template.npz", "hierarchy.npz"
KEYS = ("schema", "kind", "config", "licence", "provenance", "files")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A loaded model folder: weights (float32), the settings it was built with, and where it comes from."""

    path: Path
    kind: str
    config: Mapping[str, Any]
    licence: str
    provenance: Mapping[str, Any]
    state: Mapping[str, Tensor]

    def load_into(self, model: torch.nn.Module) -> None:
        """Put the weights into a model of these settings. Raises CheckpointError, naming the first one that does not fit."""
        wanted = model.state_dict()
        for name in sorted(set(wanted) ^ set(self.state)):
            raise CheckpointError(
                f"{self.path} {'misses' if name in wanted else 'has an unknown'} weight {name!r}; train or download it again"
            )
        for name, value in wanted.items():
            seen = tuple(self.state[name].shape)
            if seen != tuple(value.shape):
                raise CheckpointError(
                    f"{self.path}: weight {name!r} has shape {seen}, expected {tuple(value.shape)}; its config does not fit it"
                )
        model.load_state_dict(dict(self.state))


def save_checkpoint(
    folder: Path,
    *,
    kind: str,
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    licence: str,
    provenance: Mapping[str, Any],
    half: bool = False,
) -> None:
    """Write weights and settings beside what the caller has put into `folder` (template.npz, hierarchy.npz); config.json comes
    last.

    half: store the weights as float16. Raises OutputError.
    """
    stored = {name: _stored(value, half=half) for name, value in state.items()}
    with atomic_write(folder / MODEL) as temporary:
        try:
            save_file(stored, temporary)
        except SafetensorError as error:
            raise OutputError(f"cannot write {folder / MODEL}: {error}") from error
    files = {name: hash_file(folder / name) for name in (MODEL, TEMPLATE, HIERARCHY) if (folder / name).is_file()}
    head = {
        "schema": CHECKPOINT_SCHEMA,
        "kind": kind,
        "config": config,
        "licence": licence,
        "provenance": provenance,
        "files": files,
    }
    write_json(folder / CONFIG, head)


def load_checkpoint(path: str | Path, *, kind: str) -> Checkpoint:
    """Read a model of `kind` from a folder, or a built-in one by its name.

    Raises UsageError when there is none, CheckpointError when it is of another kind, of a newer schema, incomplete or damaged.
    """
    folder = find_checkpoint(path)
    try:
        head = read_json(folder / CONFIG)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(head, dict) or not set(KEYS) <= set(head):
        missing = [key for key in KEYS if not isinstance(head, dict) or key not in head]
        raise CheckpointError(f"{folder / CONFIG} is not a checkpoint of emovoca: it misses {', '.join(missing)}")
    if not isinstance(head["schema"], int) or head["schema"] > CHECKPOINT_SCHEMA:
        raise CheckpointError(
            f"{folder} has checkpoint schema {head['schema']}, this version reads up to {CHECKPOINT_SCHEMA}; update emovoca"
        )
    if head["kind"] != kind:
        raise CheckpointError(f"{folder} is a model of kind {head['kind']!r}, expected {kind!r}; give another --model")
    for name, digest in head["files"].items():
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} misses {name}; train or download it again")
        if hash_file(folder / name) != digest:
            raise CheckpointError(
                f"{folder / name} is damaged or from another model (not the hash in {CONFIG}); train or download it again"
            )
    try:
        state = {name: _loaded(value) for name, value in load_file(folder / MODEL).items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder / MODEL} is not readable: {error}; train or download it again") from error
    return Checkpoint(folder, kind, head["config"], head["licence"], head["provenance"], state)


def find_checkpoint(path: str | Path) -> Path:
    """The folder of a model: a path, the name of a built-in one, or user/name in the Hub. Raises UsageError."""
    from emovoca_cli.runtime.hub import is_hub_name, pull  # it reads what is written here

    folder = Path(path)
    if (folder / CONFIG).is_file():
        return folder
    built_in = Path(str(importlib.resources.files("emovoca_cli"))) / "assets"
    names = sorted(place.parent.name for place in built_in.glob(f"*/{CONFIG}"))
    if str(path) in names:
        return built_in / str(path)
    if is_hub_name(path):
        fetched = pull(str(path))
        if (fetched / CONFIG).is_file():
            return fetched
        raise UsageError(f"{path} in the Hub is a pair (s2l and s2d), not one model; `emovoca pull {path} --out DIR` gives both")
    what = f"{folder} is a folder without {CONFIG}" if folder.is_dir() else f"there is no model {str(path)!r}"
    raise UsageError(
        f"{what}; give a folder that `emovoca train` wrote or a built-in name ({', '.join(names) or 'none is installed'})"
    )


def checkpoint_hash(folder: Path) -> str:
    """Hash that names a model: of config.json, which holds the hashes of all its files."""
    return hash_file(folder / CONFIG)


def _stored(value: Tensor, *, half: bool) -> Tensor:
    plain = value.detach().cpu().contiguous()
    # Scalars such as the global scale stay exact; they cost nothing.
    return plain.half() if half and plain.is_floating_point() and plain.dim() > 0 else plain.clone()


def _loaded(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
