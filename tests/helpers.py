"""What several tests need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_data() -> Path:
    """The folder of real meshes, speech and parity answers, or a skip with the reason.

    Looked for in the environment variable EMOVOCA_TEST_DATA, then beside the checkout.
    """
    named = os.environ.get("EMOVOCA_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real sample data is not here: set EMOVOCA_TEST_DATA to its folder")
    return folder
