"""One result of the paper, from training to the printed table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emovoca_cli.errors import UsageError
from emovoca_cli.reproduce.fig3 import fig3
from emovoca_cli.reproduce.fig4 import fig4
from emovoca_cli.reproduce.fig5 import fig5
from emovoca_cli.reproduce.fig6 import fig6
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.scales import RESULTS
from emovoca_cli.reproduce.table1 import table1
from emovoca_cli.reproduce.table2 import table2
from emovoca_cli.reproduce.table3 import table3
from emovoca_cli.reproduce.tables import Outcome

MAKERS: Mapping[str, Callable[[Job], Outcome]] = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "fig3": fig3,
    "fig4": fig4,
    "fig5": fig5,
    "fig6": fig6,
}
"""The function behind every name in `scales.RESULTS`."""


def reproduce(result: str, job: Job) -> Outcome:
    """Make a result by its name. Finished cells are reused; raises UsageError for an unknown name."""
    if result not in MAKERS:
        raise UsageError(f"unknown result {result!r}; choose {', '.join(RESULTS)}")
    return MAKERS[result](job)
