"""The scores of a study as plain JSON, as rows of a table, and as the cells of Tables 4 and 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli import __version__
from emovoca_cli.data.checks import Findings
from emovoca_cli.evaluation.statistics import Bootstrap
from emovoca_cli.study.answers import Answer, find_answers, read_answers
from emovoca_cli.study.design import CHOICES, Design, compared
from emovoca_cli.study.make import read_key
from emovoca_cli.study.paper import TABLES, Matrix
from emovoca_cli.study.score import Confusion, Preference, Share, score_study

REPORT_SCHEMA = 1
COLUMNS = (
    "kind", "group", "question", "system", "other", "wanted", "named", "percent", "low", "high", "count", "answers", "participants",
    "ties", "losses", "wilson_low", "wilson_high", "p_answers", "p_participants", "left_percent",
)  # fmt: skip


def score_files(
    places: Sequence[Path],
    folder: Path,
    findings: Findings,
    *,
    bootstrap: Bootstrap,
    allow_incomplete: bool = False,
    paper: bool = False,
) -> dict[str, Any]:
    """The report on answer files (or folders of them) to the study in `folder`; what does not fit becomes a problem in `findings`.

    Raises UsageError for missing files, DataError when the key is broken or no answer is usable.
    """
    design = read_key(folder)
    answers = read_answers(find_answers(places), design, findings, allow_incomplete=allow_incomplete)
    scored = score_study(answers, design, bootstrap)
    return build_report(design, answers, scored, bootstrap=bootstrap, left_out=findings.problems, paper=paper)


def build_report(
    design: Design,
    answers: Sequence[Answer],
    scored: tuple[list[Preference], list[Confusion]],
    *,
    bootstrap: Bootstrap,
    left_out: Sequence[tuple[str, str]] = (),
    paper: bool = False,
) -> dict[str, Any]:
    """Everything as plain JSON, shares in %. left_out: (file, why); paper: the paper's own tables beside."""
    preferences, confusions = scored
    return {
        "kind": "study-scores",
        "schema": REPORT_SCHEMA,
        "emovoca": __version__,
        "study": design.study,
        "systems": list(design.systems),
        "participants": len({answer.participant for answer in answers}),
        "answers": len(answers),
        "left_out": [{"file": file, "why": why} for file, why in left_out],
        "bootstrap": {
            "draws": bootstrap.draws, "seed": bootstrap.seed, "confidence": bootstrap.confidence, "of": "participants",
        },
        "preferences": [_preference(one) for one in preferences],
        "naming": [_confusion(one) for one in confusions],
    } | ({"paper": paper_tables()} if paper else {})  # fmt: skip


def paper_tables() -> list[dict[str, Any]]:
    """Tables 4 and 5 as printed, in the shape of our own report."""
    return [
        {
            "table": table.name,
            "systems": ["E-S2L+S2D (v1)", table.other],
            "participants": table.participants,
            "preferences": [
                {"group": group, "question": question, "percent": ours, "other_percent": other}
                for group, question, ours, other in table.preferences
            ],
            "labels": list(CHOICES),
            "percent": _lists(table.ours),
            "other_percent": _lists(table.others),
            "remark": table.remark,
        }
        for table in TABLES
    ]


def _lists(matrix: Matrix) -> list[list[float]]:
    return [list(row) for row in matrix]


def _in_percent(share: Share) -> dict[str, Any]:
    return {
        "percent": 100 * share.value,
        "low": None if share.low is None else 100 * share.low,
        "high": None if share.high is None else 100 * share.high,
        "answers": share.answers,
        "participants": share.participants,
    }


def _preference(one: Preference) -> dict[str, Any]:
    return {
        "group": one.group,
        "question": one.question,
        "systems": list(one.systems),
        **_in_percent(one.share),
        "other_percent": 100 * (1 - one.share.value),
        "wilson": [100 * bound for bound in one.wilson],
        "wins": one.wins,
        "losses": one.losses,
        "ties": one.ties,
        "p_answers": one.p_answers,
        "p_participants": one.p_participants,
        "left_percent": None if one.left is None else 100 * one.left,
    }


def _confusion(one: Confusion) -> dict[str, Any]:
    percent = one.percent()
    return {
        "group": one.group,
        "system": one.system,
        "labels": list(one.labels),
        "counts": one.counts.tolist(),
        "percent": [None if np.isnan(row).any() else row.tolist() for row in percent],
        "accuracy": _in_percent(one.right),
        "chance_percent": 100 / len(one.labels),
    }


def cells(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Two entries of a report's `naming` as the paper prints them, "Ours/Other" in %: heads and rows of what was shown."""
    heads = ("", *(str(label) for label in first["labels"]))
    rows = []
    for label, ours, other in zip(first["labels"], first["percent"], second["percent"], strict=True):
        if ours is not None or other is not None:
            rows.append((str(label), *cell_row(ours, other)))
    return heads, rows


def cell_row(ours: Sequence[float] | None, other: Sequence[float] | None) -> tuple[str, ...]:
    """One row of cells such as "52.3/9.5", a dash where there is nothing."""
    count = len(ours if ours is not None else other or ())
    sides = [[f"{value:.1f}" for value in side] if side is not None else ["-"] * count for side in (ours, other)]
    return tuple("/".join(pair) for pair in zip(*sides, strict=True))


def naming_pairs(report: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The confusion matrices that stand in one table: those of the first system with those of each other, by test."""
    found = []
    for first, second in compared(report["systems"]):
        for one in report["naming"]:
            for other in report["naming"]:
                if one["system"] == first and other["system"] == second and one["group"] == other["group"]:
                    found.append((one, other))
    return found


def table_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One flat row a number, for .csv."""
    rows: list[dict[str, Any]] = []
    for one in report["preferences"]:
        low, high = one["wilson"]
        named = {"system": one["systems"][0], "other": one["systems"][1], "wilson_low": low, "wilson_high": high}
        rows.append({"kind": "preference", "count": one["wins"]} | named | {key: one[key] for key in COLUMNS if key in one})
    for one in report["naming"]:
        base = {
            "group": one["group"],
            "question": "naming",
            "system": one["system"],
            "participants": one["accuracy"]["participants"],
        }
        rows.append({"kind": "accuracy"} | base | {key: one["accuracy"][key] for key in ("percent", "low", "high", "answers")})
        for wanted, counts, percent in zip(one["labels"], one["counts"], one["percent"], strict=True):
            if percent is not None:
                rows += [
                    {
                        "kind": "confusion",
                        "wanted": wanted,
                        "named": named,
                        "percent": value,
                        "count": count,
                        "answers": sum(counts),
                    }
                    | base
                    for named, value, count in zip(one["labels"], percent, counts, strict=True)
                ]
    return [{column: row.get(column) for column in COLUMNS} for row in rows]
