"""E-FaceFormer: speech and emotion in, the motion of every vertex out, frame after frame (paper section 4.2).

The decoder of FaceFormer (Fan et al. 2022): one post-norm transformer layer that attends to its own past under a bias that grows by
one step a period, hears the speech of its own frame alone (the alignment mask), and is fed its last output.

Notation of shapes: B batch, T frames, D width, H heads, N = 3V outputs, K labels, S styles, C speech channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from emovoca_cli.config.faceformer import FaceFormerConfig
from emovoca_cli.constants import INTENSITIES
from emovoca_cli.generators.front import frame_mask, front_layers, masked, through_front

POSITION_BASE = 10_000.0


def slopes(heads: int) -> Tensor:
    """How fast each head forgets (H,): ALiBi's geometric series 2^(-8/H), 2^(-16/H) ... for a power of two of heads."""
    return torch.tensor([2.0 ** (-8.0 * (head + 1) / heads) for head in range(heads)])


def periodic_positions(period: int, width: int) -> Tensor:
    """Sinusoidal encoding of a place in the period (period,D); frame t takes row t mod period."""
    place = torch.arange(period, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2).float() * (-math.log(POSITION_BASE) / width))
    table = torch.zeros(period, width)
    table[:, 0::2], table[:, 1::2] = torch.sin(place * rate), torch.cos(place * rate)
    return table


class FaceFormer(nn.Module):
    """Autoregressive transformer decoder from speech features and two one-hots to displacements of N coordinates.

    How the paper's concatenation is read: "concatenating the two embeddings L, I" is done where its E-S2L does it, on the speech
    features. Each frame of the decoder's memory is its mapped speech (D), its emotion's (64) and its intensity's embedding (64)
    side by side; the cross-attention's values are projected from these D + 128 channels. The decoder keeps FaceFormer's width.
    The embeddings have no bias, so zero one-hots add nothing: neutral speech. With no labels (emotions = 0) there are none of them,
    and the network is FaceFormer, weight by weight, except for two projections that cannot matter: under the alignment mask a frame
    attends to one row of memory, a softmax over one key is 1, so the cross-attention has no queries and keys here.

    Through that mask a frame hears what the speech encoder put into its own row. wav2vec 2.0 put its surroundings there; log-mel
    does not, so `front_layers` convolutions over time (ours, 0 as published) come first and are trained along, as FaceFormer's
    encoder was. They are all that lets a frame know what is said next: 2 frames a layer.

    The input of frame 0 is the style; of frame t the mapped output of t-1 plus the style. The template enters nowhere: outputs are
    displacements. Since motion_in(motion_out(h)) is one affine map of D channels, the loop never leaves the decoder's latent
    space: keys and values are kept, outputs are unfolded afterwards, and no table has a length that could run out.
    """

    position: Tensor
    slope: Tensor

    def __init__(self, config: FaceFormerConfig, *, speech_channels: int, emotions: int, styles: int, outputs: int) -> None:
        super().__init__()
        width = config.width
        self.heads, self.period, self.embedding, self.rate = config.heads, config.period, config.embedding, config.dropout
        self.speech_channels, self.emotions, self.outputs = speech_channels, emotions, outputs
        self.register_buffer("position", periodic_positions(config.period, width), persistent=False)
        self.register_buffer("slope", slopes(config.heads), persistent=False)
        heard = speech_channels
        if config.front_layers:
            heard = config.front_width
            self.front_in = nn.Linear(speech_channels, heard)
            self.front = front_layers(heard, config.front_layers)
        self.speech = nn.Linear(heard, width)
        if emotions:
            self.emotion = nn.Linear(emotions, config.embedding, bias=False)
            self.intensity = nn.Linear(len(INTENSITIES), config.embedding, bias=False)
        self.style = nn.Linear(styles, width, bias=False)
        self.motion_in = nn.Linear(outputs, width)
        self.motion_out = nn.Linear(width, outputs)
        nn.init.zeros_(self.motion_out.weight)
        nn.init.zeros_(self.motion_out.bias)
        self.past = nn.Linear(width, 3 * width)  # queries, keys and values of the self-attention
        self.past_out = nn.Linear(width, width)
        self.hear = nn.Linear(width + (2 * config.embedding if emotions else 0), width)
        self.hear_out = nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, config.feed_forward), nn.Linear(config.feed_forward, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def heard(self, speech: Tensor, emotion: Tensor, intensity: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """What the cross-attention adds to each frame (B,T,D): its own speech (B,T,C), emotion (B,T,K) and intensity (B,T,3).

        lengths (B,): frames that are real in each row; what stands behind them changes nothing before them.
        """
        if hasattr(self, "front"):
            speech = through_front(self.front, self.front_in(speech), self._drop, frame_mask(lengths, speech))
        memory = self.speech(speech)
        if self.emotions:
            memory = torch.cat([memory, self.emotion(emotion), self.intensity(intensity)], dim=2)  # (B,T,D+128)
        added: Tensor = self.hear_out(self.hear(memory))
        return added

    def forward(
        self,
        speech: Tensor,
        emotion: Tensor,
        intensity: Tensor,
        style: Tensor,
        *,
        truth: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Displacements (B,T,N), with a gradient; style (B,S) one-hot or a mixture.

        Autoregressive as published; with truth (B,T,N), each frame is fed the truth's last one instead (teacher forcing), all
        frames at once. lengths (B,): frames that are real in each row; what stands behind them changes nothing and comes out zero.
        """
        heard, first = self.heard(speech, emotion, intensity, lengths=lengths), self.style(style)
        latents = self._loop(heard, first) if truth is None else self._forced(heard, first, truth)
        return masked(self.motion_out(latents), frame_mask(lengths, latents))

    def _forced(self, heard: Tensor, style: Tensor, truth: Tensor) -> Tensor:
        count, frames, _ = heard.shape
        given = self.motion_in(truth[:, :-1]) + style[:, None]
        place = torch.arange(frames, device=heard.device)
        x = torch.cat([style[:, None], given], dim=1) + self.position[place % self.period]
        x = self._drop(x)
        queries, keys, values = self.past(x).view(count, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B,H,T,D/H)
        steps = place[:, None] - place[None]  # how far back key j lies from query i
        bias = -self.slope[:, None, None] * torch.div(steps, self.period, rounding_mode="floor")  # (H,T,T)
        bias = bias.masked_fill(steps < 0, float("-inf"))
        mixed = functional.scaled_dot_product_attention(queries, keys, values, bias, self._attention_drop)
        return self._rest(x, mixed.transpose(1, 2).reshape(count, frames, -1), heard)

    def _loop(self, heard: Tensor, style: Tensor) -> Tensor:
        # As `latents`, for training: nothing is written in place, so that gradients flow through what was fed back.
        frames = heard.shape[1]
        matrix, offset = self.motion_in.weight @ self.motion_out.weight, self.motion_in(self.motion_out.bias)
        ramp = self._ramp(frames)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        latents: list[Tensor] = []
        for frame in range(frames):
            x = functional.linear(latents[-1], matrix, offset) + style if latents else style
            x = self._drop(x + self.position[frame % self.period])
            query, key, value = self.past(x).view(len(x), 3, self.heads, 1, -1).unbind(1)  # each (B,H,1,D/H)
            keys.append(key)
            values.append(value)
            bias = ramp[:, None, frames - 1 - frame :]
            mixed = functional.scaled_dot_product_attention(
                query, torch.cat(keys, dim=2), torch.cat(values, dim=2), bias, self._attention_drop
            )
            latents.append(self._rest(x, mixed.reshape(len(x), -1), heard[:, frame]))
        return torch.stack(latents, dim=1)

    @torch.no_grad()
    def latents(self, heard: Tensor, style: Tensor) -> Tensor:
        """The decoder's states (B,T,D) of `heard` (B,T,D) and style (B,S), no gradient: one pass a frame, keys and values kept.

        Exactly the published loop: `unfold` of the states is its output. Memory grows by 3 D floats a frame.
        """
        loop = Loop(self, style, room=heard.shape[1])
        states = torch.empty_like(heard)
        for frame in range(heard.shape[1]):
            states[:, frame] = loop.step(heard[:, frame])
        return states

    @torch.no_grad()
    def unfold(self, latents: Tensor) -> Tensor:
        """Displacements (...,N) of states (...,D)."""
        motion: Tensor = self.motion_out(latents)
        return motion

    def _ramp(self, frames: int) -> Tensor:
        """Bias (H,T) of the keys of the last frame, oldest first; the last t+1 of them are those of frame t."""
        back = torch.arange(frames - 1, -1, -1, device=self.slope.device)
        return -self.slope[:, None] * torch.div(back, self.period, rounding_mode="floor")

    def _rest(self, x: Tensor, mixed: Tensor, heard: Tensor) -> Tensor:
        """The layer after the mixing of its past: x, mixed and heard (...,D) to its output (...,D)."""
        x = self.norms[0](x + self._drop(self.past_out(mixed)))
        x = self.norms[1](x + self._drop(heard))
        forward = self.narrow(self._drop(functional.relu(self.widen(x))))
        after: Tensor = self.norms[2](x + self._drop(forward))
        return after

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.rate, self.training)

    @property
    def _attention_drop(self) -> float:
        return self.rate if self.training else 0.0


class Loop:
    """The decoder frame after frame, without a gradient: what it was fed, and keys and values of all that it looks back on."""

    @torch.no_grad()
    def __init__(self, network: FaceFormer, style: Tensor, *, room: int, longest: int | None = None) -> None:
        """Begin with style (B,S), with memory for `room` frames that grows when it is full.

        longest: frames to look back on at most; past it the older half is forgotten, which an endless stream needs. None = all.
        """
        self.network, self.longest = network, longest
        incoming, outgoing = network.motion_in, network.motion_out
        # summed over N once, in double precision, so that the loop drifts no more than one that unfolds every frame
        self._matrix = (incoming.weight.double() @ outgoing.weight.double()).float()
        offset = (incoming.weight.double() @ outgoing.bias.double() + incoming.bias.double()).float()
        self._first = network.style(style)  # (B,D)
        self._fixed = offset + self._first[:, None] + network.position  # (B,period,D): a frame's input but for the last output
        self.frame, self._kept = 0, 0
        self._state: Tensor = self._first
        self._keys: Tensor
        self._values: Tensor
        self._make_room(max(1, room))

    def _make_room(self, room: int) -> None:
        # One row a clip and head; keys stand upright, so that one query against all of them reads memory in order.
        count, width = self._first.shape
        rows, depth = count * self.network.heads, width // self.network.heads
        keys, values = self._first.new_empty(rows, depth, room), self._first.new_empty(rows, room, depth)
        if self._kept:
            keys[..., : self._kept] = self._keys[..., -self._kept :]
            values[:, : self._kept] = self._values[:, -self._kept :]
        self._keys, self._values = keys, values
        self._ramp = self.network._ramp(room).repeat(count, 1)[:, None]  # (BH,1,room)

    @torch.no_grad()
    def step(self, heard: Tensor) -> Tensor:
        """The state (B,D) of the next frame, which hears (B,D)."""
        network, room = self.network, self._keys.shape[2]
        if self._kept == room:
            full = self.longest is not None and room >= self.longest
            self._kept = room // 2 if full else room
            self._make_room(room if full else min(2 * room, self.longest or 2 * room))
            room = self._keys.shape[2]
        count, width = self._first.shape
        rows, depth = self._keys.shape[:2]
        if self.frame:
            x = functional.linear(self._state, self._matrix) + self._fixed[:, self.frame % network.period]
        else:
            x = self._first + network.position[0]
        parts = network.past(x).view(count, 3, network.heads, depth)
        self._keys[:, :, self._kept] = parts[:, 1].reshape(rows, depth)
        self._values[:, self._kept] = parts[:, 2].reshape(rows, depth)
        self._kept += 1
        query = parts[:, 0].reshape(rows, 1, depth)
        bias = self._ramp[..., room - self._kept :]
        scores = torch.baddbmm(bias, query, self._keys[..., : self._kept], alpha=depth**-0.5)
        mixed = torch.bmm(torch.softmax(scores, dim=2), self._values[:, : self._kept]).view(count, width)
        self._state = network._rest(x, mixed, heard)
        self.frame += 1
        return self._state
