"""One result of the paper, from training to the printed table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emovoca_cli.errors import UsageError
from emovoca_cli.reproduce.fig3 import fig3
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.scales import RESULTS
from emovoca_cli.reproduce.table1 import table1
from emovoca_cli.reproduce.table2 import table2
from emovoca_cli.reproduce.tables import Outcome

MAKERS: Mapping[str, Callable[[Job], Outcome]] = {"table1": table1, "table2": table2, "fig3": fig3}
"""The function behind every name in `scales.RESULTS`."""


def reproduce(result: str, job: Job) -> Outcome:
    """Make a result by its name. Finished cells are reused; raises UsageError for an unknown name."""
    if result not in MAKERS:
        raise UsageError(f"unknown result {result!r}; choose {', '.join(RESULTS)}")
    return MAKERS[result](job)
