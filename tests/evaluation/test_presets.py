"""Every metric and every preset on numbers worked out by hand, and against a slow restatement of each script's loops."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emovoca_cli.evaluation.faces import load_faces
from emovoca_cli.evaluation.metrics import NAMED
from emovoca_cli.evaluation.presets import PRESETS
from emovoca_cli.evaluation.report import build_report
from emovoca_cli.evaluation.score import Options, score_folders
from emovoca_cli.evaluation.statistics import Bootstrap
from tests.evaluation import worked

pytestmark = pytest.mark.unit

NAMED_BY_HAND = {
    "mve_max_l2": (5 + 2 + 10 + 0 + 3) / 5,
    "mve_mean_l2": (1.5 + 0.75 + 2.5 + 0 + 0.75) / 5,
    "mve_peak_l2": (5 + 10) / 2,
    "mve_rms_l2": sqrt((31 + 109) / 20),
    "mve_max_sq": (25 + 4 + 100 + 0 + 9) / 5,
    "uve_max_l2": (0 + 1 + 0 + 0 + 3) / 5,
    "uve_mean_l2": (0 + 0.5 + 0 + 0 + 1.5) / 5,
    "uve_peak_l2": (1 + 3) / 2,
    "uve_rms_l2": sqrt((1 + 9) / 10),
    "uve_max_sq": (1 + 9) / 5,
    "lve_max_l2": (5 + 2 + 10) / 5,
    "lve_mean_l2": (3 + 1 + 5) / 5,
    "lve_peak_l2": (5 + 10) / 2,
    "lve_rms_l2": sqrt((26 + 4 + 100) / 10),
    "lve_max_sq": (25 + 4 + 100) / 5,
    "lve_rms_of_max": sqrt(129 / 5),
    "lve_centred_max_l2": (sqrt(6.5) + 1 + 5) / 5,
    "fdd": ((1 - 0.25) + (0 - sqrt(18) / 2)) / 2,
    "fdd_abs": (0.75 + sqrt(18) / 2) / 2,
}
PRESETS_BY_HAND = {
    "paper": {"MVE": 4000.0, "UVE": 800.0, "LVE": 3400.0},
    "codetalker": {"LVE": 25.8, "FDD": NAMED_BY_HAND["fdd"]},
    "facediffuser": {"MVE": 1.1, "LVE": 25.8, "FDD": NAMED_BY_HAND["fdd"], "ABS FDD": NAMED_BY_HAND["fdd_abs"]},
    "unitalker": {"LVE": (14.5 + 100 / 3) / 2, "LVD": (3.5 + 10 / 3) / 2},
    "artalk": {
        "LVE": 1000 * (sqrt(14.5) + sqrt(100 / 3)) / 2,
        "MHD": 1000 * (sqrt(31 / 8) + sqrt(109 / 12)) / 2,
        "FDD": 100 * 1000 * ((sqrt(2) - sqrt(0.5)) / 2 + sqrt(3) / 2) / 2,
    },
    "diffspeaker": {"Lip Vertex Error": (14.5 + 100 / 3) / 2, "FDD": NAMED_BY_HAND["fdd"]},
    "torchmetrics": {"LipVertexError": 25.8},
}


def report(root: Path, *, upper: str | None = None, unit: float = 1.0, **options: Any) -> dict[str, Any]:
    faces = load_faces(
        root / "rest.npy", builtin=None, lips=str(root / "lips.txt"), upper=upper or str(root / "upper.txt"), metres=unit
    )
    settings = Options(
        presets=tuple(PRESETS), metres=unit, motion=False, bootstrap=options.pop("bootstrap", Bootstrap(50)), **options
    )
    return build_report(score_folders(root / "pred", root / "truth", faces, settings))


def test_the_named_metrics_by_hand(tmp_path: Path) -> None:
    found = report(worked.write(tmp_path))["metrics"]
    assert set(NAMED_BY_HAND) == set(NAMED)
    for name, value in NAMED_BY_HAND.items():
        assert found[name]["value"] == pytest.approx(value, rel=1e-12), name
        in_mm = next(row for key, row in found.items() if key in (f"{name}_mm", f"{name}_mm2"))
        assert in_mm["value"] == pytest.approx(value * 1000 ** NAMED[name].power, rel=1e-12), name
        assert (found[name]["unit"], in_mm["unit"]) == (("m", "mm") if NAMED[name].power == 1 else ("m^2", "mm^2"))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_presets_by_hand(preset: str, tmp_path: Path) -> None:
    lines = report(worked.write(tmp_path))["presets"][preset]["lines"]
    assert list(lines) == list(PRESETS_BY_HAND[preset])
    for label, value in PRESETS_BY_HAND[preset].items():
        assert lines[label]["value"] == pytest.approx(value, rel=1e-12), label


def test_units_are_converted_for_millimetres_and_only_there(tmp_path: Path) -> None:
    found = report(worked.write(tmp_path), unit=0.183)
    assert found["metrics"]["lve_max_sq"] | {"low": 0, "high": 0} == {
        "value": pytest.approx(25.8), "unit": "unit^2", "low": 0, "high": 0, "sequences": 2,
    }  # fmt: skip
    assert found["metrics"]["lve_max_sq_mm2"]["value"] == pytest.approx(25.8 * 183**2)
    assert found["presets"]["paper"]["lines"]["LVE"]["value"] == pytest.approx(3.4 * 183)
    assert found["presets"]["codetalker"]["lines"]["LVE"]["value"] == pytest.approx(25.8)


def test_repeated_indices_count_twice_for_artalk_and_once_for_diffspeaker(tmp_path: Path) -> None:
    root = worked.write(tmp_path)
    (root / "repeats.txt").write_text("2\n2\n3\n")
    lines = {name: part["lines"] for name, part in report(root, upper=str(root / "repeats.txt"))["presets"].items()}
    twice = (2 * (sqrt(2) - sqrt(0.5)) / 3 + sqrt(3) / 3) / 2
    assert lines["artalk"]["FDD"]["value"] == pytest.approx(100 * 1000 * twice)
    assert lines["codetalker"]["FDD"]["value"] == pytest.approx(((2 * 2 - 2 * 0.5) / 3 - sqrt(18) / 3) / 2)
    assert lines["diffspeaker"]["FDD"]["value"] == pytest.approx(PRESETS_BY_HAND["diffspeaker"]["FDD"])


def test_several_predictions_of_one_truth_are_averaged_first_by_diffspeaker_alone(tmp_path: Path) -> None:
    root = worked.write(tmp_path)
    for name, (prediction, truth) in worked.sequences().items():
        (root / "pred" / f"{name}.npy").unlink()
        np.save(root / "pred" / f"{name}_condition_x.npy", prediction)
        if name == "A":
            np.save(root / "pred" / f"{name}_condition_y.npy", truth)
    lines = report(root, match="{id}_condition_*")["presets"]
    assert lines["diffspeaker"]["lines"]["Lip Vertex Error"]["value"] == pytest.approx((14.5 / 2 + 100 / 3) / 2)
    assert lines["unitalker"]["lines"]["LVE"]["value"] == pytest.approx((14.5 + 0 + 100 / 3) / 3)
    assert lines["codetalker"]["lines"]["LVE"]["value"] == pytest.approx(129 / 7)


def test_the_face_at_rest_does_not_matter_but_for_fdd(tmp_path: Path) -> None:
    root = worked.write(tmp_path)
    before = report(root)
    np.save(root / "rest.npy", worked.REST + np.array([0.5, 0, 0]))
    after = report(root)
    assert after["metrics"]["fdd"]["value"] != pytest.approx(before["metrics"]["fdd"]["value"])
    before["metrics"].pop("fdd"), after["metrics"].pop("fdd")
    assert after["metrics"]["lve_max_sq"] == before["metrics"]["lve_max_sq"]
    assert after["presets"]["artalk"] == before["presets"]["artalk"]


def test_long_sequences_are_measured_in_pieces_alike(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for folder in ("pred", "truth"):
        (tmp_path / folder).mkdir()
    truth = generator.normal(size=(300, 4, 3))
    prediction = truth + generator.normal(size=truth.shape)
    np.save(tmp_path / "truth" / "a.npy", truth)
    np.save(tmp_path / "pred" / "a.npy", prediction)
    worked.write(tmp_path / "files")
    for name in ("lips.txt", "upper.txt", "rest.npy"):
        (tmp_path / "files" / name).rename(tmp_path / name)
    found = report(tmp_path)["metrics"]
    errors = np.square(prediction - truth).sum(axis=2)
    assert found["lve_max_sq"]["value"] == pytest.approx(np.mean([max(frame[:2]) for frame in errors]))
    moved = [np.square(array[:, 2:] - worked.REST[2:]).sum(axis=2).std(axis=0).mean() for array in (truth, prediction)]
    assert found["fdd"]["value"] == pytest.approx(moved[0] - moved[1])
