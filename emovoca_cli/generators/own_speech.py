"""A wav2vec 2.0 that was trained along with a generator and travels in its checkpoint folder, as transformers keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file

from emovoca_cli.audio.features import WAV2VEC2
from emovoca_cli.errors import CheckpointError, OutputError, UsageError
from emovoca_cli.files import atomic_write, hash_file, read_json
from emovoca_cli.runtime.checkpoint import MODEL

SPEECH_FOLDER = "speech"
"""Its folder inside the checkpoint."""

SPARE = "masked_spec_embed"
"""A tensor that only training uses; some files leave it out."""

OLDER = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
"""What the parts of a weight-normalised convolution were called before torch 2.1, and still are in published files."""


def own_encoder(folder: Path, digest: str) -> str:
    """The name by which `speech_encoder` finds a checkpoint folder's own wav2vec 2.0. Raises CheckpointError for another one."""
    place = folder / SPEECH_FOLDER
    if not (place / MODEL).is_file() or hash_file(place / MODEL) != digest:
        raise CheckpointError(f"{place} misses the model's own wav2vec 2.0, or holds another one; import it again")
    return f"{WAV2VEC2}:{place.resolve()}"


def build_speech(
    published: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]], config: Path | None, origin: Path
) -> Any:
    """A Wav2Vec2Model of transformers with published weights, by transformers' own names, older ones included.

    shapes: of all tensors, compared before any is read. config: JSON of transformers, default wav2vec2-base. `origin` names the
    file in errors. Raises UsageError for a bad config and CheckpointError for weights that do not fit.
    """
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    given: Any = {} if config is None else read_json(config)
    try:
        network = Wav2Vec2Model(Wav2Vec2Config(**given))
    except (TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
        raise UsageError(f"{config} does not describe a wav2vec 2.0 ({str(error).splitlines()[0]})") from error
    state = network.state_dict()
    found: dict[str, str] = {}
    for name in state:
        older = name
        for new, old in OLDER.items():
            older = older.replace(new, old)
        found[name] = name if name in shapes else older
    hint = f"it is not a {config.name if config else 'wav2vec2-base'}; give the right --wav2vec2-config"
    for name, tensor in state.items():
        seen = shapes.get(found[name])
        if seen is None and name == SPARE:
            continue
        if seen != tuple(tensor.shape):
            what = "is missing" if seen is None else f"has shape {seen}, expected {tuple(tensor.shape)}"
            raise CheckpointError(f"the wav2vec 2.0 in {origin}: {found[name]!r} {what}: {hint}")
    unknown = sorted(set(shapes) - set(found.values()))
    if unknown:
        raise CheckpointError(f"the wav2vec 2.0 in {origin} has an unknown {unknown[0]!r}: {hint}")
    for name in state:
        if found[name] in shapes:
            value = np.asarray(published[found[name]], np.float32)
            if not np.isfinite(value).all():
                raise CheckpointError(f"the wav2vec 2.0 in {origin}: {found[name]!r} holds numbers that are not finite")
            state[name] = torch.from_numpy(value)
    network.load_state_dict(state)
    return network


def save_speech(network: Any, folder: Path) -> str:
    """Write a wav2vec 2.0 into a checkpoint folder; returns the hash that `own_encoder` asks for. Raises OutputError."""
    place = folder / SPEECH_FOLDER
    try:
        place.mkdir(parents=True, exist_ok=True)
        network.config.architectures = [type(network).__name__]
        network.config.save_pretrained(place)
        with atomic_write(place / MODEL) as temporary:
            tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
            save_file(tensors, temporary, metadata={"format": "pt"})
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write {place}: {error}") from error
    return hash_file(place / MODEL)
