"""The sources of `emovoca prep` that come from elsewhere: VOCASET, Florence 4D, the authors' EmoVOCA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter
    from emovoca_cli.data.checks import Findings
    from emovoca_cli.types import MeshTemplate

REAL_DIR = Path("flame-data")
"""Where real data goes when no --out is given: never among the built-in corpus, which has another topology."""


@dataclass(frozen=True)
class Request:
    """The options of `emovoca prep` for such a source."""

    source: str
    input: Path
    out: Path | None
    fps: float | None
    template: Path | None
    flame: Path | None
    labels: Path | None
    neutral: str
    check: bool
    overwrite: bool


def prepare_real(request: Request, reporter: Reporter) -> bool:
    """Read, check and write one source; True when a file had to be left out."""
    from emovoca_cli.cli.faces import builtin_template
    from emovoca_cli.data.checks import Findings
    from emovoca_cli.files import check_output

    findings = Findings(told=lambda line: reporter.say(f"  {line}"))
    out = request.out or REAL_DIR
    if not request.check:
        if request.out is None:
            reporter.default("--out", out)
        check_output(out, directory=True)
    prepare = {"vocaset": _vocaset, "florence4d": _florence, "release": _release}[request.source]
    summary = prepare(request, out, builtin_template(), findings, reporter)
    problems = [{"file": file, "problem": what} for file, what in findings.problems]
    if problems:
        reporter.say(f"{len(problems)} problems, named above; what they concern was left out")
    reporter.result(
        {"source": request.source, "input": str(request.input), **summary, "problems": problems, "notes": findings.notes}
    )
    return bool(problems)


def _vocaset(request: Request, out: Path, known: MeshTemplate, findings: Findings, reporter: Reporter) -> dict[str, Any]:
    from emovoca_cli import __version__
    from emovoca_cli.data.checks import frame_step
    from emovoca_cli.data.vocaset import open_vocaset, write_vocaset

    source = open_vocaset(request.input, known=known, findings=findings, template=request.template, flame=request.flame)
    frame_step(source.source_fps, request.fps)
    facts = {"layout": source.layout, "source_fps": source.source_fps, "sentences": len(source.spoken)}
    reporter.say(
        f"{request.input}: {source.layout} layout, {len(source.spoken)} usable sentences of "
        f"{len({item.subject for item in source.spoken})} subjects at {source.source_fps:g} frames a second"
    )
    if request.check:
        return facts
    with reporter.progress("VOCASET") as update:
        done = write_vocaset(
            source,
            out / "talk",
            fps=request.fps,
            findings=findings,
            version=__version__,
            overwrite=request.overwrite,
            progress=update,
        )
    reporter.say(f"wrote {done.clips} talking clips ({done.kept} kept from before, {done.frames} frames) to {done.root}")
    fps = source.source_fps if request.fps is None else request.fps
    return facts | {"out": str(out), "talk_clips": done.clips, "kept": done.kept, "frames": done.frames, "fps": fps}


def _florence(request: Request, out: Path, known: MeshTemplate, findings: Findings, reporter: Reporter) -> dict[str, Any]:
    from emovoca_cli import __version__
    from emovoca_cli.constants import DEFAULT_FPS
    from emovoca_cli.data.florence4d import open_florence, read_labels, write_florence

    neutral: Any = request.neutral
    source = open_florence(
        request.input,
        known=known,
        findings=findings,
        labels=read_labels(request.labels),
        neutral=neutral,
        template=request.template,
        flame=request.flame,
    )
    facts: dict[str, Any] = {"labels": list(source.labels), "neutral": source.rules, "expressions": len(source.expressions)}
    reporter.say(
        f"{request.input}: {len(source.expressions)} expressions of {len(source.neutrals)} identities, {len(source.labels)} labels"
    )
    if request.check:
        return facts
    with reporter.progress("Florence 4D") as update:
        done, peaks = write_florence(
            source,
            out / "expression",
            fps=request.fps or DEFAULT_FPS,
            findings=findings,
            version=__version__,
            overwrite=request.overwrite,
            progress=update,
        )
    reporter.say(f"wrote {done.clips} expression clips ({done.kept} kept from before, {done.frames} frames) to {done.root}")
    return facts | {"out": str(out), "expression_clips": done.clips, "kept": done.kept, "frames": done.frames, "peaks": peaks}


def _release(request: Request, out: Path, known: MeshTemplate, findings: Findings, reporter: Reporter) -> dict[str, Any]:
    from emovoca_cli import __version__
    from emovoca_cli.dataset_builder.release_reader import open_release, write_dataset

    source = open_release(request.input, known=known, findings=findings, template=request.template, flame=request.flame)
    facts = {"sequences": len(source.sequences), "source_fps": source.source_fps, "emotions": list(source.emotions)}
    reporter.say(
        f"{request.input}: {len(source.sequences)} usable sequences of {len(source.neutrals)} subjects, "
        f"{len(source.emotions)} emotions, {source.source_fps:g} frames a second"
    )
    if request.check:
        return facts
    with reporter.progress("EmoVOCA") as update:
        done = write_dataset(
            source,
            out / f"emovoca-{source.version}",
            fps=request.fps,
            findings=findings,
            version=__version__,
            overwrite=request.overwrite,
            progress=update,
        )
    reporter.say(
        f"wrote {done.sequences} sequences ({done.kept} kept from before) to {done.root}; train on it with --data {done.root}"
    )
    return facts | {"out": str(done.root), "sequences": done.sequences, "kept": done.kept, "fps": done.fps}
