"""Scores as plain JSON and as rows of a table, overall and by emotion, intensity and subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from emovoca_cli import __version__
from emovoca_cli.constants import MM
from emovoca_cli.evaluation.measure import Array
from emovoca_cli.evaluation.metrics import NAMED, Metric
from emovoca_cli.evaluation.motion import MOTION
from emovoca_cli.evaluation.presets import PRESETS
from emovoca_cli.evaluation.score import Scored, Scores
from emovoca_cli.evaluation.statistics import Bootstrap, Tally, estimate

REPORT_SCHEMA = 1
GROUPS = ("emotion", "intensity", "subject")
COLUMNS = ("by", "group", "kind", "name", "value", "unit", "low", "high", "sequences", "frames")

Row = dict[str, Any]


def build_report(scores: Scores, **said: Any) -> dict[str, Any]:
    """Everything as plain JSON; `said` is put in front (paths, arguments). No metric is in it without having been measured."""
    options = scores.options
    everything = range(len(scores.sequences))
    return {
        "kind": "evaluation",
        "schema": REPORT_SCHEMA,
        "emovoca": __version__,
        **said,
        "sequences": len(scores.sequences),
        "frames": sum(one.frames for one in scores.sequences),
        "vertices": scores.vertices,
        "metres_per_unit": scores.metres,
        "regions": {name: region.describe() for name, region in scores.regions.items()},
        "bootstrap": {
            "draws": options.bootstrap.draws,
            "seed": options.bootstrap.seed,
            "confidence": options.bootstrap.confidence,
            "of": "subjects" if options.by_subject else "sequences",
        },
        "notes": list(scores.notes),
        **_measured(scores, everything, options.bootstrap),
        "not_measured": _not_measured(scores),
        "groups": {
            by: {
                group: {
                    "sequences": len(chosen),
                    "frames": sum(scores.sequences[index].frames for index in chosen),
                    **_measured(scores, chosen, options.bootstrap),
                }
                for group, chosen in members.items()
            }
            for by, members in groups(scores.sequences).items()
        },
        "by_sequence": [_sequence(scores, index, one) for index, one in enumerate(scores.sequences)],
    }


def groups(sequences: Sequence[Scored]) -> dict[str, dict[str, list[int]]]:
    """Numbers of the sequences by value of each label that is known of any; those of unknown label are in none of its groups."""
    found: dict[str, dict[str, list[int]]] = {}
    for by in GROUPS:
        members: dict[str, list[int]] = {}
        values = [getattr(one.labels, by) for one in sequences]
        for value in sorted({value for value in values if value is not None}, key=lambda value: (value != "neutral", value)):
            name = f"{value:g}" if isinstance(value, float) else str(value)
            members[name] = [index for index, other in enumerate(values) if other == value]
        if members:
            found[by] = members
    return found


def _measured(scores: Scores, chosen: Iterable[int], bootstrap: Bootstrap) -> dict[str, Any]:
    chosen = list(chosen)
    scale = scores.metres * MM
    presets: dict[str, Any] = {}
    for name, lines in scores.presets.items():
        preset = PRESETS[name]
        rows = {}
        for line in preset.lines:
            row = _row(lines[line.label].only(chosen), line.metric, bootstrap, scale, millimetres=line.millimetres)
            if row is not None:
                rows[line.label] = row | {"metric": line.metric.name, "formula": line.metric.formula}
        presets[name] = {"source": preset.source, "lines": rows} | ({"note": preset.note} if preset.note else {})
    metrics = {}
    for name, tally in scores.errors.items():
        for millimetres in (True, False):
            row = _row(tally.only(chosen), NAMED[name], bootstrap, scale, millimetres=millimetres)
            if row is not None:
                metrics[name + (f"_{_unit(NAMED[name], True).replace('^', '')}" if millimetres else "")] = row
    return {
        "presets": presets,
        "metrics": metrics,
        "motion": _motion(scores.motion, chosen, bootstrap),
        "truth_motion": _motion(scores.truth_motion, chosen, bootstrap),
    }


def _unit(metric: Metric, millimetres: bool, metres: float = 1.0) -> str:
    base = "mm" if millimetres else "m" if metres == 1.0 else "unit"
    return base if metric.power == 1 else f"{base}^{metric.power}"


def _row(tally: Tally, metric: Metric, bootstrap: Bootstrap, scale: float, *, millimetres: bool) -> Row | None:
    """The number of a metric in the files' unit or in millimetres (`scale` of them a unit); None when it was not measured."""
    factor = metric.factor * (scale**metric.power if millimetres else 1.0)

    def finish(means: Array) -> Array:
        return (np.sqrt(means) if metric.root else means) * factor

    return _estimated(tally, bootstrap, finish, _unit(metric, millimetres, scale / MM))


def _motion(tallies: Mapping[str, Tally], chosen: list[int], bootstrap: Bootstrap) -> dict[str, Row]:
    rows = {
        name: _estimated(tally.only(chosen), bootstrap, lambda means: means, MOTION[name].unit) for name, tally in tallies.items()
    }
    return {name: row for name, row in rows.items() if row is not None}


def _estimated(tally: Tally, bootstrap: Bootstrap, finish: Any, unit: str) -> Row | None:
    found = estimate(tally, bootstrap, finish)
    if found is None:
        return None
    return {"value": found.value, "unit": unit, "low": found.low, "high": found.high, "sequences": found.sequences}


def _not_measured(scores: Scores) -> dict[str, list[str]]:
    """Why a number is missing, or stands on fewer sequences than the others."""
    tallies = {
        **scores.errors,
        **{f"{name} {label}": tally for name, lines in scores.presets.items() for label, tally in lines.items()},
        **scores.motion,
        **{f"{name} of the truth": tally for name, tally in scores.truth_motion.items()},
    }
    return {name: tally.reasons for name, tally in tallies.items() if tally.reasons}


def _sequence(scores: Scores, index: int, one: Scored) -> dict[str, Any]:
    once = Bootstrap(draws=0)
    found = _measured(scores, [index], once)
    values = {name: row["value"] for name, row in found["metrics"].items() if name.endswith(("_mm", "_mm2"))}
    return {
        "name": one.name,
        "truth": one.truth,
        "subject": one.labels.subject,
        "emotion": one.labels.emotion,
        "intensity": one.labels.intensity,
        "frames": one.frames,
        "metrics": values | {name: row["value"] for name, row in found["motion"].items()},
    }


def table_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One flat row a number, for .csv: overall, each group, each sequence."""
    rows = _flat("all", "", report)
    for by, members in report["groups"].items():
        for group, part in members.items():
            rows += _flat(by, group, part)
    for one in report["by_sequence"]:
        for name, value in one["metrics"].items():
            unit = MOTION[name].unit if name in MOTION else "mm^2" if name.endswith("_mm2") else "mm"
            kind = "motion" if name in MOTION else "metric"
            rows.append(
                dict(zip(COLUMNS, ("sequence", one["name"], kind, name, value, unit, None, None, 1, one["frames"]), strict=True))
            )
    return rows


def _flat(by: str, group: str, part: Mapping[str, Any]) -> list[dict[str, Any]]:
    kinds = [(name, preset["lines"]) for name, preset in part["presets"].items()]
    kinds += [("metric", part["metrics"]), ("motion", part["motion"]), ("truth motion", part["truth_motion"])]
    return [
        {"by": by, "group": group, "kind": kind, "name": name, "frames": part["frames"]}
        | {key: row[key] for key in ("value", "unit", "low", "high", "sequences")}
        for kind, lines in kinds
        for name, row in lines.items()
    ]
