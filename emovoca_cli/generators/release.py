"""The authors' E-S2L and E-S2D (`es2l.tar`, `es2d.tar`) as checkpoints of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from emovoca_cli.config.generators import s2d_preset, s2l_preset
from emovoca_cli.config.load import plain_values
from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.data.release_mesh import with_dummies
from emovoca_cli.data.release_weights import LANDMARK_UNIT, LICENCE, convolutions, imported, layers, translated
from emovoca_cli.data.template import save_template
from emovoca_cli.data.torch_file import TorchState
from emovoca_cli.generators.own_speech import build_speech, save_speech
from emovoca_cli.generators.predict import S2D_KIND, S2L_KIND
from emovoca_cli.generators.s2d import S2D
from emovoca_cli.generators.s2l import ES2L
from emovoca_cli.mesh.hierarchy import Hierarchy
from emovoca_cli.runtime.checkpoint import HIERARCHY, TEMPLATE, save_checkpoint
from emovoca_cli.types import MeshTemplate

FPS = 60.0
"""Frames a second of VOCASET, hence of the released E-S2L."""

SPEECH = "audio_encoder."
LSTM = "lstm."


def import_s2d(
    state: TorchState, out: Path, *, hierarchy: Hierarchy, template: MeshTemplate, sources: Mapping[str, Path | None] | None = None
) -> None:
    """Write the released E-S2D (its opened file) as the checkpoint folder `out`.

    hierarchy: the plain released one; `sources`: the other files it comes from, for the record. Raises UsageError, DataError,
    CheckpointError, OutputError.
    """
    levels = with_dummies(hierarchy, finest=False)
    config = s2d_preset("release")
    model = S2D(config, hierarchy=levels)
    names = {
        **convolutions("decoder.convolutions", "dconv", len(config.filters) - 1),
        **layers({"decoder.linear": "fc_latent_dec"}),
    }
    own = model.state_dict()
    values = translated(state, names, {name: tensor.shape for name, tensor in own.items()})
    save_template(template, out / TEMPLATE)
    levels.save(out / HIERARCHY)
    save_checkpoint(
        out,
        kind=S2D_KIND,
        state={**own, **{name: torch.from_numpy(value) for name, value in values.items()}, "scale_in": torch.tensor(LANDMARK_UNIT)},
        config={"settings": plain_values(config)},
        licence=LICENCE,
        provenance=imported(state.path, **(sources or {})),
    )


def import_s2l(state: TorchState, out: Path, *, wav2vec2_config: Path | None = None) -> None:
    """Write the released E-S2L (its opened file) as the checkpoint folder `out`, its own wav2vec 2.0 in out/speech.

    wav2vec2_config: JSON of transformers that describes it, default wav2vec2-base. Raises UsageError, DataError, CheckpointError,
    OutputError.
    """
    config = s2l_preset("release")
    channels = state.shapes.get("audio_mapper.weight", (0, 768))[-1]
    model = ES2L(config, speech_channels=channels, emotions=len(EMOTIONS_V2))
    names = {
        **layers({"speech": "audio_mapper", "emotion": "label_mapper", "intensity": "intensity_mapper", "output": "output_mapper"}),
        **{name: name for name in model.state_dict() if name.startswith(LSTM)},
    }
    own = model.state_dict()
    values = translated(state, names, {name: tensor.shape for name, tensor in own.items()}, besides=SPEECH)
    heard = _Inner(state)
    shapes = {name: state.shapes[SPEECH + name] for name in heard}
    digest = save_speech(build_speech(heard, shapes, wav2vec2_config, state.path), out)
    save_checkpoint(
        out,
        kind=S2L_KIND,
        state={**own, **{name: torch.from_numpy(value) for name, value in values.items()}, "scale": torch.tensor(LANDMARK_UNIT)},
        config={
            "emotions": list(EMOTIONS_V2),
            "fps": FPS,
            "speech_channels": channels,
            "speech_model": digest,
            "settings": plain_values(config),
        },
        licence=LICENCE,
        provenance=imported(state.path, wav2vec2_config=wav2vec2_config),
    )


class _Inner(Mapping[str, NDArray[Any]]):
    """The speech model's tensors in the file, read when asked for."""

    def __init__(self, state: TorchState) -> None:
        self._state = state
        self._names = [name[len(SPEECH) :] for name in state if name.startswith(SPEECH)]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._state[SPEECH + name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
