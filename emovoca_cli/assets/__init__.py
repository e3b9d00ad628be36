"""What ships inside the package: the head, its rig, sample speech and trained weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

ASSETS = Path(__file__).parent
"""The folder of the built-in files."""


def asset_hashes() -> dict[str, str]:
    """SHA-256 of every built-in file by its path under ASSETS, as they were when the package was made."""
    return cast("dict[str, str]", json.loads((ASSETS / "hashes.json").read_text(encoding="utf-8")))
