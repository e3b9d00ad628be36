"""What the algebra of DE-SD promises, whatever it has learnt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from emovoca_cli.config.desd import Features
from emovoca_cli.desd.model import DESD
from emovoca_cli.nn.losses import weighted_l2
from tests.desd.fakes import CONFIG
from tests.nn.toy import bump, toy_hierarchy

pytestmark = pytest.mark.unit
TALK = torch.from_numpy(bump((0.0, -0.05), (0.0, -0.012, 0.004), 0.04))[None]
FELT = torch.from_numpy(bump((0.0, 0.05), (0.002, 0.006, 0.001), 0.04))[None]


SCALE = float(torch.cat([TALK, FELT]).square().mean().sqrt())


def model(*, symmetric: bool = True, features: Features = "duplicate", single: bool = False) -> DESD:
    torch.manual_seed(0)
    sizes = replace(CONFIG.sizes, features=features, encoders="single" if single else "double")
    return DESD(toy_hierarchy(), sizes, scale=SCALE, symmetric=symmetric)


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


@pytest.mark.parametrize("features", ["duplicate", "zero", "sum", "product"])
@pytest.mark.parametrize("talk", [True, False])
def test_every_way_of_joining_trains_what_it_uses(features: Features, talk: bool) -> None:
    desd = model(features=features)
    weighted_l2(desd.reconstruct(TALK, talk=talk), TALK, torch.ones(TALK.shape[1])).backward()
    used, idle = (desd.talk, desd.expression) if talk else (desd.expression, desd.talk)
    for part in (used, desd.decoder):
        assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in part.parameters())
    assert all(weight.grad is None for weight in idle.parameters())
    entry = desd.decoder.linear.weight.grad
    assert entry is not None
    if features == "zero":
        # the half that is fed zeros learns nothing from this set
        mine, other = (
            (entry[:, : desd.latent], entry[:, desd.latent :]) if talk else (entry[:, desd.latent :], entry[:, : desd.latent])
        )
        assert mine.abs().max() > 0
        assert other.abs().max() == 0


def test_a_single_encoder_learns_from_both_sets() -> None:
    desd = model(single=True)
    assert desd.encode_talk(TALK).equal(desd.encode_expression(TALK))
    before = [weight.clone() for weight in desd.talk.parameters()]
    train(desd, 2)
    assert all((weight - old).abs().max() > 0 for weight, old in zip(desd.expression.parameters(), before, strict=True))
    assert sum(weight.numel() for weight in desd.parameters()) < sum(weight.numel() for weight in model().parameters())


def test_what_each_way_of_joining_decodes() -> None:
    first, second = torch.randn(3, CONFIG.sizes.latent), torch.randn(3, CONFIG.sizes.latent)
    for features, joined in (
        ("duplicate", torch.cat([first, second], dim=1)),
        ("zero", torch.cat([first, second], dim=1)),
        ("sum", first + second),
        ("product", first * second),
    ):
        desd = model(features=features)  # type: ignore[arg-type]
        torch.testing.assert_close(desd.decode(first, second), desd.decoder(joined) * desd.scale)
    zero, code = model(features="zero"), model(features="zero").encode_talk(TALK)
    torch.testing.assert_close(zero.reconstruct(TALK, talk=True), zero.decode(code, torch.zeros_like(code)))
    code = zero.encode_expression(FELT)
    torch.testing.assert_close(zero.reconstruct(FELT, talk=False), zero.decode(torch.zeros_like(code), code))


def test_natural_mu_gives_back_what_training_saw() -> None:
    for features in ("duplicate", "zero", "sum"):
        desd = model(features=features)  # type: ignore[arg-type]
        code = desd.encode_talk(TALK)
        mu = torch.full((1,), desd.natural_mu)
        # with equal halves (or none) an absent partner is as good as a doubled code at half the mu
        torch.testing.assert_close(desd.mix(code, code, desd.natural_mu, 0 * mu), desd.reconstruct(TALK, talk=True))


def test_sum_is_de_sd_with_equal_halves_and_training_keeps_it_so() -> None:
    """A(f + f) and [A|A](f ⊕ f) are one map, and Adam moves both alike: the sum's gradient is twice as large, which Adam divides
    out."""
    whole, added = model(), model(features="sum")
    state = whole.state_dict()
    state["decoder.linear.weight"] = state["decoder.linear.weight"][:, : whole.latent]
    added.load_state_dict(state)
    talk, felt, mu = torch.randn(4, whole.latent), torch.randn(4, whole.latent), torch.tensor([0.0, 1.0, 2.0, 3.0])
    torch.testing.assert_close(added.mix(talk, felt, 2.0, mu), whole.mix(talk, felt, 2.0, mu), rtol=1e-4, atol=1e-8)
    before = halves(whole)[0].clone()
    train(whole, 8)
    train(added, 8)
    first, second = halves(whole)
    assert (first - before).abs().max() > 1e-2
    torch.testing.assert_close(added.decoder.linear.weight, first, rtol=0, atol=2e-3)
    torch.testing.assert_close(added.decoder.linear.weight, second, rtol=0, atol=2e-3)
    mixed, sums = whole.mix(talk, felt, 2.0, mu), added.mix(talk, felt, 2.0, mu)
    assert (mixed - sums).abs().max() < 0.02 * mixed.abs().max()
