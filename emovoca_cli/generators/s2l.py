"""E-S2L: speech and emotion in, the motion of 68 landmarks out (paper section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from emovoca_cli.config.generators import S2LConfig
from emovoca_cli.constants import INTENSITIES, LANDMARKS
from emovoca_cli.generators.front import frame_mask, front_layers, masked, through_front

POSE_GAIN = 10.0
"""Adam moves a weight by about the learning rate a step, and a batch holds few of the poses: without it they are never reached."""


class ES2L(nn.Module):
    """Bidirectional LSTM from speech features and two embedded one-hots to landmark displacements.

    The embeddings have no bias (the release's have, `label_bias`), so that two zero vectors add nothing: neutral speech. The output
    starts at zero: rest.
    Besides the paper's way through the LSTM, each pair of emotion and intensity has its own pose (ours; `pose_frames` 0 = none).
    """

    scale: Tensor

    def __init__(self, config: S2LConfig, *, speech_channels: int, emotions: int) -> None:
        super().__init__()
        width = config.speech_dim
        self.register_buffer("scale", torch.ones(()))
        self.speech = nn.Linear(speech_channels, width)
        self.front = front_layers(width, config.front_layers)
        self.dropout = nn.Dropout(config.dropout if config.front_layers else 0.0)
        self.emotion = nn.Linear(emotions, config.embedding, bias=config.label_bias)
        self.intensity = nn.Linear(len(INTENSITIES), config.embedding, bias=config.label_bias)
        self.lstm = nn.LSTM(
            width + 2 * config.embedding,
            config.hidden,
            config.layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.output = nn.Linear(2 * config.hidden, 3 * LANDMARKS)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.pose_frames = config.pose_frames
        if config.pose_frames:
            self.pose = nn.Linear(emotions * len(INTENSITIES), 3 * LANDMARKS, bias=False)
            nn.init.zeros_(self.pose.weight)

    def forward(self, speech: Tensor, emotion: Tensor, intensity: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """Landmark displacements (B,T,68,3) in metres.

        speech (B,T,C), emotion (B,T,K) and intensity (B,T,3): vectors over time, one-hot or in between (section 4.5);
        lengths (B,) on the CPU: frames that are real in each row. What stands behind them changes nothing, and comes out as zero.
        """
        frames = speech.shape[1]
        mask = frame_mask(lengths, speech)
        hidden = through_front(self.front, self.speech(speech), self.dropout, mask)
        joined = torch.cat([hidden, self.emotion(emotion), self.intensity(intensity)], dim=2)
        if mask is None or lengths is None:
            states, _ = self.lstm(joined)
        else:
            packed = pack_padded_sequence(joined, lengths, batch_first=True, enforce_sorted=False)
            states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=frames)
        moved: Tensor = self.output(states)
        if self.pose_frames:
            moved = moved + self._pose(emotion, intensity, mask)
        moved = masked(moved, mask) * self.scale
        return moved.view(*moved.shape[:2], LANDMARKS, 3)  # (B,T,204) to (B,T,68,3)

    def _pose(self, emotion: Tensor, intensity: Tensor, mask: Tensor | None) -> Tensor:
        # What an emotion at an intensity adds to a face whatever is said, (B,T,204): the LSTM need not learn it by its gates.
        # Smoothed over time, for a face does not jump where the labels do; near the ends over the frames that there are.
        joint = (emotion[..., :, None] * intensity[..., None, :]).flatten(2)  # (B,T,3K)
        real = torch.ones_like(joint[..., :1]) if mask is None else mask
        half = self.pose_frames // 2
        window = nn.functional.pad(torch.cat([joint * real, real], dim=2).transpose(1, 2), (half, half))
        sums = nn.functional.avg_pool1d(window, 2 * half + 1, stride=1).transpose(1, 2)  # (B,T,3K+1)
        moved: Tensor = POSE_GAIN * self.pose(sums[..., :-1] / sums[..., -1:].clamp_min(1e-6))
        return moved
