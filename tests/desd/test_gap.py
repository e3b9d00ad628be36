"""The lip-gap loss: its terms by hand, and what training with it does to lips."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emovoca_cli.constants import INNER_LIP_PAIRS
from emovoca_cli.data.loaders import FrameSampler
from emovoca_cli.data.store import Store
from emovoca_cli.desd.gap import MOUTH_SHARE, GapLoss, mixture_terms
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.desd.train import DesdTraining, train_desd
from emovoca_cli.errors import UsageError
from emovoca_cli.mesh.landmarks import landmark_points, lip_opening
from tests.desd.fakes import CONFIG, emotions

Stores = tuple[Store, Store]


def faces(seed: int, count: int = 5) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1e-3, (count, 68, 3)))


def right(spoken: torch.Tensor, felt: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """What the loss asks for: speech and emotion, and every pair of lip points moved together until its gap is the speech's."""
    wanted = spoken + strength[:, None, None] * felt
    wanted[:, 48:] = spoken[:, 48:] + MOUTH_SHARE * strength[:, None, None] * felt[:, 48:]
    for upper, lower in (*INNER_LIP_PAIRS, (50, 58), (51, 57), (52, 56)):
        middle = (wanted[:, upper] + wanted[:, lower]) / 2
        apart = (spoken[:, upper] - spoken[:, lower]) / 2
        wanted[:, upper], wanted[:, lower] = middle + apart, middle - apart
    return wanted


def test_the_terms_vanish_where_lips_keep_the_gap_and_the_rest_is_added() -> None:
    spoken, felt, strength = faces(0), faces(1), torch.tensor([0.5, 0.8, 1.0, 1.2, 1.5], dtype=torch.float64)
    gap, kept = mixture_terms(right(spoken, felt, strength), spoken, felt, strength)
    assert float(gap) == pytest.approx(0, abs=1e-12)
    assert float(kept) == pytest.approx(0, abs=1e-12)


def test_the_gap_counts_both_ways_and_the_emotion_where_it_is_lost() -> None:
    spoken, felt, strength = faces(0), faces(1), torch.ones(5, dtype=torch.float64)
    for off in (2e-3, -2e-3):
        mixed = right(spoken, felt, strength)
        for upper, lower in INNER_LIP_PAIRS:
            mixed[:, upper, 1] += off / 2
            mixed[:, lower, 1] -= off / 2
        gap, kept = mixture_terms(mixed, spoken, felt, strength)
        assert float(gap) == pytest.approx(2e-3)
        assert float(kept) == pytest.approx(0, abs=1e-12)
    mixed = right(spoken, felt, strength)
    mixed[:, 48] += torch.tensor([0.0, 3e-3, 4e-3])  # one corner of the 58 points and middles, 5 mm off
    gap, kept = mixture_terms(mixed, spoken, felt, strength)
    assert float(gap) == pytest.approx(0, abs=1e-12)
    assert float(kept) == pytest.approx(5e-3 / 58)


def test_strengths_and_partners_depend_on_the_batch_alone(stores: Stores, trained: DesdTraining) -> None:
    talk, expression = stores
    speech = FrameSampler(talk, split="train", batch=4, seed=3)
    loss = GapLoss(trained.mixer.model, talk.template, speech, seed=0)
    felt = torch.from_numpy(FrameSampler(expression, split="train", batch=4, seed=1).at(0))
    with torch.no_grad():
        first, again, other = (loss(number, felt) for number in (7, 7, 8))
    assert first["gap"].equal(again["gap"])
    assert not first["gap"].equal(other["gap"])
    # the restricted decoder's landmarks are those of whole meshes
    mixer, template = trained.mixer, talk.template
    spoken = speech.at(7)
    mu_e = 2 * np.random.default_rng((0, 7)).uniform(0.5, 1.5, 4)
    mixed = np.concatenate(
        [
            mixer.mix(mixer.encode_talk(spoken[i : i + 1]), mixer.encode_expression(felt.numpy()[i : i + 1]), 2.0, float(mu_e[i]))
            for i in range(4)
        ]
    )
    landmarks = [
        torch.from_numpy(landmark_points(rows, template.faces, template.landmark_faces, template.landmark_weights))
        for rows in (mixed, spoken, felt.numpy())
    ]
    gap, kept = mixture_terms(*landmarks, torch.from_numpy(mu_e / 2).float())
    scale = float(mixer.model.scale)
    assert float(first["gap"]) == pytest.approx(float(gap) / scale, rel=1e-3)
    assert float(first["kept"]) == pytest.approx(float(kept) / scale, rel=1e-3)


@pytest.mark.pipeline
def test_lips_stay_closed_that_addition_opens_and_the_smile_stays(stores: Stores, trained: DesdTraining, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=800, batch=8, lr=1e-2, checkpoint_every=400, log_every=100, gap_loss=0.3)
    sealing = train_desd(config, *stores, tmp_path / "sealing")
    lines = [json.loads(line) for line in (sealing.out / "training" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["mix_gap"] < 0.5 * lines[0]["mix_gap"]
    leaks, brows = {}, {}
    for name, mixer in (("added", trained.mixer), ("sealing", sealing.mixer)):
        leaks[name], brows[name] = _leak_and_brow(mixer, stores[0])
    assert leaks["sealing"] < 0.5 * leaks["added"]
    assert brows["sealing"] > 0.7 * brows["added"]


def _leak_and_brow(mixer: Mixer, talk: Store) -> tuple[float, float]:
    """Opening (m) of a happy face that says m, and how far its brows go up."""
    happy = emotions()["happy"]
    closed = mixer.encode_talk(talk.displacement("dora_s")[:1])
    mixed = mixer.mix_landmarks(closed, mixer.encode_expression(happy[None])[0])
    return float(lip_opening(mixed)[0]), float(mixed[0, 17:27, 1].mean())


@pytest.mark.pipeline
def test_a_resumed_run_with_the_gap_loss_equals_an_unbroken_one(stores: Stores, tmp_path: Path) -> None:
    config = replace(CONFIG, gap_loss=0.3)
    train_desd(config, *stores, tmp_path / "whole")

    def stop(step: int, total: int, metrics: Mapping[str, float]) -> None:
        if step == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_desd(config, *stores, tmp_path / "broken", progress=stop)
    train_desd(config, *stores, tmp_path / "broken", resume=True)
    whole, broken, plain = ((tmp_path / name / "model.safetensors") for name in ("whole", "broken", "plain"))
    assert whole.read_bytes() == broken.read_bytes()
    train_desd(CONFIG, *stores, tmp_path / "plain")
    assert whole.read_bytes() != plain.read_bytes()


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(UsageError, match="gap_loss is -1, it cannot be negative"):
        replace(CONFIG, gap_loss=-1)
