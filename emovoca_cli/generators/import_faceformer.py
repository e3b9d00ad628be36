"""FaceFormer's published weights (vocaset.pth) as a checkpoint folder of this toolkit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emovoca_cli import __version__
from emovoca_cli.config.faceformer import FaceFormerConfig
from emovoca_cli.config.load import plain_values
from emovoca_cli.data.template import save_template
from emovoca_cli.data.torch_file import TorchState, load_torch_state
from emovoca_cli.errors import CheckpointError, DataError, TopologyError, UsageError
from emovoca_cli.files import hash_file
from emovoca_cli.generators.faceformer import FaceFormer
from emovoca_cli.generators.own_speech import build_speech, save_speech
from emovoca_cli.generators.predict_faceformer import FACEFORMER_KIND, FaceFormerModel
from emovoca_cli.runtime.checkpoint import TEMPLATE, save_checkpoint
from emovoca_cli.types import MeshTemplate

VOCASET_STYLES = tuple(
    f"FaceTalk_{subject}_TA"
    for subject in (
        "170728_03272", "170904_00128", "170725_00137", "170915_00223", "170811_03274", "170913_03279", "170904_03276",
        "170912_03278",
    )
)  # fmt: skip
"""The training subjects of vocaset.pth, in the order of its one-hot."""

VOCASET_STYLE = "FaceTalk_170913_03279_TA"
"""The style that FaceFormer's demonstration speaks with."""

LICENCE = "FaceFormer's published weights, trained on VOCASET: non-commercial research, see the licences of both"
FPS = 30.0
HEADS = 4
BIWI_OUTPUTS = 70_110

LAYER = "transformer_decoder.layers.0."
SPEECH = "audio_encoder."
PLAIN = {
    "speech": "audio_feature_map",
    "motion_in": "vertice_map",
    "motion_out": "vertice_map_r",
    "past_out": f"{LAYER}self_attn.out_proj",
    "hear_out": f"{LAYER}multihead_attn.out_proj",
    "widen": f"{LAYER}linear1",
    "narrow": f"{LAYER}linear2",
    "norms.0": f"{LAYER}norm1",
    "norms.1": f"{LAYER}norm2",
    "norms.2": f"{LAYER}norm3",
}
"""Our layers and theirs, weight and bias alike."""


def import_faceformer(
    path: Path,
    template: MeshTemplate,
    out: Path,
    *,
    wav2vec2_config: Path | None = None,
    styles: Sequence[str] | None = None,
    style: str | None = None,
) -> FaceFormerModel:
    """Read a .pth of FaceFormer trained on VOCASET and write the checkpoint folder `out`, its own wav2vec 2.0 in out/speech.

    template: the topology that it was trained on. wav2vec2_config: JSON of its speech model, default wav2vec2-base. styles: names
    of its training subjects, default VOCASET's when there are eight; style: the one to speak with, default that of its demo, else
    the mean. Nothing in the file is run. Raises UsageError, CheckpointError for another file, TopologyError for another mesh.
    """
    published = _read(path)
    state, config = _translate(published, path)
    count = state["style.weight"].shape[1]
    if styles is None:
        styles = VOCASET_STYLES if count == len(VOCASET_STYLES) else [f"style{number}" for number in range(count)]
    if len(styles) != count:
        raise UsageError(f"{path} knows {count} styles, {len(styles)} names were given")
    if style is None and VOCASET_STYLE in styles:
        style = VOCASET_STYLE
    outputs, wanted = state["motion_out.bias"].shape[0], 3 * len(template.vertices)
    if outputs == BIWI_OUTPUTS:
        raise UsageError(f"{path} was trained on BIWI, whose model hears two rows of speech a frame; only VOCASET's is read")
    if outputs != wanted:
        raise TopologyError(f"{path} moves {outputs / 3:g} vertices, the template has {wanted // 3}; give its own mesh")
    network = FaceFormer(config, speech_channels=state["speech.weight"].shape[1], emotions=0, styles=count, outputs=outputs)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path} is not whole ({' '.join(str(error).split())}); download it again") from error
    model = FaceFormerModel(network, template=template, encoder="wav2vec2", emotions=(), styles=styles, fps=FPS, style=style)
    model.style_vector()  # refuses an unknown style before anything is written
    spoken = {name[len(SPEECH) :]: value for name, value in published.items() if name.startswith(SPEECH)}
    listener = build_speech(spoken, {name: value.shape for name, value in spoken.items()}, wav2vec2_config, path)
    speech_hash = save_speech(listener, out)
    save_template(template, out / TEMPLATE)
    save_checkpoint(
        out,
        kind=FACEFORMER_KIND,
        state=network.state_dict(),
        config={
            "settings": plain_values(config),
            "speech_channels": state["speech.weight"].shape[1],
            "speech_model": speech_hash,
            "emotions": [],
            "styles": list(styles),
            "style": style,
            "fps": FPS,
            "topology": template.topology_hash,
        },
        licence=LICENCE,
        provenance={"emovoca": __version__, "imported": {"path": str(path), "sha256": hash_file(path)}},
    )
    return FaceFormerModel.load(out)


def _read(path: Path) -> TorchState:
    if not path.is_file():
        raise UsageError(f"{path} does not exist; give FaceFormer's vocaset.pth")
    try:
        return load_torch_state(path)
    except DataError as error:
        raise CheckpointError(f"{error}; give FaceFormer's vocaset.pth") from error


def _translate(published: TorchState, path: Path) -> tuple[dict[str, Tensor], FaceFormerConfig]:
    """Their weights under our names, and the settings that their shapes tell."""
    named = {f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs in PLAIN.items() for part in ("weight", "bias")}
    named |= {f"past.{part}": f"{LAYER}self_attn.in_proj_{part}" for part in ("weight", "bias")}
    named |= {f"hear.{part}": f"{LAYER}multihead_attn.in_proj_{part}" for part in ("weight", "bias")}
    named["style.weight"] = "obj_vector.weight"
    missing = sorted(theirs for theirs in named.values() if theirs not in published)
    if missing:
        raise CheckpointError(f"{path} misses {missing[0]!r}: it is not a model of FaceFormer")
    for ours, theirs in named.items():
        if len(published.shapes[theirs]) != (1 if ours.endswith("bias") or ours.startswith("norms.") else 2):
            raise CheckpointError(f"{path}: {theirs!r} has shape {published.shapes[theirs]}: it is not a model of FaceFormer")
    state = {ours: torch.from_numpy(np.asarray(published[theirs], np.float32)) for ours, theirs in named.items()}
    broken = [theirs for ours, theirs in named.items() if not torch.isfinite(state[ours]).all()]
    if broken:
        raise CheckpointError(f"{path}: {broken[0]!r} holds values that are not numbers; download it again")
    width = state["motion_out.weight"].shape[1]
    for part in ("weight", "bias"):
        state[f"hear.{part}"] = state[f"hear.{part}"][2 * width :]  # values; queries and keys cannot matter, see FaceFormer
    config = dataclasses.replace(
        FaceFormerConfig(),
        encoder="wav2vec2",
        labels=False,
        width=width,
        heads=HEADS,
        feed_forward=state["widen.bias"].shape[0],
        period=_period(published.get("PPE.pe")),
        basis=0,
        style_dropout=0.0,
        mouth_weight=0.0,
        velocity_weight=0.0,
    )
    return state, config


def _period(table: NDArray[Any] | None) -> int:
    """Frames after which the published positional table (1,more than a period,D) repeats."""
    if table is None or table.ndim != 3:
        return FaceFormerConfig.period
    again = np.flatnonzero((table[0, 1:] == table[0, :1]).all(axis=1))
    return int(again[0]) + 1 if len(again) else FaceFormerConfig.period
