"""How well generators speak: predictions of test sequences, scored by the code of `evaluate score` (paper section 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli.audio.io import load_speech
from emovoca_cli.constants import NEUTRAL_MU
from emovoca_cli.data.folder import fingerprint
from emovoca_cli.data.sequences import SequenceEntry, SequenceSource
from emovoca_cli.data.store import Store
from emovoca_cli.dataset_builder.build import peak_frame
from emovoca_cli.dataset_builder.reader import EmoDataset
from emovoca_cli.errors import DataError
from emovoca_cli.evaluation.faces import Faces
from emovoca_cli.evaluation.report import build_report
from emovoca_cli.evaluation.score import Options, Scores, paired, score_takes
from emovoca_cli.evaluation.statistics import Bootstrap
from emovoca_cli.evaluation.takes import Take, list_takes, read_take
from emovoca_cli.generators.bank import one_hots
from emovoca_cli.generators.load import SpeechGenerator
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.talkers import Corpus, Talker, Talkers
from emovoca_cli.types import Float

Predict = Callable[[SequenceEntry], Float]
"""From a test sequence to displacements (T,V,3) in metres."""

PER_GROUP = {"lve": "lve_max_l2_mm", "uve": "uve_max_l2_mm"}
OPTIONS = Options(presets=("paper",), motion=False, common_length=True, resample=True, bootstrap=Bootstrap(draws=0))
"""The paper's LVE and UVE; unequal lengths and rates are brought together and said in the notes."""


def speak(generator: SpeechGenerator, entry: SequenceEntry) -> Float:
    """What a generator makes of an entry's speech under its labels, (T,V,3) displacements in metres; zeros for neutral speech."""
    speech = load_speech(entry.audio)
    frames = generator.frames(speech)
    emotion, intensity = (np.tile(row, (frames, 1)) for row in one_hots(entry, generator.emotions))
    return generator.vertices(generator.motion(speech, emotion, intensity))


def neutral_of(entry: SequenceEntry) -> SequenceEntry:
    """The same speech without an emotion."""
    return replace(entry, emotion=None, intensity=0.0)


def offset_of(data: EmoDataset, expression: Store, entry: SequenceEntry, *, scaled: bool) -> Float:
    """The expression S_e (V,3) that an entry was mixed with: the peak of its identity's expression, metres.

    scaled: times mu_e / 2, the strength at which the dataset wears it (2 leaves a motion at its own), else as it is.
    """
    rows = expression.select(subject=data.manifest["partners"][entry.subject], label=entry.emotion)
    if not rows:
        raise DataError(f"{expression.root} has no {entry.emotion!r} for {entry.subject}; build the dataset from it again")
    _, peak = peak_frame(expression, rows[0].id)
    return np.asarray(peak * (data.mu_e[int(entry.intensity)] / NEUTRAL_MU if scaled else 1.0), np.float32)


def take_of(source: SequenceSource, entry: SequenceEntry, moved: Float) -> Take:
    """Displacements (T,V,3) of an entry on its subject's face, as something that can be scored."""
    rest = source.neutral(entry.subject)
    return Take(
        Path(entry.id), rest + moved, 1.0, fps=source.fps, rest=rest, faces=source.template.faces,
        emotion=entry.emotion or "neutral", intensity=entry.intensity,
    )  # fmt: skip


def score_entries(
    source: SequenceSource,
    entries: Sequence[SequenceEntry],
    predict: Predict,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score what `predict` makes of test sequences against their own motion."""
    known = {entry.id: entry for entry in entries}

    def fetch(name: str, goal: str | None) -> tuple[Take, Take]:
        entry = known[name]
        return take_of(source, entry, predict(entry)), take_of(source, entry, source.displacement(entry))

    return score_takes([(name, name) for name in known], fetch, Faces(given=source.template), OPTIONS, progress=progress)


def score_given(source: SequenceSource, entries: Sequence[SequenceEntry], folder: Path, *, match: str) -> Scores:
    """Score a user's predictions (.npy in metres, or clips) of test sequences, named after them by `match`.

    Sequences that were not predicted are left out and noted. Raises UsageError, DataError and TopologyError.
    """
    known = {entry.id: entry for entry in entries}
    files = list_takes(folder, "--predictions")
    options = replace(OPTIONS, match=match, allow_missing=True)
    pairs, notes = paired(files, known, options)

    def fetch(name: str, goal: str | None) -> tuple[Take, Take]:
        entry = known[str(goal)]
        return read_take(files[name], metres=1.0), take_of(source, entry, source.displacement(entry))

    return score_takes(pairs, fetch, Faces(given=source.template), options, notes=notes)


def summary(scores: Scores) -> dict[str, Any]:
    """Plain JSON of what the tables and figures need: LVE and UVE in mm, overall and by emotion and intensity."""
    report = build_report(scores)
    lines = report["presets"]["paper"]["lines"]
    return {
        **{name: lines[name.upper()]["value"] for name in PER_GROUP if name.upper() in lines},
        "groups": {
            by: {
                group: {name: part["metrics"][key]["value"] for name, key in PER_GROUP.items() if key in part["metrics"]}
                for group, part in report["groups"].get(by, {}).items()
            }
            for by in ("emotion", "intensity")
        },
        "sequences": report["sequences"],
        "frames": report["frames"],
        "notes": report["notes"],
    }


def talker_scores(talkers: Talkers, talker: Talker, test: Corpus, seed: int) -> Mapping[str, Any]:
    """The cell of a generator on a test set; on the neutral one both one-hots are zero."""
    return _scored(talkers, talker, test, seed, "its own", lambda generator: lambda entry: speak(generator, entry))


def offset_scores(talkers: Talkers, talker: Talker, test: Corpus, seed: int, *, scaled: bool) -> Mapping[str, Any]:
    """The cell of the baseline of Table 3a: a neutral generator's prediction plus the expression's offset."""
    data, expression = talkers.data(test), talkers.job.expression

    def predictor(generator: SpeechGenerator) -> Predict:
        return lambda entry: speak(generator, neutral_of(entry)) + offset_of(data, expression, entry, scaled=scaled)

    return _scored(talkers, talker, test, seed, f"offset {'scaled' if scaled else 'as it is'}", predictor)


def rest_scores(talkers: Talkers, test: Corpus) -> Mapping[str, Any]:
    """The cell of a face that never moves: what a score means is seen against it."""

    def still(entry: SequenceEntry) -> Float:
        return np.zeros((entry.frames, *talkers.source(test).template.vertices.shape), np.float32)

    return _cell(talkers, test, {"models": []}, "measuring a face at rest", lambda: still)


def _scored(
    talkers: Talkers, talker: Talker, test: Corpus, seed: int, how: str, predictor: Callable[[SpeechGenerator], Predict]
) -> Mapping[str, Any]:
    models = [done.folder.name for done in talkers.trained(talker, seed)]
    what = f"scoring {talker.name}, seed {seed}, on {test}"
    return _cell(talkers, test, {"models": models, "how": how}, what, lambda: predictor(talkers.generator(talker, seed)))


def _cell(
    talkers: Talkers, test: Corpus, settings: Mapping[str, Any], what: str, predict: Callable[[], Predict]
) -> Mapping[str, Any]:
    job: Job = talkers.job
    entries = talkers.tests(test)
    marked = {
        **settings,
        "test": test,
        "dataset": talkers.data(test).root.parent.name,
        "entries": fingerprint([entry.id for entry in entries]),
    }

    def work(folder: Path) -> dict[str, Any]:
        scores = score_entries(
            talkers.source(test), entries, predict(), progress=lambda done, total: job.progress(what, done, total)
        )
        return summary(scores)

    return job.cells.get("talking", marked, work).result
