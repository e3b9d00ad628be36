"""The built-in files are the ones whose hashes ship."""

from __future__ import annotations

import pytest

from emovoca_cli.assets import ASSETS, asset_files, asset_hashes
from emovoca_cli.files import hash_file

pytestmark = pytest.mark.unit


def test_every_built_in_file_has_its_hash_and_no_other_is_listed() -> None:
    assert {path.relative_to(ASSETS).as_posix(): hash_file(path) for path in asset_files()} == asset_hashes()


def test_weights_stay_small() -> None:
    weights = sum(path.stat().st_size for path in asset_files() if path.parent.name in {"desd", "s2l", "s2d", "faceformer"})
    assert 0 < weights < 15e6
    assert sum(path.stat().st_size for path in asset_files()) < 25e6
