"""Progress bars, messages and JSON: the only place that writes to the terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Reporter:
    """Messages and bars on standard error, results on standard output; silent when asked to be."""

    def __init__(self, *, json_output: bool = False, quiet: bool = False) -> None:
        self.json_output = json_output
        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, message: str) -> None:
        """Print one message for a person."""
        if not self.quiet:
            self.console.print(message, markup=False)

    def default(self, name: str, value: object) -> None:
        """Name a default that was used, so that nobody has to guess it."""
        self.say(f"  using {name}: {value}")

    def table(self, title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """Print a table for a person."""
        from rich.table import Table

        if self.quiet or self.json_output:
            return
        table = Table(*columns, title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def result(self, value: Mapping[str, Any]) -> None:
        """Print the result as JSON when it was asked for."""
        if self.json_output:
            sys.stdout.write(json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")

    @contextlib.contextmanager
    def progress(self, description: str) -> Iterator[Bar]:
        """Show a bar; yields what moves it."""
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=self.console,
            disable=self.quiet or not self.console.is_terminal,
            transient=True,
        )
        with bar:
            yield Bar(bar, description)


class Bar:
    """One moving bar: call it with (done, total, metrics), or `doing` with another description first."""

    def __init__(self, progress: Progress, description: str) -> None:
        self._progress = progress
        self._description = description
        self._task = progress.add_task(description, total=None, metrics="")

    def __call__(self, done: int, total: int, metrics: Mapping[str, float] | None = None) -> None:
        """Move the bar."""
        words = " ".join(f"{name} {value:.4g}" for name, value in (metrics or {}).items())
        self._progress.update(self._task, completed=done, total=total, metrics=words, description=self._description)

    def doing(self, what: str, done: int, total: int) -> None:
        """Move the bar under another description, for work that comes before the real one."""
        self.at(f"reading {what}", done, total)

    def at(self, what: str, done: int, total: int) -> None:
        """Move the bar under another description, for work of several parts."""
        self._progress.update(self._task, completed=done, total=total, metrics="", description=what)
