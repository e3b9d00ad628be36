"""The face behind the numbers: which template, face at rest and regions belong to a sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.arrays import read_npy
from emovoca_cli.data.restricted import load_pickle
from emovoca_cli.data.template import load_template
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.evaluation.regions import LIPS, UPPER, Region, find_region
from emovoca_cli.evaluation.takes import Take, with_template
from emovoca_cli.mesh.io import SUFFIXES, read_mesh
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.mesh.regions import regions as regions_from_landmarks
from emovoca_cli.mesh.surface import nearest_surface
from emovoca_cli.types import Bool, Int, MeshTemplate, topology_hash

Note = Callable[[str], None]


@dataclass
class Faces:
    """What is known beside the sequences.

    given: the template asked for; builtin: the one to fall back on when a sequence has its vertex count; rests (V,3) by subject, in
    the unit of .npy files, of which `metres` is one; lips and upper as in `regions.find_region`.
    """

    given: MeshTemplate | None = None
    builtin: MeshTemplate | None = None
    rests: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    lips: str | None = None
    upper: str | None = None
    metres: float = 1.0
    _regions: dict[str, dict[str, Region]] = field(default_factory=dict, repr=False)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects that have a face at rest of their own."""
        return tuple(self.rests)

    def fill(self, take: Take, subject: str | None, note: Note) -> Take:
        """Fill in a face at rest, faces and landmarks where the file does not say them. Raises TopologyError or DataError."""
        if take.faces is not None:
            return take
        rest = self._rest(take, subject)
        template = self.given
        if template is None and self.builtin is not None and take.vertex_count == len(self.builtin.vertices):
            template = self.builtin
            note(f"taken for the {template.name} in metres times {1 / self.metres:g}, because the vertex count is its own"
                 if self.metres != 1 else f"taken for the {template.name}, because the vertex count is its own")  # fmt: skip
            rest = template.vertices / self.metres if rest is None else rest
        if template is None:
            return Take(**{**take.__dict__, "rest": rest})
        if len(template.vertices) != take.vertex_count:
            raise TopologyError(
                f"{take.path} has {take.vertex_count} vertices, the template {template.name} {len(template.vertices)}"
            )
        return with_template(take, template, template.vertices if rest is None else rest)

    def _rest(self, take: Take, subject: str | None) -> NDArray[Any] | None:
        if not self.rests:
            return None
        if subject is None or subject not in self.rests:
            said = f"is of {subject}, who" if subject else "does not begin with the name of a subject who"
            raise DataError(
                f"{take.path} {said} has no face in --template (it has {', '.join(list(self.rests)[:5])}); give --names or --labels"
            )
        rest = self.rests[subject]
        if len(rest) != take.vertex_count:
            raise TopologyError(f"{take.path} has {take.vertex_count} vertices, the face of {subject} at rest {len(rest)}")
        return rest

    def regions_of(self, take: Take, note: Note) -> dict[str, Region]:
        """The lips and the upper face of a sequence's topology; without an entry where they are unknown."""
        key = f"{take.vertex_count}" if take.faces is None else topology_hash(take.vertex_count, take.faces)
        if key not in self._regions:
            named, owner = self._named(take, note)
            found = {
                name: find_region(name, spec, named, take.vertex_count, owner=owner)
                for name, spec in ((LIPS, self.lips), (UPPER, self.upper))
            }
            self._regions[key] = {name: region for name, region in found.items() if region is not None}
        return self._regions[key]

    def _named(self, take: Take, note: Note) -> tuple[Mapping[str, Bool], str]:
        """Masks by name for a sequence's topology, and whose they are."""
        for template in (self.given, self.builtin):
            if template is None or len(template.vertices) != take.vertex_count or not len(template.landmark_faces):
                continue
            if take.faces is None or not np.array_equal(take.faces, template.faces):
                continue
            if template.regions:
                return template.regions, template.name
            points = landmark_points(template.vertices, template.faces, template.landmark_faces, template.landmark_weights)
            return regions_from_landmarks(template.vertices, template.faces, points), f"the landmarks of {template.name}"
        known = take.faces is not None and take.landmarks is not None and take.rest is not None
        if known and (self.lips is None or self.upper is None):
            try:
                masks = _regions_of_clip(take)
            except DataError as error:
                note(f"no regions could be found by the landmarks of {take.path.name} ({error})")
                return {}, "no template"
            note(f"the regions were found by the landmarks of {take.path.name}; give --lips and --upper for others")
            return masks, f"the landmarks of {take.path.name}"
        return {}, "no template"


def _regions_of_clip(take: Take) -> Mapping[str, Bool]:
    """Regions of a clip in a strange topology: its landmarks, put onto its face at rest."""
    if take.faces is None or take.landmarks is None or take.rest is None:
        return {}
    faces, weights = nearest_surface(take.landmarks[0], take.vertices[0], take.faces)
    return regions_from_landmarks(take.rest, take.faces, landmark_points(take.rest, take.faces, faces, weights))


def load_faces(
    template: Path | None, *, builtin: MeshTemplate | None, lips: str | None, upper: str | None, metres: float = 1.0
) -> Faces:
    """What --template names: template.npz, a mesh, an .npy (V,3), or faces by subject (.pkl, or a folder of meshes or .npy).

    Raises UsageError for a missing file or another format, DataError for one that is broken.
    """
    if template is None:
        return Faces(None, builtin, {}, lips, upper, metres)
    if template.is_dir():
        files = sorted(path for path in template.iterdir() if path.suffix.lower() in (*SUFFIXES, ".npy"))
        if not files:
            raise UsageError(f"--template {template} holds no faces; expected <subject>.ply, .obj or .npy")
        return Faces(None, builtin, {path.stem: _vertices(path)[0] for path in files}, lips, upper, metres)
    suffix = template.suffix.lower()
    if suffix == ".npz":
        return Faces(load_template(template), builtin, {}, lips, upper, metres)
    if suffix == ".pkl":
        return Faces(None, builtin, _from_pickle(template), lips, upper, metres)
    vertices, faces = _vertices(template)
    if builtin is not None and faces is not None and topology_hash(len(vertices), faces) == builtin.topology_hash:
        same = MeshTemplate(
            template.name, vertices, faces, builtin.landmark_faces, builtin.landmark_weights, builtin.regions
        )  # fmt: skip
        return Faces(same, builtin, {}, lips, upper, metres)
    if faces is None and builtin is not None and len(vertices) == len(builtin.vertices):
        faces = builtin.faces
    bare = MeshTemplate(
        template.name,
        vertices.astype(np.float32),
        np.zeros((0, 3), np.int32) if faces is None else faces,
        np.zeros(0, np.int32),
        np.zeros((0, 3), np.float32),
    )
    return Faces(bare, builtin, {}, lips, upper, metres)


def _vertices(path: Path) -> tuple[NDArray[Any], Int | None]:
    if path.suffix.lower() != ".npy":
        return read_mesh(path)
    return _face(read_npy(path), str(path)), None


def _face(array: Any, where: str) -> NDArray[Any]:
    face = np.asarray(array)
    if face.dtype.kind not in "fiu" or face.size == 0 or face.size % 3 or not np.isfinite(face).all():
        raise DataError(f"{where} is not a face at rest: expected finite numbers (V,3), got {face.dtype} {face.shape}")
    return face.reshape(-1, 3)


def _from_pickle(path: Path) -> dict[str, NDArray[Any]]:
    content = load_pickle(path)
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"{path} holds no faces by subject; expected a dictionary of name to (V,3), as in templates.pkl")
    return {str(name): _face(array, f"{path}: {name}") for name, array in content.items()}
