"""A generator on faces it never saw: a re-ordered head, a rig in glTF, eyes of its own, and lids that shut."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import pytest

from emovoca_cli.animation.carried import ByLandmarks, ByShapes, CarriedGenerator
from emovoca_cli.animation.life import with_life
from emovoca_cli.animation.rhythm import Life
from emovoca_cli.cli.faces import builtin_template, dressed, lids_of
from emovoca_cli.constants import ARKIT_INDEX
from emovoca_cli.data.any_face import AnyFace, read_any_face
from emovoca_cli.demo.arkit_corpus import guess_rig_landmarks
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.demo.visemes import load_visemes
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.mesh.lips import Lips
from emovoca_cli.types import Clip, Float, MeshTemplate
from tests.data.arkit.rigs import head_glb
from tests.mesh.meshes import stranger
from tests.mesh.test_carry import with_ball_and_teeth

pytestmark = pytest.mark.unit
HEAD = builtin_template()
ROWS = np.stack(list(load_visemes().values()))


class FakeGenerator:
    """Says every viseme once: its motion is the rig's coefficients."""

    fps, emotions, template, licence = 30.0, ("happy",), HEAD, "MIT"
    hashes = MappingProxyType({"fake": "00"})

    def frames(self, speech: Float) -> int:
        return len(ROWS)

    def motion(self, speech: Float, emotion: Float, intensity: Float) -> Float:
        return ROWS

    def motion_of_many(self, clips: Sequence[tuple[Float, Float, Float]]) -> list[Float]:
        return [ROWS for _ in clips]

    def vertices(self, motion: Float, /) -> Float:
        return load_rig().pose(motion)


def marks(face: MeshTemplate, vertices: Float) -> Float:
    return landmark_points(vertices, face.faces, face.landmark_faces, face.landmark_weights)


def face_of(template: MeshTemplate, stands: Sequence[int] | None = None) -> AnyFace:
    alone = np.arange(len(template.vertices)) if stands is None else np.asarray(stands)
    return AnyFace(template, template, alone, MappingProxyType({}), "CC0", "ab", ())


def strange_face() -> tuple[AnyFace, Float]:
    vertices, faces, points, order = stranger()
    from emovoca_cli.mesh.landmarks import nearest_surface

    where, weights = nearest_surface(points, vertices, faces)
    return face_of(MeshTemplate("stranger", vertices, faces, where, weights)), order


@pytest.fixture(scope="module")
def glb_face(tmp_path_factory: pytest.TempPathFactory) -> AnyFace:
    glb, _ = head_glb()
    path = glb.write(tmp_path_factory.mktemp("glb") / "head.glb")
    return read_any_face(path, known=(HEAD,), guess=guess_rig_landmarks)


def test_everything_but_the_last_step_is_the_generators_own() -> None:
    face, order = strange_face()
    made = CarriedGenerator(FakeGenerator(), face)
    assert (made.fps, made.emotions, made.frames(np.zeros(9, np.float32))) == (30.0, ("happy",), len(ROWS))
    assert made.licence == "MIT; face: CC0"
    assert dict(made.hashes) == {"fake": "00", "face": "ab"}
    nothing = np.zeros(1, np.float32)
    np.testing.assert_array_equal(made.motion(nothing, nothing, nothing), made.motion_of_many([(nothing,) * 3])[0])
    assert made.template is face.template
    # A head in another order does what the head itself does when it is carried to itself.
    itself = CarriedGenerator(FakeGenerator(), face_of(HEAD))
    np.testing.assert_allclose(made.vertices(ROWS), itself.vertices(ROWS)[:, order], atol=5e-5)


def test_vertices_that_stand_for_others_move_with_them() -> None:
    doubled = MeshTemplate(
        "doubled", np.concatenate([HEAD.vertices, HEAD.vertices[7:8]]), HEAD.faces, HEAD.landmark_faces, HEAD.landmark_weights
    )
    made = ByLandmarks(HEAD, face_of(doubled, [*range(len(HEAD.vertices)), 7])).follow(load_rig().pose(ROWS))
    np.testing.assert_array_equal(made[:, -1], made[:, 7])


def test_a_gltf_rig_speaks_through_its_own_shapes(glb_face: AnyFace) -> None:
    assert any("found by how the shapes move" in note for note in glb_face.notes)
    mover = ByShapes(HEAD, glb_face)
    source = load_rig().pose(ROWS)
    rows = np.concatenate([mover.coefficients(marks(HEAD, one[None])) for one in source])
    jaw = mover.names.index("jawOpen")
    np.testing.assert_allclose(rows[:, jaw], ROWS[:, ARKIT_INDEX["jawOpen"]], atol=0.06)
    made = np.concatenate([mover.follow(one[None]) for one in source])
    # The file's vertices, at the head's place and size, do what the head's do.
    from scipy.spatial import cKDTree

    shift = marks(glb_face.solid, glb_face.template.vertices).mean(axis=0) - marks(HEAD, HEAD.vertices).mean(axis=0)
    size = np.ptp(glb_face.template.vertices[:, 1]) / np.ptp(HEAD.vertices[:, 1])
    away, near = cKDTree((glb_face.template.vertices - shift) / size).query(HEAD.vertices)
    error = np.linalg.norm(made[:, near] / size - source, axis=2)[:, HEAD.regions["mouth"]]
    assert np.median(away) < 0.004
    assert error.mean() < 0.0015


def test_lips_that_are_sealed_stay_so_through_shapes(glb_face: AnyFace) -> None:
    names = list(load_visemes())
    rest = glb_face.solid
    lips = Lips.of(rest.vertices, rest.faces, marks(rest, rest.vertices))
    motion = load_rig().pose(ROWS[[names.index("PP"), names.index("AA")]])
    made = ByShapes(HEAD, glb_face).follow(np.repeat(motion, 4, axis=0))
    wide = lips.widest(rest.vertices + made[[1, 6]])
    assert wide[0] < 0.3e-3
    assert not wide[1] < 3e-3  # open, or so far that the lips do not face each other


def clip_of(face: AnyFace, motion: Float) -> Clip:
    template = face.template
    vertices = (template.vertices + motion).astype(np.float32)
    track = np.zeros((len(vertices), 1), np.float32), np.zeros(len(vertices), np.float32)
    return Clip(vertices, template.faces, template.vertices, marks(template, vertices), 30.0, ("happy",), *track, {"a": 1})


def lid_gap(points: Float) -> Float:
    return np.stack([points[..., up, 1] - points[..., low, 1] for up, low in ((37, 41), (38, 40), (43, 47), (44, 46))])


def test_blinks_shut_the_lids_and_eyeballs_of_the_mesh_turn_with_the_gaze() -> None:
    face = face_of(with_ball_and_teeth(HEAD))
    generator = CarriedGenerator(FakeGenerator(), face)
    lids = generator.lids(lids_of(HEAD.name, HEAD))
    rest = clip_of(face, np.zeros((2, len(face.template.vertices), 3), np.float32))
    shut = with_life(rest, face.template, Life(0, np.ones(2), np.zeros(2), np.zeros((2, 3)), ()), lids=lids)
    assert np.abs(lid_gap(shut.landmarks[0])).max() < 0.9e-3
    assert lid_gap(rest.landmarks[0]).min() > 6e-3
    mouth = np.abs(shut.vertices - rest.vertices)[:, : len(HEAD.vertices)][:, HEAD.regions["lips"]]
    assert mouth.max() < 1e-4
    gaze = with_life(rest, face.template, Life(0, np.zeros(2), np.full(2, 20.0), np.zeros((2, 3)), ()), lids=lids)
    ball = slice(len(HEAD.vertices), len(HEAD.vertices) + 162)
    place = rest.vertices[0, ball]
    front = int(place[:, 2].argmax())
    moved = gaze.vertices[0, ball][front] - place[front]
    assert moved[0] == pytest.approx(0.012 * np.sin(np.radians(20)), abs=3e-4)
    np.testing.assert_allclose(gaze.vertices[0, ball].mean(axis=0), place.mean(axis=0), atol=1e-5)
    blinked = generator.lids()  # without the source's own lids: from its landmarks
    assert np.abs(blinked.blink).max() > 4e-3


def test_teeth_of_the_mesh_go_as_the_sources_own_do() -> None:
    from emovoca_cli.render.parts import apply, part_motions

    face = face_of(with_ball_and_teeth(HEAD))
    motion = load_rig().pose(ROWS)
    made = ByLandmarks(HEAD, face).follow(motion)
    drives = [part.drive for part in HEAD.parts]
    jaw = part_motions(HEAD, HEAD.vertices, HEAD.vertices + motion)[drives.index("jaw")]
    bar = slice(len(HEAD.vertices) + 162, len(HEAD.vertices) + 170)
    rest = face.template.vertices[bar]
    np.testing.assert_allclose(rest + made[:, bar], apply(jaw, rest), atol=2e-5)


def test_a_rig_blinks_by_its_own_shapes(glb_face: AnyFace) -> None:
    lids = ByShapes(HEAD, glb_face).lids(glb_face, lids_of(HEAD.name, HEAD))  # type: ignore[arg-type]
    np.testing.assert_array_equal(lids.blink[0], glb_face.shapes["eyeBlinkRight"])
    np.testing.assert_array_equal(lids.blink[1], glb_face.shapes["eyeBlinkLeft"])


def test_eyes_and_teeth_of_the_mesh_are_drawn_as_such_and_ride_with_its_vertices() -> None:
    from emovoca_cli.render.parts import part_motions

    face = face_of(with_ball_and_teeth(HEAD))
    made = ByLandmarks(HEAD, face).follow(load_rig().pose(ROWS))
    clip, template = dressed(clip_of(face, made))
    assert [part.name for part in template.parts] == ["eye_left", "teeth_lower"]
    # Lash, eyeball and teeth are not part of the skin that is drawn.
    assert clip.faces.max() < len(HEAD.vertices)
    assert len(clip.vertices[0]) == len(face.template.vertices)
    (_, teeth) = part_motions(template, clip.template, clip.vertices)
    bar = template.parts[1]
    posed = np.einsum("tij,pj->tpi", teeth[:, :3, :3], bar.vertices) + teeth[:, None, :3, 3]
    first = len(HEAD.vertices) + 162
    np.testing.assert_allclose(posed, clip.vertices[:, first : first + 8], atol=2e-5)
    assert template.colors is not None
    own, known = dressed(clip_of(face_of(HEAD), made[:, : len(HEAD.vertices)]))
    assert known is builtin_template() or len(known.parts) == len(HEAD.parts)
    assert own.faces.shape == HEAD.faces.shape
