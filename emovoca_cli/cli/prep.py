"""`emovoca prep`: a data source, checked and written as displacement stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import DATA_DIR, Json, Overwrite, Quiet, Seed

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter

SOURCES = ("demo", "arkit")


def prep(
    source: Annotated[str, typer.Argument(help="What to read: demo, the built-in corpus; arkit, a rigged character.")] = "demo",
    source_path: Annotated[
        Optional[Path],
        typer.Option("--input", help="arkit: ICT-FaceKit's FaceXModel folder, or a .glb/.gltf with ARKit-named shapes."),
    ] = None,
    out: Annotated[Optional[Path], typer.Option("--out", help="Data folder to write (default: emovoca-data).")] = None,
    speech: Annotated[
        Optional[Path], typer.Option("--speech", help="Folder of more speech made by `python -m emovoca_cli.demo.synthesize`.")
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
      emovoca prep arkit --input FaceXModel --out ict-data\n
      emovoca prep arkit --input character.glb --out my-character
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.errors import UsageError

    reporter = Reporter(json_output=json, quiet=quiet)
    if source not in SOURCES:
        raise UsageError(f"unknown source '{source}'; there is: {', '.join(SOURCES)}")
    if source == "demo" and source_path is not None:
        raise UsageError("the built-in corpus takes no --input; name the source: emovoca prep arkit --input ...")
    if out is None:
        reporter.default("--out", DATA_DIR)
    if source == "arkit":
        from emovoca_cli.cli.prep_arkit import prep_arkit

        summary = prep_arkit(
            source_path,
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
