"""DE-SD on real FLAME meshes: python -m tests.benchmarks.bench_flame --demo DATA --out DIR [--steps 1500]

Expressions are the release's 12 identities x 11 peaks (`prep florence4d --neutral median`), speech is the demo corpus's, carried
to the same 5,023 vertices by landmarks. Prints the errors on the test identities beside those of a model that never moves, and
meshes a second of a training step beside the released implementation's, and draws mixtures. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from emovoca_cli.config.desd import preset
from emovoca_cli.constants import MM
from emovoca_cli.data.store import Store
from emovoca_cli.desd.report import desd_report
from emovoca_cli.desd.train import held_frames, reconstruction_mve, train_desd
from emovoca_cli.render.clip import render_mesh
from tests.desd.flame_data import carried_talk, from_store, write_expressions

RELEASED = 18.4
"""Meshes a second of a training step of the authors' implementation: two cores, batch 16, the same sizes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, required=True, help="data folder that `emovoca prep` wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--sentences", type=int, default=6)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    demo = Store(options.demo / "talk")
    expression = write_expressions(options.out)
    begun = time.process_time()
    spoken = from_store(demo, expression.subjects, options.sentences)
    talk = carried_talk(options.out, spoken, expression, fps=demo.fps, licence=demo.licence)
    frames = sum(row.frames for row in talk.clips)
    print(f"carried {len(talk.clips)} clips, {frames} frames, to 12 faces in {time.process_time() - begun:.0f} CPU seconds")

    config = replace(preset(options.preset), steps=options.steps, checkpoint_every=options.steps)
    marks: list[tuple[int, float, float]] = []

    def watch(step: int, total: int, metrics: Mapping[str, float]) -> None:
        marks.append((step, time.process_time(), time.perf_counter()))
        if step % 100 == 0:
            print(f"step {step}/{total} " + " ".join(f"{name} {value:.4g}" for name, value in metrics.items()), flush=True)

    trained = train_desd(config, talk, expression, options.out / "desd", progress=watch)
    steps, *clocks = np.diff(np.array(marks), axis=0).T
    cpu, wall = (config.batch * float(np.median(steps / clock)) for clock in clocks)
    print(f"training step: {cpu:.1f} meshes a CPU second, {wall:.1f} of the clock, the release's {RELEASED}")
    for store in (talk, expression):
        held = held_frames(store, "test", 256)
        error = reconstruction_mve(trained.mixer.model, held, talk=store is talk)
        still = float(np.linalg.norm(held, axis=2).max(axis=1).mean()) * MM
        print(f"{store.kind}: MVE {error:.2f} mm on the test identities; of a model that never moves {still:.2f} mm")
    print(desd_report(trained.mixer, talk, expression)["mixtures"]["plain"]["mean"])
    draw(options.out, talk, expression, trained.mixer)


def draw(out: Path, talk: Store, expression: Store, mixer: object) -> None:
    """One sheet: rest, speech at its widest, then both with four emotions at full strength; one test identity a row."""
    rows = []
    for subject in expression.splits["test"]:
        template = replace(expression.template, vertices=expression.neutral(subject))
        motion = talk.displacement(talk.select(subject=subject)[0].id)
        widest = motion[[int(np.linalg.norm(motion, axis=2).max(axis=1).argmax())]]
        faces = [np.zeros_like(widest[0]), widest[0]]
        for label in ("happy", "angry", "sad", "disgust"):
            peak = expression.displacement(expression.select(subject=subject, label=label)[0].id)
            faces.append(mixer.mix(mixer.encode_talk(widest), mixer.encode_expression(peak), 2, 2)[0])  # type: ignore[attr-defined]
        rows.append(np.concatenate([render_mesh(template.vertices + face, template, size=320) for face in faces], axis=1))
    Image.fromarray(np.concatenate(rows)).save(out / "mixtures.png")
    print(f"drew {out / 'mixtures.png'}")


if __name__ == "__main__":
    main()
