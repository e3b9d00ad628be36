"""One small trained model for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from emovoca_cli.data.store import Store
from emovoca_cli.desd.train import DesdTraining, train_desd
from tests.desd.fakes import CONFIG, write_stores


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOVOCA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    return write_stores(tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="session")
def trained(stores: tuple[Store, Store], tmp_path_factory: pytest.TempPathFactory) -> DesdTraining:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    out: Path = tmp_path_factory.mktemp("desd")
    try:
        return train_desd(replace(CONFIG, steps=400, batch=8, lr=1e-2, checkpoint_every=200, log_every=100), *stores, out)
    finally:
        torch.set_num_threads(threads)
