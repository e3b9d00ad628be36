"""The authors' DE-SD (`emovoca_generator.tar`) as a checkpoint of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from emovoca_cli.config.desd import DesdConfig
from emovoca_cli.config.load import plain_values
from emovoca_cli.data.release_mesh import with_dummies
from emovoca_cli.data.release_weights import LICENCE, convolutions, imported, layers, translated
from emovoca_cli.data.template import save_template
from emovoca_cli.data.torch_file import TorchState
from emovoca_cli.desd.mix import KIND
from emovoca_cli.desd.model import DESD
from emovoca_cli.mesh.hierarchy import Hierarchy
from emovoca_cli.runtime.checkpoint import HIERARCHY, TEMPLATE, save_checkpoint
from emovoca_cli.types import MeshTemplate


def import_desd(
    state: TorchState, out: Path, *, hierarchy: Hierarchy, template: MeshTemplate, sources: Mapping[str, Path | None] | None = None
) -> None:
    """Write the released DE-SD (its opened file) as the checkpoint folder `out`.

    hierarchy: the plain released one; `sources`: the other files it comes from, for the record. Raises DataError, CheckpointError,
    OutputError.
    """
    levels = with_dummies(hierarchy, finest=True)
    config = DesdConfig()
    model = DESD(levels, config.sizes, scale=1.0)
    count = len(config.sizes.encoder)
    names = {
        **convolutions("talk.convolutions", "conv_talk", count),
        **convolutions("expression.convolutions", "conv_emo", count),
        **convolutions("decoder.convolutions", "dconv", count + 1),
        **layers(
            {
                "talk.linear": "fc_latent_enc_talk",
                "expression.linear": "fc_latent_enc_emo",
                "decoder.linear": "fc_latent_dec",
            }
        ),
    }
    own = model.state_dict()
    values = translated(state, names, {name: tensor.shape for name, tensor in own.items()})
    save_template(template, out / TEMPLATE)
    levels.save(out / HIERARCHY)
    save_checkpoint(
        out,
        kind=KIND,
        state={**own, **{name: torch.from_numpy(value) for name, value in values.items()}},
        config={"sizes": plain_values(config)["sizes"]},
        licence=LICENCE,
        provenance=imported(state.path, **(sources or {})),
    )
