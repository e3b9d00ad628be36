"""Finding the face a command works on: a built-in identity, any mesh file, or what a clip is drawn with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emovoca_cli.animation.lids import Lids
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.generators.load import SpeechGenerator
    from emovoca_cli.types import Clip, Float, MeshTemplate


def builtin_template() -> MeshTemplate:
    """The built-in head with its parts and colours."""
    from emovoca_cli.demo.head import load_head

    return load_head().template


@dataclass(frozen=True, eq=False)
class Speaker:
    """Who speaks: a name, the generator that moves it, its face at rest (V,3) in metres, its lids (None: from its landmarks)."""

    name: str
    generator: SpeechGenerator
    rest: Float
    lids: Lids | None


def find_speaker(name: str | None, landmarks: Path | None, generator: SpeechGenerator, reporter: Reporter) -> Speaker:
    """The face that speaks: the template's own, a built-in identity by name, a mesh file, or a kit in the cache; says what it is.

    A file of the generator's own topology is moved by the generator, any other is carried to (`animation.carried`). Raises
    UsageError, DataError and TopologyError.
    """
    from emovoca_cli.demo.identities import IDENTITY_NAMES, identity
    from emovoca_cli.errors import UsageError

    template = generator.template
    builtin = name is None or name == template.name or name in IDENTITY_NAMES
    if builtin and landmarks is not None:
        raise UsageError("--landmarks belong to a mesh; give it with --template FILE")
    if name is None or name == template.name:
        return Speaker(template.name, generator, template.vertices, lids_of(template.name, template))
    if name in IDENTITY_NAMES:
        if template.topology_hash != builtin_template().topology_hash:
            raise UsageError(
                f"the identity {name} is of the built-in head, the model is of another; give a mesh file of the model's topology"
            )
        return Speaker(name, generator, identity(name).neutral, lids_of(name, template))
    return _speaker_of(_face_path(name, template), landmarks, generator, reporter)


def _face_path(name: str, template: MeshTemplate) -> Path:
    """The mesh or folder that --template means. Raises UsageError that says what there is, or what to place where."""
    from emovoca_cli.data.arkit import kit
    from emovoca_cli.data.arkit.facekit import is_facekit
    from emovoca_cli.demo.identities import IDENTITY_NAMES
    from emovoca_cli.errors import UsageError

    path = Path(name)
    if path.exists():
        return path
    if name == kit.NAME:
        folder = kit.kit_folder()
        if not is_facekit(folder):
            raise UsageError(
                f"{name} is not in the cache: fetch it with `emovoca face get {name}`, or place its FaceXModel folder at "
                f"{folder / 'FaceXModel'}"
            )
        return folder
    known = ", ".join([template.name, *IDENTITY_NAMES, kit.NAME])
    raise UsageError(f"--template '{name}' is neither a file nor a built-in face (there are: {known})")


def _speaker_of(path: Path, landmarks: Path | None, generator: SpeechGenerator, reporter: Reporter) -> Speaker:
    from emovoca_cli.animation.carried import CarriedGenerator
    from emovoca_cli.data.any_face import read_any_face
    from emovoca_cli.demo.arkit_corpus import guess_rig_landmarks

    head, template = builtin_template(), generator.template
    with reporter.progress("reading the face") as bar:
        face = read_any_face(path, landmarks=landmarks, known=(head, template), guess=guess_rig_landmarks, progress=bar)
    for note in face.notes:
        reporter.say(f"  {note}")
    if face.template.topology_hash == template.topology_hash:
        return Speaker(path.name, generator, face.template.vertices, lids_of(path.name, template))
    carried = CarriedGenerator(generator, face)
    reporter.say(f"  {path.name}: {len(face.template.vertices)} vertices, moved {carried.way}")
    return Speaker(path.name, carried, face.template.vertices, carried.lids(lids_of(template.name, template)))


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


def dressed(clip: Clip, template: MeshTemplate | None = None) -> tuple[Clip, MeshTemplate]:
    """What to draw a clip with, and the clip as it is drawn: the built-in head or `template` with its parts, else any mesh's own.

    Of a strange mesh skin, eyes and teeth are told apart by geometry (`data.dressing`), and lashes without their texture left out.
    """
    import numpy as np

    from emovoca_cli.data.dressing import dress_clip

    for known in (builtin_template(), template):
        if known is not None and (known.parts or known.colors is not None) and np.array_equal(clip.faces, known.faces):
            return clip, known
    return dress_clip(clip)


def lids_of(name: str, template: MeshTemplate) -> Lids | None:
    """The lid shapes of a built-in face by name; None for another topology."""
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
