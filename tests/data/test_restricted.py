"""Pickles read as data, never run."""

from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from emovoca_cli.data.restricted import load_npy, load_pickle
from emovoca_cli.errors import DataError, UsageError
from tests.helpers import peak_memory, shared_data

pytestmark = pytest.mark.unit


class Call:
    """Pickles to a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.parts


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_come_back_from_every_protocol(tmp_path: Path, protocol: int) -> None:
    content = {
        "whole": np.arange(6, dtype=np.int16).reshape(2, 3),
        "fortran": np.asfortranarray(np.random.default_rng(0).normal(size=(3, 2))),
        "scalar": np.float32(1.5),
        "text": np.array(["a", "bcd"]),
        "objects": np.array([1, "x", None], dtype=object),
        "sparse": [
            kind(np.diag([1.0, 2.0])) for kind in (scipy.sparse.csc_matrix, scipy.sparse.csr_matrix, scipy.sparse.coo_matrix)
        ],
        "plain": [1, 2.5, True, None, (1, 2), {"k": {3}}, b"\xff\0", collections.OrderedDict(a=1), 1 << 80, 1 + 2j],
    }
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    read = load_pickle(path)
    for name in ("whole", "fortran", "text", "objects"):
        np.testing.assert_array_equal(read[name], content[name])
        assert read[name].dtype == content[name].dtype
    assert read["scalar"] == np.float32(1.5)
    assert read["plain"] == content["plain"]
    for matrix in read["sparse"]:
        np.testing.assert_array_equal(matrix.toarray(), np.diag([1.0, 2.0]))


def test_python_2_pickles_are_read() -> None:
    folder = shared_data() / "emovoca_release" / "template"
    release = load_pickle(folder / "downsampling_matrices.pkl")
    assert sorted(release) == ["A", "D", "F", "M_verts_faces", "U"]
    assert [matrix.shape for matrix in release["U"]] == [(5023, 1256), (1256, 314), (314, 79), (79, 20)]
    np.testing.assert_allclose(np.asarray(release["D"][0].sum(axis=1)), 1)
    assert load_pickle(folder / "flame_static_embedding.pkl")["lmk_b_coords"].shape == (51, 3)
    assert np.shape(load_npy(folder / "flame_dynamic_embedding.npy")[()]["lmk_face_idx"]) == (79, 17)
    np.testing.assert_array_equal(load_npy(folder / "Normalized_d_weights.npy"), np.load(folder / "Normalized_d_weights.npy"))


def test_a_pickle_of_python_2_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    path.write_bytes(b"c__builtin__\nset\n((lp0\nS'caf\\xe9'\naI3L\natR.".replace(b"I3L", b"L3L"))
    assert load_pickle(path) == {"caf\u00e9", 3}


EVIL = {
    f"{os.system.__module__}.system": Call(os.system, "echo owned > owned"),
    "builtins.eval": Call(eval, "1"),
    "builtins.getattr": Call(getattr, "x", "upper"),
    "numpy.load": Call(np.load, "x.npy", None, True),
    "pickle.loads": Call(pickle.loads, b"N."),
    "collections.Counter": collections.Counter("ab"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", sorted(EVIL))
def test_anything_else_is_refused_by_name_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"innocent": 1, "other": [EVIL[name]]}, protocol, fix_imports=False))
    # Numpy and pickle name some functions by an inner module; the last part and the package stay.
    with pytest.raises(DataError, match=r"was refused: it asks to run \S+; only NumPy") as caught:
        load_pickle(path)
    asked = str(caught.value).split("asks to run ")[1].split(";")[0]
    assert asked.split(".")[0].strip("_") == name.split(".", maxsplit=1)[0].strip("_")
    assert asked.split(".")[-1] == name.rsplit(".", maxsplit=1)[-1]
    assert sorted(os.listdir()) == ["evil.pkl"]


def test_the_message_for_os_system_is_one_line_with_the_name(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"cos\nsystem\n(S'echo owned'\ntR.")
    with pytest.raises(DataError) as caught:
        load_pickle(path)
    assert (
        str(caught.value)
        == f"{path} was refused: it asks to run os.system; only NumPy and SciPy arrays and plain containers are read"
    )


def old(name: str, *parts: bytes) -> bytes:
    """A pickle of protocol 0 that calls a name with parts."""
    module, _, function = name.rpartition(".")
    return f"c{module}\n{function}\n(".encode() + b"".join(parts) + b"tR"


REAL = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
FLOAT = old("numpy.dtype", b"S'f8'\n", b"I0\n", b"I1\n") + b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
OBJECT = old("numpy.dtype", b"S'O8'\n", b"I0\n", b"I1\n") + b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"
CLAIMS = {
    "bytearray": (pickle.dumps(Call(bytearray, 1 << 40), 2), "asks to run builtins.bytearray of length 1099511627776"),
    "bytes": (pickle.dumps(Call(bytes, 1 << 40), 2), "asks to run builtins.bytes of length"),
    "list": (pickle.dumps(Call(list, Call(range, 0, 1 << 60)), 2), "asks to run builtins.list"),
    "set": (pickle.dumps(Call(set, Call(range, 0, 1 << 40)), 2), "asks to run builtins.set of 1099511627776 bytes or values"),
    "endless": (pickle.dumps(Call(set, Call(range, -(1 << 70), 0)), 2), "is not a readable pickle"),
    "long bytes": (b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"ab.", "is not a readable pickle"),
    "long text": (b"\x80\x04\x8d" + (1 << 40).to_bytes(8, "little") + b"ab.", "is not a readable pickle"),
    "long bytearray": (b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"ab.", "is not a readable pickle"),
    "long frame": (b"\x80\x04\x95" + (1 << 40).to_bytes(8, "little") + b"ab.", "is not a readable pickle"),
    "far part": (b"\x80\x02}r\xff\xff\xff\xef(Nj\xff\xff\xff\x0fs.", "is not a readable pickle"),
    "array": (REAL.replace(b"(I0\nt", b"(L1099511627776L\nt") + b".", "_reconstruct of numpy.ndarray with shape"),
    "array called": (old("numpy.ndarray", b"(L1099511627776L\nt") + b".", "asks to run numpy.ndarray with 1 values"),
    "filled": (REAL + b"(I1\n(L1099511627776L\nt" + FLOAT + b"I0\nS'12345678'\ntb.", "promises 8796093022208 bytes and has 8"),
    "objects": (REAL + b"(I1\n(L1099511627776L\nt" + OBJECT + b"I0\n(lNatb.", "another number of them than its shape"),
    "pointers": (REAL + b"(I1\n(I1\nt" + OBJECT + b"I0\nS'12345678'\ntb.", "another number of them than its shape"),
    "type": (old("numpy.dtype", b"S'V99999999999'\n") + b".", "asks to run numpy.dtype of 'V99999999999'"),
    "nothing": (
        REAL + b"(I1\n(L1099511627776L\nt" + FLOAT.replace(b"'f8'", b"'S0'") + b"I0\nS''\ntb.", "promises 0 bytes and has 0",
    ),
    "scalar": (
        old("numpy.core.multiarray.scalar", FLOAT.replace(b"'f8'", b"'S99999999'"), b"S'1'\n") + b".", "with 1 bytes",
    ),
    "object scalar": (old("numpy.core.multiarray.scalar", OBJECT, b"S'12345678'\n") + b".", "multiarray.scalar of object"),
    "sparse called": (
        pickle.dumps(Call(scipy.sparse.csr_matrix, (1 << 24, 1)), 2), r"asks to run scipy.sparse.csr_matrix with 1 values",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_lengths_that_are_only_claimed_take_no_memory(tmp_path: Path, name: str) -> None:
    content, said = CLAIMS[name]
    path = tmp_path / "evil.pkl"
    path.write_bytes(content)
    with peak_memory() as peak, pytest.raises(DataError, match=said) as caught:
        load_pickle(path)
    assert "\n" not in str(caught.value)
    assert peak() < 1 << 24


def test_plain_lengths_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    for protocol in (2, 5):
        path.write_bytes(pickle.dumps([b"", b"x", bytearray(b"yz"), range(1, 9, 2)], protocol))
        assert load_pickle(path) == [b"", b"x", bytearray(b"yz"), range(1, 9, 2)]


def test_copies_of_copies_are_refused(tmp_path: Path) -> None:
    one = b"c__builtin__\nset\n(g0\ntR0"  # a set of the list that part 0 is
    path = tmp_path / "evil.pkl"
    head = b"(l" + b"".join(b"I%d\na" % number for number in range(100_000)) + b"p0\n0"
    path.write_bytes(head + one * 10 + b"N.")
    assert load_pickle(path) is None  # a million values: within the slack
    path.write_bytes(head + one * 1000 + b"N.")
    with peak_memory() as peak, pytest.raises(DataError, match=r"asks to run builtins\.set of 100000 bytes or values, more than"):
        load_pickle(path)
    assert peak() < 1 << 26


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.coo_matrix])
def test_sparse_matrices_that_lie_are_refused(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "evil.pkl"

    def attempt(**lies: Any) -> None:
        matrix = kind(np.diag([1.0, 2.0]))
        matrix.__dict__.update(lies)
        path.write_bytes(pickle.dumps(matrix, 2))
        load_pickle(path)

    attempt()
    with peak_memory() as peak, pytest.raises(DataError, match="a sparse matrix promises 1099511627776 x 2 numbers"):
        attempt(_shape=(1 << 40, 2))
    assert peak() < 1 << 22
    far = np.array([0, 1 << 20], np.int32)
    with pytest.raises(DataError, match="is not a readable pickle"):
        attempt(**({"coords": (far, far), "row": far} if kind is scipy.sparse.coo_matrix else {"indices": far}))
    if kind is not scipy.sparse.coo_matrix:
        with pytest.raises(DataError, match="is not a readable pickle"):
            attempt(indptr=np.array([0, 1, 1 << 20], np.int32))


def test_persistent_references_and_codecs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"Psomewhere\n.")
    with pytest.raises(DataError, match=r"asks to run a persistent reference .'somewhere'."):
        load_pickle(path)
    path.write_bytes(b"c_codecs\nencode\n(Vabc\nVrot13\ntR.")
    with pytest.raises(DataError, match=r"_codecs\.encode with 'rot13'"):
        load_pickle(path)


def test_objects_in_an_npy_are_held_to_the_same_rules(tmp_path: Path) -> None:
    path = tmp_path / "evil.npy"
    np.save(path, np.array([Call(os.system, "echo owned")], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"asks to run \w+.system"):
        load_npy(path)
    np.save(path, np.array([{"a": np.ones(2)}], dtype=object), allow_pickle=True)
    np.testing.assert_array_equal(load_npy(path)[0]["a"], np.ones(2))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04", pickle.dumps(np.zeros(100))[:300]])
def test_what_is_not_a_pickle_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not a readable pickle"):
        load_pickle(path)
    path = tmp_path / "data.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is not an \.npy file"):
        load_npy(path)


def test_missing_files_are_usage_errors(tmp_path: Path) -> None:
    for reader in (load_pickle, load_npy):
        with pytest.raises(UsageError, match="does not exist"):
            reader(tmp_path / "none")
        with pytest.raises(UsageError, match="cannot be read"):
            reader(tmp_path)
