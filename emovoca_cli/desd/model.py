"""DE-SD: two spiral encoders, one shared decoder (paper section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from emovoca_cli.config.desd import DesdSizes
from emovoca_cli.nn.spiral import RestrictedDecoder, SpiralDecoder, SpiralEncoder

if TYPE_CHECKING:
    from emovoca_cli.mesh.hierarchy import Hierarchy


class DESD(nn.Module):
    """Displacements in metres to codes and back. Every mesh is divided by one global scale, which the model keeps.

    Codes are of the two sets: talk (speech, neutral emotion) and expression (silent).
    """

    scale: Tensor

    def __init__(self, hierarchy: Hierarchy, sizes: DesdSizes, *, scale: float = 1.0, symmetric: bool = True) -> None:
        """Build for a mesh hierarchy. scale: metres that the networks see as 1. symmetric: both halves of the decoder's entry start
        equal.

        Training only ever shows the decoder twice the same code, so both halves get the same gradients and their difference stays
        what it was at the start; random halves would add noise to every mixture (Adam keeps the halves equal to the last bit or
        so).
        """
        super().__init__()
        self.talk = SpiralEncoder(hierarchy, sizes.latent, (3, *sizes.encoder))
        self.expression = self.talk if sizes.encoders == "single" else SpiralEncoder(hierarchy, sizes.latent, (3, *sizes.encoder))
        concatenated = sizes.features in ("duplicate", "zero")
        entry = (2 if concatenated else 1) * sizes.latent
        self.decoder = SpiralDecoder(hierarchy, entry, (sizes.encoder[-1], *sizes.decoder, 3))
        self.latent = sizes.latent
        self.features = sizes.features
        self.natural_mu = sizes.natural_mu
        self.register_buffer("scale", torch.tensor(float(scale)))
        if symmetric and concatenated:
            with torch.no_grad():
                self.decoder.linear.weight[:, sizes.latent :] = self.decoder.linear.weight[:, : sizes.latent]

    def encode_talk(self, displacement: Tensor) -> Tensor:
        """f_t = E_T(S_t): displacements (B,V,3) in metres to codes (B,latent)."""
        code: Tensor = self.talk(displacement / self.scale)
        return code

    def encode_expression(self, displacement: Tensor) -> Tensor:
        """f_e = E_E(S_e): displacements (B,V,3) in metres to codes (B,latent)."""
        code: Tensor = self.expression(displacement / self.scale)
        return code

    def decode(self, first: Tensor, second: Tensor, *, only: RestrictedDecoder | None = None) -> Tensor:
        """D(first ⊕ second): codes (B,latent) twice to displacements (B,V,3) in metres, or (B,n,3) of the vertices of `only`.

        Models whose `features` are sum or product join the codes so instead.
        """
        if self.features == "sum":
            joined = first + second
        elif self.features == "product":
            joined = first * second
        else:
            joined = torch.cat([first, second], dim=1)
        return (self.decoder if only is None else only)(joined) * self.scale

    def reconstruct(self, displacement: Tensor, *, talk: bool) -> Tensor:
        """D(f ⊕ f) of one set's displacements (B,V,3) in metres: what training sees (paper section 3.2.1).

        With features "zero" D(f_t ⊕ 0) and D(0 ⊕ f_e).
        """
        code = self.encode_talk(displacement) if talk else self.encode_expression(displacement)
        if self.features == "zero":
            nothing = torch.zeros_like(code)
            return self.decode(code, nothing) if talk else self.decode(nothing, code)
        return self.decode(code, code)

    def mix(self, talk: Tensor, expression: Tensor, mu_t: float, mu_e: Tensor, *, only: RestrictedDecoder | None = None) -> Tensor:
        """D(mu_t f_t ⊕ mu_e f_e), paper section 3.2.2: codes (B,latent), mu_e (B,) to displacements (B,V,3) in metres."""
        return self.decode(mu_t * talk, mu_e[:, None] * expression, only=only)
