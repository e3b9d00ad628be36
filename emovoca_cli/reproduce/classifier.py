"""The expression classifier of Table 2: a spiral encoder and an MLP head, trained on silent expressions (paper section 4.3).

It never sees speech. What it recognises in a mixture is therefore the emotion that survived mixing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emovoca_cli import __version__
from emovoca_cli.config.classifier import ClassifierConfig, ClassifierSizes
from emovoca_cli.config.load import plain_values, with_values
from emovoca_cli.data.loaders import FrameSampler, Numbers
from emovoca_cli.data.store import Store
from emovoca_cli.data.template import load_template, save_template
from emovoca_cli.errors import CheckpointError, DataError, TopologyError
from emovoca_cli.mesh.cache import cached_hierarchy
from emovoca_cli.mesh.hierarchy import Hierarchy
from emovoca_cli.nn.spiral import SpiralEncoder
from emovoca_cli.runtime.checkpoint import HIERARCHY, TEMPLATE, load_checkpoint, save_checkpoint
from emovoca_cli.runtime.loop import LoopReport, Progress, train_loop
from emovoca_cli.runtime.processes import Share, join
from emovoca_cli.runtime.seeding import seed_everything
from emovoca_cli.types import Float, MeshTemplate

if TYPE_CHECKING:
    from collections.abc import Sequence

KIND = "classifier"

VALIDATION_FRAMES = 256
"""Frames of the validation identities that are judged at every checkpoint."""


class ClassifierNet(nn.Module):
    """Displacements in metres, divided by one scale, to a score for each label."""

    scale: Tensor

    def __init__(self, hierarchy: Hierarchy, sizes: ClassifierSizes, labels: int, *, scale: float = 1.0) -> None:
        """Build for a mesh hierarchy and a number of labels K."""
        super().__init__()
        self.encoder = SpiralEncoder(hierarchy, sizes.latent, (3, *sizes.encoder))
        self.head = nn.Sequential(nn.ELU(), nn.Linear(sizes.latent, sizes.hidden), nn.ELU(), nn.Linear(sizes.hidden, labels))
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, displacement: Tensor) -> Tensor:
        """Displacements (B,V,3) in metres to logits (B,K)."""
        scores: Tensor = self.head(self.encoder(displacement / self.scale))
        return scores


class Classifier:
    """A trained classifier for inference; `labels` (K,) name its answers."""

    def __init__(self, net: ClassifierNet, labels: Sequence[str], template: MeshTemplate, path: Path) -> None:
        """Wrap a network; `path` is the checkpoint folder it came from."""
        self.net = net.eval()
        self.labels = tuple(labels)
        self.template = template
        self.path = path

    @classmethod
    def load(cls, path: str | Path, *, device: torch.device | str = "cpu") -> Classifier:
        """Load a checkpoint folder. Raises UsageError and CheckpointError."""
        checkpoint = load_checkpoint(path, kind=KIND)
        labels = checkpoint.config.get("labels")
        if not isinstance(labels, list) or not labels:
            raise CheckpointError(f"{checkpoint.path} names no labels; train it again with `emovoca train classifier`")
        sizes = with_values(ClassifierSizes(), checkpoint.config["sizes"], where=str(checkpoint.path))
        net = ClassifierNet(Hierarchy.load(checkpoint.path / HIERARCHY), sizes, len(labels))
        checkpoint.load_into(net)
        return cls(net.to(device), labels, load_template(checkpoint.path / TEMPLATE), checkpoint.path)

    def classify(self, displacement: Float) -> NDArray[np.int64]:
        """The place among `labels` of each frame (T,) of displacements (T,V,3), metres. Raises TopologyError, DataError."""
        if displacement.ndim != 3 or displacement.shape[1:] != self.template.vertices.shape:
            raise TopologyError(
                f"displacements have shape {displacement.shape}, the classifier {self.path} was trained on "
                f"(frames, {len(self.template.vertices)}, 3)"
            )
        if not len(displacement):
            raise DataError("there is no frame to classify")
        with torch.no_grad():
            x = torch.from_numpy(np.asarray(displacement, np.float32)).to(self.net.scale.device)
            return np.asarray(self.net(x).argmax(dim=1).cpu().numpy(), np.int64)

    def hits(self, displacement: Float, label: str) -> int:
        """How many frames of displacements (T,V,3), metres, it takes for `label`. Raises DataError for an unknown label."""
        if label not in self.labels:
            raise DataError(f"the classifier {self.path} knows no {label!r}; its labels: {', '.join(self.labels)}")
        return int((self.classify(displacement) == self.labels.index(label)).sum())


@dataclass(frozen=True)
class LabelledFrames:
    """Frames of a split that show their label: their numbers in a sampler (N,), labels (N,) by place, and the labels' names."""

    sampler: FrameSampler
    numbers: Numbers
    targets: NDArray[np.int64]
    labels: tuple[str, ...]

    @classmethod
    def gather(cls, store: Store, split: str, labels: Sequence[str], strength: float) -> LabelledFrames:
        """Take the frames of `labels` in a split whose displacement is at least `strength` of their clip's largest.

        Raises DataError when a label has no frame.
        """
        sampler = FrameSampler(store, split=split, batch=1, seed=0)
        numbers, targets, start = [], [], 0
        for row in sampler.rows:
            if row.label in labels:
                size = np.sqrt(np.square(store.displacement(row.id)).sum(axis=(1, 2)))
                strong = np.flatnonzero((size >= strength * size.max()) & (size > 0))
                numbers.append(start + strong)
                targets.append(np.full(len(strong), labels.index(str(row.label))))
            start += row.frames
        found = np.concatenate(targets) if targets else np.zeros(0, np.int64)
        missing = [label for place, label in enumerate(labels) if not (found == place).any()]
        if missing:
            raise DataError(f"{store.root} has no {split} frame of {missing[0]!r}; its labels: {', '.join(store.labels)}")
        return cls(sampler, np.concatenate(numbers).astype(np.int64), found.astype(np.int64), tuple(labels))

    def spread(self, count: int) -> LabelledFrames:
        """At most `count` of them, evenly chosen."""
        places = np.unique(np.linspace(0, len(self.numbers) - 1, count).round().astype(np.int64))
        return replace(self, numbers=self.numbers[places], targets=self.targets[places])

    def batch(self, step: int, size: int, seed: int) -> tuple[Float, NDArray[np.int64]]:
        """Displacements (B,V,3), metres, and targets (B,) of a step: shuffled anew each epoch, from the seed and the step alone."""
        count = len(self.numbers)
        places = np.arange(step * size, (step + 1) * size)
        chosen = np.concatenate(
            [
                np.random.default_rng((seed, int(epoch))).permutation(count)[places[places // count == epoch] % count]
                for epoch in np.unique(places // count)
            ]
        )
        return self.sampler[self.numbers[chosen]], self.targets[chosen]


@dataclass(frozen=True)
class ClassifierTraining:
    """What a training gave: the folder, the classifier, its share of right answers (0-1) on the test identities, the loop."""

    out: Path
    classifier: Classifier
    accuracy: float
    loop: LoopReport


def train_classifier(
    config: ClassifierConfig,
    expression: Store,
    out: Path,
    *,
    labels: Sequence[str] | None = None,
    device: torch.device | None = None,
    progress: Progress | None = None,
    resume: bool = False,
) -> ClassifierTraining:
    """Train on the `train` identities of an expression store, write the checkpoint folder `out`, and test on its `test` identities.

    labels: those to tell apart, default all of the store. resume: continue a stopped run of the same settings and data. Raises
    DataError, UsageError, OutputError.
    """
    device = device or torch.device("cpu")
    names = tuple(labels or expression.labels)
    processes = join(device, config)
    seed_everything(config.seed)
    frames = LabelledFrames.gather(expression, "train", names, config.strength)
    test = LabelledFrames.gather(expression, "test", names, config.strength)
    scale = float(np.sqrt(frames.sampler.mean_square()))
    with processes.main_process_first():
        hierarchy = cached_hierarchy(expression.template, levels=len(config.sizes.encoder))
    net = ClassifierNet(hierarchy, config.sizes, len(names), scale=scale).to(device)

    def step(share: Share) -> Mapping[str, Tensor]:
        meshes, targets = frames.batch(share.index(share.step), config.batch, config.seed)
        scores = net(torch.from_numpy(meshes).to(device))
        wanted = torch.from_numpy(targets).to(device)
        right = (scores.detach().argmax(dim=1) == wanted).float().mean()
        return {"loss": F.cross_entropy(scores, wanted), "accuracy": right}

    held = None
    if expression.select(split="val"):
        held = LabelledFrames.gather(expression, "val", names, config.strength).spread(VALIDATION_FRAMES)

    def validate() -> Mapping[str, float]:
        return {} if held is None else {"val_accuracy": accuracy_on(Classifier(net, names, expression.template, out), held)}

    settings = plain_values(config)
    loop = train_loop(
        net,
        step,
        settings=config,
        folder=out,
        mark={**settings, "labels": list(names), "expression data": expression.content_hash},
        device=device,
        resume=resume,
        progress=progress,
        validate=validate if held is not None else None,
        watch="-val_accuracy",
    )
    if processes.is_main_process:
        save_template(expression.template, out / TEMPLATE)
        hierarchy.save(out / HIERARCHY)
        save_checkpoint(
            out,
            kind=KIND,
            state=net.state_dict(),
            config={"sizes": settings["sizes"], "labels": list(names)},
            licence=expression.licence,
            provenance={
                "emovoca": __version__,
                "torch": torch.__version__,
                "data": {expression.kind: expression.content_hash},
                "settings": settings,
            },
            half=config.storage == "float16",
        )
    processes.wait_for_everyone()
    classifier = Classifier.load(out, device=device)
    return ClassifierTraining(out, classifier, accuracy_on(classifier, test), loop)


def accuracy_on(classifier: Classifier, frames: LabelledFrames) -> float:
    """Share (0-1) of labelled frames that a classifier gets right."""
    parts = np.array_split(np.arange(len(frames.numbers)), -(-len(frames.numbers) // 128))
    right = sum(int((classifier.classify(frames.sampler[frames.numbers[part]]) == frames.targets[part]).sum()) for part in parts)
    return right / len(frames.numbers)
