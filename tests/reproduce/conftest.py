"""Toy data once for all tests of this folder, and a cache of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emovoca_cli.data.store import Store
from tests.reproduce.fakes import write_data


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOVOCA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    return write_data(tmp_path_factory.mktemp("toy"))
