"""Trained generators, loaded and ready: speech and emotion over time in, a moving face out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from emovoca_cli.audio.features import SpeechEncoder, speech_encoder
from emovoca_cli.audio.io import frame_count
from emovoca_cli.audio.windows import join, windows
from emovoca_cli.config.generators import S2DConfig, S2LConfig
from emovoca_cli.config.load import with_values
from emovoca_cli.constants import INTENSITIES, LANDMARKS
from emovoca_cli.data.template import load_template
from emovoca_cli.errors import CheckpointError, UsageError
from emovoca_cli.generators.own_speech import own_encoder
from emovoca_cli.generators.s2d import S2D
from emovoca_cli.generators.s2l import ES2L
from emovoca_cli.mesh.hierarchy import Hierarchy
from emovoca_cli.runtime.checkpoint import CONFIG, HIERARCHY, TEMPLATE, Checkpoint, checkpoint_hash, load_checkpoint
from emovoca_cli.types import Float, MeshTemplate

S2L_KIND, S2D_KIND = "s2l", "s2d"

WINDOW_SECONDS, OVERLAP_SECONDS = 60.0, 12.0
"""Longer speech goes through E-S2L in windows of this length that share this much with their neighbours."""

BATCH_SECONDS = 240.0
"""Frames of speech, padding included, that E-S2L takes at once."""

Conditioned = tuple[Float, Float, Float]
"""One clip: speech (T,C) or (N,), emotion (T,K) and intensity (T,3)."""


class S2LModel:
    """A trained E-S2L: speech features and conditions to landmark displacements."""

    licence = ""
    hash = ""

    def __init__(self, network: ES2L, *, encoder: str, emotions: tuple[str, ...], fps: float, device: torch.device) -> None:
        """Hold a network that is ready to predict at `fps`; `load` reads one from a folder."""
        self.network, self.encoder_name, self.emotions, self.fps, self.device = network, encoder, emotions, fps, device
        self.network.to(device).eval()

    @classmethod
    def load(cls, path: str | Path, *, device: torch.device | None = None) -> S2LModel:
        """Read a checkpoint folder, or a built-in model by name. Raises UsageError and CheckpointError."""
        stored = load_checkpoint(path, kind=S2L_KIND)
        config = stored.config
        try:
            emotions, fps, channels = tuple(config["emotions"]), float(config["fps"]), int(config["speech_channels"])
            settings = with_values(S2LConfig(), config["settings"], where=str(stored.path / CONFIG))
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise _misfit(stored, error) from error
        network = ES2L(settings, speech_channels=channels, emotions=len(emotions))
        stored.load_into(network)
        own = config.get("speech_model")
        encoder = settings.encoder if own is None else own_encoder(stored.path, str(own))
        model = cls(network, encoder=encoder, emotions=emotions, fps=fps, device=device or torch.device("cpu"))
        model.licence, model.hash = stored.licence, checkpoint_hash(stored.path)
        return model

    def predict(self, features: Float, emotion: Float, intensity: Float) -> Float:
        """Landmark displacements (T,68,3) in metres from features (T,C), emotion (T,K) and intensity (T,3)."""
        return self.predict_many([(features, emotion, intensity)])[0]

    def predict_many(self, clips: Sequence[Conditioned]) -> list[Float]:
        """The same for several clips of any lengths at once: padded to one batch with masks, so that padding changes nothing.

        Clips longer than `WINDOW_SECONDS` go through in overlapping windows, and no batch holds more frames than
        `BATCH_SECONDS` (or one window): the memory does not grow with the length of the speech.
        """
        for features, emotion, intensity in clips:
            expected = {"emotion": (len(features), len(self.emotions)), "intensity": (len(features), len(INTENSITIES))}
            for name, track in (("emotion", emotion), ("intensity", intensity)):
                if track.shape != expected[name]:
                    raise UsageError(
                        f"the {name} track has shape {track.shape}, expected {expected[name]} for {len(features)} frames of speech"
                    )
        window, overlap = round(WINDOW_SECONDS * self.fps), round(OVERLAP_SECONDS * self.fps)
        spans = [windows(len(features), window, overlap) for features, _, _ in clips]
        pieces = [tuple(row[start:end] for row in clip) for clip, cuts in zip(clips, spans, strict=True) for start, end in cuts]
        moved = iter(self._batches(pieces))
        return [join([next(moved) for _ in cuts], cuts) for cuts in spans]

    def _batches(self, pieces: Sequence[tuple[Float, ...]]) -> Iterator[Float]:
        """Landmark displacements (T,68,3) of each piece, computed in padded batches of bounded size."""
        room = BATCH_SECONDS * self.fps
        first = 0
        while first < len(pieces):
            last, longest = first + 1, len(pieces[first][0])
            while last < len(pieces) and max(longest, len(pieces[last][0])) * (last + 1 - first) <= room:
                longest = max(longest, len(pieces[last][0]))
                last += 1
            batch = pieces[first:last]
            lengths = torch.tensor([len(piece[0]) for piece in batch])
            rows = [
                pad_sequence([torch.from_numpy(np.array(row, dtype=np.float32)) for row in rows], batch_first=True).to(self.device)
                for rows in zip(*batch, strict=True)
            ]
            with torch.inference_mode():
                moved = self.network(*rows, lengths=lengths).cpu().numpy()
            for row, length in zip(moved, lengths.tolist(), strict=True):
                yield np.asarray(row[:length], dtype=np.float32)
            first = last


class S2DModel:
    """A trained S2D: landmark displacements to the displacement of every vertex of its template."""

    licence = ""
    hash = ""

    def __init__(self, network: S2D, *, template: MeshTemplate, device: torch.device) -> None:
        """Hold a network that is ready to predict on `template`; `load` reads one from a folder."""
        self.network, self.template, self.device = network, template, device
        self.network.to(device).eval()

    @classmethod
    def load(cls, path: str | Path, *, device: torch.device | None = None) -> S2DModel:
        """Read a checkpoint folder, or a built-in model by name. Raises UsageError and CheckpointError."""
        stored = load_checkpoint(path, kind=S2D_KIND)
        try:
            settings = with_values(S2DConfig(), stored.config["settings"], where=str(stored.path / CONFIG))
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise _misfit(stored, error) from error
        network = S2D(settings, hierarchy=Hierarchy.load(stored.path / HIERARCHY))
        stored.load_into(network)
        model = cls(network, template=load_template(stored.path / TEMPLATE), device=device or torch.device("cpu"))
        model.licence, model.hash = stored.licence, checkpoint_hash(stored.path)
        return model

    def predict(self, landmarks: Float, *, batch_size: int = 64) -> Float:
        """Vertex displacements (T,V,3) in metres from landmark displacements (T,68,3), `batch_size` frames at a time."""
        if landmarks.ndim != 3 or landmarks.shape[1:] != (LANDMARKS, 3):
            raise UsageError(f"landmark displacements have shape {landmarks.shape}, expected (T,{LANDMARKS},3)")
        moved = np.empty((len(landmarks), len(self.template.vertices), 3), dtype=np.float32)
        rows = torch.from_numpy(np.ascontiguousarray(landmarks, dtype=np.float32))
        with torch.inference_mode():
            for start in range(0, len(rows), batch_size):
                part = self.network(rows[start : start + batch_size].to(self.device))
                moved[start : start + batch_size] = part.cpu().numpy()
        return moved


class Generator:
    """E-S2L and S2D as one: speech and emotion to a moving mesh (paper section 4.2)."""

    def __init__(self, s2l: S2LModel, s2d: S2DModel) -> None:
        """Join two loaded models."""
        self.s2l, self.s2d = s2l, s2d
        self._encoder: SpeechEncoder | None = None

    @classmethod
    def load(cls, s2l: str | Path = "s2l", s2d: str | Path = "s2d", *, device: torch.device | None = None) -> Generator:
        """Read two checkpoint folders or built-in names; as the first, a folder with s2l/ and s2d/ inside stands for both."""
        both = Path(s2l)
        if (both / S2L_KIND / CONFIG).is_file() and (both / S2D_KIND / CONFIG).is_file():
            s2l, s2d = both / S2L_KIND, both / S2D_KIND
        return cls(S2LModel.load(s2l, device=device), S2DModel.load(s2d, device=device))

    @property
    def fps(self) -> float:
        """Frames a second of what it predicts."""
        return self.s2l.fps

    @property
    def emotions(self) -> tuple[str, ...]:
        """Labels in one-hot order."""
        return self.s2l.emotions

    @property
    def template(self) -> MeshTemplate:
        """The topology of what it predicts."""
        return self.s2d.template

    def frames(self, speech: Float) -> int:
        """Frames T that (N,) 16 kHz speech gives."""
        return frame_count(len(speech), self.fps)

    @property
    def licence(self) -> str:
        """Licence of what both networks were trained on."""
        return "; ".join(dict.fromkeys((self.s2l.licence, self.s2d.licence)))

    @property
    def hashes(self) -> dict[str, str]:
        """The hash that names each network."""
        return {S2L_KIND: self.s2l.hash, S2D_KIND: self.s2d.hash}

    def landmarks(self, speech: Float, emotion: Float, intensity: Float) -> Float:
        """Landmark displacements (T,68,3) in metres of (N,) 16 kHz speech under emotion (T,K) and intensity (T,3).

        T = `frames(speech)`; zeros are neutral speech. Raises UsageError when a track has another length. The same input gives
        the same output.
        """
        return self.landmarks_of_many([(speech, emotion, intensity)])[0]

    def landmarks_of_many(self, clips: Sequence[Conditioned]) -> list[Float]:
        """The same for several recordings (speech, emotion, intensity) of any lengths, as one padded batch."""
        encoder = self._encoder = self._encoder or speech_encoder(self.s2l.encoder_name)
        return self.s2l.predict_many(
            [(encoder.encode(speech, self.fps, self.frames(speech)), emotion, intensity) for speech, emotion, intensity in clips]
        )

    def motion(self, speech: Float, emotion: Float, intensity: Float) -> Float:
        """The same under the name that all generators share: what it thinks in, to be interpolated over time and unfolded."""
        return self.landmarks(speech, emotion, intensity)

    def motion_of_many(self, clips: Sequence[tuple[Float, Float, Float]]) -> list[Float]:
        """The same for several recordings (speech, emotion, intensity) of any lengths."""
        return self.landmarks_of_many(clips)

    def vertices(self, landmarks: Float) -> Float:
        """Vertex displacements (T,V,3) in metres from landmark displacements (T,68,3)."""
        return self.s2d.predict(landmarks)


def _misfit(stored: Checkpoint, error: Exception) -> CheckpointError:
    return CheckpointError(f"{stored.path / CONFIG} does not describe a generator ({error}); train or download it again")
