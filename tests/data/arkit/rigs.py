"""The built-in head written as other people's rigs: a FaceXModel folder and a .glb, by writers of their own."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.demo.rig import Rig, load_rig
from emovoca_cli.mesh.landmarks import landmark_points


def truth(rig: Rig) -> NDArray[np.float32]:
    t = rig.template
    return landmark_points(t.vertices, t.faces, t.landmark_faces, t.landmark_weights)


def write_facekit(folder: Path, *, identities: int = 2) -> Path:
    """Centimetres, _L and _R, browInnerUp in halves, one part beside the skin."""
    rig = load_rig()
    folder.mkdir()
    part = rig.template.parts[0]
    count = len(rig.template.vertices)
    faces = np.concatenate([rig.template.faces, part.faces + count])
    rest = np.concatenate([rig.template.vertices, part.vertices])

    def write(name: str, delta: NDArray[Any]) -> None:
        points = (rest + np.concatenate([delta, np.zeros_like(part.vertices)])) * 100
        lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in points.tolist()] + ["usemtl M_Face"]
        lines += [f"f {a + 1}/1 {b + 1}/1 {c + 1}/1" for a, b, c in faces.tolist()]
        (folder / f"{name}.obj").write_text("\n".join(lines) + "\n", encoding="ascii")

    left = (rig.template.vertices[:, :1] > 0).astype(np.float32)
    write("generic_neutral_mesh", np.zeros_like(rig.template.vertices))
    wanted = [
        n for n in ARKIT_NAMES if n.startswith(("jaw", "mouthSmile", "mouthFrown", "mouthPress", "mouthClose", "mouthFunnel"))
    ]
    wanted += ["mouthPucker", "browInnerUp", "browDownLeft", "browDownRight", "browOuterUpLeft", "browOuterUpRight", "eyeBlinkLeft"]
    wanted += ["eyeBlinkRight", "mouthShrugLower", "mouthUpperUpLeft", "mouthUpperUpRight"]
    for name in wanted:
        delta = rig.deltas[ARKIT_INDEX[name]]
        if name == "browInnerUp":
            write("browInnerUp_L", delta * left)
            write("browInnerUp_R", delta * (1 - left))
        elif name.startswith("jaw"):
            write(name, delta)
        else:
            write(name.replace("Left", "_L").replace("Right", "_R"), delta)
    write("PupilDilate_L", np.zeros_like(rig.template.vertices))
    for index in range(identities):
        write(f"identity{index:03d}", rig.template.vertices * np.float32(0.01 * (index + 1)) * [1, 0, 0])
    away = np.linalg.norm(rig.template.vertices[None] - truth(rig)[:, None], axis=2)
    listed = {"idx_to_landmark_verts": away.argmin(axis=1).tolist()}
    (folder / "vertex_indices.json").write_text(json.dumps(listed), encoding="ascii")
    return folder


class Glb:
    """A .glb in the making."""

    def __init__(self) -> None:
        self.data = b""
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0", "copyright": "CC0 test"},
            "buffers": [{}], "bufferViews": [], "accessors": [], "meshes": [], "nodes": [], "materials": [{"name": "Skin"}],
            "scenes": [{"nodes": [0]}], "scene": 0,
        }  # fmt: skip

    def view(self, array: NDArray[Any]) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes})
        self.data += array.tobytes()
        return len(self.json["bufferViews"]) - 1

    def dense(self, array: NDArray[Any], kind: int, shape: str) -> int:
        self.json["accessors"].append({"bufferView": self.view(array), "componentType": kind, "count": len(array), "type": shape})
        return len(self.json["accessors"]) - 1

    def sparse(self, array: NDArray[np.float32]) -> int:
        rows = np.flatnonzero(np.abs(array).max(axis=1) > 0).astype("<u4")
        self.json["accessors"].append(
            {
                "componentType": 5126,
                "count": len(array),
                "type": "VEC3",
                "sparse": {
                    "count": len(rows),
                    "indices": {"bufferView": self.view(rows), "componentType": 5125},
                    "values": {"bufferView": self.view(array[rows].astype("<f4"))},
                },
            }
        )
        return len(self.json["accessors"]) - 1

    def write(self, path: Path) -> Path:
        self.json["buffers"] = [{"byteLength": len(self.data)}]
        head = json.dumps(self.json).encode()
        head += b" " * (-len(head) % 4)
        body = self.data + b"\0" * (-len(self.data) % 4)
        total = 12 + 8 + len(head) + 8 + len(body)
        path.write_bytes(
            struct.pack("<III", 0x46546C67, 2, total)
            + struct.pack("<II", len(head), 0x4E4F534A) + head + struct.pack("<II", len(body), 0x004E4942) + body
        )  # fmt: skip
        return path


def head_glb() -> tuple[Glb, Rig]:
    """The built-in head as two primitives with a doubled seam (x = 0), its parts as meshes without shapes, ten times as large."""
    rig, glb = load_rig(), Glb()
    faces = rig.template.faces
    side = rig.template.vertices[faces].mean(axis=1)[:, 0] > 0
    primitives = []
    for half in (side, ~side):
        used, flat = np.unique(faces[half], return_inverse=True)
        position = glb.dense(rig.template.vertices[used].astype("<f4"), 5126, "VEC3")
        corners = glb.dense(flat.reshape(-1).astype("<u4"), 5125, "SCALAR")
        targets = [
            {"POSITION": glb.sparse(d[used]) if index % 2 else glb.dense(d[used].astype("<f4"), 5126, "VEC3")}
            for index, d in enumerate(rig.deltas)
        ]
        primitives.append({"attributes": {"POSITION": position}, "indices": corners, "targets": targets, "material": 0})
    names = [f"Head.{name.replace('Left', '_L').replace('Right', '_R')}" for name in ARKIT_NAMES]
    glb.json["meshes"].append({"name": "head", "primitives": primitives, "extras": {"targetNames": names}})
    glb.json["nodes"] = [{"children": [1], "scale": [10, 10, 10], "translation": [0, 16, 0]}, {"mesh": 0, "name": "Head"}]
    for part in rig.template.parts:
        position = glb.dense(part.vertices.astype("<f4"), 5126, "VEC3")
        corners = glb.dense(part.faces.reshape(-1).astype("<u4"), 5125, "SCALAR")
        glb.json["meshes"].append({"name": part.name, "primitives": [{"attributes": {"POSITION": position}, "indices": corners}]})
        glb.json["nodes"].append({"mesh": len(glb.json["meshes"]) - 1, "name": part.name})
        glb.json["nodes"][0]["children"].append(len(glb.json["nodes"]) - 1)
    return glb, rig
