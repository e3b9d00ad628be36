"""DE-SD on real FLAME meshes: the release's peak expressions, and speech that landmarks carried to the same 5,023 vertices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.config.desd import DesdConfig, DesdSizes
from emovoca_cli.data.flame import FLAME_TOPOLOGY
from emovoca_cli.demo.head import load_head
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.demo.visemes import load_visemes
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.desd.train import reconstruction_mve, train_desd
from emovoca_cli.mesh.hierarchy import Hierarchy
from emovoca_cli.mesh.landmarks import landmark_points, lip_opening
from emovoca_cli.types import Float
from tests.desd.flame_data import Spoken, carried_talk, write_expressions

pytestmark = pytest.mark.pipeline
ONE_EACH = ("COMA_CH01", "COMA_CH06", "COMA_CH03")
CONFIG = DesdConfig(
    sizes=DesdSizes(encoder=(4, 8, 16, 32), decoder=(16, 8, 8, 8), latent=64), steps=100, batch=8, lr=1e-2, warmup=5,
    checkpoint_every=100, log_every=5,
)  # fmt: skip


def visemes(tmp_path: Path) -> Spoken:
    """One sentence each: the mouth goes from rest to every viseme and back."""
    rig = load_rig()
    peaks = np.stack(list(load_visemes().values()))
    coefficients = np.concatenate([peaks * share for share in (0.5, 1.0)]).astype(np.float32)
    template = load_head().template
    motion = landmark_points(rig.pose(coefficients), template.faces, template.landmark_faces, template.landmark_weights)
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, np.zeros(1600 * len(motion) // 3, np.float32), 16000)
    said = [("visemes", np.asarray(motion, np.float32), speech, ())]
    return dict.fromkeys(ONE_EACH, (template, template.vertices, said))


def test_desd_learns_real_meshes_of_the_papers_topology(tmp_path: Path) -> None:
    expression = write_expressions(tmp_path)
    talk = carried_talk(tmp_path, visemes(tmp_path), expression, fps=30, licence="made for this test")
    assert talk.topology_hash == expression.topology_hash == FLAME_TOPOLOGY
    assert [len(talk.splits[name]) for name in ("train", "val", "test")] == [1, 1, 1]

    # the carried mouth does what the demo's does: its opening follows, in the other face's size
    source, carried = (opening(points) for points in both(tmp_path, talk.displacement("COMA_CH01_visemes"), talk.template))
    assert np.corrcoef(source, carried)[0, 1] > 0.97

    trained = train_desd(CONFIG, talk, expression, tmp_path / "desd")
    assert "Florence" in trained.mixer.licence
    assert "made for this test" in trained.mixer.licence

    mixer = Mixer.load(tmp_path / "desd")  # the file alone, its own hierarchy and template
    assert Hierarchy.load(tmp_path / "desd" / "hierarchy.npz").sizes == (5023, 1256, 314, 79, 20)
    spoken, peak = talk.displacement("COMA_CH01_visemes"), expression.displacement("COMA_CH01_happy")
    for motion, kind in ((spoken, True), (peak, False)):
        still = float(np.linalg.norm(motion, axis=2).max(axis=1).mean()) * 1000
        assert reconstruction_mve(mixer.model, motion, talk=kind) < 0.9 * still
    codes = mixer.encode_talk(spoken), mixer.encode_expression(peak)
    mixed = mixer.mix(*codes, 2, 2)
    assert mixed.shape == spoken.shape
    # both motions are in a mixture: taking one out changes it in the direction of that motion (a hundred steps see little of it)
    for without, motion in ((mixer.mix(*codes, 2, 0), peak), (mixer.mix(*codes, 0, 2), spoken)):
        assert share(mixed - without, motion) > 0.08


def share(change: Float, motion: Float) -> float:
    """How much of a motion is in a change: least squares."""
    return float((change * motion).sum() / np.square(np.broadcast_to(motion, change.shape)).sum())


def both(tmp_path: Path, carried: Float, template: object) -> tuple[Float, Float]:
    source = replace(load_head().template)
    motion = next(iter(visemes(tmp_path).values()))[2][0][1]
    rest = landmark_points(source.vertices, source.faces, source.landmark_faces, source.landmark_weights)
    theirs = landmark_points(carried, template.faces, template.landmark_faces, template.landmark_weights)  # type: ignore[attr-defined]
    return rest + motion, theirs


def opening(points: Float) -> Float:
    return np.asarray(lip_opening(points))
