"""Result tables as text for a terminal, JSON, CSV and Markdown; pictures as PNG."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from emovoca_cli import __version__
from emovoca_cli.files import atomic_write, write_json
from emovoca_cli.render.video import save_picture
from emovoca_cli.reproduce.tables import Cell, Column, Outcome, ResultTable

OUTCOME_SCHEMA = 1
CSV_COLUMNS = ("table", "row", "ours", "column", "mean", "spread", "seeds", "values", "paper", "why")


def shown(cell: Cell, column: Column) -> str:
    """A cell as text: mean ± spread over seeds, then the paper's figure in brackets; or "not measured"."""
    mean, spread = cell.mean, cell.spread
    if mean is None:
        text = "not measured" if cell.paper is None else ""
    else:
        text = column.show(mean) if spread is None else f"{column.show(mean)} ± {column.show(spread)}"
    if cell.paper is not None:
        text += f" (paper {column.show(cell.paper)})"
    return text.strip()


def grid(table: ResultTable) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings and rows of text; what a row does not have stays empty."""
    arrows = {"lower": " ↓", "higher": " ↑", "neither": ""}
    headings = (table.title.split(":")[0], *(column.heading + arrows[column.better] for column in table.columns))
    rows = [
        (
            row.name if row.ours else f"{row.name} *",
            *(shown(row.cells[column.key], column) if column.key in row.cells else "" for column in table.columns),
        )
        for row in table.rows
    ]
    return headings, rows


def remarks(table: ResultTable) -> list[str]:
    """The notes of a table, and why cells have no number of ours, each reason once."""
    reasons: dict[str, list[str]] = {}
    for row, column, cell in table.flat():
        if cell.why is not None:
            reasons.setdefault(cell.why, []).append(f"{row.name}, {column.heading}")
    found = list(table.notes)
    for why, places in reasons.items():
        more = f" and {len(places) - 2} more" if len(places) > 2 else ""
        found.append(f"not measured ({'; '.join(places[:2])}{more}): {why}")
    if any(not row.ours for row in table.rows):
        found.append("* reported by the paper, not measured here")
    return found


def markdown(table: ResultTable) -> str:
    """The table as Markdown with its notes below."""
    headings, rows = grid(table)
    lines = [f"### {table.title}", "", _pipes(headings), _pipes(("---",) * len(headings)), *map(_pipes, rows), ""]
    lines += [f"- {remark}" for remark in remarks(table)]
    return "\n".join(lines) + "\n"


def _pipes(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def plain_table(table: ResultTable) -> dict[str, Any]:
    """The table as plain JSON, every seed's value kept."""
    return {
        "name": table.name,
        "title": table.title,
        "columns": [
            {"key": column.key, "heading": column.heading, "better": column.better, "percent": column.percent}
            for column in table.columns
        ],
        "rows": [
            {
                "name": row.name,
                "ours": row.ours,
                "cells": {
                    key: {
                        "mean": cell.mean,
                        "spread": cell.spread,
                        "values": list(cell.values),
                        "paper": cell.paper,
                        "why": cell.why,
                    }
                    for key, cell in row.cells.items()
                },
            }
            for row in table.rows
        ],
        "notes": list(table.notes),
        "settings": dict(table.settings),
    }


def plain_outcome(result: str, outcome: Outcome, files: list[Path]) -> dict[str, Any]:
    """Everything but the pixels as plain JSON."""
    return {
        "kind": "reproduction",
        "schema": OUTCOME_SCHEMA,
        "emovoca": __version__,
        "result": result,
        "tables": [plain_table(table) for table in outcome.tables],
        "notes": list(outcome.notes),
        "files": [str(path) for path in files],
    }


def write_outcome(result: str, outcome: Outcome, out: Path, scale: str) -> list[Path]:
    """Write `<result>-<scale>.json`, and .csv and .md where there are tables, and the pictures, into `out`. Raises OutputError."""
    stem = f"{result}-{scale}"
    files = [out / f"{stem}.json"]
    if outcome.tables:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(CSV_COLUMNS)
        for table in outcome.tables:
            for row, column, cell in table.flat():
                values = " ".join(f"{value:.6g}" for value in cell.values)
                writer.writerow(
                    (
                        table.name,
                        row.name,
                        row.ours,
                        column.key,
                        cell.mean,
                        cell.spread,
                        len(cell.values),
                        values,
                        cell.paper,
                        cell.why,
                    )
                )
        for suffix, content in (("csv", text.getvalue()), ("md", "\n".join(markdown(table) for table in outcome.tables))):
            path = out / f"{stem}.{suffix}"
            with atomic_write(path) as temporary:
                temporary.write_text(content, encoding="utf-8", newline="")
            files.append(path)
    for name, picture in outcome.pictures.items():
        path = out / f"{stem}-{name}.png" if name else out / f"{stem}.png"
        save_picture(path, picture)
        files.append(path)
    write_json(files[0], plain_outcome(result, outcome, files))
    return files
