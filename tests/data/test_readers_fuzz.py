"""Damaged bytes of every format that users bring: an answer or a named error, in little memory, and never a traceback."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emovoca_cli.arrays import Npz, map_npy, read_npy
from emovoca_cli.audio.io import load_speech
from emovoca_cli.data.arkit.gltf_rig import read_gltf_rig
from emovoca_cli.data.restricted import load_npy, load_pickle
from emovoca_cli.data.torch_file import load_torch_state
from emovoca_cli.errors import EmovocaError
from emovoca_cli.mesh.io import read_mesh, write_mesh
from tests.data.arkit.test_rigs import small_glb
from tests.helpers import peak_memory
from tests.mesh.meshes import grid

pytestmark = pytest.mark.unit
Reader = Callable[[Path], Any]


def seeds(folder: Path) -> dict[str, tuple[bytes, Reader]]:
    """A small whole file of each format, and its reader."""
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    mixed = {"a": array, "s": scipy.sparse.csc_matrix(np.eye(3)), "o": np.array([1, "x"], object), "t": ("y", {1}, np.float64(2))}
    state = {"w": torch.ones(3, 2), "n": {"b": torch.arange(4)}}
    files: dict[str, tuple[bytes, Reader]] = {}
    for protocol in (0, 2, 5):
        files[f"p{protocol}.pkl"] = pickle.dumps(mixed, protocol), load_pickle
    for name, saved in (("a.npy", array), ("o.npy", np.array([{"k": array}], object))):
        stream = io.BytesIO()
        np.save(stream, saved, allow_pickle=True)
        files[name] = stream.getvalue(), load_npy
    files["r.npy"] = files["a.npy"][0], read_npy
    files["m.npy"] = files["a.npy"][0], map_npy
    for name, save in (("a.npz", np.savez), ("c.npz", np.savez_compressed)):
        stream = io.BytesIO()
        save(stream, x=array, y=np.array("text"))
        files[name] = stream.getvalue(), every
    for name, new in (("z.pt", True), ("l.pt", False)):
        stream = io.BytesIO()
        torch.save(state, stream, _use_new_zipfile_serialization=new)
        files[name] = stream.getvalue(), lambda path: dict(load_torch_state(path))
    for name in ("a.ply", "a.obj"):
        write_mesh(folder / name, *grid(3, 3))
        files[name] = (folder / name).read_bytes(), read_mesh
    glb, path = small_glb(folder)
    files["a.glb"] = glb.write(path).read_bytes(), read_gltf_rig
    for name, rate in (("a.wav", 16000), ("a.flac", 22050), ("a.ogg", 16000)):
        soundfile.write(folder / name, 0.3 * np.sin(np.arange(rate // 4) / 5), rate)
        files[name] = (folder / name).read_bytes(), load_speech
    return files


def every(path: Path) -> dict[str, Any]:
    with Npz(path) as data:
        return dict(data)


NAMES = [
    "p0.pkl", "p2.pkl", "p5.pkl", "a.npy", "o.npy", "r.npy", "m.npy", "a.npz", "c.npz", "z.pt", "l.pt", "a.ply", "a.obj", "a.glb",
    "a.wav", "a.flac", "a.ogg",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[bytes, Reader]]]:
    folder = tmp_path_factory.mktemp("seeds")
    return folder, seeds(folder)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_bytes_are_named_errors(whole: tuple[Path, dict[str, tuple[bytes, Reader]]], name: str) -> None:
    folder, files = whole
    content, read = files[name]
    path = folder / f"damaged-{name}"
    edits = st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)

    @given(edits=edits, cut=st.one_of(st.none(), st.integers(0, len(content))))
    @settings(max_examples=60, database=None)
    def damage(edits: list[tuple[int, int]], cut: int | None) -> None:
        broken = bytearray(content)
        for place, value in edits:
            broken[place] = value
        path.write_bytes(broken[:cut])
        with peak_memory() as peak:
            try:
                read(path)
            except EmovocaError as error:
                said = str(error)
            else:
                said = ""
        assert "\n" not in said
        assert not said or path.name in said
        assert peak() < 1 << 26

    damage()
