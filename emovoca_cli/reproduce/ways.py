"""Ways to put an emotion on a talking face: DE-SD and its ablations, arithmetic on displacements, and the rig's truth."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from emovoca_cli.constants import NEUTRAL_MU
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.reproduce.scenes import Scene, Scenes
from emovoca_cli.types import Float

Way = Callable[[Scene, str, float], Float]
"""From a scene, an emotion and mu_e (2 = the emotion's own strength) to the mixture (n,V,3), metres."""


class MixerWay:
    """D(mu_t f_t ⊕ mu_e f_e) with mu_t = 2 (paper section 3.2.2)."""

    def __init__(self, mixer: Mixer, *, own_scale: bool = False, seal: bool = False) -> None:
        """Mix with a trained network. own_scale: both mu times what is natural for its training over 2; seal: keep lips closed."""
        self._mixer = mixer
        self._gain = mixer.model.natural_mu / NEUTRAL_MU if own_scale else 1.0
        self._seal = seal
        self._talk: dict[str, Float] = {}
        self._felt: dict[tuple[str, str], Float] = {}

    def __call__(self, scene: Scene, emotion: str, mu_e: float) -> Float:
        """The mixture (n,V,3), metres."""
        if scene.clip not in self._talk:
            self._talk[scene.clip] = self._mixer.encode_talk(scene.speech)
        if (scene.wearer, emotion) not in self._felt:
            self._felt[scene.wearer, emotion] = self._mixer.encode_expression(scene.peaks[emotion][None])[0]
        return self._mixer.mix(
            self._talk[scene.clip],
            self._felt[scene.wearer, emotion],
            self._gain * NEUTRAL_MU,
            self._gain * mu_e,
            closedness=scene.closed if self._seal else None,
        )


def reversed_mixer(mixer: Mixer) -> Mixer:
    """A copy that decodes mu_e f_e ⊕ mu_t f_t: the two halves of the decoder's first matrix change places.

    Raises UsageError for a network that does not concatenate its codes.
    """
    if mixer.model.features not in ("duplicate", "zero"):
        raise UsageError(f"a network whose features are {mixer.model.features!r} has no order of codes to reverse")
    model = copy.deepcopy(mixer.model)
    with torch.no_grad():
        weight = model.decoder.linear.weight
        weight.copy_(torch.cat([weight[:, model.latent :], weight[:, : model.latent]], dim=1))
    return Mixer(model, mixer.template, mixer.path, licence=mixer.licence, provenance=mixer.provenance)


def addition(scene: Scene, emotion: str, mu_e: float) -> Float:
    """S_t + (mu_e / 2) S_e: what the paper argues against, and what DE-SD nearly does."""
    added: Float = scene.speech + (mu_e / NEUTRAL_MU) * scene.peaks[emotion]
    return added


def interpolation(scene: Scene, emotion: str, mu_e: float) -> Float:
    """(1 - a) S_t + a S_e with a = mu_e / (2 + mu_e): displacement interpolation (Fig. 3b), half and half at mu_e = 2."""
    share = mu_e / (NEUTRAL_MU + mu_e)
    between: Float = (1 - share) * scene.speech + share * scene.peaks[emotion]
    return between


def truth_way(scenes: Scenes) -> Way:
    """The rig's truth as a way of its own. Raises DataError where there is none."""

    def way(scene: Scene, emotion: str, mu_e: float) -> Float:
        mixture = scenes.true_mixture(scene, emotion, mu_e)
        if mixture is None:
            raise DataError(f"there is no true mixture: {scenes.why_no_truth}")
        return mixture

    return way
