"""What ships inside the package: the head, its rig, sample speech and trained weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

ASSETS = Path(__file__).parent
"""The folder of the built-in files."""

HASHES = "hashes.json"


def asset_files() -> list[Path]:
    """Every built-in file, sorted; the code and the list of hashes itself left out."""
    return sorted(
        path for path in ASSETS.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"} and path.name != HASHES
    )


def asset_hashes() -> dict[str, str]:
    """SHA-256 of every built-in file by its path under ASSETS, as they were when the package was made."""
    return cast("dict[str, str]", json.loads((ASSETS / HASHES).read_text(encoding="utf-8")))
