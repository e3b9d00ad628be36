"""`emovoca evaluate`: how well predictions match the truth, and how well a motion stands by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import Json, Overwrite, Quiet, Seed

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.evaluation.motion import Speech

app = typer.Typer(no_args_is_help=True, help="Measure predictions: score.")

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
SHOWN = (
    "mve_max_l2_mm", "uve_max_l2_mm", "lve_max_l2_mm", "mve_mean_l2_mm", "uve_mean_l2_mm", "lve_mean_l2_mm", "lve_max_sq_mm2",
    "lve_rms_of_max_mm", "lve_centred_max_l2_mm", "fdd_mm2", "fdd_abs_mm2",
)  # fmt: skip
"""Named metrics of the printed table; all are in the JSON and the CSV."""


@app.callback()
def evaluate() -> None:
    """Measure predictions."""


@app.command("score")
def score(
    pred: Annotated[Path, typer.Option("--pred", help="Folder of predictions: .npy (T,V,3) or (T,3V), or clips (.npz).")],
    truth: Annotated[
        Optional[Path], typer.Option("--truth", help="Folder of truths, named alike (without one: only what needs none).")
    ] = None,
    preset: Annotated[
        Optional[list[str]],
        typer.Option(
            "--preset",
            help="Print what a repository prints: paper (default), codetalker, facediffuser, unitalker, artalk, diffspeaker, "
            "torchmetrics; may be repeated.",
        ),
    ] = None,
    template: Annotated[
        Optional[Path],
        typer.Option("--template", help="Face at rest for .npy: template.npz, a mesh, .npy, or by subject (.pkl, a folder)."),
    ] = None,
    lips: Annotated[
        Optional[str], typer.Option("--lips", help="Lips: a file of vertex numbers, FILE.pkl:KEY, or regions as lips, mouth.")
    ] = None,
    upper: Annotated[
        Optional[str], typer.Option("--upper", help="Upper face: the same (default: eyes+forehead of the template).")
    ] = None,
    unit: Annotated[str, typer.Option("--unit", help="Unit of .npy files: m, cm, mm, or metres a unit as a number.")] = "m",
    fps: Annotated[Optional[float], typer.Option("--fps", help="Frames a second of .npy files; clips know theirs.")] = None,
    match: Annotated[
        str, typer.Option("--match", help="Names of predictions, {id} for the truth's and * for anything: '{id}_condition_*'.")
    ] = "{id}",
    names: Annotated[
        Optional[str], typer.Option("--names", help="What names tell: '{subject}_{*}_{emotion}_{intensity}', {*} is anything.")
    ] = None,
    labels: Annotated[Optional[Path], typer.Option("--labels", help="Table (.csv) of id, subject, emotion, intensity.")] = None,
    length: Annotated[
        str, typer.Option("--length", help="same: unequal frame counts are an error; common: compare the frames both have.")
    ] = "same",
    resample: Annotated[bool, typer.Option("--resample", help="Bring predictions to the truth's fps (else an error).")] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out files without a partner (else an error).")
    ] = False,
    speech: Annotated[
        Optional[Path],
        typer.Option("--speech", help="Recordings with words (.txt) or phones (.json), or a talk store: for lip-sync and silence."),
    ] = None,
    motion: Annotated[bool, typer.Option("--motion/--no-motion", help="Measure what needs no truth, too.")] = True,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Draws of the confidence intervals; 0 for none.")] = 1000,
    bootstrap_by: Annotated[str, typer.Option("--bootstrap-by", help="What is drawn: sequence or subject.")] = "sequence",
    confidence: Annotated[float, typer.Option("--confidence", help="Confidence of the intervals, between 0 and 1.")] = 0.95,
    seed: Seed = 0,
    out: Annotated[Optional[Path], typer.Option("--out", help="Write the report as JSON.")] = None,
    csv: Annotated[Optional[Path], typer.Option("--csv", help="Write every number as a row of a .csv.")] = None,
    plot: Annotated[
        Optional[Path], typer.Option("--plot", help="Draw LVE and UVE by emotion and intensity (.png, .svg, .pdf).")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score predictions of any system.

    Examples:\n
      emovoca evaluate score --pred predictions --truth truths\n
      emovoca evaluate score --pred npy --truth vertices_npy --match '{id}_condition_*' --preset codetalker --template templates.pkl
      --lips regions/lve.txt --upper regions/fdd.txt\n
      emovoca evaluate score --pred clips --speech recordings --csv motion.csv
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.cli.faces import builtin_template
    from emovoca_cli.errors import UsageError
    from emovoca_cli.evaluation.faces import load_faces
    from emovoca_cli.evaluation.labels import read_table
    from emovoca_cli.evaluation.plot import check_plot, plot_bars
    from emovoca_cli.evaluation.report import COLUMNS, build_report, table_rows
    from emovoca_cli.evaluation.score import Options, score_folders
    from emovoca_cli.evaluation.statistics import Bootstrap
    from emovoca_cli.files import check_output, write_json, write_table

    reporter = Reporter(json_output=json, quiet=quiet)
    if truth is None and (preset or not motion):
        raise UsageError("without --truth only motion is measured: leave out --preset and --no-motion, or give --truth")
    _one_of("--length", length, ("same", "common"))
    _one_of("--bootstrap-by", bootstrap_by, ("sequence", "subject"))
    if bootstrap < 0 or not 0 < confidence < 1:
        raise UsageError(f"--bootstrap {bootstrap} and --confidence {confidence:g}: expected 0 or more draws, and 0 to 1")
    if plot is not None:
        check_plot(plot)
    for place in (out, csv, plot):
        if place is not None:
            check_output(place, overwrite=overwrite)
    metres = _metres(unit)
    if fps is not None and not 0 < fps < 10000:
        raise UsageError(f"--fps {fps:g} is not a frame rate; give frames a second")
    options = Options(
        presets=tuple(dict.fromkeys(preset or ("paper",))) if truth is not None else (),
        metres=metres, fps=fps, match=match, names=names, table=read_table(labels) if labels else {},
        common_length=length == "common", resample=resample, allow_missing=allow_missing, by_subject=bootstrap_by == "subject",
        motion=motion, bootstrap=Bootstrap(bootstrap, seed, confidence),
    )  # fmt: skip
    faces = load_faces(template, builtin=builtin_template(), lips=lips, upper=upper, metres=metres)
    said = _speech(pred, speech, reporter) if speech is not None and motion else {}
    with reporter.progress("scoring") as update:
        scores = score_folders(pred, truth, faces, options, speech=said, progress=update)
    report = build_report(scores, pred=str(pred), truth=str(truth) if truth else None)
    _print(report, reporter)
    if out is not None:
        write_json(out, report)
        reporter.say(f"wrote {out}")
    if csv is not None:
        write_table(csv, COLUMNS, table_rows(report))
        reporter.say(f"wrote {csv}")
    if plot is not None:
        plot_bars(report, plot)
        reporter.say(f"wrote {plot}")
    reporter.result(report)


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    from emovoca_cli.errors import UsageError

    if value not in allowed:
        raise UsageError(f"{option} is '{value}', expected {' or '.join(allowed)}")


def _metres(unit: str) -> float:
    from math import isfinite

    from emovoca_cli.errors import UsageError

    if unit in UNITS:
        return UNITS[unit]
    try:
        metres = float(unit)
    except ValueError:
        metres = 0.0
    if not isfinite(metres) or metres <= 0:
        raise UsageError(f"--unit is '{unit}', expected {', '.join(UNITS)}, or metres a unit as a number such as 0.183")
    return metres


def _speech(pred: Path, folder: Path, reporter: Reporter) -> dict[str, Speech]:
    """The speech of the predictions that have some, aligned to its words where phones are not given."""
    from emovoca_cli.audio.io import load_speech
    from emovoca_cli.evaluation.speech import find_sources, read_speech
    from emovoca_cli.evaluation.takes import list_takes

    names = list(list_takes(pred, "--pred"))
    with reporter.progress("aligning") as update:
        return read_speech(names, find_sources(folder), load_speech, progress=update)


def _print(report: dict[str, Any], reporter: Reporter) -> None:
    """The report as tables, and all that a reader of the numbers has to know."""
    confidence = f"{100 * report['bootstrap']['confidence']:g} %"
    columns = ("metric", "value", confidence, "unit", "sequences")
    for name, preset in report["presets"].items():
        reporter.table(f"{name} ({preset['source']})", columns, _rows(preset["lines"]))
    shown = {name: report["metrics"][name] for name in SHOWN if name in report["metrics"]}
    if shown:
        reporter.table("named metrics", columns, _rows(shown))
    if report["motion"]:
        truths = report["truth_motion"]
        rows = [
            (*row[:2], *((_number(truths[row[0]]["value"]) if row[0] in truths else "",) if truths else ()), *row[2:])
            for row in _rows(report["motion"])
        ]
        heads = ("metric", "value", *(("truth",) if truths else ()), *columns[2:])
        reporter.table("motion, without a truth", heads, rows)
    for by, members in report["groups"].items():
        for name, preset in report["presets"].items():
            lines = list(preset["lines"])
            if lines and len(members) > 1:
                rows = [
                    (group, *(_cell(part, name, line) for line in lines), str(part["sequences"])) for group, part in members.items()
                ]
                reporter.table(f"{name} by {by}", (by, *lines, "sequences"), rows)
    for region in report["regions"].values():
        reporter.say(f"  {region['name']}: {region['vertices']} vertices, {region['source']}, sha256 {region['sha256'][:12]}")
    for note in report["notes"]:
        reporter.say(f"  {note}")
    reasons: dict[str, list[str]] = {}
    for name, whys in report["not_measured"].items():
        for why in whys:
            reasons.setdefault(why, []).append(name)
    for why, missing in reasons.items():
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        reporter.say(f"  not measured everywhere: {', '.join(missing[:3])}{more}: {why}")
    reporter.say(f"scored {report['sequences']} sequences, {report['frames']} frames of {report['vertices']} vertices")


def _rows(lines: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            _number(row["value"]),
            "" if row["low"] is None else f"{_number(row['low'])} to {_number(row['high'])}",
            row["unit"],
            str(row["sequences"]),
        )
        for name, row in lines.items()
    ]


def _cell(part: dict[str, Any], name: str, label: str) -> str:
    row = part["presets"][name]["lines"].get(label)
    return "" if row is None else _number(row["value"])


def _number(value: float) -> str:
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.4e}"
