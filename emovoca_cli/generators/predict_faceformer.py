"""A trained E-FaceFormer (or an imported FaceFormer), loaded and ready: speech and emotion over time in, a moving mesh out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from emovoca_cli.audio.features import SpeechEncoder, speech_encoder
from emovoca_cli.audio.io import frame_count
from emovoca_cli.config.faceformer import FaceFormerConfig
from emovoca_cli.config.load import with_values
from emovoca_cli.constants import INTENSITIES
from emovoca_cli.data.template import load_template
from emovoca_cli.errors import CheckpointError, UsageError
from emovoca_cli.generators.faceformer import FaceFormer
from emovoca_cli.generators.own_speech import own_encoder
from emovoca_cli.runtime.checkpoint import CONFIG, TEMPLATE, checkpoint_hash, load_checkpoint
from emovoca_cli.types import Float, MeshTemplate

FACEFORMER_KIND = "faceformer"


class FaceFormerModel:
    """A network with the topology, the labels and the styles (training subjects) it knows.

    Its motion is the decoder's states (T,D): `vertices` is an affine map of them, so they may be interpolated over time, and a long
    animation may be unfolded piece by piece.
    """

    licence = ""
    hash = ""

    def __init__(
        self,
        network: FaceFormer,
        *,
        template: MeshTemplate,
        encoder: str,
        emotions: Sequence[str],
        styles: Sequence[str],
        fps: float,
        style: str | None = None,
        device: torch.device | None = None,
    ) -> None:
        """Hold a network that is ready to predict at `fps`; `load` reads one from a folder. style: None = the mean."""
        self.network, self.template, self.encoder_name, self.fps = network, template, encoder, fps
        self.emotions, self.styles, self.style = tuple(emotions), tuple(styles), style
        self.device = device or torch.device("cpu")
        self.network.to(self.device).eval()
        self._encoder: SpeechEncoder | None = None

    @classmethod
    def load(cls, path: str | Path, *, device: torch.device | None = None) -> FaceFormerModel:
        """Read a checkpoint folder, or a built-in model by name. Raises UsageError and CheckpointError."""
        stored = load_checkpoint(path, kind=FACEFORMER_KIND)
        config = stored.config
        template = load_template(stored.path / TEMPLATE)
        try:
            settings = with_values(FaceFormerConfig(), config["settings"], where=str(stored.path / CONFIG))
            network = FaceFormer(
                settings,
                speech_channels=int(config["speech_channels"]),
                emotions=len(config["emotions"]),
                styles=len(config["styles"]),
                outputs=3 * len(template.vertices),
            )
            own, style = config["speech_model"], config["style"]
            model = cls(
                network,
                template=template,
                encoder=settings.encoder if own is None else own_encoder(stored.path, str(own)),
                emotions=config["emotions"],
                styles=config["styles"],
                style=style,
                fps=float(config["fps"]),
                device=device,
            )
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise CheckpointError(
                f"{stored.path / CONFIG} does not describe a generator ({error}); train or download it again"
            ) from error
        stored.load_into(network)
        network.to(model.device)
        model.licence, model.hash = stored.licence, checkpoint_hash(stored.path)
        return model

    @property
    def hashes(self) -> dict[str, str]:
        """The hash that names the network."""
        return {FACEFORMER_KIND: self.hash}

    def frames(self, speech: Float) -> int:
        """Frames T that (N,) 16 kHz speech gives."""
        return frame_count(len(speech), self.fps)

    def style_vector(self, style: str | None = None) -> Tensor:
        """One-hot (1,S) of a style by name, by default the model's usual one, or the mean of all. Raises UsageError."""
        name = self.style if style is None else style
        if name is None:
            return torch.full((1, len(self.styles)), 1 / len(self.styles), device=self.device)
        if name not in self.styles:
            raise UsageError(f"unknown style '{name}'; the model knows {', '.join(self.styles)}")
        return torch.eye(len(self.styles), device=self.device)[self.styles.index(name)][None]

    def motion(self, speech: Float, emotion: Float, intensity: Float) -> Float:
        """Decoder states (T,D) of (N,) 16 kHz speech under emotion (T,K) and intensity (T,3); T = `frames(speech)`, any number.

        Zeros are neutral speech. Raises UsageError when a track has another length. The same input gives the same output.
        """
        return self.motion_of_many([(speech, emotion, intensity)])[0]

    def motion_of_many(self, clips: Sequence[tuple[Float, Float, Float]]) -> list[Float]:
        """The same for several recordings (speech, emotion, intensity) of any lengths, as one padded batch."""
        encoder = self._encoder = self._encoder or speech_encoder(self.encoder_name)
        return self.states_of_many(
            [(encoder.encode(speech, self.fps, self.frames(speech)), emotion, intensity) for speech, emotion, intensity in clips]
        )

    def states(self, features: Float, emotion: Float, intensity: Float, *, style: str | None = None) -> Float:
        """Decoder states (T,D) from features (T,C), emotion (T,K) and intensity (T,3)."""
        return self.states_of_many([(features, emotion, intensity)], style=style)[0]

    def states_of_many(self, clips: Sequence[tuple[Float, Float, Float]], *, style: str | None = None) -> list[Float]:
        """The same for several clips of any lengths at once; padding changes nothing."""
        for features, emotion, intensity in clips:
            wanted = {"emotion": (len(features), len(self.emotions)), "intensity": (len(features), len(INTENSITIES))}
            for name, track in (("emotion", emotion), ("intensity", intensity)):
                if track.shape != wanted[name]:
                    raise UsageError(
                        f"the {name} track has shape {track.shape}, expected {wanted[name]} for {len(features)} frames of speech"
                    )
        rows = [
            pad_sequence([torch.from_numpy(np.array(track, dtype=np.float32)) for track in tracks], batch_first=True).to(
                self.device
            )
            for tracks in zip(*clips, strict=True)
        ]
        lengths = torch.tensor([len(features) for features, _, _ in clips])
        with torch.inference_mode():
            given = self.style_vector(style).expand(len(clips), -1)
            states = self.network.latents(self.network.heard(*rows, lengths=lengths), given).cpu().numpy()
        return [np.array(row[: len(clip[0])], dtype=np.float32) for row, clip in zip(states, clips, strict=True)]

    def vertices(self, motion: Float, *, batch_size: int = 256) -> Float:
        """Vertex displacements (T,V,3) in metres from decoder states (T,D), `batch_size` frames at a time."""
        moved = np.empty((len(motion), len(self.template.vertices), 3), dtype=np.float32)
        rows = torch.from_numpy(np.ascontiguousarray(motion, dtype=np.float32))
        with torch.inference_mode():
            for start in range(0, len(rows), batch_size):
                part = self.network.unfold(rows[start : start + batch_size].to(self.device))
                moved[start : start + batch_size] = part.cpu().numpy().reshape(len(part), -1, 3)
        return moved
