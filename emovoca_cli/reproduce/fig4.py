"""Figure 4: LVE and UVE of both generators by emotion and intensity, trained and tested on EmoVOCAv1 (section 4.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emovoca_cli.evaluation.plot import BARS, Bars, bars_picture, check_plot
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.table3 import ERRORS, MEANING
from emovoca_cli.reproduce.tables import Cell, Column, Outcome, ResultTable, Row, measured
from emovoca_cli.reproduce.talkers import Talker, Talkers
from emovoca_cli.reproduce.talking import PER_GROUP, talker_scores

SHOWN = (Talker("s2l", "v1"), Talker("faceformer", "v1"))
"""In the paper's order and colours: blue, red."""

NOTES = (
    MEANING,
    "Bars: mean over the seeds; whiskers: one sample standard deviation over the seeds, none for a single seed.",
    "The paper prints bars without numbers, so there are none beside ours.",
)


def fig4(job: Job) -> Outcome:
    """Score both generators by emotion and intensity on each seed; draws the bars. Raises UsageError without matplotlib."""
    check_plot(Path("fig4.png"))  # before hours are spent
    talkers = Talkers(job)
    scored = {talker: [talker_scores(talkers, talker, "v1", seed)["groups"] for seed in job.seeds] for talker in SHOWN}
    columns = tuple(
        Column(f"{error}_{talker.kind}", f"{error.upper()} {talker.name} mm", 3) for error in ERRORS for talker in SHOWN
    )
    rows = []
    for by in ("emotion", "intensity"):
        for group in _groups(scored.values(), by):
            cells = {f"{error}_{one.kind}": _cell(scored[one], by, group, error) for error in ERRORS for one in SHOWN}
            rows.append(Row(_title(by, group), cells))
    table = ResultTable("fig4", "Figure 4: by emotion and intensity", columns, tuple(rows), NOTES, job.describe())
    return Outcome((table,), {"": bars_picture({talker.name: _bars(scored[talker]) for talker in SHOWN})})


def _groups(scored: Any, by: str) -> list[str]:
    return list(dict.fromkeys(group for seeds in scored for seed in seeds for group in seed[by]))


def _title(by: str, group: str) -> str:
    return group if by == "emotion" else f"intensity {group}"


def _cell(seeds: Sequence[Mapping[str, Any]], by: str, group: str, error: str) -> Cell:
    return measured(seed[by].get(group, {}).get(error) for seed in seeds)


def _bars(seeds: Sequence[Mapping[str, Any]]) -> Bars:
    """Means over the seeds with their deviation as whiskers."""
    metrics = {key: error for error, key in PER_GROUP.items()}
    bars: Bars = {}
    for metric, _ in BARS:
        for by in ("emotion", "intensity"):
            rows = {}
            for group in _groups([seeds], by):
                cell = _cell(seeds, by, group, metrics[metric])
                if cell.mean is not None:
                    reach = cell.spread
                    low, high = (None, None) if reach is None else (cell.mean - reach, cell.mean + reach)
                    rows[group] = {"value": cell.mean, "low": low, "high": high}
            bars.setdefault(metric, {})[by] = rows
    return bars
