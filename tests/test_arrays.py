"""Arrays from files: equal to what NumPy reads, and never larger than the file."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emovoca_cli import arrays
from emovoca_cli.arrays import Npz, map_npy, read_npy
from emovoca_cli.data.restricted import load_npy
from emovoca_cli.data.template import load_template
from emovoca_cli.data.vocaset_layouts import map_array
from emovoca_cli.dataset_builder.release_reader import _scalar
from emovoca_cli.demo.arkit_corpus import read_landmarks
from emovoca_cli.errors import DataError, EmovocaError, UsageError
from emovoca_cli.evaluation.faces import load_faces
from emovoca_cli.evaluation.regions import find_region
from emovoca_cli.evaluation.takes import read_take
from emovoca_cli.mesh.hierarchy import Hierarchy
from emovoca_cli.types import Clip
from tests.helpers import peak_memory

pytestmark = pytest.mark.unit
KINDS = {
    "floats": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian": np.arange(5, dtype=">i4"),
    "text": np.array(["a", "bcd"]),
    "empty text": np.array("", dtype=np.str_),
    "nobody": np.zeros((0, 5023, 3), np.float32),
    "one": np.float64(2.5),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_arrays_come_back_as_numpy_reads_them(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, KINDS[kind])
    truth = np.load(path)
    for read in (read_npy, map_npy, load_npy):
        value = read(path)
        assert (value.dtype, value.shape) == (truth.dtype, truth.shape)
        np.testing.assert_array_equal(value, truth)
    assert read_npy(path).flags.writeable
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **{"x/y": KINDS[kind], "other": np.ones(2)})
        with Npz(tmp_path / "a.npz") as data:
            assert list(data) == ["x/y", "other"]
            np.testing.assert_array_equal(data["x/y"], truth)
            assert data["x/y"].dtype == truth.dtype


def promising(shape: tuple[int, ...], kind: str = "<f4", content: bytes = b"\0" * 64) -> bytes:
    """An .npy file whose header promises what it has not."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue() + content


LIES = {
    "huge": promising((1 << 33, 3)),
    "wide": promising((1 << 28,), "<U1000"),
    "over": promising((1 << 32, 1 << 32)),
    "below": promising((-5, 3)),
    "nothing": promising((1 << 40,), "|S0"),
    "objects": promising((1 << 40,), "|O"),
    "cut": promising((17,)),
    "header": promising((4,)).replace(b"descr", b"decor"),
    "version": b"\x93NUMPY\x09\x00" + promising((4,))[8:],
    "word": b"hello",
    "none": b"",
}
READERS: dict[str, Any] = {
    "read_npy": read_npy,
    "map_npy": map_npy,
    "load_npy": load_npy,
    "map_array": map_array,
    "a face": lambda path: load_faces(path, builtin=None, lips=None, upper=None),
    "a take": lambda path: read_take(path, metres=1.0),
    "a region": lambda path: find_region("lips", str(path), {}, 9, owner="nobody"),
    "landmarks": read_landmarks,
    "a label": _scalar,
}


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("lie", sorted(LIES))
def test_a_header_that_lies_is_one_line_before_memory_is_taken(tmp_path: Path, lie: str, reader: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(LIES[lie])
    with peak_memory() as peak, pytest.raises(DataError, match=r"a\.npy") as caught:
        READERS[reader](path)
    assert "\n" not in str(caught.value)
    assert peak() < 1 << 22


def forged(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("load", [Clip.load, load_template, Hierarchy.load])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("lie", sorted(LIES))
def test_members_of_an_npz_are_held_to_the_same(tmp_path: Path, load: Any, compression: int, lie: str) -> None:
    path = forged(tmp_path / "a.npz", dict.fromkeys(("schema", "head"), LIES[lie]), compression)
    with peak_memory() as peak, pytest.raises(DataError, match=r"a\.npz") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert peak() < 1 << 22


def test_an_npz_that_would_unpack_to_more_than_it_may_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = promising((1 << 20,), "<f4", b"\0" * (1 << 22))
    path = forged(tmp_path / "a.npz", {"x": content}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 14
    with Npz(path) as data:
        assert data["x"].shape == (1 << 20,)
    monkeypatch.setattr(arrays, "LARGEST_UNPACKED", 1 << 21)
    with peak_memory() as peak, pytest.raises(DataError, match=r"would unpack to 4,194,\d+ bytes from \d,\d+; it is not an \.npz"):
        Npz(path)
    assert peak() < 1 << 20


def test_a_member_that_ends_early_is_named(tmp_path: Path) -> None:
    path = forged(tmp_path / "a.npz", {"x": promising((1000,), "<f4", b"\1" * 4000)})
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    with Npz(path) as data, pytest.raises(DataError, match=r"a\.npz \(x\) cannot be read \(Bad CRC"):
        data["x"]


def test_missing_files_are_usage_errors(tmp_path: Path) -> None:
    for reader in (read_npy, map_npy, Npz):
        with pytest.raises(UsageError, match="does not exist"):
            reader(tmp_path / "none")
        with pytest.raises(EmovocaError, match="cannot be read"):
            reader(tmp_path)
