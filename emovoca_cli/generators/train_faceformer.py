"""Training E-FaceFormer on a dataset of emotional talking heads, or FaceFormer on neutral ones (paper section 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emovoca_cli import __version__
from emovoca_cli.audio.features import speech_encoder
from emovoca_cli.config.faceformer import FaceFormerConfig
from emovoca_cli.config.load import plain_values
from emovoca_cli.data.sequences import SequenceEntry, SequenceSource
from emovoca_cli.data.template import save_template
from emovoca_cli.generators.bank import Preparing, SpeechBank, choose_splits, fingerprint, listen, sample_generators
from emovoca_cli.generators.faceformer import FaceFormer
from emovoca_cli.generators.motion_bank import (
    MOTION_CACHE,
    MotionBank,
    draw_crop,
    landmarks_of,
    load_motion,
    motion_batch,
    whole_motion,
)
from emovoca_cli.generators.predict_faceformer import FACEFORMER_KIND, FaceFormerModel
from emovoca_cli.generators.scores import SequenceScore, by_emotion, means, score_sequence, to_tensor
from emovoca_cli.generators.tracks import retime
from emovoca_cli.runtime.checkpoint import TEMPLATE, save_checkpoint
from emovoca_cli.runtime.loop import TRAINING, LoopReport, Progress, train_loop
from emovoca_cli.runtime.processes import Share, join
from emovoca_cli.runtime.seeding import seed_everything
from emovoca_cli.types import Float

STILL = 1e-6
"""Lips that open less than this on average (metres) have no gap to learn."""


@dataclass(frozen=True)
class FaceFormerTraining:
    """What a training gave: the folder, the model with the stored weights, how the loop went, test scores in all and by emotion."""

    out: Path
    model: FaceFormerModel
    loop: LoopReport
    test: Mapping[str, float]
    test_by_emotion: Mapping[str, Mapping[str, float]]


def train_faceformer(
    config: FaceFormerConfig,
    source: SequenceSource,
    out: Path,
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
    preparing: Preparing | None = None,
    resume: bool = False,
) -> FaceFormerTraining:
    """Train on the `train` identities of a dataset and write the checkpoint folder `out`; score on `test` (else `val`) at the end.

    Autoregressive as published, or teacher-forced (`teacher_forcing`). Unlike the published training, the speech encoder stays as
    it is. Each training subject is a style; others, and scores, use the mean style. Without labels only neutral sequences are used.
    Decoded motion is kept in `out`/training until the end. Raises DataError for a dataset without training sequences, UsageError,
    OutputError.
    """
    device = device or torch.device("cpu")
    processes = join(device, config)
    entries = [entry for entry in source.entries if config.labels or entry.emotion is None]
    emotions = source.emotions if config.labels else ()
    chosen = choose_splits(entries, config)
    styles = sorted({entry.subject for entry in chosen["train"]})
    encoder = speech_encoder(config.encoder)
    data = fingerprint(source, [entry for split in chosen.values() for entry in split])
    cache = out / TRAINING / MOTION_CACHE
    key = f"{data} {config.basis} {config.basis_frames} {config.mouth_weight:g} {config.seed}"
    with processes.main_process_first():
        motion = load_motion(source, chosen, config, cache, key, preparing, keep=processes.is_main_process)
    speech = listen(chosen, SpeechBank(encoder, source.fps), copies=config.copies, seed=config.seed, preparing=preparing)

    opening = _opening_unit(motion, [entry.id for entry in chosen["train"]]).to(device)

    seed_everything(config.seed)
    model = FaceFormer(
        config, speech_channels=encoder.dim, emotions=len(emotions), styles=len(styles), outputs=motion.space.size
    ).to(device)

    def count(share: Share) -> tuple[int, int]:
        crops = (draw_crop(chosen["train"], speech, config=config, rng=rng) for rng in rngs(share))
        lengths = [rows.stop - rows.start for _, _, rows in crops]
        return sum(lengths), sum(lengths) - len(lengths)

    def rngs(share: Share) -> list[np.random.Generator]:
        return sample_generators(config.seed, share, config.batch)

    def step(share: Share) -> Mapping[str, Tensor]:
        batch = motion_batch(chosen["train"], emotions, styles, speech, motion, config=config, rngs=rngs(share))
        given = [to_tensor(values, device) for values in (batch.speech, batch.emotion, batch.intensity, batch.style)]
        truth, lengths = to_tensor(batch.truth, device), torch.from_numpy(batch.lengths)
        # one answer a step: a stream that no sample draws from
        forced = np.random.default_rng((config.seed, share.step, 1)).random() < config.teacher_forcing
        moved = model(*given, truth=truth if forced else None, lengths=lengths)
        return motion_loss(moved, truth, lengths, opening=opening, energy=motion.space.energy, config=config, counts=share.counts)

    def validate() -> Mapping[str, float]:
        scores = score_motion(model, chosen["val"], emotions, styles, speech, motion, expand=motion.space.expand)
        return {f"val_{name}": value for name, value in means(scores).items()}

    model.train()
    loop = train_loop(
        model,
        step,
        settings=config,
        folder=out,
        mark={"settings": plain_values(config), "data": data},
        device=device,
        resume=resume,
        progress=progress,
        validate=validate,
        watch="val_l2_mm",
        count=count,
    )
    if processes.is_main_process:
        save_template(source.template, out / TEMPLATE)
        save_checkpoint(
            out,
            kind=FACEFORMER_KIND,
            state=motion.space.unfold(model, config).state_dict(),
            config={
                "settings": plain_values(config),
                "speech_channels": encoder.dim,
                "speech_model": None,
                "emotions": list(emotions),
                "styles": styles,
                "style": None,
                "fps": source.fps,
                "topology": source.template.topology_hash,
            },
            licence=source.licence,
            provenance={"emovoca": __version__, "torch": torch.__version__, "data": data, "sequences": len(chosen["train"])},
            half=config.storage == "float16",
        )
        cache.unlink(missing_ok=True)
    processes.wait_for_everyone()
    # what others will load, unfolded and rounded, is what is scored
    trained = FaceFormerModel.load(out, device=device)
    held = chosen["test"] or chosen["val"]
    scores = score_motion(trained.network, held, emotions, styles, speech, motion, expand=_vertices)
    return FaceFormerTraining(out, trained, loop, means(scores), by_emotion(scores))


def motion_loss(
    moved: Tensor,
    truth: Tensor,
    lengths: Tensor,
    *,
    opening: Tensor,
    energy: float,
    config: FaceFormerConfig,
    counts: Tensor | None = None,
) -> dict[str, Tensor]:
    """Terms of the loss over the frames that are real, and their weighted sum "loss".

    moved, truth (B,T,N) coordinates, lengths (B,). "position" and "velocity" are the squared L2 of the motion (the paper's loss)
    and of its frame-to-frame differences, as shares of `energy`: 1 = as bad as a face at rest. "gap" is ours: the absolute error of
    the lips' opening, which is coordinates @ `opening` (N,), in units of the training motion's. counts (2,): frames and differences
    to divide by, where the batch is a share of a larger one; as many as are real by default.
    """
    mask = (torch.arange(truth.shape[1])[None] < lengths[:, None]).to(truth)  # (B,T)
    apart = (moved - truth).square().sum(2) / energy
    steps = (moved.diff(dim=1) - truth.diff(dim=1)).square().sum(2) / energy
    frames, differences = (mask.sum(), mask[:, 1:].sum()) if counts is None else counts
    position = (apart * mask).sum() / frames
    velocity = (steps * mask[:, 1:]).sum() / differences.clamp_min(1e-3)  # where there is none, the sum is zero too
    wide = truth @ opening
    closed = (1 - wide).clamp(0, 1)  # 1 where the truth's lips are as close as at rest or closer
    gap = ((1 + config.closure_weight * closed) * (moved @ opening - wide).abs() * mask).sum() / frames
    loss = position + config.velocity_weight * velocity + config.gap_weight * gap
    return {"loss": loss, "position": position, "velocity": velocity, "gap": gap}


def _opening_unit(motion: MotionBank, names: Sequence[str]) -> Tensor:
    """From coordinates (N,) to the opening of the lips in units of its own root mean square over some kept sequences."""
    opening = motion.space.lip_opening(motion.source.template)
    squares = np.concatenate([np.square(motion.tracks[name].astype(np.float32) @ opening) for name in names])
    size = float(np.sqrt(squares.mean()))
    return torch.from_numpy(opening / size if size > STILL else np.zeros_like(opening))


def score_motion(
    network: FaceFormer,
    entries: Sequence[SequenceEntry],
    emotions: Sequence[str],
    styles: Sequence[str],
    speech: SpeechBank,
    motion: MotionBank,
    *,
    expand: Callable[[Float], Float],
) -> list[SequenceScore]:
    """Score the landmarks of whole sequences, autoregressive and in evaluation mode; the network's mode is put back.

    expand: from what the network gives (T,N) to displacements (T,V,3) in metres.
    """
    was, device = network.training, network.position.device
    network.eval()
    scores = []
    for entry in entries:
        batch = whole_motion(entry, emotions, styles, speech)
        given = [to_tensor(values, device) for values in (batch.speech, batch.emotion, batch.intensity, batch.style)]
        with torch.no_grad():
            outputs: Float = network.unfold(network.latents(network.heard(*given[:3]), given[3]))[0].cpu().numpy()
        moved = expand(outputs)
        truth = retime(motion.landmarks[entry.id], np.arange(len(moved), dtype=np.float32))
        predicted = landmarks_of(motion.source.template, moved)
        scores.append(score_sequence(predicted, truth, motion.rest(entry), emotion=entry.emotion or "neutral"))
    network.train(was)
    return scores


def _vertices(outputs: Float) -> Float:
    return outputs.reshape(len(outputs), -1, 3)
