"""What several tests need."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """Within it, and after it, gives the most bytes that Python and NumPy held at a time. Memory asked for counts, used or not."""
    most = 0
    tracemalloc.start()
    try:
        yield lambda: most or tracemalloc.get_traced_memory()[1]
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
