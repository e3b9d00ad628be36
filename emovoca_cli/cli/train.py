"""`emovoca train`: DE-SD and the generators, each resumable, in one process or in many that `accelerate launch` starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import DATA_DIR, RUNS_DIR, Data, Device, Json, Quiet

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.runtime.loop import LoopReport

app = typer.Typer(no_args_is_help=True, help="Train a model: desd, s2l, s2d, faceformer or classifier.")

Out = Annotated[Optional[Path], typer.Option("--out", help="Model folder to write (default: emovoca-runs/NAME).")]
Preset = Annotated[str, typer.Option("--preset", help="Named settings to start from.")]
Config = Annotated[Optional[Path], typer.Option("--config", help="YAML file of settings.")]
Settings = Annotated[
    Optional[list[str]], typer.Option("--set", help="One setting as key=value, such as steps=500; may be repeated.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue a stopped run of the same settings and data.")]
TrainSeed = Annotated[Optional[int], typer.Option("--seed", help="Seed of weights and order (default: the settings').")]
BatchSize = Annotated[Optional[int], typer.Option("--batch-size", help="Samples a step (default: the settings').")]
Dataset = Annotated[
    Optional[Path], typer.Option("--data", help="Dataset made by `build-dataset` (default: emovoca-data/emovoca-v2).")
]


@app.command("desd")
def desd(
    data: Data = None,
    out: Out = None,
    preset: Preset = "paper",
    config: Config = None,
    settings: Settings = None,
    batch_size: BatchSize = None,
    seed: TrainSeed = None,
    gap_loss: Annotated[
        bool,
        typer.Option(
            "--gap-loss", help="Also train on mixtures, whose lips have to keep the gap of the speech (not in the paper)."
        ),
    ] = False,
    resume: Resume = False,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train DE-SD: two spiral encoders and a shared decoder (paper section 3.2), and report on the test identities.

    Presets: paper (the release's sizes), small (half the channels).\n
    Examples:\n
      emovoca train desd\n
      emovoca train desd --gap-loss --out sealing-desd\n
      emovoca train desd --preset small --set steps=1000 --out my-desd
    """
    from emovoca_cli.cli.prep import require_data
    from emovoca_cli.config.desd import GAP_LOSS
    from emovoca_cli.config.desd import preset as named
    from emovoca_cli.config.load import load_config
    from emovoca_cli.data.store import open_data
    from emovoca_cli.desd.report import desd_report
    from emovoca_cli.desd.train import train_desd
    from emovoca_cli.files import write_json
    from emovoca_cli.runtime.device import pick_device
    from emovoca_cli.runtime.processes import join

    reporter = _reporter(json, quiet)
    named_settings = {"batch": batch_size, "seed": seed, "gap_loss": GAP_LOSS if gap_loss else None}
    resolved = load_config(named(preset), file=config, overrides=_overrides(settings, **named_settings))
    unit = pick_device(device)
    processes = join(unit, resolved)
    folder = _folder(out, "desd", resume, reporter, check=processes.is_main_process)
    with processes.main_process_first():
        where = require_data(data, reporter)
    talk, expression = open_data(where)
    with reporter.progress("training DE-SD") as update:
        trained = train_desd(resolved, talk, expression, folder, device=unit, progress=update, resume=resume)
    processes.end_training()
    if not processes.is_main_process:
        return
    _say_how_it_went(reporter, folder, trained.loop, resolved.steps)
    with reporter.progress("scoring") as update:
        report = desd_report(trained.mixer, talk, expression, truth=_truth(where), progress=update)
    write_json(folder / "report.json", report)
    reporter.table(
        f"reconstruction of the {report['split']} identities",
        ("set", "MVE mm"),
        [(name, f"{value:.2f}") for name, value in report["mve_mm"].items()],
    )
    rows = [
        (way, *(_number(scores["mean"][name], name) for name in ("sealed", "leak_mm", "slope", "upper_share")))
        for way, scores in report["mixtures"].items()
    ]
    reporter.table(
        "mixtures at mu 2, 2", ("mixing", "p b m sealed", "leak mm", "slope of lip opening", "upper-face emotion kept"), rows
    )
    reporter.result({"out": str(folder), "seconds": trained.loop.seconds, "report": report})


@app.command("classifier")
def classifier(
    data: Data = None,
    out: Out = None,
    preset: Preset = "paper",
    config: Config = None,
    settings: Settings = None,
    batch_size: BatchSize = None,
    seed: TrainSeed = None,
    resume: Resume = False,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the expression classifier: a spiral encoder and an MLP head on silent expressions (paper section 4.3).

    Presets: paper (DE-SD's encoder), small (half the channels), tiny (tests).\n
    Example: emovoca train classifier --preset small
    """
    from emovoca_cli.cli.prep import require_data
    from emovoca_cli.config.classifier import classifier_preset
    from emovoca_cli.config.load import load_config
    from emovoca_cli.data.store import open_data
    from emovoca_cli.reproduce.classifier import train_classifier
    from emovoca_cli.runtime.device import pick_device
    from emovoca_cli.runtime.processes import join

    reporter = _reporter(json, quiet)
    resolved = load_config(classifier_preset(preset), file=config, overrides=_overrides(settings, batch=batch_size, seed=seed))
    unit = pick_device(device)
    processes = join(unit, resolved)
    folder = _folder(out, "classifier", resume, reporter, check=processes.is_main_process)
    with processes.main_process_first():
        where = require_data(data, reporter)
    _, expression = open_data(where)
    with reporter.progress("training the classifier") as update:
        trained = train_classifier(resolved, expression, folder, device=unit, progress=update, resume=resume)
    processes.end_training()
    if not processes.is_main_process:
        return
    _say_how_it_went(reporter, folder, trained.loop, resolved.steps)
    labels = list(trained.classifier.labels)
    reporter.say(f"  right on {100 * trained.accuracy:.0f} % of the test identities' frames, {len(labels)} labels")
    reporter.result({"out": str(folder), "seconds": trained.loop.seconds, "accuracy": trained.accuracy, "labels": labels})


def _generator(name: str, parts: Callable[[], tuple[Any, Any]], words: str) -> None:
    """Add the command that trains a generator; `parts` imports its presets and its training function."""

    @app.command(name, help=words)
    def command(
        data: Dataset = None,
        out: Out = None,
        preset: Preset = "demo",
        config: Config = None,
        settings: Settings = None,
        batch_size: BatchSize = None,
        seed: TrainSeed = None,
        resume: Resume = False,
        device: Device = "auto",
        json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        from emovoca_cli.config.load import load_config
        from emovoca_cli.dataset_builder.reader import EmoDataset
        from emovoca_cli.files import write_json
        from emovoca_cli.runtime.device import pick_device
        from emovoca_cli.runtime.processes import join

        presets, train = parts()
        resolved = load_config(presets(preset), file=config, overrides=_overrides(settings, batch=batch_size, seed=seed))
        reporter = _reporter(json, quiet)
        if data is None:
            data = DATA_DIR / "emovoca-v2"
            reporter.default("--data", data)
        where = pick_device(device)
        processes = join(where, resolved)
        folder = _folder(out, name, resume, reporter, check=processes.is_main_process)
        source = EmoDataset(data)
        with reporter.progress(f"training {name}") as bar:
            trained = train(resolved, source, folder, device=where, progress=bar, preparing=bar.doing, resume=resume)
        if processes.is_main_process:
            scores = {"test": dict(trained.test)}
            report = {**scores, **({"by_emotion": trained.test_by_emotion} if hasattr(trained, "test_by_emotion") else {})}
            write_json(folder / "report.json", report)
            _say_how_it_went(reporter, folder, trained.loop, resolved.steps)
            rows: list[tuple[str, ...]] = [(score, f"{value:.3f}") for score, value in trained.test.items()]
            reporter.table("test identities", ("score", "value"), rows)
            reporter.result({"out": str(folder), "seconds": trained.loop.seconds, "report": report})
        processes.end_training()


def _s2l() -> tuple[Any, Any]:
    from emovoca_cli.config.generators import s2l_preset
    from emovoca_cli.generators.train_s2l import train_s2l

    return s2l_preset, train_s2l


def _s2d() -> tuple[Any, Any]:
    from emovoca_cli.config.generators import s2d_preset
    from emovoca_cli.generators.train_s2d import train_s2d

    return s2d_preset, train_s2d


def _faceformer() -> tuple[Any, Any]:
    from emovoca_cli.config.faceformer import faceformer_preset
    from emovoca_cli.generators.train_faceformer import train_faceformer

    return faceformer_preset, train_faceformer


_generator(
    "s2l",
    _s2l,
    """Train E-S2L: speech, emotion and intensity to the motion of 68 landmarks (paper section 4.2).

Presets: demo (log-mel, what ships), paper (wav2vec 2.0), release (the authors' sizes and loss weights), tiny (tests).\n
Examples:\n
  emovoca train s2l --data emovoca-data/emovoca-v2\n
  accelerate launch --num_processes 4 -m emovoca_cli train s2l --set mixed_precision=bf16 --set ema=0.999""",
)
_generator(
    "s2d",
    _s2d,
    """Train S2D: the motion of 68 landmarks to the motion of the whole mesh (paper section 4.2).

Presets: demo (what ships), paper or release (the authors' sizes), tiny (tests).\n
Example: emovoca train s2d --data emovoca-data/emovoca-v2""",
)
_generator(
    "faceformer",
    _faceformer,
    """Train E-FaceFormer: speech, emotion and intensity to the motion of the mesh, frame after frame (paper section 4.2).

Presets: demo (log-mel), neutral (demo without labels: FaceFormer), paper (wav2vec 2.0, every vertex), tiny (tests).
Autoregressive as published; teacher_forcing is the share of steps that are fed the truth instead.\n
Examples:\n
  emovoca train faceformer --data emovoca-data/emovoca-v2\n
  emovoca train faceformer --set teacher_forcing=0.5 --set patience=4 --out my-faceformer""",
)


def _reporter(json: bool, quiet: bool) -> Reporter:
    """What speaks for this training: of many processes the first one alone."""
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.runtime.device import is_first

    return Reporter(json_output=json and is_first(), quiet=quiet or not is_first())


def _say_how_it_went(reporter: Reporter, folder: Path, loop: LoopReport, steps: int) -> None:
    reporter.say(f"wrote {folder} after {loop.steps} steps in {loop.seconds:.0f} s")
    if loop.best_step is not None:
        early = "" if loop.steps == steps else f", {steps - loop.steps} steps before the end"
        reporter.say(f"  the weights are those of step {loop.best_step}, the best on the validation identities{early}")


def _overrides(settings: list[str] | None, **named: float | None) -> list[str]:
    """`--set` pairs, then the options that have a name of their own."""
    return [*(settings or ()), *(f"{key}={value}" for key, value in named.items() if value is not None)]


def _folder(out: Path | None, name: str, resume: bool, reporter: Reporter, *, check: bool) -> Path:
    """Where a model goes; refused before work begins when something else is there."""
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import check_output

    if out is None:
        out = RUNS_DIR / name
        reporter.default("--out", out)
        RUNS_DIR.mkdir(exist_ok=True)
    if not check:
        return out  # the first process looks, before it writes
    check_output(out, directory=True)
    if out.is_dir() and any(out.iterdir()) and not resume:
        raise UsageError(f"{out} is not empty; pass --resume to continue the run in it, or choose another --out")
    return out


def _truth(data: Path) -> Any:
    """The rig's true mixtures where the data has them."""
    from emovoca_cli.demo.truth import DemoTruth
    from emovoca_cli.errors import DataError

    try:
        return DemoTruth(data)
    except DataError:
        return None


def _number(value: float | None, name: str) -> str:
    if value is None:
        return "not measured"
    return f"{100 * value:.0f} %" if name in {"sealed", "upper_share"} else f"{value:.2f}"
