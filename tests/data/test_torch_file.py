"""torch's files read as data: equal to what torch reads, lazily, and never run."""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emovoca_cli.data import torch_file
from emovoca_cli.data.torch_file import load_torch_state
from emovoca_cli.errors import DataError, UsageError
from tests.helpers import peak_memory

pytestmark = pytest.mark.unit
FORMATS = {"zip": True, "legacy": False}


class Call:
    """Pickles to a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.parts


def saved(path: Path, content: Any, how: str) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=FORMATS[how])
    return path


def tensors() -> dict[str, torch.Tensor]:
    base = torch.arange(24, dtype=torch.float32)
    return {
        "plain": torch.randn(3, 4),
        "turned": torch.randn(3, 4).t(),
        "slice": base[5:17].view(3, 4)[:, 1:3],
        "same_storage": base,
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "half": torch.randn(2).half(),
        "whole": torch.tensor([1, -(2**40)]),
        "flags": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }


@pytest.mark.parametrize("how", FORMATS)
def test_tensors_come_back_as_torch_reads_them(tmp_path: Path, how: str) -> None:
    state = tensors()
    path = saved(tmp_path / "model.tar", {"epoch": np.float64(3), "autoencoder_state_dict": OrderedDict(state)}, how)
    read = load_torch_state(path, "autoencoder_state_dict")
    assert list(read) == list(state)
    for name, tensor in state.items():
        value = tensor.detach().numpy()
        assert read[name].dtype == value.dtype
        assert read.shapes[name] == value.shape
        np.testing.assert_array_equal(read[name], value)
        assert read[name].flags.writeable


@pytest.mark.parametrize("how", FORMATS)
def test_a_modules_own_state_dict_is_read_whole(tmp_path: Path, how: str) -> None:
    layer = torch.nn.Linear(3, 2)
    read = load_torch_state(saved(tmp_path / "model.pth", layer.state_dict(), how))
    np.testing.assert_array_equal(read["weight"], layer.weight.detach().numpy())


@pytest.mark.parametrize("how", FORMATS)
def test_what_nobody_asks_for_takes_no_memory(tmp_path: Path, how: str) -> None:
    content = {"state": {"w": torch.ones(2)}, "optimizer_state_dict": {"moments": torch.zeros(4_000_000)}}
    path = saved(tmp_path / "model.tar", content, how)
    load_torch_state(path, "state")["w"]  # imports what it needs
    tracemalloc.start()
    np.testing.assert_array_equal(load_torch_state(path, "state")["w"], [1, 1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Call(os.system, "echo owned > owned"), "posix.system"),
        (Call(eval, "1"), "builtins.eval"),
        (Call(bytearray, 1 << 40), "builtins.bytearray"),
        (Call(np.zeros, 1 << 40), "numpy.zeros"),
        (np.zeros(3), "numpy.core.multiarray._reconstruct"),
        (Call(torch.load, "other"), "torch.serialization.load"),
    ],
)
def test_anything_else_is_refused_by_name_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, call: Any, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path / "evil.tar", {"autoencoder_state_dict": {"w": torch.ones(2)}, "epoch": call}, how)
    with pytest.raises(DataError, match=r"was refused: it asks to run \S+; only tensors") as caught:
        load_torch_state(path, "autoencoder_state_dict")
    asked = (
        str(caught.value)
        .split("asks to run ")[1]
        .split(";")[0]
        .replace("numpy._core", "numpy.core")
        .replace("__builtin__", "builtins")
    )
    assert asked.replace("nt.", "posix.") == name
    assert sorted(os.listdir()) == ["evil.tar"]


def forged(path: Path, head: bytes, numbers: bytes = b"\0" * 16, compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip file in torch's layout with any pickle."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", head)
        archive.writestr("archive/data/0", numbers)
    return path


def forged_tensor(numel: int, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """The pickle of {"w": tensor} with any promises."""

    class Forger(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", numel) if isinstance(obj, Here) else None

    class Here:
        pass

    stream = io.BytesIO()
    Forger(stream, 2).dump({"w": Call(torch._utils._rebuild_tensor_v2, Here(), offset, shape, stride, False, OrderedDict())})
    return stream.getvalue()


def test_a_forged_tensor_that_keeps_its_promises_is_read(tmp_path: Path) -> None:
    path = forged(tmp_path / "fine.pt", forged_tensor(4, (2, 2), (2, 1)), struct.pack("<4f", 1, 2, 3, 4))
    np.testing.assert_array_equal(load_torch_state(path)["w"], [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ((1 << 40, (1 << 40,), (1,)), "promises 4398046511104 bytes and has 16"),
        ((4, (1 << 40,), (0,)), "does not fit its 4 stored numbers"),
        ((4, (2, 2), (3, 1)), "does not fit its 4 stored numbers"),
        ((4, (2,), (1,), 3), "does not fit its 4 stored numbers"),
        ((4, (-1, 4), (1, 1)), "has no plain shape"),
        ((4, (2,), (-1,), 1), "has no plain shape"),
        ((4, (2, 2), (1,)), "has no plain shape"),
    ],
)
def test_promises_are_checked_before_memory_is_taken(tmp_path: Path, promise: tuple[Any, ...], message: str) -> None:
    path = forged(tmp_path / "forged.pt", forged_tensor(*promise))
    with pytest.raises(DataError, match=message):
        load_torch_state(path)


def test_compressed_and_endless_pickles_are_refused(tmp_path: Path) -> None:
    bomb = forged(tmp_path / "bomb.pt", forged_tensor(1 << 24, (1 << 24,), (1,)), b"\0" * (1 << 26), zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(DataError, match="compressed"):
        load_torch_state(bomb)
    far = forged(tmp_path / "memo.pt", b"\x80\x02}r\xff\xff\xff\xef.")  # names its first part number 4,026,531,839
    long = forged(tmp_path / "long.pt", b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"ab.")
    for path in (far, long):
        with peak_memory() as peak, pytest.raises(DataError, match=r"holds no tensors|is not a readable checkpoint"):
            load_torch_state(path)
        assert peak() < 1 << 22


@pytest.mark.parametrize("how", FORMATS)
def test_a_pickle_longer_than_any_checkpoints_is_refused(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "model.tar", {"w": torch.ones(2), "note": "x" * 50_000}, how)
    assert load_torch_state(path)["w"].tolist() == [1, 1]
    monkeypatch.setattr(torch_file, "LARGEST_PICKLE", 20_000)
    with pytest.raises(DataError, match="has a pickle of more than 0 MB"):
        load_torch_state(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x02}.", b"\x80\x02N.", pickle.dumps(np.zeros(9))])
def test_what_is_not_a_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tar"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_torch_state(path)


@pytest.mark.parametrize("how", FORMATS)
def test_cut_off_files_are_refused(tmp_path: Path, how: str) -> None:
    path = saved(tmp_path / "model.tar", {"w": torch.ones(1000)}, how)
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.95):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError, match=re.escape(str(path))):
            load_torch_state(path)["w"]


def test_a_missing_file_entry_or_tensor_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_torch_state(tmp_path / "none")
    path = saved(tmp_path / "model.tar", {"epoch": 3, "state_dict": {"note": "nothing"}}, "zip")
    with pytest.raises(DataError, match="has no autoencoder_state_dict; it holds epoch, state_dict"):
        load_torch_state(path, "autoencoder_state_dict")
    with pytest.raises(DataError, match="holds no tensors under state_dict"):
        load_torch_state(path, "state_dict")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(DataError, match="not of torch"):
        load_torch_state(tmp_path / "other.zip")
