"""Figures 4 to 6 without training: bars of two systems, strips of faces, labels that change on a generator known in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from emovoca_cli.demo.head import load_head
from emovoca_cli.errors import UsageError
from emovoca_cli.evaluation.plot import SERIES, bars_picture
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.render.sheet import contact_sheet
from emovoca_cli.reproduce.fig4 import _bars
from emovoca_cli.reproduce.fig6 import _apart, _changes, _clips, _said
from emovoca_cli.reproduce.strips import Strip, clip_strip, draw_strips, face_template, moments_of
from emovoca_cli.types import Clip, Float
from tests.generators.fakes import FakeSource, strip_template

pytestmark = pytest.mark.unit


def test_bars_stand_side_by_side_with_whiskers_over_seeds() -> None:
    pytest.importorskip("matplotlib", reason='plots are not installed: pip install "emovoca[plots]"')
    groups = [{"emotion": {"sad": {"lve": value, "uve": 1.0}}, "intensity": {"2": {"lve": value, "uve": 1.0}}} for value in (2, 4)]
    bars = _bars(groups)
    row = bars["lve_max_l2_mm"]["emotion"]["sad"]
    assert row["value"] == 3
    assert row["high"] - row["value"] == pytest.approx(np.sqrt(2))
    assert _bars(groups[:1])["lve_max_l2_mm"]["emotion"]["sad"]["low"] is None
    one, two = (bars_picture(series) for series in ({"A": bars, "B": bars}, {"A": bars, "B": _bars(groups[:1])}))
    for colour in SERIES[:2]:
        wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
        assert (np.abs(one.astype(int) - wanted).max(axis=2) <= 2).sum() > 1000, "both systems have bars"
    assert not np.array_equal(one, two)


def test_a_sheet_has_a_head_above_each_row() -> None:
    pictures = [np.full((40, 60, 3), 90, np.uint8)] * 4
    plain, headed = contact_sheet(pictures, columns=2, gap=2), contact_sheet(pictures, columns=2, gap=2, heads=["one", "two"])
    band = (headed.shape[0] - plain.shape[0]) // 2
    assert band > 10
    assert headed[:band].max() > 180
    assert (headed[band : band + 40, :60] == 90).all()
    assert (headed[2 * band + 42 : 2 * band + 82, :60] == 90).all()
    with pytest.raises(UsageError, match="1 heads for 2 rows"):
        contact_sheet(pictures, columns=2, heads=["one"])


def test_strips_show_the_moments_that_were_asked_for() -> None:
    head = load_head().template
    moving = np.stack([head.vertices, head.vertices * 1.1])
    strip = Strip("grows", moving, 2.0, head.vertices, head)
    first, last = (draw_strips([strip], (moment,), size=48) for moment in (0.0, 0.5))
    both = draw_strips([strip], (0.0, 0.5), size=48)
    width = first.shape[1]
    face = slice(-48 - 20, -20)  # above the words
    assert np.array_equal(both[face, :width], first[face])
    assert np.array_equal(both[face, -width:], last[face])
    assert not np.array_equal(first[face], last[face])
    for moments in ((1.6,), (-0.1,), ()):
        with pytest.raises(UsageError, match=r"grows lasts 0\.50 s"):
            draw_strips([strip], moments, size=48)
    assert moments_of(2.0, 3) == pytest.approx((0.2, 1.0, 1.8))


def clip_of(topology: str) -> Clip:
    template = load_head().template if topology == "head" else strip_template()
    points = landmark_points(template.vertices, template.faces, template.landmark_faces, template.landmark_weights)
    none = np.zeros((1, 0), np.float32)
    return Clip(
        template.vertices[None], template.faces, template.vertices, points[None], 30.0, (), none, np.zeros(1, np.float32), {}
    )


def test_clips_of_any_topology_have_a_face_to_draw() -> None:
    head, strange = clip_strip("ours", clip_of("head")), clip_strip("theirs", clip_of("strip"))
    assert head.template.parts
    assert not strange.template.parts
    assert np.array_equal(strange.template.faces, strip_template().faces)
    assert face_template(strip_template()).name == "strip"
    assert face_template(load_head().template).parts


class Puppet:
    """A generator whose landmarks say what it was told: happy lifts the face by 1 cm at full share, intensity pushes it forward."""

    fps = 30.0
    emotions = ("angry", "happy", "sad")
    template = strip_template()
    licence = ""
    hashes: ClassVar[dict[str, str]] = {}

    def frames(self, speech: Float) -> int:
        return round(len(speech) * self.fps / 16000)

    def motion_of_many(self, clips: list[tuple[Float, Float, Float]]) -> list[Float]:
        return [
            np.stack([emotion[:, 1] * 0.01, intensity @ np.float32([1, 2, 3]) * 0.001], axis=1) for _, emotion, intensity in clips
        ]

    def vertices(self, motion: Float) -> Float:
        moved = np.zeros((len(motion), 96, 3), np.float32)
        moved[:, :, 1:] = motion[:, None]
        return moved


def test_labels_change_halfway_and_hold_before_and_after(tmp_path: Path) -> None:
    source, puppet = FakeSource(tmp_path, clips=1, seconds=3.0), Puppet()
    speech = source.entries[0].audio
    assert _changes(puppet.emotions, 1) == [("happy@3", "sad@3"), ("happy@1", "happy@3")]
    assert _changes(("ill", "upset"), 3) == [("ill@3", "upset@3"), ("ill@1", "ill@3")]
    clip, alone = _clips(puppet, speech, puppet.template.vertices, ("happy@3", "sad@3"), 1.5)  # type: ignore[arg-type]
    assert _apart(clip, alone[0], slice(0, 40)) == pytest.approx(0, abs=1e-4)
    assert _apart(clip, alone[1], slice(-30, None)) == pytest.approx(0, abs=1e-4)
    assert _apart(alone[0], alone[1], slice(None)) == pytest.approx(10, abs=1e-3)
    assert (_said(clip, 0.2), _said(clip, 2.8)) == ("happy 3.0,", "sad 3.0,")
    clip, alone = _clips(puppet, speech, puppet.template.vertices, ("happy@1", "happy@3"), 1.5)  # type: ignore[arg-type]
    assert _apart(alone[0], alone[1], slice(None)) == pytest.approx(2, abs=1e-3)
    assert (_said(clip, 0.2), _said(clip, 2.8)) == ("happy 1.0,", "happy 3.0,")
