"""The built-in head's rig: 52 ARKit-named shapes as displacements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from emovoca_cli.arrays import Npz
from emovoca_cli.constants import INNER_LIP_PAIRS
from emovoca_cli.demo.arkit import ARKIT_NAMES
from emovoca_cli.demo.head import load_head
from emovoca_cli.errors import DataError, EmovocaError
from emovoca_cli.types import Float, MeshTemplate

ASSET = Path(__file__).resolve().parent.parent / "assets" / "rig.npz"


@dataclass(frozen=True, eq=False)
class Rig:
    """Shapes on a head.

    names (52,), deltas (52,V,3) metres at coefficient 1, tongue (P,3) metres of the tongue part at tongueOut 1.
    """

    names: tuple[str, ...]
    deltas: Float
    tongue: Float
    template: MeshTemplate

    @cached_property
    def landmark_deltas(self) -> Float:
        """What each shape does to the landmarks: (52,68,3) metres."""
        corners = self.template.faces[self.template.landmark_faces]
        return np.asarray(np.einsum("lk,nlkc->nlc", self.template.landmark_weights, self.deltas[:, corners]), dtype=np.float32)

    @cached_property
    def lip_gap_gain(self) -> Float:
        """What each shape adds to the lip gap at coefficient 1: (52,) metres, up is open, mean over the inner-lip landmark pairs.

        Negative values press the lips together. The seal step for p, b, m needs it.
        """
        upper = [pair[0] for pair in INNER_LIP_PAIRS]
        lower = [pair[1] for pair in INNER_LIP_PAIRS]
        lift = self.landmark_deltas[:, upper, 1] - self.landmark_deltas[:, lower, 1]
        return np.asarray(lift.mean(axis=1), dtype=np.float32)

    def pose(self, coefficients: Float) -> Float:
        """Displacement (...,V,3) in metres of coefficients (...,52)."""
        flat = self.deltas.reshape(len(self.names), -1)
        return np.asarray(coefficients @ flat, dtype=np.float32).reshape(*coefficients.shape[:-1], *self.deltas.shape[1:])


@cache
def load_rig() -> Rig:
    """The shipped rig on the built-in head. Raises DataError when it belongs to another head."""
    template = load_head().template
    try:
        with Npz(ASSET) as data:
            names = tuple(str(name) for name in data["names"])
            deltas = data["deltas"].astype(np.float32)
            tongue = data["tongue"].astype(np.float32)
            topology = str(data["topology"])
    except (EmovocaError, ValueError, KeyError) as error:
        raise DataError(f"{ASSET.name} is not a rig ({error}); rebuild it with `python -m emovoca_cli.demo.build rig`") from error
    if names != ARKIT_NAMES or topology != template.topology_hash:
        raise DataError(f"{ASSET.name} belongs to another head; rebuild it with `python -m emovoca_cli.demo.build rig`")
    return Rig(names, deltas, tongue, template)
