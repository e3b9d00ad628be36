"""Speed of the spiral networks as a ratio to their plain twins: python -m tests.benchmarks.bench_spiral [--batch 16]

Ratios hold on a busy machine where seconds do not; CPU seconds are printed beside them. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from emovoca_cli.config.desd import PRESETS
from emovoca_cli.demo.head import load_head
from emovoca_cli.mesh.cache import cached_hierarchy
from emovoca_cli.mesh.landmarks import landmark_operator
from emovoca_cli.nn.losses import weighted_l2
from emovoca_cli.nn.spiral import SpiralDecoder, SpiralEncoder
from tests.nn.toy import plain_decode, plain_encode


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Least CPU seconds of a call."""
    work()
    best = np.inf
    for _ in range(repeats):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return float(best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="paper")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    template, sizes = load_head().template, PRESETS[options.preset]
    hierarchy = cached_hierarchy(template)
    encoder = SpiralEncoder(hierarchy, sizes.latent, (3, *sizes.encoder))
    decoder = SpiralDecoder(hierarchy, 2 * sizes.latent, (sizes.encoder[-1], *sizes.decoder, 3))
    meshes, codes = torch.randn(options.batch, len(template.vertices), 3), torch.randn(options.batch, 2 * sizes.latent)
    corners = np.unique(landmark_operator(template)[0])
    landmarks = decoder.restrict(corners)
    weights = torch.ones(len(template.vertices))

    def train(plain: bool) -> None:
        code = plain_encode(encoder, hierarchy, meshes) if plain else encoder(meshes)
        twice = torch.cat([code, code], dim=1)
        found = plain_decode(decoder, hierarchy, twice) if plain else decoder(twice)
        weighted_l2(found, meshes, weights).backward()

    with torch.no_grad():
        times = {
            "encode": (
                seconds(lambda: encoder(meshes), options.repeats),
                seconds(lambda: plain_encode(encoder, hierarchy, meshes), 2),
            ),
            "decode": (
                seconds(lambda: decoder(codes), options.repeats),
                seconds(lambda: plain_decode(decoder, hierarchy, codes), 2),
            ),
        }
        plain = times["decode"][1]
        times[f"decode {len(corners)} landmark vertices"] = (seconds(lambda: landmarks(codes), options.repeats), plain)
    times["training step"] = (seconds(lambda: train(False), options.repeats), seconds(lambda: train(True), 2))
    print(f"{len(template.vertices)} vertices, batch {options.batch}, {options.preset}, {options.threads} thread(s), CPU seconds")
    for name, (fast, slow) in times.items():
        rate = options.batch / fast
        print(f"{name:34s} {rate:8.0f} meshes a CPU second, {slow / fast:6.1f} times the plain twin ({options.batch / slow:.1f})")
    share = times["decode"][0] / times[f"decode {len(corners)} landmark vertices"][0]
    print(f"landmarks alone cost {share:.1f} times less than the whole face")


if __name__ == "__main__":
    main()
