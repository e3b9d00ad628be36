"""The right mixtures of the demo corpus, which only synthetic faces have: what an identity does that says this and feels that."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np

from emovoca_cli.constants import NEUTRAL_MU
from emovoca_cli.data.store import Store, open_data
from emovoca_cli.demo.arkit import ARKIT_NAMES
from emovoca_cli.demo.articulation import Articulation
from emovoca_cli.demo.corpus import articulate, lip_gap_gains
from emovoca_cli.demo.entangle import combine
from emovoca_cli.demo.rig_tables import table_from_plain
from emovoca_cli.errors import DataError
from emovoca_cli.types import Float


class DemoTruth:
    """truth(talk_clip_id, emotion, intensity) -> displacements (T,V,3) in metres, on the speaking subject.

    The expression is the one that the same identity acted in the expression store (its peak), entangled with its speech by the
    rule of `demo/entangle.py`. Intensity 2 is the natural strength, as mu_e is for DE-SD; 0 or emotion None gives the talking
    clip itself.
    """

    def __init__(self, data: Path) -> None:
        """Open a data folder that `emovoca prep` wrote from the demo. Raises DataError for other data."""
        self.talk, self.expression = open_data(data)
        for store in (self.talk, self.expression):
            if tuple(store.manifest.get("coefficient_names", ())) != ARKIT_NAMES:
                raise DataError(
                    f"{store.root} is not rig data (no ARKit coefficients), so there is no true mixture to compare with"
                )
        tables = self.talk.manifest.get("provenance", {}).get("tables")
        self._visemes = None if tables is None else table_from_plain(tables["visemes"])
        self._gaps: dict[str, tuple[Float, float]] = {}
        self._articulations: OrderedDict[str, Articulation] = OrderedDict()

    def __call__(self, talk_clip: str, emotion: str | None, intensity: float = NEUTRAL_MU) -> Float:
        """The true mixture (T,V,3), metres."""
        basis = self.talk.basis(self.talk.clip(talk_clip).subject)
        values = self.coefficients(talk_clip, emotion, intensity)
        return (values @ basis.reshape(len(basis), -1)).reshape(len(values), -1, 3)

    def coefficients(self, talk_clip: str, emotion: str | None, intensity: float = NEUTRAL_MU) -> Float:
        """The true mixture as rig coefficients (T,52)."""
        subject = self.talk.clip(talk_clip).subject
        feeling = np.zeros(len(ARKIT_NAMES), np.float32) if emotion is None else self.peak(subject, emotion)
        gain, rest = self._gap(subject)
        return combine(self.articulation(talk_clip), feeling, intensity=intensity, gap_gain=gain, rest_gap=rest)

    def articulation(self, talk_clip: str) -> Articulation:
        """The speech behind a talking clip; its `closure` (T,) is 1 where p, b, m seal the lips."""
        row = self.talk.clip(talk_clip)
        key = row.sentence or row.id
        if key not in self._articulations:
            speech, phones = self.talk.audio_path(talk_clip), self.talk.phones(talk_clip)
            self._articulations[key] = articulate(speech, phones, fps=self.talk.fps, visemes=self._visemes)
            if len(self._articulations) > 64:
                self._articulations.popitem(last=False)
        return self._articulations[key]

    def peak(self, subject: str, emotion: str) -> Float:
        """The coefficients (52,) at the peak of a subject's acted expression. Raises DataError when there is none."""
        rows = self.expression.select(subject=subject, label=emotion)
        if not rows:
            raise DataError(
                f"{self.expression.root} has no {emotion!r} of {subject}; its labels: {', '.join(self.expression.labels)}"
            )
        track = self.expression.coefficients(rows[0].id)
        peak: Float = track[int(np.argmax(np.square(track).sum(axis=1)))]
        return peak

    def _gap(self, subject: str) -> tuple[Float, float]:
        if subject not in self._gaps:
            store: Store = self.talk
            self._gaps[subject] = lip_gap_gains(store.template, store.neutral(subject), store.basis(subject))
        return self._gaps[subject]
