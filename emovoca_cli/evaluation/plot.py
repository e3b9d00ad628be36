"""LVE and UVE as bars by emotion and intensity, as in Figure 4 of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import atomic_write

BARS = (("lve_max_l2_mm", "LVE (mm)"), ("uve_max_l2_mm", "UVE (mm)"))
BY = ("emotion", "intensity")
SUFFIXES = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Refuse early what cannot be drawn: raises UsageError for another suffix or a missing matplotlib."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot is {path}, expected a name ending in {', '.join(SUFFIXES)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError('plots need matplotlib: pip install "emovoca[plots]"') from error


def bar_groups(report: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Mapping[str, Any]]]]:
    """What is drawn: by metric, by label (emotion, intensity), the row of each group. Raises DataError when there is nothing."""
    found: dict[str, dict[str, dict[str, Mapping[str, Any]]]] = {}
    for metric, _ in BARS:
        for by in BY:
            members = report["groups"].get(by, {})
            rows = {group: part["metrics"][metric] for group, part in members.items() if metric in part["metrics"]}
            if rows:
                found.setdefault(metric, {})[by] = rows
    if not found:
        raise DataError("nothing to plot: no LVE or UVE of a known emotion or intensity was measured; give --names or --labels")
    return found


def plot_bars(report: Mapping[str, Any], path: Path) -> None:
    """Draw the bars with their confidence intervals as .png, .svg or .pdf. Raises UsageError, DataError and OutputError."""
    check_plot(path)
    drawn = bar_groups(report)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = dict(BARS)
    columns = [by for by in BY if any(by in parts for parts in drawn.values())]
    figure = Figure(figsize=(5.5 * len(columns), 3.2 * len(drawn)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(drawn), len(columns), squeeze=False)
    for row, (metric, parts) in zip(axes, drawn.items(), strict=True):
        for axis, by in zip(row, columns, strict=True):
            rows = parts.get(by, {})
            values = [one["value"] for one in rows.values()]
            errors = [
                [0.0 if one["low"] is None else max(0.0, one["value"] - one["low"]) for one in rows.values()],
                [0.0 if one["high"] is None else max(0.0, one["high"] - one["value"]) for one in rows.values()],
            ]
            axis.bar(list(rows), values, yerr=errors, capsize=3, color="#3b6ea5" if metric.startswith("lve") else "#c2703d")
            axis.set_ylabel(titles[metric])
            axis.set_xlabel(by)
            axis.tick_params(axis="x", rotation=45 if len(rows) > 5 else 0)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=150)
