"""Table 3: generators trained on EmoVOCA, on its test sets (a) and on neutral speech (b), beside other systems (section 4.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from emovoca_cli.dataset_builder.plan import DEFAULT_MU_E, VERSIONS
from emovoca_cli.errors import DataError
from emovoca_cli.evaluation.takes import list_takes, match_names
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.paper import TABLE3B
from emovoca_cli.reproduce.tables import Cell, Column, Outcome, ResultTable, Row, measured
from emovoca_cli.reproduce.talkers import Corpus, Talker, Talkers
from emovoca_cli.reproduce.talking import offset_scores, rest_scores, score_given, summary, talker_scores

ERRORS = ("lve", "uve")
NEUTRALS = (Talker("faceformer", "neutral"), Talker("s2l", "neutral"))
EMOTIONAL = (Talker("faceformer", "v1"), Talker("s2l", "v1"), Talker("faceformer", "v2"), Talker("s2l", "v2"))
OURS_IN_3B = {
    "Faceformer (Voca)": NEUTRALS[0],
    "S2L+S2D (Voca)": NEUTRALS[1],
    "E-Faceformer (v1)": EMOTIONAL[0],
    "E-S2L+S2D (v1)": EMOTIONAL[1],
    "E-Faceformer (v2)": EMOTIONAL[2],
    "E-S2L+S2D (v2)": EMOTIONAL[3],
}
"""Rows of the paper's Table 3b that are trained here."""

COLUMNS_A = tuple(Column(f"{error}_{version}", f"{error.upper()} {version} test mm", 3) for version in VERSIONS for error in ERRORS)
COLUMNS_B = tuple(Column(error, f"{error.upper()} mm", 3) for error in ERRORS)

MEANING = (
    "LVE and UVE: mean over frames of the largest L2 error over the lips, over eyes and forehead, by the code of `evaluate score`; "
    "test identities, which no generator has seen."
)
NOTES_A = (
    MEANING,
    "Baselines: the neutral generator's prediction plus the peak of that identity's expression, as it is (as in the paper, 4.3), "
    "or at the strength that the dataset gives each intensity (half, whole, one and a half; ours).",
    "The text that the paper's figures were transcribed from lacks those of this half; they are left out, not guessed.",
    "v2 has v1's sequences and more, so generators of v2 are also tested on v1's test set, where both can be compared.",
)
NOTES_B = (
    MEANING,
    "Emotional generators are given zeros for both one-hots.",
    "The paper's figures are of VOCASET's test set; EmoTalk's LVE there is its own paper's. They do not compare with ours.",
)


def table3(job: Job) -> Outcome:
    """Train the generators of Table 3 on each seed, and score them and what the user gives on emotional and neutral test speech."""
    talkers = Talkers(job)
    given = _by_test(talkers)  # before hours are spent
    scored = {name: _given_scores(talkers, folder, test, job.given.match) for name, (folder, test) in given.items()}
    tables = (_emotional(talkers, scored), _neutral(talkers, scored))
    notes = [
        f"{name}: {note}"
        for name, result in scored.items()
        for note in (
            f"scored on the {result['sequences']} test sequences that it holds, {result['frames']} frames",
            *result["notes"],
        )
    ]
    return Outcome(tables, notes=tuple(notes))


def _emotional(talkers: Talkers, given: Mapping[str, Mapping[str, Any]]) -> ResultTable:
    job, rows = talkers.job, []
    for talker in NEUTRALS:
        for scaled in (False, True):
            seeds = [offset_scores(talkers, talker, "v1", seed, scaled=scaled) for seed in job.seeds]
            how = "expression x intensity" if scaled else "expression"
            rows.append(Row(f"{talker.name} + {how}", _cells(seeds, "_v1")))
    for talker in EMOTIONAL:
        cells: dict[str, Cell] = {}
        for test in _tests_of(talker):
            cells |= _cells([talker_scores(talkers, talker, test, seed) for seed in job.seeds], f"_{test}")
        rows.append(Row(talker.name, cells))
    rows += [
        Row(f"{name} (given)", _cells([result], f"_{result['test']}"))
        for name, result in given.items()
        if result["test"] != "neutral"
    ]
    notes = (*NOTES_A, f"EmoVOCA was mixed by {talkers.mixer_words}, plainly, mu 2 and 1, 2, 3.")
    return ResultTable("table3a", "Table 3a: emotional speech", COLUMNS_A, tuple(rows), notes, job.describe())


def _neutral(talkers: Talkers, given: Mapping[str, Mapping[str, Any]]) -> ResultTable:
    job = talkers.job
    spoken = {name: result for name, result in given.items() if result["test"] == "neutral"}
    rows = [Row("face at rest", _cells([rest_scores(talkers, "neutral")]))]
    for name, papers in TABLE3B.items():
        figures = dict(zip(ERRORS, papers, strict=True))
        mine = [key for key in spoken if key.lower() == name.split(" (")[0].lower()]
        if name in OURS_IN_3B:
            seeds = [talker_scores(talkers, OURS_IN_3B[name], "neutral", seed) for seed in job.seeds]
            rows.append(Row(OURS_IN_3B[name].name, _cells(seeds, papers=figures)))
        elif mine:
            rows.append(Row(f"{name}, given", _cells([spoken.pop(mine[0])], papers=figures)))
        else:
            why = "no predictions of it were given (--predictions NAME=FOLDER)"
            rows.append(
                Row(name, {error: Cell((), figures[error], why) for error in ERRORS if figures[error] is not None}, ours=False)
            )
    rows += [Row(f"{name} (given)", _cells([result])) for name, result in spoken.items()]
    return ResultTable("table3b", "Table 3b: neutral speech", COLUMNS_B, tuple(rows), NOTES_B, job.describe())


def _tests_of(talker: Talker) -> tuple[Corpus, ...]:
    return ("v1",) if talker.corpus == "v1" else ("v1", "v2")


def _cells(
    seeds: Iterable[Mapping[str, Any]], suffix: str = "", papers: Mapping[str, float | None] | None = None
) -> dict[str, Cell]:
    seeds = list(seeds)
    return {f"{error}{suffix}": measured((seed.get(error) for seed in seeds), paper=(papers or {}).get(error)) for error in ERRORS}


def _given_scores(talkers: Talkers, folder: Path, test: Corpus, match: str) -> dict[str, Any]:
    source = talkers.source(test)
    entries = [entry for entry in source.entries if entry.split == "test" and (test == "neutral" or entry.emotion is not None)]
    return {**summary(score_given(source, entries, folder, match=match)), "test": test}


def _by_test(talkers: Talkers) -> dict[str, tuple[Path, Corpus]]:
    """Which test set each folder of predictions is of, by the names in it: talking clips, or those with emotion and level.

    Raises UsageError for no folder and DataError for a folder that has none of them.
    """
    job = talkers.job
    held = [row.id for row in job.talk.thinned(talkers.scale.clips).select(split="test")]
    names: dict[Corpus, list[str]] = {"neutral": held, "v1": _sequences(held, "v1"), "v2": _sequences(held, "v2")}
    found: dict[str, tuple[Path, Corpus]] = {}
    for name, folder in job.given.predictions.items():
        files = list_takes(folder, "--predictions")
        counts = {test: len(match_names(files, known, job.given.match)) for test, known in names.items()}
        if not any(counts.values()):
            raise DataError(
                f"--predictions {name}={folder} holds no prediction of a test clip: the first is {next(iter(files))}, "
                f"expected {held[0]} or {names['v1'][0]}; give --match"
            )
        # v1's sequences are all in v2: only what goes beyond them asks for v2
        found[name] = (folder, max(counts, key=lambda test: (counts[test], test == "v1")))
    return found


def _sequences(clips: Iterable[str], version: str) -> list[str]:
    """Names of a dataset's sequences of some talking clips, as `build-dataset` gives them."""
    return [f"{clip}_{emotion}_{level}" for clip in clips for emotion in VERSIONS[version] for level in DEFAULT_MU_E]
