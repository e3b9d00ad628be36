"""`emovoca prep arkit`: an ARKit-rigged character, read, measured and made to speak and feel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emovoca_cli.cli.console import Reporter

REPORT = "rig.json"


def prep_arkit(
    source: Path | None,
    out: Path,
    reporter: Reporter,
    *,
    speech: Path | None = None,
    landmarks: Path | None = None,
    sentences: int | None = None,
    identities: int | None = None,
    unit: str = "auto",
    licence: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the corpus of a rig and `rig.json` beside it; returns what is in them. Raises UsageError, DataError, OutputError."""
    from emovoca_cli.data.arkit import kit
    from emovoca_cli.data.arkit.facekit import is_facekit
    from emovoca_cli.demo.arkit_corpus import read_rig, write_arkit_corpus
    from emovoca_cli.demo.corpus import SENTENCES
    from emovoca_cli.demo.speech import builtin_speech, read_speech_folder
    from emovoca_cli.errors import UsageError
    from emovoca_cli.files import check_output, write_json

    if source is None:
        raise UsageError("prep arkit needs --input: a FaceXModel folder or a .glb (`emovoca face get ict-facekit` fetches one)")
    if str(source) == kit.NAME and not source.exists():
        source = kit.kit_folder()
        if not is_facekit(source):
            raise UsageError(f"{kit.NAME} is not in the cache ({source}); fetch it with `emovoca face get {kit.NAME}`")
    check_output(out, directory=True)
    if sentences is not None and sentences < 1:
        raise UsageError(f"--sentences {sentences} leaves nothing to say; give 1 or more")
    utterances = builtin_speech()[: sentences or SENTENCES] if speech is None else read_speech_folder(speech)[:sentences]
    with reporter.progress("reading the rig") as bar:
        rig = read_rig(source, landmarks=landmarks, unit=unit, progress=bar)
    template = rig.template
    reporter.say(
        f"  {template.name}: skin of {len(template.vertices)} vertices, {len(rig.present)} of 52 shapes, unit {rig.unit}, "
        f"parts {', '.join(part.name for part in template.parts) or 'none'}"
    )
    for note in rig.notes:
        reporter.say(f"  {note}")
    with reporter.progress("writing") as update:
        corpus = write_arkit_corpus(
            rig, out, utterances, count=identities, seed=seed, licence=licence, overwrite=overwrite, progress=update
        )
    missed = corpus.tables.missed
    worst = max(missed, key=lambda name: missed[name][1])
    average = [sum(row[0] for row in missed.values()) / len(missed), sum(row[1] for row in missed.values()) / len(missed)]
    reporter.say(
        f"  visemes and emotions solved for this rig: worst miss of an outcome {average[0]:.1f} -> {average[1]:.1f} mm on average, "
        f"most in {worst} ({missed[worst][1]:.1f} mm, {missed[worst][2]})"
    )
    write_json(
        out / REPORT,
        {
            "rig": template.name,
            "unit": rig.unit,
            "licence": licence or rig.licence,
            "content": rig.content_hash,
            "shapes": list(rig.present),
            "notes": list(rig.notes),
            "landmarks": _landmarks(template, rig.metres),
            "missed_mm": {name: list(row) for name, row in missed.items()},
            "tables": corpus.tables.plain(),
        },
    )
    return {
        "out": str(out),
        "rig": template.name,
        "unit": rig.unit,
        "licence": licence or rig.licence,
        "vertices": len(template.vertices),
        "shapes": len(rig.present),
        "notes": list(rig.notes),
        "talk_clips": len(corpus.talk.clips),
        "talk_frames": sum(clip.frames for clip in corpus.talk.clips),
        "expression_clips": len(corpus.expression.clips),
        "subjects": len(corpus.talk.subjects),
        "fps": corpus.talk.fps,
        "missed_mm": {"built_in": round(average[0], 3), "solved": round(average[1], 3)},
        "megabytes": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6,
    }


def _landmarks(template: Any, metres: float) -> list[list[float]]:
    """The 68 points in the file's own unit, as --landmarks takes them."""
    from emovoca_cli.mesh.landmarks import landmark_points

    points = landmark_points(template.vertices, template.faces, template.landmark_faces, template.landmark_weights) / metres
    return [[round(float(value), 6) for value in row] for row in points]
