"""The mouth shapes of speech: 18 visemes as coefficients of the ARKit-named rig."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import yaml

from emovoca_cli.demo.arkit import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.errors import DataError
from emovoca_cli.types import Float

VISEME_NAMES = ("sil", "PP", "FF", "TH", "DD", "SS", "CH", "KK", "LL", "RR", "AA", "EH", "IY", "OW", "UW", "AW", "HH", "YY")


def read_coefficients(path: Path) -> Mapping[str, Float]:
    """Read a table `name: {shape: coefficient}` as name -> (52,) coefficients in Apple's order.

    Raises DataError when the file is no such table, names an unknown shape or leaves 0-1.
    """
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{path} is not readable YAML: {' '.join(str(error).split())}; expected name: {{shape: number}}") from error
    if not isinstance(table, dict) or not all(isinstance(row, dict) for row in table.values()):
        raise DataError(f"{path} is not a table of names; expected name: {{shape: number}}")
    result = {}
    for name, row in table.items():
        coefficients = np.zeros(len(ARKIT_NAMES), np.float32)
        for shape, value in row.items():
            if shape not in ARKIT_INDEX:
                raise DataError(
                    f"{path}: {name} names the shape {shape!r}, which is none of the 52 ARKit shapes; correct its spelling"
                )
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise DataError(f"{path}: {name}.{shape} is {value!r}, expected a number in 0-1")
            coefficients[ARKIT_INDEX[shape]] = value
        coefficients.flags.writeable = False
        result[str(name)] = coefficients
    return MappingProxyType(result)


@cache
def load_visemes() -> Mapping[str, Float]:
    """The 18 visemes at full weight: name -> (52,) coefficients in 0-1, read-only."""
    visemes = read_coefficients(Path(__file__).with_name("visemes.yaml"))
    if set(visemes) != set(VISEME_NAMES):
        raise DataError(f"visemes.yaml has {sorted(visemes)}, expected {sorted(VISEME_NAMES)}; restore the missing ones")
    return visemes
