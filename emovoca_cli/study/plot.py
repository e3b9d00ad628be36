"""A study's scores as a picture: preferences as bars with their intervals, confusion matrices as shaded tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emovoca_cli.evaluation.plot import check_plot
from emovoca_cli.files import atomic_write

_OURS, _OTHER, _INK = "#8db0da", "#d7d2c8", "#23211d"


def plot_study(report: Mapping[str, Any], path: Path) -> None:
    """Draw a report as .png, .svg or .pdf. Raises UsageError and OutputError."""
    check_plot(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bars, tables = report["preferences"], sorted(report["naming"], key=lambda one: str(one["group"]))
    columns = max(1, min(len(tables), len(report["systems"])))
    seen = [sum(row is not None for row in one["percent"]) for one in tables]
    heights = [0.9 + 0.55 * len(bars)] if bars else []
    heights += [1.5 + 0.55 * max(seen[start : start + columns]) for start in range(0, len(tables), columns)]
    figure = Figure(figsize=(max(7.5, 4.6 * columns), sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    if bars:
        _bars(figure.add_subplot(grid[0, :]), bars)
    for index, one in enumerate(tables):
        _matrix(figure.add_subplot(grid[index // columns + bool(bars), index % columns]), one)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=150)


def _bars(axis: Any, rows: list[Mapping[str, Any]]) -> None:
    """Bars from 0 to 100 %: the first system's share, the rest to the other."""
    names = [f"{one['group']}: {one['question'].replace('_', '-')}" for one in rows]
    places = np.arange(len(rows))[::-1]
    shares = np.array([one["percent"] for one in rows])
    errors = np.array(
        [(0.0, 0.0) if one["low"] is None else (one["percent"] - one["low"], one["high"] - one["percent"]) for one in rows]
    ).T
    axis.barh(places, shares, color=_OURS, height=0.6)
    axis.barh(places, 100 - shares, left=shares, color=_OTHER, height=0.6)
    axis.errorbar(shares, places, xerr=np.maximum(errors, 0), fmt="none", ecolor=_INK, capsize=4)
    axis.axvline(50, color=_INK, linewidth=0.8, linestyle=":")
    for place, one in zip(places, rows, strict=True):
        axis.text(1.5, place, f"{one['systems'][0]} {one['percent']:.1f} %", color=_INK, va="center", fontsize=9)
        axis.text(101, place, f"{one['systems'][1]} {one['other_percent']:.1f} %", color=_INK, va="center", fontsize=9)
    axis.set_yticks(places, names)
    axis.set_xlim(0, 100)
    axis.set_xlabel("preferred (%)")
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _matrix(axis: Any, one: Mapping[str, Any]) -> None:
    """A confusion matrix in %, wanted emotions in rows; emotions that nobody saw are left out."""
    seen = [index for index, row in enumerate(one["percent"]) if row is not None]
    values = np.array([one["percent"][index] for index in seen], np.float64)
    axis.imshow(values, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", color="white" if value > 55 else _INK)
    axis.set_xticks(range(len(one["labels"])), one["labels"], rotation=45 if len(one["labels"]) > 5 else 0)
    axis.set_yticks(range(len(seen)), [one["labels"][index] for index in seen])
    axis.set_xlabel("named")
    axis.set_ylabel("wanted")
    accuracy = one["accuracy"]
    axis.set_title(f"{one['system']}, {one['group']}: {accuracy['percent']:.0f} % right (n = {accuracy['answers']})", fontsize=10)
