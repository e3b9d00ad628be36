"""Errors of many frames by region, in the words of the paper and by the code of `evaluate score`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import MM
from emovoca_cli.errors import DataError
from emovoca_cli.evaluation.measure import measure
from emovoca_cli.evaluation.regions import ALL, LIPS, UPPER, Region, find_region
from emovoca_cli.types import Float, MeshTemplate

ERRORS = {"mve": ALL, "uve": UPPER, "lve": LIPS}
"""Short names of the paper's errors, and the region each is measured on."""


def face_regions(template: MeshTemplate) -> dict[str, Region]:
    """The lips and the upper face of a template, as `evaluate score` takes them. Raises DataError when it has none."""
    found = {}
    for name in (LIPS, UPPER):
        region = find_region(name, None, template.regions, len(template.vertices), owner=template.name)
        if region is None:
            raise DataError(
                f"template {template.name!r} has no region for {name} ({', '.join(template.regions)}); prepare it again"
            )
        found[name] = region
    return found


def largest_errors(predicted: Float, truth: Float, regions: dict[str, Region]) -> dict[str, NDArray[np.float64]]:
    """The largest L2 error of every frame in millimetres (T,) by name: mve over all vertices, uve, lve (paper section 4.1).

    predicted and truth (T,V,3) in metres, both displacements or both faces.
    """
    pair = measure(predicted, truth, regions=regions, rest=None)
    return {name: np.sqrt(pair.max_sq[region]) * MM for name, region in ERRORS.items()}
