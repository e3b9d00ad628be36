"""The paper's own figures, as printed in its tables: shown beside ours, never mixed with them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TABLE1: Mapping[tuple[str, str], tuple[float, float]] = MappingProxyType(
    {
        ("plain", "double"): (0.931, 0.844),
        ("weighted", "single"): (0.745, 0.676),
        ("weighted", "double"): (0.722, 0.657),
    }
)
"""MVE in mm on VOCASET and on Florence 4D by loss and encoders (Table 1)."""

TABLE2: Mapping[str, tuple[float, float, float, float, float]] = MappingProxyType(
    {
        "Sum": (0.40, 0.64, 0.72, 6.181, 1.073),
        "Mult": (0.33, 0.55, 0.66, 6.897, 1.248),
        "Zero-cat": (0.37, 0.58, 0.69, 6.324, 1.137),
        "Reversed": (0.45, 0.68, 0.76, 5.872, 0.940),
        "DE-SD": (0.46, 0.71, 0.82, 5.861, 0.981),
    }
)
"""Accuracy (0-1) at intensities 1, 2, 3, LVE on VOCASET in mm, UVE on Florence 4D in mm (Table 2)."""

TABLE3B: Mapping[str, tuple[float, float | None]] = MappingProxyType(
    {
        "VOCA (Voca)": (6.993, 1.201),
        "Faceformer (Voca)": (6.123, 1.117),
        "SelfTalk (Voca)": (5.618, 0.989),
        "S2L+S2D (Voca)": (4.789, 0.934),
        "FaceDiffuser (Voca)": (4.350, 0.925),
        "CodeTalker (Voca)": (3.651, 0.912),
        "EmoTalk (2D)": (4.134, None),
        "EMOTE (2D)": (4.561, 0.897),
        "E-Faceformer (v1)": (4.371, 0.964),
        "E-S2L+S2D (v1)": (3.697, 0.867),
        "E-Faceformer (v2)": (3.789, 0.912),
        "E-S2L+S2D (v2)": (3.181, 0.791),
    }
)
"""LVE and UVE in mm on VOCASET's test set, in brackets what each was trained on (Table 3b)."""
