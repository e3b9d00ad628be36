"""LVE and UVE as bars by emotion and intensity, as in Figure 4 of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import atomic_write

BARS = (("lve_max_l2_mm", "LVE (mm)"), ("uve_max_l2_mm", "UVE (mm)"))
BY = ("emotion", "intensity")
SUFFIXES = (".png", ".svg", ".pdf")
DPI = 150
SINGLE = {"lve_max_l2_mm": "#3b6ea5", "uve_max_l2_mm": "#c2703d"}
SERIES = ("#3b6ea5", "#b5443c", "#5d8a4a", "#8a6bb0", "#c2903d")
"""Colours of a metric where one system is drawn, and of systems where there are several."""

Bars = dict[str, dict[str, Mapping[str, Mapping[str, Any]]]]
"""What is drawn of one system: by metric, by label (emotion, intensity), a row (value, low, high) of each group."""


def check_plot(path: Path) -> None:
    """Refuse early what cannot be drawn: raises UsageError for another suffix or a missing matplotlib."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot is {path}, expected a name ending in {', '.join(SUFFIXES)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError('plots need matplotlib: pip install "emovoca[plots]"') from error


def bar_groups(report: Mapping[str, Any]) -> Bars:
    """What is drawn of a report. Raises DataError when there is nothing."""
    found: Bars = {}
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
    """Draw a report's bars with their confidence intervals as .png, .svg or .pdf. Raises UsageError, DataError, OutputError."""
    check_plot(path)
    figure = draw_bars({"": bar_groups(report)})
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=DPI)


def bars_picture(series: Mapping[str, Bars]) -> NDArray[np.uint8]:
    """The bars of several systems side by side as a picture (H,W,3). Raises UsageError without matplotlib."""
    check_plot(Path("bars.png"))
    figure = draw_bars(series)
    figure.set_dpi(DPI)
    figure.canvas.draw()
    return np.array(figure.canvas.buffer_rgba(), dtype=np.uint8)[..., :3]


def draw_bars(series: Mapping[str, Bars]) -> Any:
    """A matplotlib figure of the bars of each named system: a row a metric, a column emotion and intensity, bars side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = dict(BARS)
    metrics = [metric for metric in titles if any(metric in bars for bars in series.values())]
    columns = [by for by in BY if any(by in parts for bars in series.values() for parts in bars.values())]
    figure = Figure(figsize=(5.5 * len(columns), 3.2 * len(metrics)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(metrics), len(columns), squeeze=False)
    width = 0.8 / len(series)
    for row, metric in zip(axes, metrics, strict=True):
        for axis, by in zip(row, columns, strict=True):
            groups = list(dict.fromkeys(group for bars in series.values() for group in bars.get(metric, {}).get(by, {})))
            for number, (name, bars) in enumerate(series.items()):
                rows = bars.get(metric, {}).get(by, {})
                places = [groups.index(group) + (number - (len(series) - 1) / 2) * width for group in rows]
                colour = SERIES[number % len(SERIES)] if len(series) > 1 else SINGLE[metric]
                axis.bar(
                    places, [one["value"] for one in rows.values()], width, yerr=_reach(rows), capsize=3, color=colour,
                    label=name or None,
                )  # fmt: skip
            axis.set_xticks(range(len(groups)), groups, rotation=45 if len(groups) > 5 else 0)
            axis.set_ylabel(titles[metric])
            axis.set_xlabel(by)
    if len(series) > 1:
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=len(series))
    return figure


def _reach(rows: Mapping[str, Mapping[str, Any]]) -> list[list[float]] | None:
    """How far the whiskers of each bar go down and up; no way where there is no interval, and none at all where no bar has one."""
    if all(one["low"] is None for one in rows.values()):
        return None
    return [
        [0.0 if one["low"] is None else max(0.0, one["value"] - one["low"]) for one in rows.values()],
        [0.0 if one["high"] is None else max(0.0, one["high"] - one["value"]) for one in rows.values()],
    ]
