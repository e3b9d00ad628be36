"""Visemes and emotions for a rig of any strength: coefficients solved so that the face does the same in millimetres.

Equal coefficients do not look equal on two rigs: jawOpen 0.3 opens one mouth by 10 mm and another by 20. What carries over is what
lips, corners, lids and brows do in millimetres (scaled by the eye distance). `outcomes.yaml` has that for each viseme and emotion,
measured at the landmarks of a scan-based rig on which the shapes were designed and judged by eye. Landmarks are linear in the
coefficients, so each table row is a small bounded least-squares problem that starts from, and stays near, the built-in row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from emovoca_cli.constants import ARKIT_INDEX, ARKIT_NAMES, INNER_LIP_PAIRS
from emovoca_cli.demo.emotions import load_emotions
from emovoca_cli.demo.visemes import load_visemes
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import eye_distance
from emovoca_cli.types import Float

Array = NDArray[np.float64]
Table = Mapping[str, Float]

REFERENCE_EYES = 89.2
"""Millimetres between the outer eye corners to which all outcomes are scaled."""
MEASURES = (
    "lip_gap", "mouth_width", "corner_up_left", "corner_up_right", "mouth_aside", "upper_lip_forward", "lower_lip_forward",
    "chin_up", "nose_up_left", "nose_up_right", "brow_inner_left", "brow_middle_left", "brow_outer_left", "brow_inner_right",
    "brow_middle_right", "brow_outer_right", "brows_apart", "lid_gap_left", "lid_gap_right",
)  # fmt: skip
"""What is measured, in mm: lip_gap is absolute (negative: overlap), all others are changes from rest."""
TOLERANCE = 0.7
"""Millimetres that an outcome may miss before a coefficient moves in earnest."""
LOOSENESS = 0.45
"""Share of itself (at least of 0.1) by which a coefficient may move before that counts as much as a miss of `TOLERANCE`."""


@dataclass(frozen=True)
class RigTables:
    """Visemes and emotions (52,) for one rig, and by how many mm each misses its outcomes, with the built-in and with these rows.

    missed: name -> (worst miss before, worst miss after, what misses worst after).
    """

    visemes: Table
    emotions: Table
    missed: Mapping[str, tuple[float, float, str]]

    def plain(self) -> dict[str, Any]:
        """The tables as JSON: name -> {shape: coefficient}."""
        return {
            kind: {
                name: {ARKIT_NAMES[i]: round(float(row[i]), 4) for i in np.flatnonzero(row)} for name, row in sorted(table.items())
            }
            for kind, table in (("visemes", self.visemes), ("emotions", self.emotions))
        }


def table_from_plain(rows: Mapping[str, Mapping[str, float]]) -> Table:
    """A table (52,) from its JSON. Raises DataError for a shape that is none."""
    table = {}
    for name, row in rows.items():
        values = np.zeros(len(ARKIT_NAMES), np.float32)
        for shape, value in row.items():
            if shape not in ARKIT_INDEX:
                raise DataError(f"the table row {name} names the shape {shape!r}, which is none of the 52 ARKit shapes")
            values[ARKIT_INDEX[shape]] = value
        table[name] = values
    return MappingProxyType(table)


def measures(landmark_deltas: Float, landmarks: Float) -> tuple[Array, Array]:
    """What a unit of each coefficient does (measures,52) and what the rest is (measures,), mm at the reference size.

    landmark_deltas (52,68,3) and landmarks (68,3) in one unit.
    """
    scale = REFERENCE_EYES / eye_distance(landmarks)
    deltas = np.asarray(landmark_deltas, np.float64) * scale
    rest = np.zeros(len(MEASURES))
    upper, lower = (list(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
    rest[0] = float((landmarks[upper, 1] - landmarks[lower, 1]).mean()) * scale
    x, y, z = deltas[..., 0], deltas[..., 1], deltas[..., 2]
    rows = [
        (y[:, upper] - y[:, lower]).mean(axis=1), x[:, 54] - x[:, 48], y[:, 54], y[:, 48], (x[:, 54] + x[:, 48]) / 2,
        z[:, 51], z[:, 57], y[:, 8], y[:, 35], y[:, 31], y[:, 22], y[:, 24], y[:, 26], y[:, 21], y[:, 19], y[:, 17],
        x[:, 22] - x[:, 21], (y[:, [43, 44]] - y[:, [47, 46]]).mean(axis=1), (y[:, [37, 38]] - y[:, [41, 40]]).mean(axis=1),
    ]  # fmt: skip
    return np.stack(rows), rest


@cache
def load_outcomes() -> Mapping[str, Mapping[str, Array]]:
    """The wanted outcomes: "visemes" and "emotions", name -> (measures,) in mm."""
    raw = yaml.safe_load(Path(__file__).with_name("outcomes.yaml").read_text(encoding="utf-8"))
    return {kind: {name: np.array([row.get(m, 0.0) for m in MEASURES]) for name, row in raw[kind].items()} for kind in raw}


def fit_tables(landmark_deltas: Float, landmarks: Float, present: Collection[str] = ARKIT_NAMES) -> RigTables:
    """Visemes and emotions for a rig: landmark_deltas (52,68,3), landmarks (68,3), the ARKit shapes that it has."""
    gains, rest = measures(landmark_deltas, landmarks)
    missed: dict[str, tuple[float, float, str]] = {}
    tables = []
    for kind, prior in (("visemes", load_visemes()), ("emotions", load_emotions())):
        wanted = load_outcomes()[kind]
        rows = {}
        for name, row in prior.items():
            rows[name] = solve_row(gains, rest, wanted[name], row, present)
            before, after = (np.abs(_outcome(gains, rest, one, present) - wanted[name]) for one in (row, rows[name]))
            missed[f"{kind}.{name}"] = (float(before.max()), float(after.max()), MEASURES[int(after.argmax())])
        tables.append(MappingProxyType(rows))
    return RigTables(tables[0], tables[1], MappingProxyType(missed))


def solve_row(gains: Array, rest: Array, wanted: Array, prior: Float, present: Collection[str]) -> Float:
    """One row (52,): outcomes (measures,) met as well as the row's own shapes can, within 0-1 and near the prior (52,).

    Left and right stay equal where the prior has them equal. Shapes that the prior leaves out stay out.
    """
    groups = _groups(prior, present)
    result = np.zeros(len(ARKIT_NAMES), np.float32)
    if not groups:
        return result
    start = np.array([prior[group[0]] for group in groups], np.float64)
    effect = np.stack([gains[:, group].sum(axis=1) for group in groups], axis=1)
    hold = 1 / (LOOSENESS * np.maximum(start, 0.1))
    matrix = np.concatenate([effect / TOLERANCE, np.diag(hold)])
    target = np.concatenate([(wanted - rest) / TOLERANCE, hold * start])
    solved = lsq_linear(matrix, target, bounds=(0, 1), method="bvls").x
    for group, value in zip(groups, solved, strict=True):
        result[group] = value if value > 0.004 else 0.0
    return result


def _outcome(gains: Array, rest: Array, row: Float, present: Collection[str]) -> Array:
    has = np.array([name in present for name in ARKIT_NAMES])
    outcome: Array = rest + gains @ (row.astype(np.float64) * has)
    return outcome


def _groups(prior: Float, present: Collection[str]) -> list[list[int]]:
    """Columns that move together: a shape, or its left and right where the prior has them equal."""
    groups = []
    for index in np.flatnonzero(prior):
        name = ARKIT_NAMES[index]
        if name not in present:
            continue
        twin = ARKIT_INDEX.get(name.removesuffix("Right") + "Left", -1) if name.endswith("Right") else -1
        if twin >= 0 and prior[twin] == prior[index] and ARKIT_NAMES[twin] in present:
            continue
        other = ARKIT_INDEX.get(name.removesuffix("Left") + "Right", -1) if name.endswith("Left") else -1
        both = other >= 0 and prior[other] == prior[index] and ARKIT_NAMES[other] in present
        groups.append([int(index), other] if both else [int(index)])
    return groups
