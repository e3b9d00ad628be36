"""The weights of the authors' release: found in their files, checked, and given our names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli import __version__
from emovoca_cli.data.torch_file import TorchState, load_torch_state
from emovoca_cli.errors import CheckpointError
from emovoca_cli.files import hash_file
from emovoca_cli.types import Float

LICENCE = "CC BY-NC 4.0 (weights of the EmoVOCA release, github.com/miccunifi/EmoVOCA)"
"""Licence of the released weights: it goes with everything that is made from them."""

KEY = "autoencoder_state_dict"
PARTS = ("weight", "bias")

LANDMARK_UNIT = 0.489
"""Metres that 1 stands for between the released E-S2L and E-S2D. They see landmarks that are centred and divided by their
Frobenius norm, which varies by 5% over faces; this is the built-in head's. Both imports use it, so it cancels in the pair."""


def open_release(path: Path) -> TorchState:
    """The weights in a file of the release. Raises UsageError and DataError."""
    return load_torch_state(path, KEY)


def layers(names: Mapping[str, str]) -> dict[str, str]:
    """Weight and bias of layers: {ours: theirs} of layers to {ours: theirs} of tensors."""
    return {f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs in names.items() for part in PARTS}


def convolutions(ours: str, theirs: str, count: int) -> dict[str, str]:
    """Names {ours: theirs} of the tensors of `count` spiral convolutions."""
    return layers({f"{ours}.{place}": f"{theirs}.{place}.conv" for place in range(count)})


def translated(
    state: TorchState, names: Mapping[str, str], shapes: Mapping[str, Sequence[int]], *, besides: str | None = None
) -> dict[str, Float]:
    """Their tensors under our names as float32, `names` {ours: theirs}, `shapes` {ours: shape} that our network has.

    besides: prefix of tensors that are another's business. Raises CheckpointError, naming the first tensor that is missing,
    unknown, of another shape or not finite; nothing is read before all fit.
    """
    known = set(names.values())
    for theirs in (*names.values(), *state):
        if theirs not in state:
            raise CheckpointError(f"{state.path} misses {theirs!r}; it is the file of another network")
        if theirs not in known and not (besides and theirs.startswith(besides)):
            raise CheckpointError(f"{state.path} has an unknown {theirs!r}; it is the file of another network")
    for ours, theirs in names.items():
        if tuple(state.shapes[theirs]) != tuple(shapes[ours]):
            raise CheckpointError(
                f"{state.path}: {theirs!r} has shape {tuple(state.shapes[theirs])}, expected {tuple(shapes[ours])}; "
                "the hierarchy or the network is another than the release's"
            )
    values = {ours: np.asarray(state[theirs], np.float32) for ours, theirs in names.items()}
    for ours, value in values.items():
        if not np.isfinite(value).all():
            raise CheckpointError(f"{state.path}: {names[ours]!r} holds numbers that are not finite; download it again")
    return values


def imported(path: Path, **sources: Path | None) -> dict[str, Any]:
    """Provenance of an import: the version, and name and hash of every file it came from."""
    files = {"weights": path, **sources}
    return {
        "emovoca": __version__,
        "imported": {what: {"file": file.name, "sha256": hash_file(file)} for what, file in files.items() if file is not None},
    }
