"""`emovoca study`: an A/B page for people to judge, and the scores of their answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import Backend, Json, Overwrite, Quiet, Seed

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter

app = typer.Typer(no_args_is_help=True, help="Ask people: make, score.")


@app.callback()
def study() -> None:
    """Ask people which video they prefer and what they see in it."""


@app.command("make")
def make(
    system: Annotated[
        list[str],
        typer.Option("--system", help="NAME=FOLDER of videos (.mp4, .webm) or clips (.npz), twice or more; yours comes first."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the study: page/ for participants, key.json for you.")] = Path(
        "study"
    ),
    items: Annotated[
        Optional[Path], typer.Option("--items", help="Table (.csv) of id, emotion, group (Test 1, ...), ask (lip_sync+emotion).")
    ] = None,
    ask: Annotated[
        str, typer.Option("--ask", help="Questions: lip_sync, emotion, naming (without sound), with commas between.")
    ] = "lip_sync,emotion,naming",
    choices: Annotated[
        Optional[str], typer.Option("--choices", help="Labels to name (default: the paper's five and those of your items).")
    ] = None,
    participants: Annotated[int, typer.Option("--participants", help="How many participant numbers to plan for.")] = 100,
    ties: Annotated[bool, typer.Option("--ties", help="Offer 'no difference'.")] = False,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Compare all systems with each other (default: the first with each).")
    ] = False,
    texts: Annotated[Optional[Path], typer.Option("--texts", help="The page's words (.yaml): consent, instructions, ...")] = None,
    speech: Annotated[
        Optional[Path], typer.Option("--speech", help="Folder of recordings named after the clips (default: what clips remember).")
    ] = None,
    embed: Annotated[bool, typer.Option("--embed", help="Put the videos into the page: one file to hand out.")] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out what is not there for every system (else an error).")
    ] = False,
    size: Annotated[int, typer.Option("--size", help="Width and height of drawn clips in pixels.")] = 512,
    backend: Backend = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a page that asks people to compare systems. It works offline, and sends nothing anywhere.

    Examples:\n
      emovoca study make --system ours=videos/ours --system emote=videos/emote --out study\n
      emovoca study make --system ours=clips --system theirs=videos --items items.csv --participants 22 --ties --seed 7\n
      emovoca study make --system v1=a --system v2=b --ask naming --choices happy,sad,angry --embed
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import check_output
    from emovoca_cli.study.make import Request, make_study
    from emovoca_cli.study.sources import read_asks, read_items, read_systems

    reporter = Reporter(json_output=json, quiet=quiet)
    check_output(out, directory=True)
    if speech is not None and not speech.is_dir():
        raise UsageError(f"--speech {speech} is not a folder of recordings named after the clips")
    asks = read_asks(ask)
    request = Request(
        read_systems(system), read_items(items, asks=asks) if items else None, asks,
        tuple(word.strip() for word in choices.split(",")) if choices is not None else None,
        participants, ties, all_pairs, texts, embed, allow_missing, seed,
    )  # fmt: skip
    drawer = _Drawer(speech, reporter, size=size, backend=backend)
    with reporter.progress("drawing") as update:
        made = make_study(out, request, draw=drawer.draw, looks=drawer.looks, overwrite=overwrite, progress=update)
    for note in made.notes:
        reporter.say(f"  {note}")
    design = made.design
    if choices is None:
        reporter.default("choices", ", ".join(design.choices))
    single = sum(len(trial.videos) == 1 for trial in design.trials)
    seconds = sum(design.videos[number].seconds for trial in design.trials for number in trial.videos)
    reporter.say(
        f"study {design.study}: {single} silent faces to name and {len(design.trials) - single} pairs to compare, "
        f"{seconds / 60:.1f} minutes of video, {participants} participant numbers"
    )
    reporter.say(
        f"wrote {made.page} to hand out (open index.html?participant=1, 2, ...) and {out / 'key.json'} to keep to yourself"
    )
    reporter.result(
        {
            "study": design.study, "page": str(made.page / "index.html"), "key": str(out / "key.json"), "items": list(design.items),
            "systems": list(design.systems), "choices": list(design.choices), "naming_trials": single,
            "pair_trials": len(design.trials) - single, "participants": participants, "seconds": seconds, "notes": made.notes,
        }
    )  # fmt: skip


class _Drawer:
    """Draws a clip with its namesake in the folder `speech`, or with the speech that it was made from."""

    def __init__(self, speech: Path | None, reporter: Reporter, *, size: int, backend: str) -> None:
        self._speech = speech
        self._reporter = reporter
        self._size = size
        self._backend = backend

    def looks(self, path: Path) -> str:
        """All that a drawing depends on beside the clip."""
        from emovoca_cli import __version__
        from emovoca_cli.files import hash_file

        sound = self._sound(path)
        return f"{__version__} {self._size} {self._backend} {hash_file(sound) if sound else 'silent'}"

    def draw(self, path: Path, out: Path) -> None:
        """Draw the clip `path` to the video `out`."""
        from emovoca_cli.cli.faces import dressed
        from emovoca_cli.render.clip import render_clip
        from emovoca_cli.types import Clip

        clip = Clip.load(path)
        render_clip(*dressed(clip), out, size=self._size, backend=self._backend, speech=self._sound(path))

    def _sound(self, path: Path) -> Path | None:
        from emovoca_cli.audio.find import SUFFIXES
        from emovoca_cli.cli.render import speech_of
        from emovoca_cli.types import Clip

        given = [] if self._speech is None else [self._speech / f"{path.stem}{suffix}" for suffix in SUFFIXES]
        return next((one for one in given if one.is_file()), None) or speech_of(Clip.load(path), self._reporter)


@app.command("score")
def score(
    answers: Annotated[list[Path], typer.Argument(help="Answer files (.json) of participants, or folders of them.")],
    study: Annotated[Path, typer.Option("--study", help="The study's folder, with its key.json.")] = Path("study"),
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Count what unfinished participants answered (else they are left out).")
    ] = False,
    paper: Annotated[bool, typer.Option("--paper", help="Print Tables 4 and 5 of the paper beside.")] = False,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Draws of participants for the intervals; 0 for none.")] = 1000,
    confidence: Annotated[float, typer.Option("--confidence", help="Confidence of the intervals, between 0 and 1.")] = 0.95,
    seed: Seed = 0,
    out: Annotated[Optional[Path], typer.Option("--out", help="Write the report as JSON.")] = None,
    csv: Annotated[Optional[Path], typer.Option("--csv", help="Write every number as a row of a .csv.")] = None,
    plot: Annotated[Optional[Path], typer.Option("--plot", help="Draw preferences and confusions (.png, .svg, .pdf).")] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn answers into preferences with confidence intervals, and into the confusion matrix of the named emotions.

    Examples:\n
      emovoca study score answers/ --study study\n
      emovoca study score answers/*.json --study study --paper --csv scores.csv --plot scores.png
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.data.checks import Findings
    from emovoca_cli.errors import UsageError
    from emovoca_cli.evaluation.plot import check_plot
    from emovoca_cli.evaluation.statistics import Bootstrap
    from emovoca_cli.files import check_output, write_json, write_table
    from emovoca_cli.study.plot import plot_study
    from emovoca_cli.study.report import COLUMNS, score_files, table_rows

    reporter = Reporter(json_output=json, quiet=quiet)
    if bootstrap < 0 or not 0 < confidence < 1:
        raise UsageError(f"--bootstrap {bootstrap} and --confidence {confidence:g}: expected 0 or more draws, and 0 to 1")
    if plot is not None:
        check_plot(plot)
    for place in (out, csv, plot):
        if place is not None:
            check_output(place, overwrite=overwrite)
    findings = Findings(told=lambda line: reporter.say(f"  left out: {line}"))
    draws = Bootstrap(bootstrap, seed, confidence)
    report = score_files(answers, study, findings, bootstrap=draws, allow_incomplete=allow_incomplete, paper=paper)
    _print(report, reporter)
    if out is not None:
        write_json(out, report)
        reporter.say(f"wrote {out}")
    if csv is not None:
        write_table(csv, COLUMNS, table_rows(report))
        reporter.say(f"wrote {csv}")
    if plot is not None:
        plot_study(report, plot)
        reporter.say(f"wrote {plot}")
    reporter.result(report)
    if findings.problems:
        reporter.say(f"{len(findings.problems)} answer files were left out, the rest is scored")
        raise typer.Exit(1)


def _print(report: dict[str, Any], reporter: Reporter) -> None:
    """The report as the tables of the paper."""
    from emovoca_cli.study.report import cell_row, cells, naming_pairs

    level = f"{100 * report['bootstrap']['confidence']:g} %"
    heads = ("test", "question", "preferred", level, "Wilson", "won-tied-lost", "p")
    for systems in dict.fromkeys(tuple(one["systems"]) for one in report["preferences"]):
        rows: list[tuple[str, ...]] = [
            (
                one["group"], one["question"], f"{one['percent']:.1f} % / {one['other_percent']:.1f} %",
                _range(one["low"], one["high"]), _range(*one["wilson"]), f"{one['wins']}-{one['ties']}-{one['losses']}",
                _chance(one["p_participants"]),
            )
            for one in report["preferences"]
            if tuple(one["systems"]) == systems
        ]  # fmt: skip
        reporter.table(f"preferred, {' / '.join(systems)} (p by participants)", heads, rows)
    for first, second in naming_pairs(report):
        title = f"emotion named without sound, {first['group']}, in %: {first['system']}/{second['system']} (wanted in rows)"
        reporter.table(title, *cells(first, second))
    for one in report["naming"]:
        right = one["accuracy"]
        reporter.say(
            f"  {one['system']}, {one['group']}: {right['percent']:.1f} % named right "
            f"({level}: {_range(right['low'], right['high'])}, chance {one['chance_percent']:.1f} %), "
            f"{right['answers']} answers of {right['participants']} participants"
        )
    for table in report.get("paper", ()):
        names = "/".join(table["systems"])
        reporter.table(
            f"paper, {table['table']}: {names}, {table['participants']} participants",
            ("test", "question", "preferred"),
            [
                (one["group"], one["question"], f"{one['percent']:.1f} % / {one['other_percent']:.1f} %")
                for one in table["preferences"]
            ],
        )
        matrix = zip(table["labels"], table["percent"], table["other_percent"], strict=True)
        reporter.table(
            f"paper, {table['table']}, in %: {names}",
            ("", *table["labels"]),
            [(label, *cell_row(ours, other)) for label, ours, other in matrix],
        )
        if table["remark"]:
            reporter.say(f"  {table['remark']}")
    reporter.say(f"scored {report['answers']} answers of {report['participants']} participants")


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.1f} to {high:.1f}"


def _chance(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
