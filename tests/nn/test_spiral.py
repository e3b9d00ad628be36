"""Spiral networks against the obvious way to compute them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emovoca_cli.errors import UsageError
from emovoca_cli.nn.losses import weighted_l2
from emovoca_cli.nn.sparse import SparseGather, shared_matmul
from emovoca_cli.nn.spiral import SpiralDecoder, SpiralEncoder, SpiralOperator
from emovoca_cli.nn.taps import Taps
from tests.nn.toy import plain_decode, plain_encode, toy_hierarchy

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def encoder() -> SpiralEncoder:
    torch.manual_seed(0)
    return SpiralEncoder(toy_hierarchy(), 16, (3, 8, 12))


@pytest.fixture(scope="module")
def decoder() -> SpiralDecoder:
    torch.manual_seed(1)
    return SpiralDecoder(toy_hierarchy(), 16, (12, 10, 8, 3))


def gradients(module: torch.nn.Module, output: torch.Tensor, source: torch.Tensor) -> list[torch.Tensor]:
    probe = torch.cos(torch.arange(output.numel(), dtype=output.dtype)).view(output.shape)
    wanted = [*module.parameters(), source]
    return list(torch.autograd.grad((output * probe).sum(), wanted))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_encoder_and_its_gradients_equal_the_plain_twin(encoder: SpiralEncoder, batch: int) -> None:
    meshes = torch.randn(batch, encoder.vertices, 3, requires_grad=True)
    fast, plain = encoder(meshes), plain_encode(encoder, toy_hierarchy(), meshes)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)
    for seen, wanted in zip(gradients(encoder, fast, meshes), gradients(encoder, plain, meshes), strict=True):
        torch.testing.assert_close(seen, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_decoder_and_its_gradients_equal_the_plain_twin(decoder: SpiralDecoder, batch: int) -> None:
    codes = torch.randn(batch, 16, requires_grad=True)
    fast, plain = decoder(codes), plain_decode(decoder, toy_hierarchy(), codes)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)
    for seen, wanted in zip(gradients(decoder, fast, codes), gradients(decoder, plain, codes), strict=True):
        torch.testing.assert_close(seen, wanted, atol=1e-4, rtol=1e-4)


def test_both_orders_of_work_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    rows, slots = (grid.ravel() for grid in np.meshgrid(np.arange(9), np.arange(4), indexing="ij"))
    taps = Taps(rows, slots, generator.integers(0, 6, 36), generator.random(36, dtype=np.float32), 9, 6, 4)
    x, weight, bias = torch.randn(6, 5, 3), torch.randn(7, 20), torch.randn(7)
    answers = []
    for first in (True, False):
        # Which order is cheaper is only a matter of these two prices.
        monkeypatch.setattr("emovoca_cli.nn.spiral._WRITE_COST", 0.0)
        monkeypatch.setattr("emovoca_cli.nn.spiral._GATHER_COST", 1e6 if not first else -1e6)
        operator = SpiralOperator(taps, 5, 7)
        answers.append((operator.multiply_first, operator(x, weight, bias)))
    assert {first for first, _ in answers} == {True, False}
    torch.testing.assert_close(answers[0][1], answers[1][1], atol=1e-5, rtol=1e-5)


def test_gradients_are_exact_in_double_precision() -> None:
    generator = np.random.default_rng(1)
    gather = SparseGather(
        generator.integers(0, 5, 12), generator.integers(0, 4, 12), generator.random(12, dtype=np.float32), (5, 4)
    )
    gather = gather.double()
    x, weight = (
        torch.randn(4, 3, 2, dtype=torch.double, requires_grad=True),
        torch.randn(6, 3, dtype=torch.double, requires_grad=True),
    )
    assert torch.autograd.gradcheck(shared_matmul, (weight, x))
    assert torch.autograd.gradcheck(lambda rows: gather(rows.reshape(4, 6)), (x,))


def test_a_gather_with_empty_rows_gives_zeros() -> None:
    gather = SparseGather(np.array([2]), np.array([1]), np.array([1.0], np.float32), (4, 2))
    assert torch.equal(gather(torch.tensor([[1.0], [5.0]])), torch.tensor([[0.0], [0.0], [5.0], [0.0]]))


@pytest.mark.parametrize("count", [1, 7, 60])
def test_restricted_decoding_gives_the_same_numbers(decoder: SpiralDecoder, count: int) -> None:
    vertices = np.random.default_rng(count).permutation(len(toy_hierarchy().levels[0].spirals))[:count]
    codes = torch.randn(6, 16)
    some = decoder.restrict(vertices)
    torch.testing.assert_close(some(codes), decoder(codes)[:, vertices], atol=1e-6, rtol=1e-5)


def test_restricted_decoding_follows_the_weights_and_trains_them() -> None:
    decoder = SpiralDecoder(toy_hierarchy(), 4, (6, 5, 4, 3))
    some, codes = decoder.restrict(np.array([3])), torch.randn(2, 4)
    with torch.no_grad():
        decoder.convolutions[-1].bias += 1
    torch.testing.assert_close(some(codes), decoder(codes)[:, [3]])
    some(codes).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in decoder.parameters())


@pytest.mark.parametrize("wrong", [[0, 0], [-1], [10**6]])
def test_restricting_to_impossible_vertices_is_refused(decoder: SpiralDecoder, wrong: list[int]) -> None:
    with pytest.raises(UsageError, match="different vertices between 0 and 356"):
        decoder.restrict(np.array(wrong))


def test_one_at_a_time_in_chunks_or_all_together(
    encoder: SpiralEncoder, decoder: SpiralDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    meshes, codes = torch.randn(7, encoder.vertices, 3), torch.randn(7, 16)
    with torch.no_grad():
        together = encoder(meshes), decoder(codes)
        for chunk in (1, 3):
            monkeypatch.setattr(encoder, "_chunk", chunk)
            monkeypatch.setattr(decoder, "_chunk", chunk)
            torch.testing.assert_close(encoder(meshes), together[0], atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(decoder(codes), together[1], atol=1e-6, rtol=1e-5)


def test_filters_that_do_not_fit_the_hierarchy_are_refused() -> None:
    with pytest.raises(UsageError, match="encoder has filters for 5 mesh levels, the hierarchy has 3"):
        SpiralEncoder(toy_hierarchy(), 4)
    with pytest.raises(UsageError, match="decoder has filters for 5 mesh levels, the hierarchy has 3"):
        SpiralDecoder(toy_hierarchy(), 4)


def test_the_state_holds_learnt_weights_alone(encoder: SpiralEncoder) -> None:
    assert set(encoder.state_dict()) == {name for name, _ in encoder.named_parameters()}


def test_weighted_l2_by_hand() -> None:
    predicted = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]]])
    # lengths 5 and 2, weights 1 and 0.5: (5 + 1) / 2; squares would give 13.5
    assert weighted_l2(predicted, torch.zeros(1, 2, 3), torch.tensor([1.0, 0.5])).item() == pytest.approx(3.0)


def test_weighted_l2_has_a_finite_gradient_at_zero_error() -> None:
    predicted = torch.zeros(1, 2, 3, requires_grad=True)
    weighted_l2(predicted, torch.zeros(1, 2, 3), torch.ones(2)).backward()
    assert torch.equal(predicted.grad, torch.zeros(1, 2, 3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_what_the_cpu_gives(encoder: SpiralEncoder, decoder: SpiralDecoder) -> None:
    meshes, codes = torch.randn(3, encoder.vertices, 3), torch.randn(3, 16)
    wanted = encoder(meshes), decoder(codes)
    try:
        torch.testing.assert_close(encoder.cuda()(meshes.cuda()).cpu(), wanted[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(decoder.cuda()(codes.cuda()).cpu(), wanted[1], atol=1e-4, rtol=1e-4)
    finally:
        encoder.cpu(), decoder.cpu()


def test_bfloat16_trains_to_nearly_the_same_gradients(encoder: SpiralEncoder, decoder: SpiralDecoder) -> None:
    meshes = torch.randn(6, encoder.vertices, 3, generator=torch.Generator().manual_seed(1))
    found = []
    for enabled in (False, True):
        weights = [*encoder.parameters(), *decoder.parameters()]
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            moved = decoder(encoder(meshes))
        assert moved.dtype == (torch.bfloat16 if enabled else torch.float32)
        found.append(torch.autograd.grad(moved.float().square().mean(), weights))
    for exact, rounded in zip(*found, strict=True):
        assert rounded.dtype == torch.float32
        assert float(torch.linalg.vector_norm(exact - rounded)) < 0.05 * float(torch.linalg.vector_norm(exact))
    assert not torch.equal(found[0][0], found[1][0])
