"""A generator that speaks on a mesh it has never seen: by its landmarks on any mesh, by its own shapes on an ARKit-named rig."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emovoca_cli.animation.coefficients import solve_coefficients
from emovoca_cli.animation.lids import Lids, landmark_lids
from emovoca_cli.constants import ARKIT_NAMES
from emovoca_cli.data.any_face import AnyFace
from emovoca_cli.generators.load import SpeechGenerator
from emovoca_cli.mesh.carry import Carry, LandmarkMap
from emovoca_cli.mesh.gaze import eye_turns, gaze_yaw
from emovoca_cli.mesh.landmarks import eye_distance, landmark_points
from emovoca_cli.mesh.pieces import find_pieces
from emovoca_cli.types import Float, MeshTemplate

_MOVES = 0.05
"""Share of the outer-eye distance that a rig's own shapes have to move an eyeball for it to be left to them."""


class ByLandmarks:
    """Moves any mesh with 68 landmarks as a source's landmarks, and guides between them, move."""

    way = "by its landmarks"

    def __init__(self, source: MeshTemplate, face: AnyFace) -> None:
        """Weigh the face's vertices. Raises DataError for landmarks that are no face."""
        self.carry, self.stands = Carry.between(source, face.solid, guided=True), face.stands

    def follow(self, displacements: Float) -> Float:
        """Displacements (T,V,3) of the face, metres, from those of the source's vertices (T,N,3)."""
        return self.carry.follow(displacements)[:, self.stands]

    def lids(self, face: AnyFace, own: Lids) -> Lids:
        """The source's own lids carried over, and the mesh's eyeballs."""
        still = np.zeros_like(own.blink[:1])
        made = self.follow(np.concatenate([own.blink, own.arc, own.look, still]))
        # Even no motion may bring the lips together: that is not the lids' to do. Eyeballs are turned by the gaze itself.
        made -= made[-1]
        eyes = tuple(np.flatnonzero(eye) for eye in self.carry.pieces.eyes if eye.any())
        for eye in eyes:
            made[:, eye] = 0
        blink, arc, look = np.split(made[:-1], 3)
        return Lids(blink, arc, look, eyes=eyes)


class ByShapes:
    """Moves an ARKit-named rig by coefficients of its own shapes, solved from the motion of a source's landmarks."""

    way = "by coefficients of its own shapes"

    def __init__(self, source: MeshTemplate, face: AnyFace) -> None:
        """Measure the rig's shapes at its landmarks. Raises DataError for landmarks that are no face."""
        self.source, solid = source, face.solid
        self.landmarks = LandmarkMap.between(source, solid)
        self.unit = eye_distance(self.landmarks.landmarks)
        self.names = tuple(name for name in ARKIT_NAMES if name in face.shapes)
        self.shapes = np.stack([face.shapes[name] for name in self.names])
        self.marks = landmark_points(self.shapes, solid.faces, solid.landmark_faces, solid.landmark_weights)
        self.pieces = find_pieces(solid.vertices, solid.faces, self.landmarks.landmarks)
        self.rest = solid.vertices
        looks = [index for index, name in enumerate(self.names) if name.startswith("eyeLook")]
        # Some rigs move only the lids when they look aside; their eyeballs are turned here.
        self.turned = [
            np.flatnonzero(eye)
            for eye in self.pieces.eyes
            if eye.any() and not (looks and np.abs(self.shapes[looks][:, eye]).max() > _MOVES * self.unit)
        ]

    def coefficients(self, landmarks: Float) -> Float:
        """Coefficients (T,K) of `names` from the motion of the source's landmarks (T,68,3)."""
        return solve_coefficients(self.landmarks.motion(landmarks), self.marks, unit=self.unit, names=self.names)

    def follow(self, displacements: Float) -> Float:
        """Displacements (T,V,3) of the face, metres, from those of the source's vertices (T,N,3)."""
        source = self.source
        landmarks = landmark_points(displacements, source.faces, source.landmark_faces, source.landmark_weights)
        rows = self.coefficients(landmarks)
        out = (rows @ self.shapes.reshape(len(self.names), -1)).reshape(len(rows), *self.shapes.shape[1:])
        moved = self.landmarks.motion(landmarks)
        gaze = gaze_yaw(moved + self.landmarks.landmarks, self.landmarks.landmarks)
        for eye in self.turned:
            out[:, eye] += eye_turns(self.rest[eye], gaze).astype(np.float32)
        return out

    def lids(self, face: AnyFace, own: Lids) -> Lids:
        """The rig's own blinks, and lids that follow the gaze."""
        still = np.zeros_like(face.template.vertices)
        blink = np.stack([face.shapes.get(f"eyeBlink{side}", still) for side in ("Right", "Left")])
        look = np.stack(
            [
                face.shapes.get(f"eyeLookOut{side}", still) + face.shapes.get(f"eyeLookIn{other}", still)
                for side, other in (("Right", "Left"), ("Left", "Right"))
            ]
        )
        return Lids(blink, np.zeros_like(blink), look, eyes=tuple(self.turned))


class CarriedGenerator:
    """Another generator's motion on any mesh; all but the last step is the other's own."""

    def __init__(self, generator: SpeechGenerator, face: AnyFace) -> None:
        """Measure the face against the generator's template. Raises DataError for landmarks that are no face."""
        self.generator, self.face = generator, face
        self.mover: ByLandmarks | ByShapes = (ByShapes if face.shapes else ByLandmarks)(generator.template, face)

    @property
    def fps(self) -> float:
        """Frames a second of what it predicts."""
        return self.generator.fps

    @property
    def emotions(self) -> tuple[str, ...]:
        """Labels in one-hot order."""
        return self.generator.emotions

    @property
    def template(self) -> MeshTemplate:
        """The face that speaks."""
        return self.face.template

    @property
    def licence(self) -> str:
        """Licence of what the generator was trained on, and of the face."""
        return f"{self.generator.licence}; face: {self.face.licence}"

    @property
    def hashes(self) -> dict[str, str]:
        """The hash that names each network, and the face."""
        return {**self.generator.hashes, "face": self.face.content_hash}

    @property
    def way(self) -> str:
        """How the face is moved, in words."""
        return self.mover.way

    def lids(self, own: Lids | None = None) -> Lids:
        """How the face blinks and looks aside; own: how the generator's own face does, default made from its landmarks."""
        source = self.generator.template
        return self.mover.lids(self.face, own or landmark_lids(source, source.vertices))

    def frames(self, speech: Float) -> int:
        """Frames T that (N,) 16 kHz speech gives."""
        return self.generator.frames(speech)

    def motion(self, speech: Float, emotion: Float, intensity: Float) -> Float:
        """The other's motion (T,...) of (N,) speech under emotion (T,K) and intensity (T,3)."""
        return self.generator.motion(speech, emotion, intensity)

    def motion_of_many(self, clips: Sequence[tuple[Float, Float, Float]]) -> list[Float]:
        """The same for several recordings (speech, emotion, intensity) of any lengths."""
        return self.generator.motion_of_many(clips)

    def vertices(self, motion: Float, /) -> Float:
        """Vertex displacements (T,V,3) of the face in metres from motion (T,...)."""
        return self.mover.follow(self.generator.vertices(motion))
