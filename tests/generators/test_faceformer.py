"""E-FaceFormer's network: equal to the plain loop it stands for, causal, indifferent to padding, without a longest length."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emovoca_cli.config.faceformer import FaceFormerConfig, faceformer_preset
from emovoca_cli.errors import UsageError
from emovoca_cli.generators.faceformer import FaceFormer, periodic_positions, slopes

from .fakes import strip_template

pytestmark = pytest.mark.unit
CHANNELS, STYLES, OUTPUTS = 10, 3, 3 * len(strip_template().vertices)


def network(emotions: int = 4, *, feedback: float = 1.0, **changes: Any) -> FaceFormer:
    """Random weights; what is fed back is about as strong as the rest of the input."""
    torch.manual_seed(0)
    config = replace(faceformer_preset("tiny"), **changes)
    model = FaceFormer(config, speech_channels=CHANNELS, emotions=emotions, styles=STYLES, outputs=OUTPUTS).eval()
    nn.init.normal_(model.motion_out.weight, std=1e-3)
    nn.init.normal_(model.motion_out.bias, std=1e-3)
    nn.init.normal_(model.motion_in.weight, std=feedback * 1e3 / math.sqrt(OUTPUTS * config.width))
    for name, weight in model.named_parameters():
        if "norms" in name:
            nn.init.normal_(weight, mean=1.0 if name.endswith("weight") else 0.0, std=0.1)
    return model


def inputs(frames: int, *, batch: int = 1, emotions: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    style = torch.eye(STYLES)[torch.arange(batch) % STYLES]
    sizes = (CHANNELS, emotions, 3)
    speech, emotion, intensity = (torch.randn(batch, frames, size, generator=source) for size in sizes)
    return speech, emotion.abs(), intensity.abs(), style


def unfolded(model: FaceFormer, speech: Tensor, emotion: Tensor, intensity: Tensor, style: Tensor) -> Tensor:
    with torch.no_grad():
        return model.unfold(model.latents(model.heard(speech, emotion, intensity), style))


class Twin:
    """The loop as published, written plainly: at every frame the whole decoder runs over all frames so far, in vertex space, with
    full attention matrices, an explicit alignment mask, and queries and keys in the cross-attention."""

    def __init__(self, model: FaceFormer) -> None:
        self.model, width = model, model.past_out.in_features
        memory = model.hear.in_features
        self.past = nn.MultiheadAttention(width, model.heads, batch_first=True)
        self.past.in_proj_weight, self.past.in_proj_bias = model.past.weight, model.past.bias
        self.past.out_proj.load_state_dict(model.past_out.state_dict())
        self.hear = nn.MultiheadAttention(width, model.heads, kdim=memory, vdim=memory, batch_first=True)
        value = self.hear.in_proj_weight[-width:] if self.hear._qkv_same_embed_dim else self.hear.v_proj_weight
        value.data.copy_(model.hear.weight.data)
        self.hear.in_proj_bias.data.normal_()  # queries and keys are anything
        self.hear.in_proj_bias.data[-width:] = model.hear.bias.data
        self.hear.out_proj.load_state_dict(model.hear_out.state_dict())

    @torch.no_grad()
    def predict(self, speech: Tensor, emotion: Tensor, intensity: Tensor, style: Tensor) -> Tensor:
        model, frames = self.model, speech.shape[1]
        memory = model.speech(self.listen(speech))
        if model.emotions:
            memory = torch.cat([memory, model.emotion(emotion), model.intensity(intensity)], 2)
        styled = model.style(style)[:, None]
        fed = styled
        for _ in range(frames):
            out = model.motion_out(self.decoder(fed, memory))  # every frame so far, every vertex
            fed = torch.cat([fed, model.motion_in(out[:, -1:]) + styled], 1)
        return out

    def listen(self, speech: Tensor) -> Tensor:
        """The front, frame by frame: each layer adds what two frames to either side tell it; beyond the ends there is nothing."""
        if not hasattr(self.model, "front"):
            return speech
        rows = self.model.front_in(speech)
        for layer in self.model.front:
            around = torch.zeros(len(rows), rows.shape[1] + 4, rows.shape[2])
            around[:, 2:-2] = rows
            told = [
                sum(around[:, frame + tap] @ layer.weight[:, :, tap].T for tap in range(5)) + layer.bias
                for frame in range(rows.shape[1])
            ]
            rows = rows + nn.functional.gelu(torch.stack(told, 1))
        return rows

    def decoder(self, fed: Tensor, memory: Tensor) -> Tensor:
        model, count = self.model, fed.shape[1]
        x = fed + model.position.repeat(count // model.period + 1, 1)[:count]
        bias = torch.full((model.heads, count, count), float("-inf"))
        for row in range(count):
            for head in range(model.heads):
                back = torch.arange(row, -1, -1) // model.period
                bias[head, row, : row + 1] = -(2.0 ** (-8 * (head + 1) / model.heads)) * back
        mixed, _ = self.past(x, x, x, attn_mask=bias, need_weights=False)
        x = model.norms[0](x + mixed)
        mask = torch.ones(count, memory.shape[1], dtype=torch.bool)
        mask[torch.arange(count), torch.arange(count)] = False
        heard, _ = self.hear(x, memory, memory, attn_mask=mask, need_weights=False)
        x = model.norms[1](x + heard)
        return model.norms[2](x + model.narrow(torch.relu(model.widen(x))))


@pytest.mark.parametrize(("emotions", "front"), [(0, 0), (4, 0), (4, 2)])
@pytest.mark.parametrize("frames", [1, 2, 75])
def test_equals_its_slow_twin(emotions: int, front: int, frames: int) -> None:
    model = network(emotions, period=7, front_layers=front)
    given = inputs(frames, emotions=emotions)
    fast, slow = unfolded(model, *given), Twin(model).predict(*given)
    assert (fast - slow).abs().max() <= 1e-5 * slow.abs().max()
    assert frames == 1 or (slow[:, -1] - slow[:, 0]).abs().max() > 0.1 * slow.abs().max()


def test_equals_its_slow_twin_at_the_published_sizes() -> None:
    model = network(11, width=64, heads=4, feed_forward=128, embedding=64, period=30, front_layers=0)
    given = inputs(100, emotions=11)
    fast, slow = unfolded(model, *given), Twin(model).predict(*given)
    assert (fast - slow).abs().max() <= 1e-5 * slow.abs().max()


def test_training_loop_equals_inference_and_a_batch_equals_its_rows() -> None:
    model = network()
    given = inputs(40, batch=3)
    fast = unfolded(model, *given)
    torch.testing.assert_close(model(*given), fast, atol=1e-7, rtol=1e-5)
    for row in range(3):
        alone = unfolded(model, *(part[row : row + 1] for part in given))
        torch.testing.assert_close(fast[row : row + 1], alone, atol=1e-7, rtol=1e-5)


def test_two_thousand_frames_are_what_the_parallel_pass_makes_of_them() -> None:
    model = network(width=32, heads=4, period=30)
    given = inputs(2000)
    long = unfolded(model, *given)
    assert long.shape == (1, 2000, OUTPUTS)
    with torch.no_grad():
        checked = model(*given, truth=long)  # fed its own output, teacher forcing is the loop without a loop
    assert (long - checked).abs().max() <= 1e-5 * checked.abs().max()


def test_ten_minutes_take_little_memory() -> None:
    code = """
import resource, torch
from tests.generators.test_faceformer import inputs, network
model, given = network(), inputs(18_000)
unfold = lambda states: [model.unfold(states[:, i : i + 256]).sum() for i in range(0, states.shape[1], 256)]
with torch.no_grad():
    heard = model.heard(*given[:3])
    unfold(model.latents(heard[:, :600], given[3]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    states = model.latents(heard, given[3])
    unfold(states)
print(states.shape[1], bool(states.isfinite().all()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    frames, finite, kilobytes = done.stdout.split()
    assert (frames, finite) == ("18000", "True")
    assert int(kilobytes) < 100_000, "the published attention matrix alone would take 2.6 GB"


def test_past_frames_matter_for_ever() -> None:
    model = network()
    speech, *rest = inputs(700)
    other = speech.clone()
    other[:, 0] += 5
    apart = (unfolded(model, speech, *rest) - unfolded(model, other, *rest)).abs().amax(2)[0]
    assert apart[0] > 1e-3
    assert apart[699] > 0


@pytest.mark.parametrize("front", [0, 2])
def test_speech_is_heard_two_frames_ahead_a_layer_and_no_further(front: int) -> None:
    model = network(front_layers=front)
    given = list(inputs(30))
    before = model(*given)
    given[0] = given[0].clone()
    given[0][:, 12:] += 3
    after = model(*given)
    assert torch.equal(before[:, : 12 - 2 * front], after[:, : 12 - 2 * front])
    assert (before[:, 12 - 2 * front] - after[:, 12 - 2 * front]).abs().max() > 1e-6


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("what", [0, 1, 2])
def test_later_speech_and_labels_leave_earlier_frames_alone(what: int, forced: bool) -> None:
    model = network(front_layers=0)
    given = list(inputs(30))
    truth = torch.randn(1, 30, OUTPUTS) * 1e-3 if forced else None
    before = model(*given, truth=truth)
    given[what] = given[what].clone()
    given[what][:, 12:] += 3
    after = model(*given, truth=truth)
    assert torch.equal(before[:, :12], after[:, :12])
    assert (before[:, 12] - after[:, 12]).abs().max() > 1e-4
    if forced and truth is not None:
        # and the truth is heard one frame later
        later = truth.clone()
        later[:, 20] += 1
        again = model(*given, truth=later)
        assert torch.equal(after[:, :21], again[:, :21])
        assert not torch.equal(after[:, 21], again[:, 21])


@pytest.mark.parametrize("forced", [False, True])
def test_padding_changes_nothing(forced: bool) -> None:
    model = network()
    given = inputs(20, batch=3)
    truth = torch.randn(3, 20, OUTPUTS) * 1e-3 if forced else None
    lengths = torch.tensor([20, 7, 13])
    for part in given[:3]:
        for row, length in enumerate(lengths.tolist()):
            part[row, length:] = 1e3
    padded = model(*given, truth=truth, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        speech, emotion, intensity = (part[row : row + 1, :length] for part in given[:3])
        own = None if truth is None else truth[row : row + 1, :length]
        alone = model(speech, emotion, intensity, given[3][row : row + 1], truth=own)
        torch.testing.assert_close(padded[row, :length], alone[0], atol=1e-7, rtol=1e-5)
        assert padded[row, length:].abs().sum() == 0


def test_zero_one_hots_add_nothing_and_no_labels_need_none() -> None:
    model = network()
    speech, emotion, intensity, style = inputs(9)
    silent = unfolded(model, speech, emotion * 0, intensity * 0, style)
    assert not torch.allclose(silent, unfolded(model, speech, emotion, intensity, style), rtol=1e-2)
    nn.init.normal_(model.emotion.weight)
    nn.init.normal_(model.intensity.weight)
    torch.testing.assert_close(unfolded(model, speech, emotion * 0, intensity * 0, style), silent)
    names = set(dict(network(0).named_parameters()))
    assert names == set(dict(model.named_parameters())) - {"emotion.weight", "intensity.weight"}


def test_starts_as_a_face_at_rest() -> None:
    model = FaceFormer(FaceFormerConfig(), speech_channels=CHANNELS, emotions=11, styles=8, outputs=OUTPUTS).eval()
    speech, _, intensity, _ = inputs(5)
    moved = model(speech, torch.rand(1, 5, 11), intensity, torch.full((1, 8), 1 / 8))
    assert moved.abs().max() == 0


@pytest.mark.parametrize("forced", [False, True])
def test_gradient_reaches_every_weight(forced: bool) -> None:
    model = network(dropout=0.0).train()
    truth = torch.randn(2, 10, OUTPUTS) * 1e-3 if forced else None
    (1e6 * model(*inputs(10, batch=2), truth=truth).square().sum()).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_positions_and_slopes_by_hand() -> None:
    table = periodic_positions(30, 64)
    assert table.shape == (30, 64)
    assert table[0].tolist() == [0.0, 1.0] * 32
    assert table[7, 2].item() == pytest.approx(math.sin(7 * 10_000 ** (-2 / 64)), abs=1e-5)
    np.testing.assert_allclose(slopes(4), [1 / 4, 1 / 16, 1 / 64, 1 / 256])


def test_settings_that_contradict_each_other() -> None:
    for change in (
        {"heads": 3},
        {"width": 18},
        {"teacher_forcing": 1.5},
        {"dropout": 1.0},
        {"basis": -1},
        {"period": 0},
        {"front_layers": -1},
    ):
        with pytest.raises(UsageError, match=next(iter(change))):
            replace(faceformer_preset("tiny"), **change)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown preset"):
        faceformer_preset("huge")
