"""What other repositories print, each by its own formula: the same letters stand for different numbers.

Values are in the unit of the files (or its square), as the scripts print them, unless the script itself converts to millimetres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emovoca_cli.evaluation.measure import Array, Pair
from emovoca_cli.evaluation.metrics import NAMED, Metric, fdd, fdd_raw, max_l2, max_sq, mean_sq, once
from emovoca_cli.evaluation.regions import ALL, LIPS


@dataclass(frozen=True)
class Line:
    """One printed number: its label in the repository, how it is made, and whether the repository converts to millimetres."""

    label: str
    metric: Metric
    millimetres: bool = False


@dataclass(frozen=True)
class Preset:
    """A repository's evaluation, line by line, where it was read, and what has to be known about it."""

    name: str
    source: str
    lines: tuple[Line, ...]
    note: str = ""


def _named(label: str, name: str, *, millimetres: bool = False) -> Line:
    return Line(label, NAMED[name], millimetres)


def _by_sequence(name: str, formula: str, values: Callable[[Pair], Array], power: int, *, factor: float = 1.0) -> Metric:
    return Metric(name, formula, values, power, "sequences", factor=factor)


_PAPER = Preset(
    "paper",
    "EmoVOCA, section 4.1",
    tuple(_named(label, f"{label.lower()}_max_l2", millimetres=True) for label in ("MVE", "UVE", "LVE")),
    "the paper says 'maximum L2 error' and not how frames are joined; here they are averaged",
)
_CODETALKER = Preset("codetalker", "Doubiiu/CodeTalker main/cal_metric.py", (_named("LVE", "lve_max_sq"), _named("FDD", "fdd")))
_FACEDIFFUSER = Preset(
    "facediffuser",
    "uuembodiedsocialai/FaceDiffuser evaluation/compute_objective_metrics.py",
    (_named("MVE", "mve_mean_l2"), _named("LVE", "lve_max_sq"), _named("FDD", "fdd"), _named("ABS FDD", "fdd_abs")),
)
_UNITALKER = Preset(
    "unitalker",
    "X-niper/UniTalker loss/loss.py, main/train_eval_loop.py",
    (
        Line("LVE", _by_sequence("lve_max_sq_by_sequence", "mean_s mean_t max_{v in L} ||e||^2", once(max_sq(LIPS)), 2)),
        Line("LVD", _by_sequence("lve_max_l2_by_sequence", "mean_s mean_t max_{v in L} ||e||", once(max_l2(LIPS)), 1)),
    ),
)
_ARTALK = Preset(
    "artalk",
    "xg-chu/ARTalk train_code/core/models/modules/metrics.py, train_code/eval.py",
    tuple(
        Line(label, _by_sequence(name, formula, values, 1, factor=factor), millimetres=True)
        for label, name, formula, values, factor in (
            ("LVE", "lve_rms_of_max_by_sequence", "mean_s sqrt(mean_t max_{v in L} ||e||^2)", once(max_sq(LIPS), root=True), 1.0),
            ("MHD", "mve_rms_l2_by_sequence", "mean_s sqrt(mean_t mean_V ||e||^2)", once(mean_sq(ALL), root=True), 1.0),
            ("FDD", "fdd_raw_x100", "100 mean_s mean_U |std_t(x+y+z)_p - std_t(x+y+z)_g|", fdd_raw, 100.0),
        )
    ),
    "FDD is on raw coordinates with the sample deviation, times 100; vertices listed twice in --upper count twice",
)
_DIFFSPEAKER = Preset(
    "diffspeaker",
    "theEricMa/DiffSpeaker alm/models/losses/utils.py, alm/models/modeltype/diffusion_bias.py",
    (
        Line(
            "Lip Vertex Error",
            Metric("lve_max_sq_by_truth", "mean_g mean_p mean_t max_{v in L} ||e||^2", once(max_sq(LIPS)), 2, "truths"),
        ),
        Line(
            "FDD",
            Metric(
                "fdd_by_truth",
                "mean_g mean_p [mean_U std_t ||d_g||^2 - mean_U std_t ||d_p||^2]",
                fdd(unique=True),
                2,
                "truths",
                higher_is_better=None,
            ),
        ),
    ),
    "several predictions of one truth (--match '{id}_condition_*') are averaged first; repeats in --upper count once",
)
_TORCHMETRICS = Preset("torchmetrics", "Lightning-AI/torchmetrics LipVertexError", (_named("LipVertexError", "lve_max_sq"),))

PRESETS: dict[str, Preset] = {
    preset.name: preset for preset in (_PAPER, _CODETALKER, _FACEDIFFUSER, _UNITALKER, _ARTALK, _DIFFSPEAKER, _TORCHMETRICS)
}
"""By the name that --preset takes."""
