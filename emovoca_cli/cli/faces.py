"""Finding the face a command works on: a built-in identity, a file, or the template that a clip belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emovoca_cli.animation.lids import Lids
    from emovoca_cli.types import Clip, Float, MeshTemplate


def builtin_template() -> MeshTemplate:
    """The built-in head with its parts and colours."""
    from emovoca_cli.demo.head import load_head

    return load_head().template


def face_at_rest(name: str | None, template: MeshTemplate) -> tuple[str, Float]:
    """The face (V,3) that speaks: the template's own, a built-in identity by name, or a mesh file of the same topology.

    Returns its name and vertices in metres. Raises UsageError for an unknown name and TopologyError for another topology.
    """
    from emovoca_cli.demo.identities import IDENTITY_NAMES, identity
    from emovoca_cli.errors import UsageError

    if name is None or name == template.name:
        return template.name, template.vertices
    if name in IDENTITY_NAMES:
        if template.topology_hash != builtin_template().topology_hash:
            raise UsageError(
                f"the identity {name} is of the built-in head, the model is of another; give a mesh file of the model's topology"
            )
        return name, identity(name).neutral
    path = Path(name)
    if not path.is_file():
        known = ", ".join([template.name, *IDENTITY_NAMES])
        raise UsageError(f"--template '{name}' is neither a file nor a built-in face (there are: {known})")
    return path.name, read_face(path, template)


def read_face(path: Path, template: MeshTemplate) -> Float:
    """Vertices (V,3) of a mesh file that has the template's topology. Raises TopologyError when it has another."""
    from emovoca_cli.errors import TopologyError
    from emovoca_cli.mesh.io import read_mesh
    from emovoca_cli.types import topology_hash

    vertices, faces = read_mesh(path)
    if topology_hash(len(vertices), faces) != template.topology_hash:
        same_size = len(vertices) == len(template.vertices) and len(faces) == len(template.faces)
        why = "the same counts, but other faces: was it re-ordered by the program that saved it?" if same_size else (
            f"{len(vertices)} vertices and {len(faces)} faces, expected {len(template.vertices)} and {len(template.faces)}"
        )  # fmt: skip
        raise TopologyError(f"{path} has another topology than {template.name} ({why}); export it with its vertex order kept")
    return vertices


def drawn_with(path: Path, clip: Clip) -> MeshTemplate:
    """The template, with eyes, teeth and colours, of a rig or a model: template.npz, or a folder that holds one.

    Raises UsageError for a path without one and TopologyError when it is of another topology than the clip.
    """
    from emovoca_cli.data.template import load_template
    from emovoca_cli.errors import TopologyError, UsageError
    from emovoca_cli.runtime.checkpoint import TEMPLATE
    from emovoca_cli.types import topology_hash

    places = [path] if path.is_file() else [path / inside / TEMPLATE for inside in ("", "s2d", "talk")]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UsageError(f"--template {path} is no {TEMPLATE}, nor a data or model folder that holds one")
    template = load_template(found)
    if template.topology_hash != topology_hash(len(clip.template), clip.faces):
        raise TopologyError(
            f"{found} has {len(template.vertices)} vertices, the clip {len(clip.template)}, or other faces; give its own model's"
        )
    return template


def template_of(clip: Clip, model: MeshTemplate | None = None) -> MeshTemplate:
    """What to draw a clip with: the built-in head with its parts when it is one, else its model's template, else the bare skin."""
    import numpy as np

    from emovoca_cli.mesh.surface import nearest_surface
    from emovoca_cli.types import MeshTemplate

    head = builtin_template()
    if clip.faces.shape == head.faces.shape and np.array_equal(clip.faces, head.faces):
        return head
    if model is not None:
        return model
    # A clip carries its landmarks as points, which is all that camera and lights need to know of a strange topology.
    faces, weights = nearest_surface(clip.landmarks[0], clip.vertices[0], clip.faces)
    return MeshTemplate("clip", clip.template, clip.faces, faces, weights)


def lids_of(name: str, template: MeshTemplate) -> Lids | None:
    """The lid shapes of a built-in face by the name that `face_at_rest` gave it; None for another topology."""
    import numpy as np

    from emovoca_cli.animation.lids import Lids
    from emovoca_cli.demo.arkit import ARKIT_INDEX
    from emovoca_cli.demo.identities import IDENTITY_NAMES, identity
    from emovoca_cli.demo.rig import load_rig

    if template.topology_hash != builtin_template().topology_hash:
        return None
    shapes = identity(name).basis if name in IDENTITY_NAMES else load_rig().deltas
    blink = np.stack([shapes[ARKIT_INDEX[f"eyeBlink{side}"]] for side in ("Right", "Left")])
    # To look to one side, one eye looks out and the other in.
    look = np.stack(
        [
            shapes[ARKIT_INDEX[f"eyeLookOut{side}"]] + shapes[ARKIT_INDEX[f"eyeLookIn{other}"]]
            for side, other in (("Right", "Left"), ("Left", "Right"))
        ]
    )
    return Lids(blink, np.zeros_like(blink), look)
