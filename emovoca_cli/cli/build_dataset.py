"""`emovoca build-dataset`: speech and expressions entangled by DE-SD into EmoVOCAv1 or v2 (paper section 4.1)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from emovoca_cli.cli.options import DATA_DIR, Data, Json, Overwrite, Quiet

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter


def build_dataset(
    version: Annotated[str, typer.Option("--version", help="v1: 5 emotions x 3 intensities; v2: 11 x 3.")] = "v2",
    data: Data = None,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Dataset folder to write (default: emovoca-data/emovoca-VERSION).")
    ] = None,
    model: Annotated[str, typer.Option("--model", help="DE-SD: the built-in one (desd) or a folder.")] = "desd",
    store: Annotated[
        Literal["latent", "mesh"], typer.Option("--store", help="latent: codes, decoded on reading; mesh: displacements, large.")
    ] = "latent",
    layout: Annotated[
        Literal["store", "release"],
        typer.Option("--layout", help="store: ours; release: the authors' folders, and FaceFormer's and CodeTalker's, as meshes."),
    ] = "store",
    seal: Annotated[bool, typer.Option("--seal", help="Keep lips closed where speech closes them.")] = False,
    mu_t: Annotated[float, typer.Option("--mu-t", help="Strength of speech; 2 is its own.")] = 2.0,
    mu_e: Annotated[
        str, typer.Option("--mu-e", help="Strength of the three intensities, commas between; 2 is the emotion's own.")
    ] = "1,2,3",
    shard: Annotated[
        str, typer.Option("--shard", help="i/n: do only part i (from 0) of n, for many machines on one folder.")
    ] = "0/1",
    verify: Annotated[bool, typer.Option("--verify", help="Prove an existing dataset whole instead of building one.")] = False,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build EmoVOCA: every talking clip with every emotion at every intensity. An interrupted build continues.

    Examples:\n
      emovoca build-dataset --version v2\n
      emovoca build-dataset --version v1 --seal --store mesh --out my-dataset\n
      emovoca build-dataset --version v2 --layout release --out EmoVOCA\n
      emovoca build-dataset --version v2 --verify
    """
    from emovoca_cli.cli.console import Reporter

    reporter = Reporter(json_output=json, quiet=quiet)
    name = f"emovoca-{version}" + ("-release" if layout == "release" else "")
    folder = out or (data or DATA_DIR) / name
    if out is None:
        reporter.default("--out", folder)
    if verify:
        _verify(folder, layout, reporter)
        return
    from emovoca_cli.cli.prep import require_data
    from emovoca_cli.data.store import open_data
    from emovoca_cli.dataset_builder.build import build_dataset as build
    from emovoca_cli.dataset_builder.release_writer import write_release
    from emovoca_cli.desd.mix import Mixer

    levels = dict(zip((1, 2, 3), numbers(mu_e, "--mu-e", 3), strict=True))
    talk, expression = open_data(require_data(data, reporter))
    mixer = Mixer.load(model)
    with reporter.progress(f"EmoVOCA {version}") as update:
        how: dict[str, Any] = {
            "intensities": levels, "mu_t": mu_t, "seal": seal, "shard": _shard(shard), "overwrite": overwrite, "progress": update,
        }  # fmt: skip
        if layout == "release":
            report = write_release(talk, expression, mixer, folder, version, **how)
        else:
            report = build(talk, expression, mixer, folder, version, store=store, **how)
    state = "complete" if report.whole else "waiting for the other shards"
    reporter.say(f"{report.sequences} sequences in {folder} ({report.clips_done} clips built, {report.clips_kept} kept): {state}")
    reporter.result(
        {
            "out": str(folder),
            "version": version,
            "sequences": report.sequences,
            "built": report.clips_done,
            "kept": report.clips_kept,
            "whole": report.whole,
        }
    )


def _verify(folder: Path, layout: str, reporter: Reporter) -> None:
    from emovoca_cli.dataset_builder.release_writer import verify_release
    from emovoca_cli.dataset_builder.verify import verify_dataset

    report = verify_release(folder) if layout == "release" else verify_dataset(folder)
    for problem in report.problems:
        reporter.say(f"  {problem}")
    reporter.result(
        {
            "out": str(folder),
            "files": report.files,
            "bytes": report.bytes,
            "sequences": report.sequences,
            "problems": list(report.problems),
        }
    )
    if report.problems:
        reporter.say(f"{folder}: {len(report.problems)} problems in {report.files} files; build it again to repair them")
        raise typer.Exit(1)
    reporter.say(f"{folder} is whole: {report.sequences} sequences, {report.files} files, {report.bytes / 1e6:.0f} MB")


def numbers(text: str, option: str, count: int | None = None) -> list[float]:
    """Numbers with commas between. Raises UsageError naming the option."""
    from emovoca_cli.errors import UsageError

    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} is '{text}', expected numbers with commas between") from None
    if count is not None and len(values) != count:
        raise UsageError(f"{option} has {len(values)} numbers, expected {count}")
    if not all(abs(value) < 1e3 for value in values):
        raise UsageError(f"{option} is '{text}', expected finite numbers of ordinary size (2 is the natural strength)")
    return values


def _shard(text: str) -> tuple[int, int]:
    from emovoca_cli.errors import UsageError

    first, slash, last = text.partition("/")
    if not (slash and first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise UsageError(f"--shard is '{text}', expected i/n with i from 0 to n-1, such as 0/4")
    return int(first), int(last)
