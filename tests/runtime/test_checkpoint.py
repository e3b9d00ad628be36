"""Model folders: what comes back, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from emovoca_cli.errors import CheckpointError, DeviceError, UsageError
from emovoca_cli.runtime.checkpoint import CONFIG, MODEL, find_checkpoint, load_checkpoint, save_checkpoint
from emovoca_cli.runtime.device import pick_device

pytestmark = pytest.mark.unit


def save(folder: Path, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    model.register_buffer("scale", torch.tensor(0.00145))
    (folder / "template.npz").parent.mkdir(exist_ok=True)
    (folder / "template.npz").write_bytes(b"stands for a template")
    values: dict[str, Any] = {"kind": "toy", "config": {"size": 3}, "licence": "MIT", "provenance": {"seed": 0}} | changes
    save_checkpoint(folder, state=model.state_dict(), **values)
    return model


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    model = save(tmp_path)
    loaded = load_checkpoint(tmp_path, kind="toy")
    assert (loaded.config, loaded.licence, loaded.provenance) == ({"size": 3}, "MIT", {"seed": 0})
    assert all(torch.equal(loaded.state[name], value) for name, value in model.state_dict().items())


def test_half_storage_halves_the_weights_keeps_scalars_and_loads_as_float32(tmp_path: Path) -> None:
    model = save(tmp_path, half=True)
    state = load_checkpoint(tmp_path, kind="toy").state
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert torch.equal(state["scale"], model.scale)
    assert torch.equal(state["weight"], model.weight.half().float())
    assert not torch.equal(state["weight"], model.weight)


def change_config(folder: Path, **changes: Any) -> None:
    head = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(
        json.dumps({name: value for name, value in {**head, **changes}.items() if value is not None}), encoding="utf-8"
    )


def test_bad_folders_are_named(tmp_path: Path) -> None:
    save(tmp_path)
    with pytest.raises(CheckpointError, match="is a model of kind 'toy', expected 'desd'"):
        load_checkpoint(tmp_path, kind="desd")
    change_config(tmp_path, schema=99)
    with pytest.raises(CheckpointError, match="checkpoint schema 99, this version reads up to 1; update emovoca"):
        load_checkpoint(tmp_path, kind="toy")
    change_config(tmp_path, schema=1, licence=None)
    with pytest.raises(CheckpointError, match="misses licence"):
        load_checkpoint(tmp_path, kind="toy")
    (tmp_path / CONFIG).write_text("[1", encoding="utf-8")
    with pytest.raises(CheckpointError, match="not readable JSON"):
        load_checkpoint(tmp_path, kind="toy")


@pytest.mark.parametrize("name", [MODEL, "template.npz"])
def test_missing_and_changed_files_are_named(tmp_path: Path, name: str) -> None:
    save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=f"{name} is damaged"):
        load_checkpoint(tmp_path, kind="toy")
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=f"misses {name}"):
        load_checkpoint(tmp_path, kind="toy")


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    save(tmp_path)
    loaded = load_checkpoint(tmp_path, kind="toy")
    with pytest.raises(CheckpointError, match="unknown weight 'scale'"):
        loaded.load_into(nn.Linear(3, 2))
    wider = nn.Linear(4, 2)
    wider.register_buffer("scale", torch.tensor(1.0))
    with pytest.raises(CheckpointError, match=r"'weight' has shape \(2, 3\), expected \(2, 4\)"):
        loaded.load_into(wider)


def test_no_model_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model 'nowhere'"):
        find_checkpoint("nowhere")
    with pytest.raises(UsageError, match=f"is a folder without {CONFIG}"):
        find_checkpoint(tmp_path)


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")
    with pytest.raises(UsageError, match="unknown device 'gpu9'"):
        pick_device("gpu9")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no CUDA device is usable here"):
            pick_device("cuda")
