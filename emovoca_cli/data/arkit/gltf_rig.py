"""A character in glTF with ARKit-named morph targets, as a raw rig: every triangle mesh of its scene, at rest, in world axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.data.arkit.gltf import Gltf, read_gltf
from emovoca_cli.data.arkit.names import map_names
from emovoca_cli.data.arkit.source import RawRig, check_shapes, stacked, weld
from emovoca_cli.errors import DataError
from emovoca_cli.files import hash_file
from emovoca_cli.types import Float

SUFFIXES = (".glb", ".gltf", ".vrm")
MOST_VERTICES = 2_000_000
_DEEPEST = 256
Matrix = NDArray[np.float64]


@dataclass
class _Pile:
    """Meshes as they are gathered."""

    vertices: list[Float] = field(default_factory=list)
    faces: list[NDArray[np.int64]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    shapes: list[Mapping[str, Float]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    count: int = 0


def read_gltf_rig(path: Path, *, need_shapes: bool = True) -> RawRig:
    """Read a .glb or .gltf. Raises UsageError or DataError, which says what the file lacks.

    All meshes of the default scene are taken with their nodes' transforms, skinned ones as their skeleton rests; vertices that
    texture seams doubled are joined. Sparse and plain accessors, several meshes and several primitives are read. Without
    `need_shapes` a mesh that has no ARKit-named ones is read too.
    """
    gltf = read_gltf(path)
    worlds = _worlds(gltf)
    pile = _Pile()
    for node, world in worlds.items():
        if "mesh" in gltf.items("nodes")[node]:
            _take(gltf, node, world, worlds, pile)
    if not pile.count:
        raise DataError(f"{path} has no triangle mesh in its scene; export the character with its face")
    present = {name for shapes in pile.shapes for name in shapes}
    if need_shapes:
        check_shapes(dict.fromkeys(present), str(path))
    vertices = np.concatenate(pile.vertices)
    shapes = {
        name: np.concatenate([part.get(name, np.zeros_like(rest)) for part, rest in zip(pile.shapes, pile.vertices, strict=True)])
        for name in sorted(present)
    }
    faces = np.concatenate(pile.faces)
    labels = np.repeat(np.array(pile.labels, np.int64), [len(block) for block in pile.faces])
    keep, joined, chosen = weld(vertices, faces, stacked(shapes, len(vertices)))
    owner = gltf.json["asset"].get("copyright")
    unknown = list(dict.fromkeys(pile.unknown))
    notes = [f"left out {len(unknown)} shapes that are not among ARKit's 52: {', '.join(unknown[:8])}"] if unknown else []
    return RawRig(
        name=path.stem,
        vertices=vertices[keep],
        faces=joined,
        shapes=MappingProxyType({name: delta[keep] for name, delta in shapes.items()}),
        identities=np.zeros((0, len(keep), 3), np.float32),
        labels=labels[chosen].astype(np.int32),
        label_names=tuple(pile.names),
        landmarks=None,
        licence=f"as the file says: {owner}" if isinstance(owner, str) and owner else "unknown (the file names none)",
        content_hash=hash_file(path),
        notes=tuple(notes),
    )


def _take(gltf: Gltf, node: int, world: Matrix, worlds: Mapping[int, Matrix], pile: _Pile) -> None:
    """Add a node's mesh to the pile."""
    row = gltf.items("nodes")[node]
    mesh = gltf.item("meshes", row["mesh"])
    primitives = mesh.get("primitives")
    if not isinstance(primitives, list) or not all(isinstance(one, dict) for one in primitives):
        raise DataError(f"{gltf.path}: meshes[{row['mesh']}] has no primitives; export it again")
    for primitive in primitives:
        if primitive.get("mode", 4) != 4:
            continue
        attributes = primitive.get("attributes", {})
        rest = gltf.array(attributes.get("POSITION"), 3).astype(np.float64)
        if pile.count + len(rest) > MOST_VERTICES:
            raise DataError(f"{gltf.path} has more than {MOST_VERTICES} vertices; export the head alone")
        turn = _skinning(gltf, row, attributes, len(rest), worlds) if "skin" in row else np.broadcast_to(world, (len(rest), 4, 4))
        if "indices" in primitive:
            corners = gltf.array(primitive["indices"], 1)[:, 0].astype(np.int64)
        else:
            corners = np.arange(len(rest), dtype=np.int64)
        if len(corners) % 3 or (len(corners) and corners.max() >= len(rest)):
            raise DataError(f"{gltf.path}: a primitive of meshes[{row['mesh']}] has corners that are no triangles of its vertices")
        shapes = _targets(gltf, mesh, primitive, len(rest), pile)
        pile.vertices.append((np.einsum("vij,vj->vi", turn[:, :3, :3], rest) + turn[:, :3, 3]).astype(np.float32))
        pile.shapes.append(
            {name: np.einsum("vij,vj->vi", turn[:, :3, :3], delta).astype(np.float32) for name, delta in shapes.items()}
        )
        pile.faces.append(corners.reshape(-1, 3) + pile.count)
        pile.labels.append(len(pile.names))
        pile.names.append(_label(gltf, row, mesh, primitive))
        pile.count += len(rest)


def _targets(gltf: Gltf, mesh: Mapping[str, Any], primitive: Mapping[str, Any], count: int, pile: _Pile) -> dict[str, Matrix]:
    """ARKit name -> displacement (V,3) of a primitive's morph targets."""
    targets = primitive.get("targets", [])
    if not targets:
        return {}
    listed: list[Any] = next(
        (
            extras["targetNames"]
            for extras in (mesh.get("extras"), primitive.get("extras"))
            if isinstance(extras, dict) and isinstance(extras.get("targetNames"), list)
        ),
        [],
    )
    if not isinstance(targets, list) or len(listed) != len(targets):
        raise DataError(
            f"{gltf.path}: a mesh has {len(targets)} morph targets and {len(listed)} names (extras.targetNames); "
            "export it with the names of its shape keys"
        )
    names, unknown = map_names(map(str, listed))
    pile.unknown.extend(unknown)
    shapes: dict[str, Matrix] = {}
    for name, parts in names.items():
        total = np.zeros((count, 3))
        for part in parts:
            target = targets[list(map(str, listed)).index(part)]
            if isinstance(target, dict) and "POSITION" in target:
                delta = gltf.array(target["POSITION"], 3)
                if len(delta) != count:
                    raise DataError(f"{gltf.path}: the shape {part} has {len(delta)} vertices, its mesh {count}; export it again")
                total += delta
        shapes[name] = total
    return shapes


def _skinning(
    gltf: Gltf, node: Mapping[str, Any], attributes: Mapping[str, Any], count: int, worlds: Mapping[int, Matrix]
) -> Matrix:
    """What the resting skeleton does to each vertex: (V,4,4)."""
    skin = gltf.item("skins", node["skin"])
    joints = skin.get("joints")
    if not isinstance(joints, list) or not joints:
        raise DataError(f"{gltf.path}: skins[{node['skin']}] has no joints; export it again")
    inverse = np.broadcast_to(np.eye(4), (len(joints), 4, 4))
    if "inverseBindMatrices" in skin:
        inverse = gltf.array(skin["inverseBindMatrices"], 16).astype(np.float64).reshape(-1, 4, 4).transpose(0, 2, 1)
    if len(inverse) < len(joints):
        raise DataError(f"{gltf.path}: skins[{node['skin']}] has {len(inverse)} matrices for {len(joints)} joints; export it again")
    bones = np.stack([worlds.get(joint, np.eye(4)) @ inverse[index] for index, joint in enumerate(joints)])
    total, weight_sum = np.zeros((count, 4, 4)), np.zeros(count)
    for group in range(8):
        if f"JOINTS_{group}" not in attributes or f"WEIGHTS_{group}" not in attributes:
            break
        which = gltf.array(attributes[f"JOINTS_{group}"], 4).astype(np.int64)
        weights = gltf.array(attributes[f"WEIGHTS_{group}"], 4).astype(np.float64)
        if len(which) != count or len(weights) != count or (len(which) and which.max() >= len(joints)):
            raise DataError(f"{gltf.path}: the skinning of a mesh does not fit its {count} vertices; export it again")
        for column in range(4):
            total += weights[:, column, None, None] * bones[which[:, column]]
            weight_sum += weights[:, column]
    total[weight_sum <= 1e-6] = np.eye(4)
    good = weight_sum > 1e-6
    total[good] /= weight_sum[good, None, None]
    return total


def _worlds(gltf: Gltf) -> dict[int, Matrix]:
    """World matrix (4,4) of each node of the default scene (of all nodes, where the file has no scene)."""
    nodes = gltf.items("nodes")
    children = {child for node in nodes for child in node.get("children", []) if isinstance(child, int)}
    roots: list[Any] = [index for index in range(len(nodes)) if index not in children]
    if gltf.items("scenes"):
        roots = list(gltf.item("scenes", gltf.json.get("scene", 0)).get("nodes", []))
    return dict(_walk(gltf, roots))


def _walk(gltf: Gltf, roots: list[Any]) -> Iterator[tuple[int, Matrix]]:
    """Nodes from the roots down with their matrices, each node once."""
    seen: set[int] = set()
    waiting = [(root, np.eye(4), 0) for root in reversed(roots)]
    while waiting:
        index, above, depth = waiting.pop()
        node = gltf.item("nodes", index)
        if index in seen or depth > _DEEPEST:
            raise DataError(f"{gltf.path}: its nodes do not form a tree (node {index}); export it again")
        seen.add(index)
        world = above @ _local(gltf, node)
        yield index, world
        waiting.extend((child, world, depth + 1) for child in reversed(node.get("children", [])))


def _local(gltf: Gltf, node: Mapping[str, Any]) -> Matrix:
    """A node's own matrix (4,4): as given, or from translation, rotation (x, y, z, w) and scale."""

    def numbers(key: str, default: tuple[float, ...]) -> Matrix:
        value = np.asarray(node.get(key, default), np.float64)
        if value.shape != (len(default),) or not np.isfinite(value).all():
            raise DataError(f"{gltf.path}: a node's {key} is {node.get(key)!r}, expected {len(default)} numbers")
        return value

    try:
        if "matrix" in node:
            return numbers("matrix", (0.0,) * 16).reshape(4, 4).T
        move, size = numbers("translation", (0.0,) * 3), numbers("scale", (1.0,) * 3)
        x, y, z, w = numbers("rotation", (0.0, 0.0, 0.0, 1.0))
    except (TypeError, ValueError) as error:
        raise DataError(f"{gltf.path}: a node's transform is not numbers ({error}); export it again") from error
    out = np.eye(4)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    out[:3, :3] = turn * size
    out[:3, 3] = move
    return out


def _label(gltf: Gltf, node: Mapping[str, Any], mesh: Mapping[str, Any], primitive: Mapping[str, Any]) -> str:
    material = primitive.get("material")
    words = [node.get("name"), mesh.get("name"), gltf.item("materials", material).get("name") if material is not None else None]
    return "/".join(str(word) for word in words if word)
