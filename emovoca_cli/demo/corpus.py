"""The demo corpus: built-in identities that speak recorded sentences, and that show eleven expressions in silence.

Both sets come from the rig and are stored as coefficients with each identity's basis, so they are small. Talk is like VOCASET
(neutral speech), expressions like Florence 4D (60 frames: neutral, a peak at frame 25-35, neutral).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from emovoca_cli import __version__
from emovoca_cli.audio.io import frame_count, load_speech
from emovoca_cli.constants import DEFAULT_FPS, EMOTIONS_V2, SAMPLE_RATE
from emovoca_cli.data.sequences import Phone
from emovoca_cli.data.store import EXPRESSION, TALK, Store
from emovoca_cli.data.writer import StoreWriter
from emovoca_cli.demo.arkit import ARKIT_NAMES
from emovoca_cli.demo.articulation import Articulation, effort_from_speech, speak
from emovoca_cli.demo.emotions import load_emotions
from emovoca_cli.demo.entangle import combine
from emovoca_cli.demo.rig_tables import RigTables, table_from_plain
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import check_output, hash_bytes, hash_file
from emovoca_cli.mesh.landmarks import landmark_points, lip_opening
from emovoca_cli.types import Float, MeshTemplate

EXPRESSION_FRAMES = 60
PEAK_FRAMES = (25, 35)
"""First and last frame at which an expression may peak."""
SENTENCES = 40
"""Built-in sentences that each identity speaks by default."""
EVERYONE = 100
"""Most utterances that every identity speaks; a larger corpus is varied enough with one speaker each."""
LICENCE = "MIT (emovoca demo corpus: built-in head, rig and synthesised speech)"
_MOTION_SOURCES = (
    "articulation.py",
    "corpus.py",
    "emotions.yaml",
    "entangle.py",
    "phones.py",
    "visemes.py",
    "visemes.yaml",
)

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with (done, total, metrics)."""


class IdentityLike(Protocol):
    """A face and its blendshapes: neutral (V,3), basis (52,V,3), metres; split train, val or test."""

    @property
    def name(self) -> str:
        """Unique name, fit for a file name."""

    @property
    def neutral(self) -> Float:
        """Face at rest (V,3)."""

    @property
    def basis(self) -> Float:
        """Displacements at coefficient 1 (52,V,3) in ARKit's order."""

    @property
    def split(self) -> str:
        """train, val or test."""


class UtteranceLike(Protocol):
    """One recording and what it says: phones [name, start, end] in seconds."""

    @property
    def id(self) -> str:
        """Unique name, fit for a file name."""

    @property
    def path(self) -> Path:
        """The recording."""

    @property
    def text(self) -> str:
        """The words."""

    @property
    def phones(self) -> Sequence[Phone]:
        """Phones in time."""


def write_demo_corpus(
    out: Path,
    speech: Sequence[UtteranceLike] | None = None,
    *,
    identities: Sequence[IdentityLike] | None = None,
    template: MeshTemplate | None = None,
    fps: float = DEFAULT_FPS,
    seed: int = 0,
    licence: str = LICENCE,
    tables: RigTables | None = None,
    source: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[Store, Store]:
    """Write `out`/talk and `out`/expression and return them opened; continues where a stopped run was.

    `speech` defaults to the first `SENTENCES` built-in ones. Up to `EVERYONE` are spoken by every identity; more are dealt out in
    turn, one identity an utterance. `identities` and `template` default to the built-in head, `tables` (visemes and emotions)
    to its own. source: plain JSON for the manifests that says what else decides the content (another rig's file and settings).
    Raises UsageError, DataError, OutputError.
    """
    template = template if template is not None else _builtin_template()
    identities = identities if identities is not None else _builtin_identities()
    pairs = _cast(identities, speech)
    check_output(out, directory=True)
    told = progress or (lambda done, total, metrics: None)
    count = len(identities) * len(EMOTIONS_V2)
    total = count + len(pairs)
    shared: dict[str, Any] = {
        "made_by": f"emovoca {__version__} prep {'demo' if source is None else source['kind']}",
        "seed": seed,
        "motion": _sources_hash(),
        "identities": {
            who.name: hash_bytes(np.float32(who.neutral).tobytes(), np.float16(who.basis).tobytes()) for who in identities
        },
    }
    if source is not None:
        shared["source"] = dict(source)
    if tables is not None:
        shared["tables"] = tables.plain()
    visemes = None if tables is None else table_from_plain(shared["tables"]["visemes"])
    emotions = load_emotions() if tables is None else table_from_plain(shared["tables"]["emotions"])
    common: dict[str, Any] = {"template": template, "fps": fps, "licence": licence, "overwrite": overwrite}
    expression = _writer(out / EXPRESSION, EXPRESSION, provenance=shared, **common)
    for who in identities:
        expression.add_subject(who.name, who.split, who.neutral, who.basis)
    for done, (name, subject, label, values) in enumerate(_expressions(identities, seed, emotions), start=1):
        if expression.has_clip(name):
            expression.keep_clip(name, subject, label=label)
        else:
            expression.add_clip(name, subject, values, label=label)
        told(done, total, {})
    expression.finish()

    utterances = {utterance.id: utterance for _, utterance in pairs}
    listed = {
        key: hash_bytes(hash_file(item.path).encode(), repr((item.text, list(item.phones))).encode())
        for key, item in utterances.items()
    }
    talk = _writer(out / TALK, TALK, provenance={**shared, "speech": listed}, **common)
    gaps = {}
    for who in identities:
        talk.add_subject(who.name, who.split, who.neutral, who.basis)
        gaps[who.name] = lip_gap_gains(template, who.neutral, half_basis(who.basis))
    articulation: Articulation | None = None
    for done, (who, utterance) in enumerate(pairs, start=count + 1):
        if done == count + 1 or utterance.id != pairs[done - count - 2][1].id:
            talk.add_speech(utterance.id, utterance.path, text=utterance.text, phones=utterance.phones)
            articulation = None
        name = f"{who.name}_{utterance.id}"
        if talk.has_clip(name):
            talk.keep_clip(name, who.name, sentence=utterance.id)
        else:
            articulation = articulation or articulate(utterance.path, utterance.phones, fps=fps, visemes=visemes)
            gain, rest = gaps[who.name]
            values = combine(articulation, np.zeros(len(ARKIT_NAMES), np.float32), gap_gain=gain, rest_gap=rest)
            talk.add_clip(name, who.name, values, sentence=utterance.id)
        told(done, total, {})
    talk.finish()
    return Store(out / TALK), Store(out / EXPRESSION)


def articulate(speech: Path, phones: Sequence[Phone], *, fps: float, visemes: Mapping[str, Float] | None = None) -> Articulation:
    """The mouth's motion for a recording: frames = round(duration x fps), effort from its loudness; visemes as for `speak`."""
    phones = [(name, round(start, 5), round(end, 5)) for name, start, end in phones]  # as the store keeps them
    samples = load_speech(speech)
    frames = frame_count(len(samples), fps)
    effort = effort_from_speech(samples, sample_rate=SAMPLE_RATE, fps=fps, frames=frames)
    return speak(phones, fps=fps, frames=frames, effort=effort, visemes=visemes)


def expression_track(emotion: Float, rng: np.random.Generator, *, frames: int = EXPRESSION_FRAMES) -> Float:
    """Coefficients (T,52) of one acted expression: neutral, eased in to a peak at a frame of `PEAK_FRAMES`, eased out to neutral.

    The person's own version of the emotion (52,) differs by some 8 % a coefficient; each coefficient leads or lags a little, all
    are whole at the peak.
    """
    own = np.clip(emotion.astype(np.float64) * np.exp(rng.normal(0, 0.08, emotion.shape)), 0, 1)
    peak = int(rng.integers(PEAK_FRAMES[0], PEAK_FRAMES[1] + 1))
    time = np.arange(frames, dtype=np.float64)
    level = np.where(time <= peak, time / peak, (frames - 1 - time) / (frames - 1 - peak))
    eased = level**2 * (3 - 2 * level)
    pace = np.exp(rng.normal(0, 0.15, emotion.shape))
    track: Float = (own * eased[:, None] ** pace).astype(np.float32)
    return track


def half_basis(basis: Float) -> Float:
    """The basis as a reader of the store sees it: rounded to float16."""
    return basis.astype(np.float16).astype(np.float32)


def lip_gap_gains(template: MeshTemplate, neutral: Float, basis: Float) -> tuple[Float, float]:
    """Metres that the vertical inner-lip gap grows by a unit of each coefficient (52,), and the gap at rest; for `combine`."""
    where = (template.faces, template.landmark_faces, template.landmark_weights)
    return lip_opening(landmark_points(basis, *where)), float(lip_opening(landmark_points(neutral, *where)))


def _expressions(
    identities: Sequence[IdentityLike], seed: int, emotions: Mapping[str, Float]
) -> Iterator[tuple[str, str, str, Float]]:
    """Clip id, subject, label and coefficients (60,52) of every identity x label."""
    for who in identities:
        for index, label in enumerate(EMOTIONS_V2):
            person = int.from_bytes(bytes.fromhex(hash_bytes(who.name.encode())[:8]), "big")
            rng = np.random.default_rng((seed, person, index))
            yield f"{who.name}_{label}", who.name, label, expression_track(emotions[label], rng)


def _cast(identities: Sequence[IdentityLike], speech: Sequence[UtteranceLike] | None) -> list[tuple[IdentityLike, UtteranceLike]]:
    """Who speaks what, grouped by utterance."""
    if not identities:
        raise UsageError("the corpus needs at least one identity")
    speech = _builtin_speech()[:SENTENCES] if speech is None else speech
    if not speech:
        raise DataError("the speech folder has no utterances; make some with `python -m emovoca_cli.demo.synthesize`")
    if len(speech) <= max(EVERYONE, len(identities)):
        return [(who, utterance) for utterance in speech for who in identities]
    return [(identities[index % len(identities)], utterance) for index, utterance in enumerate(speech)]


def _writer(
    root: Path, kind: str, *, template: MeshTemplate, fps: float, licence: str, provenance: dict[str, Any], overwrite: bool
) -> StoreWriter:
    labels = EMOTIONS_V2 if kind == EXPRESSION else ()
    return StoreWriter(
        root,
        kind=kind,
        template=template,
        fps=fps,
        licence=licence,
        provenance=provenance,
        labels=labels,
        coefficient_names=ARKIT_NAMES,
        overwrite=overwrite,
    )


def _sources_hash() -> str:
    """Hash of the code and tables that decide the motion: a corpus made by other ones is another corpus."""
    here = Path(__file__).parent
    return hash_bytes(*((here / name).read_bytes() for name in _MOTION_SOURCES))


def _builtin_template() -> MeshTemplate:
    from emovoca_cli.demo.head import load_head

    return load_head().template


def _builtin_identities() -> list[IdentityLike]:
    from emovoca_cli.demo.identities import IDENTITY_NAMES, identity

    return [identity(name) for name in IDENTITY_NAMES]


def _builtin_speech() -> Sequence[UtteranceLike]:
    from emovoca_cli.demo.speech import builtin_speech

    utterances: Sequence[UtteranceLike] = builtin_speech()
    return utterances
