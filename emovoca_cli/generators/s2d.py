"""S2D: the motion of 68 landmarks in, the motion of every vertex out (paper section 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from emovoca_cli.config.generators import S2DConfig
from emovoca_cli.constants import LANDMARKS
from emovoca_cli.nn.spiral import SpiralDecoder

if TYPE_CHECKING:
    from emovoca_cli.mesh.hierarchy import Hierarchy


class S2D(nn.Module):
    """Spiral decoder from landmark displacements to vertex displacements, both in metres and scaled to RMS 1 inside."""

    scale_in: Tensor
    scale_out: Tensor

    def __init__(self, config: S2DConfig, *, hierarchy: Hierarchy) -> None:
        super().__init__()
        self.register_buffer("scale_in", torch.ones(()))
        self.register_buffer("scale_out", torch.ones(()))
        self.decoder = SpiralDecoder(hierarchy, 3 * LANDMARKS, config.filters)

    def forward(self, landmarks: Tensor) -> Tensor:
        """Landmark displacements (B,68,3) to vertex displacements (B,V,3)."""
        vertices: Tensor = self.decoder((landmarks / self.scale_in).flatten(1))  # (B,68,3) to (B,204)
        return vertices * self.scale_out
