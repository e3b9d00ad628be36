"""Reading and writing meshes: order kept, broken files named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.errors import DataError, OutputError, UsageError
from emovoca_cli.mesh import io
from emovoca_cli.mesh.io import read_mesh, write_mesh
from tests.helpers import peak_memory, shared_data
from tests.mesh.meshes import grid

pytestmark = pytest.mark.unit

PLY = """ply
format ascii 1.0
element vertex {vertices}
property float x
property float y
property float z
element face {faces}
property list uchar int vertex_indices
end_header
{body}
"""


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".PLY"])
@pytest.mark.parametrize("colored", [False, True])
def test_what_is_written_comes_back_bit_for_bit_in_the_same_order(tmp_path: Path, suffix: str, colored: bool) -> None:
    random = np.random.default_rng(0)
    _, faces = grid(6, 5)
    vertices = random.normal(size=(31, 3)).astype(np.float32)  # one vertex more than faces use, at the end
    vertices[1] = vertices[0]  # a duplicate that a merging reader would drop
    path = tmp_path / f"mesh{suffix}"
    write_mesh(path, vertices, faces, random.random((31, 3)) if colored else None)
    read, triangles = read_mesh(path)
    assert read.dtype == np.float32
    assert triangles.dtype == np.int32
    np.testing.assert_array_equal(read, vertices)
    np.testing.assert_array_equal(triangles, faces)


def test_obj_with_texture_normals_quads_and_negative_indices_keeps_the_order_of_v_lines(tmp_path: Path) -> None:
    path = tmp_path / "quad.obj"
    path.write_text(
        "# head\nmtllib none.mtl\no face\nv 0 0 0 1 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvn 0 0 1\n"
        "usemtl skin\nf 1/1/1 2/2/1 3/3/1 4/4/1\nusemtl lips\nv 2 2 2\nf 3//1 2//1 -1//1\nf 1/4 3/1 \\\n5/2\n"
    )
    vertices, faces = read_mesh(path)
    np.testing.assert_array_equal(vertices, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 2, 2]])
    np.testing.assert_array_equal(faces, [[0, 1, 2], [0, 2, 3], [2, 1, 4], [0, 2, 4]])


def test_ply_quads_become_two_triangles(tmp_path: Path) -> None:
    path = tmp_path / "quad.ply"
    path.write_text(PLY.format(vertices=4, faces=1, body="0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3"))
    vertices, faces = read_mesh(path)
    assert len(vertices) == 4
    assert {frozenset(face) for face in faces.tolist()} == {frozenset((0, 1, 2)), frozenset((0, 2, 3))}


def test_the_real_meshes_keep_their_order() -> None:
    folder = shared_data()
    vertices, faces = read_mesh(folder / "emovoca_release" / "template" / "FLAME_sample.ply")
    assert vertices.shape == (5023, 3)
    assert faces.shape == (9976, 3)
    vertices, faces = read_mesh(folder / "ict_facekit" / "generic_neutral_mesh.obj")
    with np.load(folder / "ict_facekit" / "ict_facekit.npz") as data:
        np.testing.assert_array_equal(vertices, data["neutral"])
        quads = data["polygons"][:, 3] >= 0
    assert len(faces) == quads.size + quads.sum()


BROKEN = {
    "cloud.ply": (PLY.format(vertices=1, faces=0, body="0 0 0"), DataError, "1 vertices and no faces"),
    "nan.ply": (
        PLY.format(vertices=3, faces=1, body="0 0 0\n1 nan 0\n1 1 0\n3 0 1 2"),
        DataError,
        "non-finite coordinates .first at vertex 1",
    ),
    "far.ply": (
        PLY.format(vertices=3, faces=1, body="0 0 0\n1 0 0\n1 1 0\n3 0 1 7"),
        DataError,
        "face 0 names a vertex outside 0..2",
    ),
    "many.ply": (
        PLY.format(vertices=1 << 40, faces=1, body="0 0 0"),
        DataError,
        "promises vertex 1099511627776 elements",
    ),
    "below.ply": (PLY.format(vertices=-5, faces=1, body="0 0 0"), DataError, "promises vertex -5 elements"),
    "endless.ply": ("ply\nformat ascii 1.0\nelement vertex 3\n", DataError, "its header does not begin with ply or has no end"),
    "text.ply": ("hello", DataError, "not a readable .ply mesh"),
    "empty.ply": ("", DataError, "not a readable .ply mesh"),
    "empty.obj": ("", DataError, "no vertices"),
    "cloud.obj": ("v 0 0 0\n", DataError, "1 vertices and no faces"),
    "inf.obj": ("v 0 0 inf\nv 1 0 0\nv 1 1 0\nf 1 2 3\n", DataError, "non-finite coordinates .first at vertex 0"),
    "zero.obj": ("v 0 0 0\nv 1 0 0\nv 1 1 0\nf 0 1 2\n", DataError, "line 4: a face needs three or more vertices counted from 1"),
    "short.obj": ("v 0 0\n", DataError, "line 1: a vertex needs three numbers"),
    "word.obj": ("v a b c\n", DataError, "not a readable .obj mesh"),
    "back.obj": ("v 0 0 0\nv 1 0 0\nf 1 2 -4\n", DataError, "face 0 names a vertex outside 0..1"),
    "mesh.stl": ("solid", UsageError, "not a mesh format read here; give .ply or .obj"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_file_is_one_clear_line(tmp_path: Path, name: str) -> None:
    text, kind, message = BROKEN[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(kind, match=message) as caught:
        read_mesh(path)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_counts_and_sizes_that_a_file_merely_claims_take_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "ply\nformat binary_little_endian 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\n"
    head += "element face {}\nproperty list {} int vertex_indices\nend_header\n"
    path = tmp_path / "mesh.ply"
    for numbers, body in (
        ((1 << 33, 1, "uchar"), b"\0" * 48),
        ((3, 1 << 33, "uchar"), b"\0" * 48),
        ((1, 1, "uint"), b"\0" * 12 + b"\xff" * 16),  # one face with four billion corners
        ((3, -1, "uchar"), b"\0" * 36),
    ):
        path.write_bytes(head.format(*numbers).encode() + body)
        with peak_memory() as peak, pytest.raises(DataError, match=r"mesh\.ply") as caught:
            read_mesh(path)
        assert "\n" not in str(caught.value)
        assert peak() < 1 << 22
    monkeypatch.setattr(io, "LARGEST_FILE", 40)
    for name in ("mesh.ply", "mesh.obj"):
        (tmp_path / name).write_bytes(b"#" * 41)
        with pytest.raises(DataError, match="at most 0 are read; give a smaller mesh"):
            read_mesh(tmp_path / name)


def test_a_missing_file_and_a_folder_are_usage_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ply", tmp_path):
        with pytest.raises(UsageError, match=r"does not exist; give a \.ply or \.obj mesh"):
            read_mesh(path)


def test_writing_refuses_other_formats_and_places(tmp_path: Path) -> None:
    vertices, faces = grid(2, 2)
    with pytest.raises(UsageError, match=r"should end in \.ply or \.obj"):
        write_mesh(tmp_path / "mesh.stl", vertices, faces)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_mesh(tmp_path / "file" / "mesh.ply", vertices, faces)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]
