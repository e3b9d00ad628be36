"""`emovoca prep`: a data source, checked and written as displacement stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import DATA_DIR, Json, Overwrite, Quiet, Seed

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter

REAL = ("vocaset", "florence4d", "release")
SOURCES = ("demo", *REAL, "arkit")


def prep(
    source: Annotated[
        str,
        typer.Argument(
            help="demo (the built-in corpus), vocaset, florence4d, release (the authors' folders) or arkit (a rigged character)."
        ),
    ] = "demo",
    input_: Annotated[
        Optional[Path],
        typer.Option("--input", help="What the data lies in: a folder (docs/data.md), or a .glb/.gltf for arkit (docs/arkit.md)."),
    ] = None,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Data folder to write (default: emovoca-data; flame-data for real data).")
    ] = None,
    fps: Annotated[
        Optional[float], typer.Option("--fps", help="Frames a second to keep, such as 30 of VOCASET's 60 (default: all).")
    ] = None,
    template: Annotated[
        Optional[Path], typer.Option("--template", help="Mesh of the data's topology, where the data has none or is not FLAME's.")
    ] = None,
    flame: Annotated[
        Optional[Path], typer.Option("--flame", help="Folder with FLAME's own landmark embeddings and FLAME_masks.pkl.")
    ] = None,
    labels: Annotated[
        Optional[Path], typer.Option("--labels", help="florence4d: file that gives more expression folders a label.")
    ] = None,
    neutral: Annotated[
        str, typer.Option("--neutral", help="florence4d: face at rest from a file, the first frames, or the median of all meshes.")
    ] = "auto",
    check: Annotated[bool, typer.Option("--check", help="Only look at the data and say what is wrong; write nothing.")] = False,
    speech: Annotated[
        Optional[Path],
        typer.Option("--speech", help="demo, arkit: folder of speech made by `python -m emovoca_cli.demo.synthesize`."),
    ] = None,
    landmarks: Annotated[
        Optional[Path], typer.Option("--landmarks", help="arkit: .json or .npy of 68 points in the file's unit and axes.")
    ] = None,
    sentences: Annotated[
        Optional[int], typer.Option("--sentences", help="arkit: how many sentences everybody speaks (default 40).")
    ] = None,
    identities: Annotated[
        Optional[int], typer.Option("--identities", help="arkit: how many people (default 12, or 6 ways of acting of one face).")
    ] = None,
    unit: Annotated[str, typer.Option("--unit", help="arkit: unit of the file: auto (guessed and said), m, cm or mm.")] = "auto",
    licence: Annotated[
        Optional[str], typer.Option("--licence", help="arkit: licence of the rig, when its file does not say.")
    ] = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prepare data: writes DIR/talk (neutral speech) and DIR/expression (silent expressions). An interrupted run continues.

    Examples:\n
      emovoca prep\n
      emovoca prep --out my-data --speech my-speech\n
      emovoca prep vocaset --input VOCASET --fps 30\n
      emovoca prep florence4d --input Florence4D\n
      emovoca prep release --input EmoVOCA --fps 30\n
      emovoca prep arkit --input FaceXModel --out ict-data
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.errors import UsageError

    reporter = Reporter(json_output=json, quiet=quiet)
    if source not in SOURCES:
        raise UsageError(f"unknown source '{source}'; there is: {', '.join(SOURCES)}")
    if source in REAL:
        from emovoca_cli.cli.prep_real import Request, prepare_real

        if input_ is None:
            raise UsageError(f"prep {source} needs --input, the folder that the data lies in; docs/data.md says how it must lie")
        request = Request(source, input_, out, fps, template, flame, labels, neutral, check=check, overwrite=overwrite)
        if prepare_real(request, reporter):
            raise typer.Exit(1)
        return
    if source == "demo" and input_ is not None:
        raise UsageError(f"--input belongs to a source: emovoca prep {'|'.join(SOURCES[1:])} --input DIR")
    if out is None:
        reporter.default("--out", DATA_DIR)
    if source == "arkit":
        from emovoca_cli.cli.prep_arkit import prep_arkit

        summary = prep_arkit(
            input_,
            out or DATA_DIR,
            reporter,
            speech=speech,
            landmarks=landmarks,
            sentences=sentences,
            identities=identities,
            unit=unit,
            licence=licence,
            seed=seed,
            overwrite=overwrite,
        )
    else:
        summary = write_demo(out or DATA_DIR, speech, reporter, overwrite=overwrite)
    reporter.say(
        f"wrote {summary['talk_clips']} talking and {summary['expression_clips']} expression clips of "
        f"{summary['subjects']} identities to {out or DATA_DIR} ({summary['megabytes']:.0f} MB)"
    )
    reporter.result(summary)


def write_demo(out: Path, speech: Path | None, reporter: Reporter, *, overwrite: bool = False) -> dict[str, Any]:
    """Write the built-in corpus to a data folder; returns what is in it."""
    from emovoca_cli.data.store import Store
    from emovoca_cli.demo.corpus import write_demo_corpus
    from emovoca_cli.demo.speech import read_speech_folder

    utterances = None if speech is None else read_speech_folder(speech)
    with reporter.progress("preparing") as update:
        write_demo_corpus(out, utterances, overwrite=overwrite, progress=update)
    talk, expression = Store.open(out / "talk"), Store.open(out / "expression")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return {
        "out": str(out),
        "talk_clips": len(talk.clips),
        "talk_frames": sum(clip.frames for clip in talk.clips),
        "expression_clips": len(expression.clips),
        "subjects": len(talk.subjects),
        "fps": talk.fps,
        "megabytes": size / 1e6,
    }


def require_data(data: Path | None, reporter: Reporter) -> Path:
    """The data folder that a command works on; the built-in corpus is prepared when none is given and none is there."""
    if data is not None:
        return data
    reporter.default("--data", DATA_DIR)
    if not (DATA_DIR / "talk" / "manifest.json").is_file() or not (DATA_DIR / "expression" / "manifest.json").is_file():
        reporter.say(f"  {DATA_DIR} is not there yet: preparing the built-in corpus")
        write_demo(DATA_DIR, None, reporter)
    return DATA_DIR
