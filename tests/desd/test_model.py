"""What the algebra of DE-SD promises, whatever it has learnt."""

from __future__ import annotations

import pytest
import torch

from emovoca_cli.desd.model import DESD
from emovoca_cli.nn.losses import weighted_l2
from tests.desd.fakes import CONFIG
from tests.nn.toy import bump, toy_hierarchy

pytestmark = pytest.mark.unit
TALK = torch.from_numpy(bump((0.0, -0.05), (0.0, -0.012, 0.004), 0.04))[None]
FELT = torch.from_numpy(bump((0.0, 0.05), (0.002, 0.006, 0.001), 0.04))[None]


SCALE = float(torch.cat([TALK, FELT]).square().mean().sqrt())


def model(*, symmetric: bool = True) -> DESD:
    torch.manual_seed(0)
    return DESD(toy_hierarchy(), CONFIG.sizes, scale=SCALE, symmetric=symmetric)


def halves(desd: DESD) -> tuple[torch.Tensor, torch.Tensor]:
    weight = desd.decoder.linear.weight
    return weight[:, : desd.latent], weight[:, desd.latent :]


def train(desd: DESD, steps: int, lr: float = 5e-3) -> None:
    optimiser = torch.optim.Adam(desd.parameters(), lr)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * (1 - step / steps)
        truth = FELT if step % 2 else TALK
        loss = weighted_l2(desd.reconstruct(truth, talk=step % 2 == 0), truth, torch.ones(truth.shape[1]))
        optimiser.zero_grad()
        (loss / desd.scale).backward()
        optimiser.step()


@pytest.mark.parametrize("talk", [True, False])
def test_each_set_trains_its_own_encoder_and_the_shared_decoder(talk: bool) -> None:
    desd = model()
    weighted_l2(desd.reconstruct(TALK, talk=talk), TALK, torch.ones(TALK.shape[1])).backward()
    used, idle = (desd.talk, desd.expression) if talk else (desd.expression, desd.talk)
    for part in (used, desd.decoder):
        assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in part.parameters())
    assert all(weight.grad is None for weight in idle.parameters())


def test_equal_halves_of_the_decoder_stay_equal_in_training() -> None:
    desd = model()
    before = halves(desd)[0].clone()
    train(desd, 10)
    first, second = halves(desd)
    assert (first - before).abs().max() > 1e-3
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)


def test_unequal_halves_never_lose_their_difference() -> None:
    desd = model(symmetric=False)
    before = (halves(desd)[0] - halves(desd)[1]).detach().clone()
    assert before.abs().max() > 0.1
    train(desd, 10)
    torch.testing.assert_close(halves(desd)[0] - halves(desd)[1], before, rtol=0, atol=1e-4)


def test_symmetric_halves_make_the_order_of_the_codes_irrelevant() -> None:
    desd = model()
    first, second = torch.randn(3, desd.latent), torch.randn(3, desd.latent)
    torch.testing.assert_close(desd.decode(first, second), desd.decode(second, first), rtol=1e-4, atol=1e-8)


def test_one_toy_pair_overfits() -> None:
    desd = model()
    train(desd, 150, 1e-2)
    for truth, talk in ((TALK, True), (FELT, False)):
        error = torch.linalg.vector_norm(desd.reconstruct(truth, talk=talk) - truth, dim=-1).mean()
        assert error < 0.15 * torch.linalg.vector_norm(truth, dim=-1).mean()


def test_the_scale_only_sets_the_unit() -> None:
    desd, wider = model(), model()
    wider.scale.fill_(2 * SCALE)
    torch.testing.assert_close(wider.reconstruct(2 * TALK, talk=True), 2 * desd.reconstruct(TALK, talk=True), rtol=1e-5, atol=1e-8)


def test_training_feeds_the_code_twice_which_is_mixing_it_with_itself_at_one_and_one() -> None:
    desd = model()
    code = desd.encode_talk(TALK)
    torch.testing.assert_close(desd.mix(code, code, 1.0, torch.ones(len(code))), desd.reconstruct(TALK, talk=True))
