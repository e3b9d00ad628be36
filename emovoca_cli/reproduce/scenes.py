"""What mixtures are made of and measured on: moments of test identities talking, and the peaks of the expressions they wear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.data.store import Store
from emovoca_cli.dataset_builder.build import peak_frame, seal_track
from emovoca_cli.dataset_builder.plan import VERSIONS, Plan, make_plan
from emovoca_cli.demo.truth import DemoTruth
from emovoca_cli.desd.report import closing_frames, spread_clips
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import lip_opening
from emovoca_cli.types import Bool, Float


@dataclass(frozen=True, eq=False)
class Scene:
    """Some frames (n,) of one talking clip of a test identity, and the emotions that it may wear.

    numbers: which frames of the clip (n,); even: those taken evenly (n,), the others are only there because p, b or m seals the
    lips; closing: all such (n,); speech: displacements (n,V,3); opening: of the lips beyond rest (n,), metres; closed: what
    sealing needs (n,); peaks: by emotion the displacement (V,3) at its peak.
    """

    clip: str
    subject: str
    wearer: str
    numbers: NDArray[np.int64]
    even: Bool
    closing: Bool
    speech: Float
    opening: NDArray[np.float32]
    closed: Float
    peaks: Mapping[str, Float]


class Scenes:
    """The scenes of the test identities of a talk and an expression store.

    emotions: those of EmoVOCAv2, or of v1 where the store has no more. truth: the rig's true mixtures where the data is of a rig;
    why_no_truth: the reason where it is not.
    """

    def __init__(self, talk: Store, expression: Store, *, clips: int, stride: int) -> None:
        """Choose `clips` talking clips, evenly, and of each every `stride`-th frame beside those in which the lips are sealed.

        Raises DataError for stores without test clips or without EmoVOCA's emotions.
        """
        self.talk, self.expression = talk, expression
        self.stride = stride
        self.plan = _plan(talk, expression)
        self.emotions = self.plan.emotions
        self.rows = spread_clips(talk.select(split="test"), clips)
        self.truth, self.why_no_truth = rig_truth(talk, expression)

    @cached_property
    def all(self) -> tuple[Scene, ...]:
        """The scenes, read once."""
        peaks: dict[str, dict[str, Float]] = {}
        found = []
        for row in self.rows:
            wearer = self.plan.partners[row.subject]
            if wearer not in peaks:
                peaks[wearer] = {
                    emotion: peak_frame(self.expression, self.expression.select(subject=wearer, label=emotion)[0].id)[1]
                    for emotion in self.emotions
                }
            opening = lip_opening(self.talk.landmarks(row.id))
            closing = closing_frames(self.talk, row.id, opening)
            even = np.arange(row.frames) % self.stride == 0
            numbers = np.flatnonzero(even | closing)
            closed = seal_track(self.talk.template, opening, fps=self.talk.fps)
            found.append(
                Scene(
                    row.id,
                    row.subject,
                    wearer,
                    numbers,
                    even[numbers],
                    closing[numbers],
                    self.talk.displacement(row.id, numbers),
                    opening[numbers],
                    closed[numbers],
                    peaks[wearer],
                )
            )
        return tuple(found)

    def true_mixture(self, scene: Scene, emotion: str, mu_e: float) -> Float | None:
        """The rig's true mixture on the frames of a scene (n,V,3), metres; None where there is no truth."""
        return None if self.truth is None else self.truth(scene.clip, emotion, mu_e)[scene.numbers]


def _plan(talk: Store, expression: Store) -> Plan:
    problem: DataError | None = None
    for version in sorted(VERSIONS, reverse=True):
        try:
            return make_plan(talk, expression, version)
        except DataError as error:
            problem = error
    raise problem or DataError("there is no EmoVOCA version to plan")


def rig_truth(talk: Store, expression: Store) -> tuple[DemoTruth | None, str]:
    """The true mixtures of a data folder and "", or None and why there are none."""
    if talk.root.parent != expression.root.parent:
        return None, "the two stores are not of one rig"
    try:
        return DemoTruth(talk.root.parent), ""
    except DataError as error:
        return None, str(error)
