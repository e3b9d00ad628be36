"""`emovoca train`: DE-SD and the generators, each resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emovoca_cli.cli.options import DATA_DIR, RUNS_DIR, Data, Device, Json, Quiet

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter

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
    resume: Resume = False,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train DE-SD: two spiral encoders and a shared decoder (paper section 3.2), and report on the test identities.

    Presets: paper (the release's sizes), small (half the channels).\n
    Examples:\n
      emovoca train desd\n
      emovoca train desd --preset small --set steps=1000 --out my-desd
    """
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.cli.prep import require_data
    from emovoca_cli.config.desd import preset as named
    from emovoca_cli.config.load import load_config
    from emovoca_cli.data.store import open_data
    from emovoca_cli.desd.report import desd_report
    from emovoca_cli.desd.train import train_desd
    from emovoca_cli.files import write_json
    from emovoca_cli.runtime.device import pick_device

    reporter = Reporter(json_output=json, quiet=quiet)
    resolved = load_config(named(preset), file=config, overrides=_overrides(settings, batch=batch_size, seed=seed))
    folder = _folder(out, "desd", resume, reporter)
    where = require_data(data, reporter)
    talk, expression = open_data(where)
    with reporter.progress("training DE-SD") as update:
        trained = train_desd(resolved, talk, expression, folder, device=pick_device(device), progress=update, resume=resume)
    reporter.say(f"wrote {folder} after {trained.loop.steps} steps in {trained.loop.seconds:.0f} s")
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
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.cli.prep import require_data
    from emovoca_cli.config.classifier import classifier_preset
    from emovoca_cli.config.load import load_config
    from emovoca_cli.data.store import open_data
    from emovoca_cli.reproduce.classifier import train_classifier
    from emovoca_cli.runtime.device import pick_device

    reporter = Reporter(json_output=json, quiet=quiet)
    resolved = load_config(classifier_preset(preset), file=config, overrides=_overrides(settings, batch=batch_size, seed=seed))
    folder = _folder(out, "classifier", resume, reporter)
    _, expression = open_data(require_data(data, reporter))
    with reporter.progress("training the classifier") as update:
        trained = train_classifier(resolved, expression, folder, device=pick_device(device), progress=update, resume=resume)
    reporter.say(f"wrote {folder} after {trained.loop.steps} steps in {trained.loop.seconds:.0f} s")
    reporter.say(
        f"  right on {100 * trained.accuracy:.0f} % of the test identities' frames, {len(trained.classifier.labels)} labels"
    )
    reporter.result(
        {
            "out": str(folder),
            "seconds": trained.loop.seconds,
            "accuracy": trained.accuracy,
            "labels": list(trained.classifier.labels),
        }
    )


@app.command("s2l")
def s2l(
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
    """Train E-S2L: speech, emotion and intensity to the motion of 68 landmarks (paper section 4.2).

    Presets: demo (log-mel, what ships), paper (wav2vec 2.0), tiny (tests).\n
    Example: emovoca train s2l --data emovoca-data/emovoca-v2
    """
    from emovoca_cli.config.generators import s2l_preset
    from emovoca_cli.config.load import load_config
    from emovoca_cli.generators.train_s2l import train_s2l

    resolved = load_config(s2l_preset(preset), file=config, overrides=_overrides(settings, batch=batch_size, seed=seed))
    _train_generator("s2l", train_s2l, resolved, data, out, resume=resume, device=device, json=json, quiet=quiet)


@app.command("s2d")
def s2d(
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
    """Train S2D: the motion of 68 landmarks to the motion of the whole mesh (paper section 4.2).

    Presets: demo (what ships), paper (the release's sizes), tiny (tests).\n
    Example: emovoca train s2d --data emovoca-data/emovoca-v2
    """
    from emovoca_cli.config.generators import s2d_preset
    from emovoca_cli.config.load import load_config
    from emovoca_cli.generators.train_s2d import train_s2d

    resolved = load_config(s2d_preset(preset), file=config, overrides=_overrides(settings, batch=batch_size, seed=seed))
    _train_generator("s2d", train_s2d, resolved, data, out, resume=resume, device=device, json=json, quiet=quiet)


@app.command("faceformer")
def faceformer(
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
    """Train E-FaceFormer: speech, emotion and intensity to the motion of the mesh, frame after frame (paper section 4.2).

    Presets: demo (log-mel), neutral (demo without labels: FaceFormer), paper (wav2vec 2.0, every vertex), tiny (tests).
    Autoregressive as published; teacher_forcing is the share of steps that are fed the truth instead.\n
    Examples:\n
      emovoca train faceformer --data emovoca-data/emovoca-v2\n
      emovoca train faceformer --set teacher_forcing=0.5 --out my-faceformer
    """
    from emovoca_cli.config.faceformer import faceformer_preset
    from emovoca_cli.config.load import load_config
    from emovoca_cli.generators.train_faceformer import train_faceformer

    resolved = load_config(faceformer_preset(preset), file=config, overrides=_overrides(settings, batch=batch_size, seed=seed))
    _train_generator("faceformer", train_faceformer, resolved, data, out, resume=resume, device=device, json=json, quiet=quiet)


def _train_generator(
    kind: str, train: Any, config: Any, data: Path | None, out: Path | None, *, resume: bool, device: str, json: bool, quiet: bool
) -> None:
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.dataset_builder.reader import EmoDataset
    from emovoca_cli.files import write_json
    from emovoca_cli.runtime.device import pick_device

    reporter = Reporter(json_output=json, quiet=quiet)
    if data is None:
        data = DATA_DIR / "emovoca-v2"
        reporter.default("--data", data)
    folder = _folder(out, kind, resume, reporter)
    source = EmoDataset(data)
    with reporter.progress(f"training {kind}") as bar:
        trained = train(config, source, folder, device=pick_device(device), progress=bar, preparing=bar.doing, resume=resume)
    report = {"test": dict(trained.test), **({} if kind == "s2d" else {"by_emotion": trained.test_by_emotion})}
    write_json(folder / "report.json", report)
    reporter.say(f"wrote {folder} after {trained.loop.steps} steps in {trained.loop.seconds:.0f} s")
    reporter.table("test identities", ("score", "value"), [(name, f"{value:.3f}") for name, value in trained.test.items()])
    reporter.result({"out": str(folder), "seconds": trained.loop.seconds, "report": report})


def _overrides(settings: list[str] | None, **named: int | None) -> list[str]:
    """`--set` pairs, then the options that have a name of their own."""
    return [*(settings or ()), *(f"{key}={value}" for key, value in named.items() if value is not None)]


def _folder(out: Path | None, name: str, resume: bool, reporter: Reporter) -> Path:
    """Where a model goes; refused before work begins when something else is there."""
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import check_output

    if out is None:
        out = RUNS_DIR / name
        reporter.default("--out", out)
        RUNS_DIR.mkdir(exist_ok=True)
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
