"""The root of the command line: it only assembles the commands and turns errors into one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from emovoca_cli import __version__
from emovoca_cli.cli import (
    animate,
    build_dataset,
    doctor,
    evaluate,
    face,
    hub,
    import_faceformer,
    import_release,
    info,
    mix,
    prep,
    render,
    reproduce,
    study,
    train,
)
from emovoca_cli.cli.options import EXAMPLES
from emovoca_cli.errors import EmovocaError

app = typer.Typer(
    name="emovoca",
    help="Make a 3D face speak with feeling: data, DE-SD, EmoVOCA datasets, generators, animation, video.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


GROUPS = {"train", "import", "evaluate", "face", "study"}
"""Commands whose next word names a command too."""


def _version(value: bool) -> None:
    if value:
        typer.echo(f"emovoca {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Hold the options that come before a command."""


app.command("prep")(prep.prep)
app.add_typer(train.app, name="train")
app.command("mix")(mix.mix)
app.command("build-dataset")(build_dataset.build_dataset)
import_release.app.command("faceformer")(import_faceformer.faceformer)
app.add_typer(import_release.app, name="import")
app.command("animate")(animate.animate)
app.command("render")(render.render)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(study.app, name="study")
app.command("reproduce")(reproduce.reproduce)
app.add_typer(face.app, name="face")
app.command("push")(hub.push)
app.command("pull")(hub.pull)
app.command("doctor")(doctor.doctor)
app.command("info")(info.info)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    try:
        result = app(args=list(arguments), standalone_mode=False, prog_name="emovoca")
    except EmovocaError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted; run the same command again to continue where it can", 130)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except MemoryError:
        return _fail("not enough memory; try a smaller --batch-size or a shorter input", 1)
    except BrokenPipeError:
        # Who read the output went away. What Python still holds of it must not be written at exit: that would be a traceback.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # Typer's own complaints about the command line know how to word themselves, whichever class they have.
        if (words := getattr(error, "format_message", None)) is not None:
            return _fail(f"{words()} (see emovoca {' '.join(_command(arguments))} --help)".replace("  ", " "), 2)
        if os.environ.get("EMOVOCA_DEBUG"):
            raise
        return _fail(f"unexpected {type(error).__name__}: {error} (set EMOVOCA_DEBUG=1 for the traceback and report it)", 1)
    return int(result) if isinstance(result, int) else 0


def _command(arguments: Sequence[str]) -> list[str]:
    """Return the words that name the command: those before the first option, two at most."""
    words: list[str] = []
    for word in arguments:
        if word.startswith("-") or len(words) == (2 if words and words[0] in GROUPS else 1):
            break
        words.append(word)
    return words


def _fail(message: str, code: int) -> int:
    # each of many training processes speaks for itself: what fails in one alone has to be seen
    who = f"emovoca (process {os.environ.get('RANK', '0')})" if int(os.environ.get("WORLD_SIZE") or 1) > 1 else "emovoca"
    typer.echo(f"{who}: {' '.join(message.split())}", err=True)
    return code


def main() -> None:
    """Entry point of the `emovoca` command."""
    sys.exit(run(sys.argv[1:]))
