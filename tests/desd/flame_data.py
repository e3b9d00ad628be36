"""Real meshes for DE-SD: the release's peak expressions, and the demo's speech carried to their topology by landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from emovoca_cli.cli.app import run
from emovoca_cli.data.sequences import Phone
from emovoca_cli.data.store import Store, StoreWriter
from emovoca_cli.mesh.carry import Carry
from emovoca_cli.types import Float, MeshTemplate
from tests.helpers import shared_data

Spoken = Mapping[str, tuple[MeshTemplate, Float, Sequence[tuple[str, Float, Path, Sequence[Phone]]]]]
"""By identity: the speaker's template, face at rest (V,3), and what is said: id, motion (T,68,3), speech, phones."""


def write_expressions(folder: Path) -> Store:
    """`prep florence4d` on the 12 identities x 11 peaks of the release, as a user calls it. Skips where they are not."""
    release = shared_data() / "emovoca_release"
    line = ["prep", "florence4d", "--input", str(release / "conditions"), "--flame", str(release / "template")]
    code = run([*line, "--neutral", "median", "--out", str(folder), "--quiet"])
    if code:
        raise RuntimeError(f"prep florence4d ended with {code}")
    return Store(folder / "expression")


def carried_talk(folder: Path, spoken: Spoken, expression: Store, *, fps: float, licence: str) -> Store:
    """A talk store on the expressions' meshes: each identity speaks what is given, in its own size."""
    writer = StoreWriter(
        folder / "talk", kind="talk", template=expression.template, fps=fps, licence=licence, provenance={"made_by": "carried"}
    )
    splits = {subject: name for name, members in expression.splits.items() for subject in members}
    for subject, (template, rest, sentences) in spoken.items():
        neutral = expression.neutral(subject)
        carry = Carry.between(template, replace(expression.template, vertices=neutral), rest=rest)
        writer.add_subject(subject, splits[subject], neutral)
        for name, motion, speech, phones in sentences:
            writer.add_speech(name, speech, text="", phones=phones)
            writer.add_clip(f"{subject}_{name}", subject, carry.motion(motion), sentence=name)
    writer.finish()
    return Store(folder / "talk")


def from_store(talk: Store, subjects: Sequence[str], sentences: int) -> Spoken:
    """What a talk store's speakers say, given to other subjects in turn."""
    spoken = {}
    for subject, speaker in zip(subjects, talk.subjects, strict=False):
        rows = talk.select(subject=speaker)[:sentences]
        spoken[subject] = (
            talk.template,
            talk.neutral(speaker),
            [(str(row.sentence), talk.landmarks(row.id), talk.audio_path(row.id), talk.phones(row.id)) for row in rows],
        )
    return spoken
