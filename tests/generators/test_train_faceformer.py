"""Training E-FaceFormer from end to end on a fake dataset: it learns, resumes exactly, and unfolds to what it trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emovoca_cli.animation.animate import animate
from emovoca_cli.audio.features import speech_encoder
from emovoca_cli.audio.io import load_speech
from emovoca_cli.config.faceformer import faceformer_preset
from emovoca_cli.errors import CheckpointError, DataError, UsageError
from emovoca_cli.files import read_json, write_json
from emovoca_cli.generators.bank import SpeechBank, listen, sample_generators, split_entries
from emovoca_cli.generators.faceformer import FaceFormer
from emovoca_cli.generators.load import load_generator
from emovoca_cli.generators.motion_bank import MOTION_CACHE, MotionBank, landmarks_of, motion_batch, style_weights
from emovoca_cli.generators.motion_space import MotionSpace, fit_space
from emovoca_cli.generators.predict_faceformer import FaceFormerModel
from emovoca_cli.generators.train_faceformer import motion_loss, train_faceformer
from emovoca_cli.mesh.landmarks import lip_opening
from emovoca_cli.runtime.checkpoint import load_checkpoint
from emovoca_cli.runtime.processes import Share

from .fakes import FakeSource, strip_template

pytestmark = pytest.mark.pipeline
TINY = faceformer_preset("tiny")
LEARNING = replace(
    TINY, dropout=0.0, width=32, heads=4, feed_forward=64, embedding=16, steps=120, lr=5e-3, batch=6, warmup=10,
    conditions_per_clip=3, validation_sequences=4, copies=0, checkpoint_every=60,
)  # fmt: skip


class StopError(Exception):
    pass


def weights(folder: Path) -> Mapping[str, torch.Tensor]:
    return load_checkpoint(folder, kind="faceformer").state


@pytest.mark.parametrize("teacher_forcing", [0.0, 1.0])
def test_learns_loudness_and_emotion(tmp_path: Path, teacher_forcing: float) -> None:
    source = FakeSource(tmp_path, clips=4)
    seen: list[tuple[str, int, int]] = []
    config = replace(LEARNING, teacher_forcing=teacher_forcing)
    trained = train_faceformer(config, source, tmp_path / "model", preparing=lambda *row: seen.append(row))
    assert ("motion", 8 * 4 + 2 * 4, 8 * 4 + 2 * 4) in seen
    assert seen[-1] == ("speech", 8 + 2 * 2, 8 + 2 * 2)
    assert trained.test["l2_mm"] < 1.5
    assert set(trained.test_by_emotion) <= {"neutral", "happy", "sad"}
    assert not (tmp_path / "model" / "training" / MOTION_CACHE).exists()
    talk = next(entry for entry in source.entries if entry.split == "test")
    features = speech_encoder("logmel").encode(load_speech(talk.audio), source.fps, talk.frames)
    model = FaceFormerModel.load(tmp_path / "model")
    zero = np.zeros((talk.frames, 2), np.float32), np.zeros((talk.frames, 3), np.float32)
    happy = zero[0] + np.float32([1, 0]), zero[1] + np.float32([0, 0, 1])
    neutral, smiling = (model.vertices(model.states(features, *label)) for label in (zero, happy))
    truth = source.displacement(talk)
    low = source.template.vertices[:, 1] < 0
    assert np.corrcoef(neutral[:, low, 1].mean(1), truth[:, low, 1].mean(1))[0, 1] > 0.8
    widened = (smiling - neutral).mean(0)[:, 0]
    assert np.corrcoef(widened, source.template.vertices[:, 0])[0, 1] > 0.8


def test_a_resumed_run_ends_with_the_same_weights_and_does_not_decode_again(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    train_faceformer(TINY, source, tmp_path / "whole")

    def stop(step: int, total: int, metrics: Mapping[str, float]) -> None:
        if step == 3:
            raise StopError

    with pytest.raises(StopError):
        train_faceformer(TINY, source, tmp_path / "parts", progress=stop)
    seen: list[str] = []
    trained = train_faceformer(TINY, source, tmp_path / "parts", resume=True, preparing=lambda what, *_: seen.append(what))
    assert trained.loop.first_step == 2
    assert "motion" not in seen
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


@pytest.mark.parametrize("basis", [0, 6])
def test_unfolding_changes_nothing_that_the_axes_can_say(tmp_path: Path, basis: int) -> None:
    source = FakeSource(tmp_path)
    config = replace(TINY, basis=basis, mouth_weight=3.0)
    source.template = replace(source.template, regions={"mouth": source.template.vertices[:, 1] < 0})
    space = fit_space(source, [entry for entry in source.entries if entry.split == "train"], config)
    moved = source.displacement(source.entries[8])
    np.testing.assert_allclose(space.expand(space.project(moved)), moved, atol=1e-7)  # the fake moves in three ways
    weight = np.where(source.template.vertices[:, 1] < 0, 4.0, 1.0)[:, None]
    lengths = np.square(space.project(moved) * space.scale).sum(1)
    np.testing.assert_allclose(lengths, (weight * np.square(moved)).sum((1, 2)), rtol=1e-4)
    torch.manual_seed(0)
    inside = FaceFormer(config, speech_channels=4, emotions=2, styles=2, outputs=space.size).eval()
    torch.nn.init.normal_(inside.motion_out.weight)
    torch.nn.init.normal_(inside.motion_out.bias)
    outside = space.unfold(inside, config).eval()
    heard, style = torch.randn(1, 20, config.width), torch.eye(2)[:1]
    folded, vertices = (network.unfold(network.latents(heard, style))[0].numpy() for network in (inside, outside))
    np.testing.assert_allclose(vertices.reshape(20, -1, 3), space.expand(folded), atol=1e-5 * np.abs(vertices).max())


def test_batches_hold_real_frames_their_truth_and_their_style(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    config = replace(TINY, copies=0, crop_seconds=9.0, batch=16, style_dropout=0.5)
    chosen = split_entries(source.entries, "train", per_clip=1, held=2, seed=0)
    motion = MotionBank(source, fit_space(source, chosen, config))
    for entry in chosen:
        motion.add(entry, scored=False)
    speech = listen({"train": chosen}, SpeechBank(speech_encoder("logmel"), source.fps), copies=0, seed=0)
    batch = motion_batch(
        chosen, source.emotions, ["ann", "bob"], speech, motion, config=config, rngs=sample_generators(0, Share(0), 16)
    )
    assert {tuple(row) for row in batch.style} == {(1, 0), (0, 1), (0.5, 0.5)}
    for row, length in enumerate(batch.lengths):
        matches = [entry for entry in chosen if np.array_equal(motion.tracks[entry.id], batch.truth[row, :length])]
        assert any(entry.frames == length for entry in matches)
        assert not batch.truth[row, length:].any()
        assert not batch.speech[row, length:].any()
    np.testing.assert_array_equal(style_weights("cid", ["ann", "bob"]), [0.5, 0.5])


def test_loss_by_hand() -> None:
    truth, moved = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
    moved[0, 1, 0] = 2.0  # squared error 4; one step there and one back
    moved[1, 2] = 9.0  # not real
    truth[0, 2, 1] = moved[0, 2, 1] = 0.5
    truth[1, 0, 1], moved[1, 0, 1] = 0.5, 0.25
    config = replace(TINY, velocity_weight=10.0, gap_weight=3.0, closure_weight=2.0)
    opening = torch.tensor([0.5, 2.0, 0.0, 0.0])
    terms = motion_loss(moved, truth, torch.tensor([3, 2]), opening=opening, energy=8.0, config=config)
    assert terms["position"].item() == pytest.approx((4 + 0.0625) / 8 / 5)
    assert terms["velocity"].item() == pytest.approx((4 + 4 + 0.0625) / 8 / 3)
    # one gap of 1 over closed lips counts three times, one of 0.5 over lips that are as open as usual once
    assert terms["gap"].item() == pytest.approx((3 * 1 + 0.5) / 5)
    assert terms["loss"].item() == pytest.approx(
        sum(w * terms[n].item() for n, w in (("position", 1), ("velocity", 10), ("gap", 3)))
    )


@pytest.mark.parametrize("basis", [0, 6])
def test_the_opening_of_the_lips_is_linear_in_the_coordinates(basis: int) -> None:
    rng, template = np.random.default_rng(0), strip_template()
    size = 3 * len(template.vertices)
    axes = np.linalg.qr(rng.normal(size=(size, basis)))[0].astype(np.float32) if basis else None
    space = MotionSpace(rng.uniform(1, 3, size).astype(np.float32), 0.01, 1.0, axes)
    coordinates = rng.normal(size=(20, space.size)).astype(np.float32)
    expected = lip_opening(landmarks_of(template, space.expand(coordinates)))
    np.testing.assert_allclose(coordinates @ space.lip_opening(template), expected, atol=1e-5 * np.abs(expected).max())


def test_a_neutral_model_has_no_labels_and_animates(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    trained = train_faceformer(replace(TINY, labels=False, storage="float16"), source, tmp_path / "model")
    assert trained.model.emotions == ()
    assert set(trained.test_by_emotion) == {"neutral"}
    generator = load_generator(tmp_path / "model")
    audio = source.entries[0].audio
    clip = animate(audio, generator)
    assert clip.emotion.shape == (clip.frames, 0)
    double = animate(audio, generator, fps=60.0)
    assert abs(double.frames - 2 * clip.frames) <= 1
    np.testing.assert_allclose(double.vertices[::2][: clip.frames], clip.vertices[: (double.frames + 1) // 2], atol=1e-6)
    with pytest.raises(UsageError, match="unknown emotion 'happy'"):
        animate(audio, generator, emotion="happy")


def test_any_length_and_unfolded_in_pieces(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    model = train_faceformer(TINY, source, tmp_path / "model").model
    speech = np.random.default_rng(0).normal(size=16000 * 70).astype(np.float32)  # 2,100 frames: the published code stops at 600
    frames = model.frames(speech)
    assert frames == 2100
    states = model.motion(speech, np.zeros((frames, 2), np.float32), np.zeros((frames, 3), np.float32))
    assert states.shape == (2100, TINY.width)
    assert np.isfinite(states).all()
    short = speech[: 16000 * 2], np.ones((60, 2), np.float32), np.ones((60, 3), np.float32)
    batch = model.motion_of_many([short, (speech, np.zeros((frames, 2), np.float32), np.zeros((frames, 3), np.float32))])
    np.testing.assert_allclose(batch[1], states, atol=1e-4)
    np.testing.assert_allclose(batch[0], model.motion(*short), atol=1e-4)
    whole = model.vertices(states)
    np.testing.assert_allclose(np.concatenate([model.vertices(states[:601]), model.vertices(states[601:])]), whole, atol=1e-7)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    source = FakeSource(tmp_path)
    model = train_faceformer(TINY, source, tmp_path / "model").model
    features, none = np.zeros((5, 320), np.float32), np.zeros((5, 3), np.float32)
    with pytest.raises(UsageError, match=r"emotion track has shape \(5, 3\), expected \(5, 2\)"):
        model.states(features, none, none)
    with pytest.raises(UsageError, match="unknown style 'eve'; the model knows ann, bob"):
        model.states(features, none[:, :2], none, style="eve")
    config = tmp_path / "model" / "config.json"
    head = read_json(config)
    write_json(config, {**head, "config": {"fps": 30}})
    with pytest.raises(CheckpointError, match="does not describe a generator"):
        load_generator(tmp_path / "model")
    write_json(config, {**head, "schema": 99})
    with pytest.raises(CheckpointError, match="schema 99"):
        load_generator(tmp_path / "model")
    with pytest.raises(UsageError, match="no model 'nobody'"):
        load_generator("nobody")
    source.entries = [entry for entry in source.entries if entry.split != "train"]
    with pytest.raises(DataError, match="no training sequences"):
        train_faceformer(TINY, source, tmp_path / "none")
