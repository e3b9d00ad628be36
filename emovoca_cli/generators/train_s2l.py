"""Training E-S2L on a dataset of emotional talking heads (paper section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emovoca_cli import __version__
from emovoca_cli.arrays import Npz
from emovoca_cli.audio.features import speech_encoder
from emovoca_cli.config.generators import S2LConfig
from emovoca_cli.config.load import plain_values
from emovoca_cli.data.sequences import SequenceEntry, SequenceSource
from emovoca_cli.data.template import save_template
from emovoca_cli.errors import EmovocaError
from emovoca_cli.files import atomic_write
from emovoca_cli.generators.bank import (
    LandmarkBank,
    Preparing,
    SpeechBank,
    choose_splits,
    fingerprint,
    listen,
    sample_generators,
    training_batch,
    whole_sequence,
)
from emovoca_cli.generators.losses import landmark_loss
from emovoca_cli.generators.predict import S2L_KIND, S2LModel
from emovoca_cli.generators.s2l import ES2L
from emovoca_cli.generators.scores import by_emotion, means, score_all, to_tensor
from emovoca_cli.runtime.checkpoint import TEMPLATE, save_checkpoint
from emovoca_cli.runtime.loop import TRAINING, LoopReport, Progress, train_loop
from emovoca_cli.runtime.processes import Share, join
from emovoca_cli.runtime.seeding import seed_everything

LANDMARK_CACHE = "landmarks.npz"


@dataclass(frozen=True)
class S2LTraining:
    """What a training gave: the folder, the model with the stored weights, how the loop went, test scores in all and by emotion."""

    out: Path
    model: S2LModel
    loop: LoopReport
    test: Mapping[str, float]
    test_by_emotion: Mapping[str, Mapping[str, float]]


def train_s2l(
    config: S2LConfig,
    source: SequenceSource,
    out: Path,
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
    preparing: Preparing | None = None,
    resume: bool = False,
) -> S2LTraining:
    """Train on the `train` identities of a dataset and write the checkpoint folder `out`; score on `test` (else `val`) at the end.

    Decoded landmarks are kept in `out`/training until the end, so that a resumed run does not decode again.
    Raises DataError for a dataset without training sequences, UsageError, OutputError.
    """
    device = device or torch.device("cpu")
    processes = join(device, config)
    chosen = choose_splits(source.entries, config)
    encoder = speech_encoder(config.encoder)
    everything = [entry for entries in chosen.values() for entry in entries]
    mark = {"settings": plain_values(config), "data": fingerprint(source, everything)}
    with processes.main_process_first():
        cache = out / TRAINING / LANDMARK_CACHE
        landmarks = _decode(source, everything, cache, str(mark["data"]), preparing, keep=processes.is_main_process)
    speech = listen(chosen, SpeechBank(encoder, source.fps), copies=config.copies, seed=config.seed, preparing=preparing)

    seed_everything(config.seed)
    model = ES2L(config, speech_channels=encoder.dim, emotions=len(source.emotions)).to(device)
    model.scale.fill_(landmarks.rms([entry.id for entry in chosen["train"]]))
    crop = max(2, round(config.crop_seconds * source.fps))

    def step(share: Share) -> Mapping[str, Tensor]:
        rngs = sample_generators(config.seed, share, config.batch)
        batch = training_batch(chosen["train"], source.emotions, speech, landmarks, crop=crop, rngs=rngs)
        inputs = [to_tensor(values, device) for values in (batch.speech, batch.emotion, batch.intensity)]
        truth = to_tensor(batch.truth, device)
        lengths = torch.from_numpy(batch.lengths)
        mask = (torch.arange(truth.shape[1])[None] < lengths[:, None]).to(truth)
        moved = model(*inputs, lengths=lengths)
        return landmark_loss(moved, truth, mask=mask, scale=model.scale, config=config)

    def held(split: str) -> list[Any]:
        return [(entry, partial(whole_sequence, entry, source.emotions, speech, landmarks)) for entry in chosen[split]]

    def validate() -> Mapping[str, float]:
        return {f"val_{name}": value for name, value in means(score_all(model, held("val"), device)).items()}

    model.train()
    loop = train_loop(
        model,
        step,
        settings=config,
        folder=out,
        mark=mark,
        device=device,
        resume=resume,
        progress=progress,
        validate=validate,
        watch="val_l2_mm",
    )
    if processes.is_main_process:
        save_template(source.template, out / TEMPLATE)
        save_checkpoint(
            out,
            kind=S2L_KIND,
            state=model.state_dict(),
            config={
                "settings": plain_values(config),
                "speech_channels": encoder.dim,
                "emotions": list(source.emotions),
                "fps": source.fps,
                "topology": source.template.topology_hash,
            },
            licence=source.licence,
            provenance={
                "emovoca": __version__,
                "torch": torch.__version__,
                "data": mark["data"],
                "sequences": len(chosen["train"]),
            },
            half=config.storage == "float16",
        )
        cache.unlink(missing_ok=True)
    processes.wait_for_everyone()
    # what others will load, rounding of the stored weights included, is what is scored
    trained = S2LModel.load(out, device=device)
    scores = score_all(trained.network, held("test" if chosen["test"] else "val"), device)
    return S2LTraining(out, trained, loop, means(scores), by_emotion(scores))


def _decode(
    source: SequenceSource, entries: Sequence[SequenceEntry], cache: Path, key: str, preparing: Preparing | None, *, keep: bool
) -> LandmarkBank:
    bank = LandmarkBank(source)
    try:
        with Npz(cache) as stored:
            if str(stored["key"]) == key:
                for entry in entries:
                    bank.put(entry, stored[entry.id])
                return bank
    except (EmovocaError, ValueError, KeyError):
        pass  # missing, of other data, or cut short: decode again
    for number, entry in enumerate(entries, 1):
        bank.add(entry)
        if preparing is not None:
            preparing("landmarks", number, len(entries))
    if keep:
        with atomic_write(cache) as temporary, temporary.open("wb") as stream:
            np.savez(stream, key=np.array(key), **bank.tracks)  # type: ignore[arg-type]
    return bank
