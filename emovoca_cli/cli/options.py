"""Options that several commands share, spelled once. Imports nothing heavy: `--help` must be instant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

EXAMPLES = """[bold]Examples[/bold]\n
emovoca animate speech.wav --emotion happy --intensity 3 --render out.mp4\n
emovoca prep\n
emovoca mix --talk examples/a.ply --expr examples/b.ply --mu-e 0.8\n
emovoca build-dataset --version v2\n
emovoca doctor"""

DATA_DIR = Path("emovoca-data")
"""Where `prep` writes and the other commands look when nothing is given."""

RUNS_DIR = Path("emovoca-runs")
"""Where `train` writes its runs when nothing is given."""

Data = Annotated[
    Optional[Path], typer.Option("--data", help="Data folder made by `prep` (default: emovoca-data, made on the spot if missing).")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output; messages go to standard error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars and no messages.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random; the same seed gives the same result.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Backend = Annotated[str, typer.Option("--backend", help="Renderer: auto, pyrender (OpenGL) or embreex (ray casting on the CPU).")]
