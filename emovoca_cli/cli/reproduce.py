"""`emovoca reproduce`: a result of the paper, from training to the printed table, with the paper's own figures beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from emovoca_cli.cli.options import RUNS_DIR, Data, Device, Json, Quiet

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.reproduce.job import Given
    from emovoca_cli.reproduce.tables import ResultTable


def reproduce(
    result: Annotated[str, typer.Argument(help="table1, table2, table3, fig3, fig4, fig5 or fig6")],
    data: Data = None,
    scale: Annotated[
        str, typer.Option("--scale", help="tiny (seconds), demo (two cores, tens of minutes) or full (the paper's sizes, a GPU).")
    ] = "demo",
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Folder of tables, pictures and cells (default: emovoca-runs/reproduce).")
    ] = None,
    predictions: Annotated[
        Optional[list[str]],
        typer.Option(
            "--predictions",
            help="table3: NAME=FOLDER of another system's predictions of test clips (.npy in metres, or clips); repeatable.",
        ),
    ] = None,
    match: Annotated[
        str, typer.Option("--match", help="Names of predictions, {id} for the test clip's and * for anything: '{id}_condition_*'.")
    ] = "{id}",
    clip: Annotated[
        Optional[list[str]], typer.Option("--clip", help="fig5: NAME=FILE.npz of a clip to show beside ours; may be repeated.")
    ] = None,
    at: Annotated[
        Optional[str], typer.Option("--at", help="fig5, fig6: moments to show, in seconds with commas between (default: spread).")
    ] = None,
    seeds: Annotated[Optional[int], typer.Option("--seeds", help="How many seeds, 0, 1, ... (default: the scale's).")] = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Reproduce a table or figure of the paper on your data, or on the built-in corpus.

    A stopped run goes on where it was, and results share the models that they have in common.\n
    Examples:\n
      emovoca reproduce table1 --scale tiny\n
      emovoca reproduce table2\n
      emovoca reproduce table1 --data vocaset-and-florence4d --scale full --seeds 5\n
      emovoca reproduce table3 --predictions CodeTalker=codetalker --predictions EMOTE=emote --match '{id}_condition_*'\n
      emovoca reproduce fig5 --clip EmoTalk=emotalk.npz --at 0.5,1,1.5
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.cli.prep import require_data
    from emovoca_cli.data.store import open_data
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import check_output
    from emovoca_cli.reproduce.cells import Cells
    from emovoca_cli.reproduce.job import Job
    from emovoca_cli.reproduce.run import reproduce as make
    from emovoca_cli.reproduce.scales import RESULTS, scale_of
    from emovoca_cli.reproduce.write import plain_outcome, write_outcome
    from emovoca_cli.runtime.device import pick_device

    reporter = Reporter(json_output=json, quiet=quiet)
    if result not in RESULTS:
        raise UsageError(f"there is no result {result!r} to reproduce; choose {', '.join(RESULTS)}")
    chosen = scale_of(scale)
    if seeds is None:
        seeds = chosen.seeds
        reporter.default("--seeds", seeds)
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}, expected 1 or more")
    if out is None:
        out = RUNS_DIR / "reproduce"
        reporter.default("--out", out)
        RUNS_DIR.mkdir(exist_ok=True)
    check_output(out, directory=True)
    given = _given(result, predictions, match, clip, at)
    talk, expression = open_data(require_data(data, reporter))
    cells = Cells(out / "cells")
    with reporter.progress("reproducing") as bar:
        job = Job(talk, expression, chosen, tuple(range(seeds)), cells, pick_device(device), bar.at, given)
        outcome = make(result, job)
    files = write_outcome(result, outcome, out, scale)
    for table in outcome.tables:
        _print(table, reporter)
    for note in outcome.notes:
        reporter.say(f"  {note}")
    kept = sum(done.kept for done in cells.used.values())
    reporter.say(f"  {len(cells.used)} cells, {kept} of them were there already")
    reporter.say(f"wrote {', '.join(map(str, files))}")
    reporter.result(plain_outcome(result, outcome, files))


def _given(result: str, predictions: list[str] | None, match: str, clips: list[str] | None, at: str | None) -> Given:
    """What the user brings along, for the results that take it."""
    from emovoca_cli.cli.build_dataset import numbers
    from emovoca_cli.errors import UsageError
    from emovoca_cli.reproduce.job import Given

    for option, value, takers in (
        ("--predictions", predictions, ("table3",)),
        ("--match", None if match == "{id}" else match, ("table3",)),
        ("--clip", clips, ("fig5",)),
        ("--at", at, ("fig5", "fig6")),
    ):
        if value and result not in takers:
            raise UsageError(f"{option} belongs to {' and '.join(takers)}; leave it out for {result}")
    moments = tuple(numbers(at, "--at")) if at is not None else ()
    return Given(_named(predictions, "--predictions"), match, _named(clips, "--clip"), moments)


def _named(pairs: list[str] | None, option: str) -> dict[str, Path]:
    """Places by the names they were given, NAME=PLACE."""
    from emovoca_cli.errors import UsageError

    found: dict[str, Path] = {}
    for pair in pairs or ():
        name, equals, place = pair.partition("=")
        if not (name and equals and place):
            raise UsageError(f"{option} is {pair!r}, expected NAME=PLACE, such as CodeTalker=predictions/codetalker")
        if name in found:
            raise UsageError(f"{option} names {name} twice; give each its own name")
        found[name] = Path(place)
    return found


def _print(table: ResultTable, reporter: Reporter) -> None:
    from emovoca_cli.reproduce.write import grid, remarks

    headings, rows = grid(table)
    reporter.table(table.title, headings, rows)
    for remark in remarks(table):
        reporter.say(f"  {remark}")
