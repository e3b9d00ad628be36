"""Training as users run it: repeatable, resumable, and scored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.constants import MM
from emovoca_cli.data.loaders import FrameSampler
from emovoca_cli.data.store import Store
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.desd.report import closing_frames, desd_report
from emovoca_cli.desd.train import DesdTraining, global_scale, train_desd
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float
from tests.desd.fakes import CONFIG, emotions

pytestmark = pytest.mark.pipeline
Stores = tuple[Store, Store]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_resumed_training_equals_unbroken_training_and_seeds_matter(stores: Stores, tmp_path: Path) -> None:
    train_desd(CONFIG, *stores, tmp_path / "whole")

    def stop(step: int, total: int, metrics: Mapping[str, float]) -> None:
        if step == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_desd(CONFIG, *stores, tmp_path / "broken", progress=stop)
    assert not (tmp_path / "broken" / "config.json").exists()
    resumed = train_desd(CONFIG, *stores, tmp_path / "broken", resume=True)
    assert resumed.loop.first_step == 15
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    train_desd(replace(CONFIG, seed=1), *stores, tmp_path / "other")
    assert weights(tmp_path / "other") != weights(tmp_path / "whole")
    with pytest.raises(UsageError, match="run with other seed;"):
        train_desd(replace(CONFIG, seed=1), *stores, tmp_path / "whole", resume=True)


def test_both_sets_are_scored_in_the_log(trained: DesdTraining) -> None:
    lines = [json.loads(line) for line in (trained.out / "training" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {"loss", "loss_talk", "loss_expression", "lr"} <= set(lines[0])
    assert lines[-1]["step"] == 400
    assert 0 < lines[-1]["mve_talk_mm"] < 3
    assert lines[-1]["loss"] < 0.3 * lines[0]["loss"]


def test_the_scale_is_the_root_mean_square_of_both_sets(stores: Stores, trained: DesdTraining) -> None:
    squares = []
    for store in stores:
        frames = np.concatenate([store.displacement(row.id) for row in store.select(split="train")])
        squares.append(np.square(frames, dtype=np.float64).mean())
    scale = global_scale(*(FrameSampler(store, split="train", batch=1, seed=0) for store in stores))
    assert scale == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-6)
    assert float(trained.mixer.model.scale) == pytest.approx(scale)


def test_half_storage_is_small_and_what_is_reported_on(stores: Stores, tmp_path: Path) -> None:
    half = train_desd(replace(CONFIG, steps=2, storage="float16"), *stores, tmp_path / "half")
    full = train_desd(replace(CONFIG, steps=2), *stores, tmp_path / "full")
    assert len(weights(half.out)) < 0.6 * len(weights(full.out))
    loaded = Mixer.load(half.out).model.state_dict()
    for name, value in half.mixer.model.state_dict().items():
        assert value.equal(loaded[name])
    assert not half.mixer.model.decoder.linear.weight.equal(full.mixer.model.decoder.linear.weight)


def test_closing_frames_are_those_of_p_b_m_whose_lips_are_shut(stores: Stores) -> None:
    opening = np.full(30, -1e-3, np.float32)
    opening[1] = 1e-3
    assert np.flatnonzero(closing_frames(stores[0], "dora_s", opening)).tolist() == [0, 2]


def test_the_report_measures_known_truths(stores: Stores, trained: DesdTraining) -> None:
    talk, expression = stores

    def truth(talk_clip: str, emotion: str, intensity: float, /) -> Float:
        """Speech plus the emotion of the same gain, its brows alone: a mixture with known scores."""
        assert intensity == 2.0
        gain = 1.2
        upper = talk.template.regions["upper_face"]
        return talk.displacement(talk_clip) + gain * emotions()[emotion] * upper[:, None]

    report = desd_report(trained.mixer, talk, expression, truth=truth, frames=20, clips=4)
    assert json.loads(json.dumps(report)) == report
    assert report["clips"] == 1
    right = report["mixtures"]["truth"]["emotions"]["happy"]
    assert right["sealed"] == 1.0
    assert right["leak_mm"] == pytest.approx(0.0, abs=1e-3)
    assert right["slope"] == pytest.approx(1.0, abs=1e-3)
    assert right["upper_share"] == pytest.approx(1.0, abs=0.01)
    plain, sealed = (report["mixtures"][way]["emotions"]["happy"] for way in ("plain", "sealed"))
    assert plain["leak_mm"] > 2
    assert sealed["leak_mm"] < 0.3 * plain["leak_mm"]
    assert sealed["upper_share"] == pytest.approx(plain["upper_share"])
    assert report["mixtures"]["plain"]["mean"]["leak_mm"] == pytest.approx(
        np.mean([row["leak_mm"] for row in report["mixtures"]["plain"]["emotions"].values()])
    )


def test_the_reports_mve_is_the_mean_of_the_largest_errors(stores: Stores, trained: DesdTraining) -> None:
    talk, expression = stores
    report = desd_report(trained.mixer, talk, expression, frames=10**6, clips=1)
    truth = talk.displacement("dora_s")
    codes = trained.mixer.encode_talk(truth)
    # mixing a talk code with itself at (1, 1) is its reconstruction
    found = trained.mixer.mix(codes, codes, 1.0, 1.0)
    assert report["mve_mm"]["talk"] == pytest.approx(np.linalg.norm(found - truth, axis=-1).max(axis=1).mean() * MM, rel=1e-4)
    assert set(report["mixtures"]) == {"plain", "sealed"}
