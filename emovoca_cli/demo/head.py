"""The built-in head: a modelled bust that needs no licence and no download.

Its proportions follow figures measured on ICT-FaceKit (MIT licence); shape and topology are modelled in `head_*.py`
and shipped as `assets/head.npz` (rebuild: `python -m emovoca_cli.demo.build head`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.errors import DataError
from emovoca_cli.types import REGION_NAMES, Int, MeshTemplate, Part

HEAD_NAME = "emovoca-head"
LABEL_NAMES = ("lip", "mouth_ring", "mouth_u", "eye_ring", "eye_side", "eye_u", "ear_ring", "nostril_ring", "area")
_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class HeadModel:
    """The built-in head. labels are (V,) each, mirror (V,) maps a vertex to its twin across x = 0.

    lip: +1 upper lip and vestibule, -1 lower, 0 elsewhere.
    mouth_ring: 0 the contact edge, 4 the vermilion border, negative into the mouth;
    mouth_u: 0 the subject's left corner, pi/2 upper middle.
    eye_ring: 0 the lid margin, negative inwards; eye_side: +1 the subject's left;
    eye_u: 0 outer corner, pi/2 upper middle, pi inner corner.
    ear_ring: 0 the foot on the head, then out over the rim and into the concha; nostril_ring: 1 the rim, 0 and below inside.
    Rings are -999 elsewhere, angles NaN. area: the code of each vertex in `head_paint.AREAS` (0 skin, 1 lips, 2 brows, ...).
    """

    template: MeshTemplate
    labels: Mapping[str, NDArray[Any]]
    mirror: Int


@cache
def load_head() -> HeadModel:
    """Read the shipped head (metres). Raises DataError when the asset is missing or newer than this code."""
    resource = files("emovoca_cli.assets").joinpath("head.npz")
    try:
        with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
    except (OSError, ValueError) as error:
        raise DataError(f"the built-in head is not readable ({error}); reinstall emovoca") from error
    if int(arrays["schema"]) != _SCHEMA:
        raise DataError(f"the built-in head has schema {int(arrays['schema'])}, expected {_SCHEMA}; reinstall emovoca")
    parts = tuple(
        Part(
            str(name),
            arrays[f"{name}_vertices"],
            arrays[f"{name}_faces"],
            arrays[f"{name}_colors"],
            str(drive),
            arrays[f"{name}_anchors"],
        )
        for name, drive in zip(arrays["part_names"], arrays["part_drives"], strict=True)
    )
    template = MeshTemplate(
        HEAD_NAME,
        arrays["vertices"],
        arrays["faces"],
        arrays["landmark_faces"],
        arrays["landmark_weights"],
        regions=MappingProxyType({name: arrays[f"region_{name}"] for name in REGION_NAMES}),
        colors=arrays["colors"],
        parts=parts,
    )
    return HeadModel(template, MappingProxyType({name: arrays[f"label_{name}"] for name in LABEL_NAMES}), arrays["mirror"])
