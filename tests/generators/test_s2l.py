"""E-S2L: what masks, zero one-hots and gradients do, and that it can learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from emovoca_cli.config.generators import S2LConfig, s2d_preset, s2l_preset
from emovoca_cli.constants import INNER_LIP_PAIRS
from emovoca_cli.errors import UsageError
from emovoca_cli.generators.losses import landmark_loss, lip_opening, masked_mean
from emovoca_cli.generators.s2l import ES2L, POSE_GAIN

pytestmark = pytest.mark.unit


def tiny(**changes: Any) -> S2LConfig:
    return replace(s2l_preset("tiny"), **changes)


def model(**changes: Any) -> ES2L:
    torch.manual_seed(0)
    config = tiny(**changes)
    network = ES2L(config, speech_channels=6, emotions=4).eval()
    torch.nn.init.normal_(network.output.weight, std=0.1)
    if network.pose_frames:
        torch.nn.init.normal_(network.pose.weight, std=0.1 / POSE_GAIN)
    network.scale.fill_(0.003)
    return network


def inputs(batch: int, frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(batch, frames, 6, generator=generator),
        torch.rand(batch, frames, 4, generator=generator),
        torch.rand(batch, frames, 3, generator=generator),
    )


def test_starts_as_a_face_at_rest() -> None:
    network = ES2L(S2LConfig(), speech_channels=320, emotions=11)
    moved = network(torch.randn(2, 7, 320), torch.rand(2, 7, 11), torch.rand(2, 7, 3))
    assert moved.shape == (2, 7, 68, 3)
    assert moved.abs().max() == 0


@pytest.mark.parametrize("front", [0, 2])
def test_padding_changes_nothing(front: int) -> None:
    network = model(front_layers=front)
    speech, emotion, intensity = inputs(3, 20)
    lengths = torch.tensor([20, 7, 13])
    padded = network(speech, emotion, intensity, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = network(speech[row : row + 1, :length], emotion[row : row + 1, :length], intensity[row : row + 1, :length])
        torch.testing.assert_close(padded[row, :length], alone[0], atol=1e-6, rtol=1e-5)
        assert padded[row, length:].abs().sum() == 0


def test_what_lies_in_the_padding_does_not_reach_the_loss() -> None:
    network, config = model(), tiny()
    speech, emotion, intensity = inputs(2, 12)
    truth = torch.randn(2, 12, 68, 3) * 0.003
    lengths = torch.tensor([12, 5])
    mask = (torch.arange(12)[None] < lengths[:, None]).float()
    first = landmark_loss(
        network(speech, emotion, intensity, lengths=lengths), truth, mask=mask, scale=network.scale, config=config
    )
    speech, truth = speech.clone(), truth.clone()
    speech[1, 5:] = 1e3
    truth[1, 5:] = 7.0
    again = landmark_loss(
        network(speech, emotion, intensity, lengths=lengths), truth, mask=mask, scale=network.scale, config=config
    )
    for name in first:
        torch.testing.assert_close(first[name], again[name])


def test_zero_one_hots_add_nothing() -> None:
    network = model()
    speech, emotion, intensity = inputs(1, 9)
    neutral = network(speech, emotion * 0, intensity * 0)
    assert not torch.allclose(neutral, network(speech, emotion, intensity))
    torch.nn.init.normal_(network.emotion.weight)
    torch.nn.init.normal_(network.intensity.weight)
    torch.nn.init.normal_(network.pose.weight)
    torch.testing.assert_close(network(speech, emotion * 0, intensity * 0), neutral)


def test_a_pose_neither_depends_on_the_speech_nor_jumps() -> None:
    network = model(pose_frames=5)
    torch.nn.init.zeros_(network.output.weight)
    speech, emotion, intensity = inputs(1, 20)
    emotion, intensity = torch.zeros_like(emotion), torch.zeros_like(intensity)
    emotion[:, 10:, 2] = intensity[:, 10:, 1] = 1
    moved = network(speech, emotion, intensity)[0]
    pose = POSE_GAIN * network.pose.weight[:, 2 * 3 + 1].view(68, 3) * network.scale
    for frame, share in ((0, 0), (7, 0), (8, 0.2), (9, 0.4), (10, 0.6), (11, 0.8), (12, 1), (19, 1)):
        torch.testing.assert_close(moved[frame], share * pose)


def test_gradient_reaches_every_weight() -> None:
    network = model().train()
    network(*inputs(2, 10)).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_loss_by_hand() -> None:
    config = tiny(mouth_weight=2.0, velocity_weight=3.0, gap_weight=4.0, closure_weight=0.5)
    truth = torch.zeros(1, 2, 68, 3)
    predicted = torch.zeros(1, 2, 68, 3)
    predicted[0, 1, 62] = torch.tensor([0.0, 0.3, 0.4])  # 0.5 from the truth; one of three lip pairs opens by 0.3
    terms = landmark_loss(predicted, truth, mask=torch.ones(1, 2), scale=torch.tensor(0.5), config=config)
    assert terms["position"].item() == pytest.approx(1 / 68 / 2)
    assert terms["mouth"].item() == pytest.approx(1 / 20 / 2)
    assert terms["velocity"].item() == pytest.approx(1 / 68)
    assert terms["gap"].item() == pytest.approx(1.5 * 0.2 / 2)  # closed in truth: the closure's extra weight counts in full
    assert terms["loss"].item() == pytest.approx(1 / 136 + 2 / 40 + 3 / 68 + 4 * 0.15)


def test_lip_opening_is_signed_and_linear() -> None:
    moved = torch.zeros(2, 68, 3)
    for size, (upper, lower) in enumerate(INNER_LIP_PAIRS, 1):
        moved[0, upper, 1] = 0.001 * size
        moved[1, lower, 1] = 0.003
    torch.testing.assert_close(lip_opening(moved), torch.tensor([0.002, -0.003]))
    torch.testing.assert_close(lip_opening(moved[0] - 2 * moved[1]), torch.tensor(0.008))


def test_masked_mean() -> None:
    values = torch.tensor([[[1.0, 3.0], [9.0, 9.0]], [[5.0, 5.0], [7.0, 7.0]]])
    assert masked_mean(values, torch.tensor([[1.0, 0.0], [1.0, 1.0]])).item() == pytest.approx((2 + 5 + 7) / 3)


def test_learns_three_sequences_by_heart() -> None:
    torch.manual_seed(0)
    config = tiny(hidden=32, dropout=0.0)
    network = ES2L(config, speech_channels=6, emotions=4)
    network.scale.fill_(0.003)
    speech, emotion, intensity = inputs(3, 15)
    truth = torch.randn(3, 15, 1, 3).repeat(1, 1, 68, 1) * 0.003
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(150):
        terms = landmark_loss(
            network(speech, emotion, intensity), truth, mask=torch.ones(3, 15), scale=network.scale, config=config
        )
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
        losses.append(terms["position"].item())
    assert losses[-1] < 0.2 * losses[0]


def test_every_preset_builds_and_contradictions_are_refused() -> None:
    paper = s2l_preset("paper")
    network = ES2L(paper, speech_channels=768, emotions=5)
    assert network.lstm.num_layers == 7
    assert network.lstm.hidden_size == 32
    assert not hasattr(network, "pose")
    assert network.emotion.weight.shape == (64, 5)
    for changes, words in (
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"steps": 0}, "steps is 0"),
        ({"gap_weight": -1.0}, "gap_weight is -1.0"),
    ):
        with pytest.raises(UsageError, match=words):
            tiny(**changes)
    for choose in (s2l_preset, s2d_preset):
        with pytest.raises(UsageError, match="unknown preset 'big'"):
            choose("big")


def test_demo_size() -> None:
    network = ES2L(S2LConfig(), speech_channels=320, emotions=11)
    assert sum(weight.numel() for weight in network.parameters()) < 2_000_000
    assert np.isfinite(network.scale.item())


def test_the_release_preset_has_the_sizes_of_the_authors_code() -> None:
    network = ES2L(s2l_preset("release"), speech_channels=768, emotions=11)
    shapes = {name: tuple(value.shape) for name, value in network.named_parameters()}
    found = sorted(shape for name, shape in shapes.items() if "lstm" not in name)
    assert found == sorted([(32, 768), (32,), (32, 11), (32,), (32, 3), (32,), (204, 64), (204,)])
    assert shapes["lstm.weight_ih_l0"] == (4 * 32, 96)
    assert shapes["lstm.weight_ih_l6_reverse"] == (4 * 32, 64)
    assert not any("l7" in name for name in shapes)
