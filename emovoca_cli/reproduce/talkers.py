"""The generators of Table 3, each trained once for a corpus and a seed, shared by the table and Figures 4 to 6 (section 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from emovoca_cli.config.load import plain_values
from emovoca_cli.config.loop import comparable
from emovoca_cli.data.sequences import Selection, SequenceEntry, SequenceSource
from emovoca_cli.data.store import spread
from emovoca_cli.dataset_builder.build import build_dataset
from emovoca_cli.dataset_builder.reader import EmoDataset
from emovoca_cli.desd.mix import Mixer
from emovoca_cli.errors import DataError
from emovoca_cli.generators.bank import choose_entries
from emovoca_cli.generators.load import SpeechGenerator, load_generator
from emovoca_cli.generators.predict import Generator
from emovoca_cli.generators.train_faceformer import train_faceformer
from emovoca_cli.generators.train_s2d import train_s2d
from emovoca_cli.generators.train_s2l import train_s2l
from emovoca_cli.reproduce.cells import Done
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.talker_scales import TALKER_SCALES
from emovoca_cli.reproduce.variants import DESD, mixer_of, trained
from emovoca_cli.runtime.checkpoint import checkpoint_hash

NEUTRAL = "neutral"
DATASET = "dataset"
Corpus = Literal["v1", "v2", "neutral"]
"""What a generator is trained or tested on: EmoVOCAv1, EmoVOCAv2, or the neutral speech behind them (VOCASET's part)."""


@dataclass(frozen=True)
class Talker:
    """A generator by its kind and what it is trained on."""

    kind: Literal["s2l", "faceformer"]
    corpus: Corpus

    @property
    def name(self) -> str:
        """Its name in the tables: E- for those that hear emotion, and in brackets what they were trained on."""
        family = "S2L+S2D" if self.kind == "s2l" else "FaceFormer"
        return f"{family} ({NEUTRAL})" if self.corpus == NEUTRAL else f"E-{family} ({self.corpus})"


class Talkers:
    """Datasets and generators of a job, made when they are first asked for and kept as cells."""

    def __init__(self, job: Job) -> None:
        """Work for `job`; nothing is done yet."""
        self.job = job
        self.scale = TALKER_SCALES[job.scale.name]
        self._datasets: dict[str, EmoDataset] = {}
        self._generators: dict[tuple[Talker, int], SpeechGenerator] = {}

    @cached_property
    def mixer(self) -> Mixer:
        """The DE-SD that the datasets are made with: the built-in one where it knows the topology, else one trained on the data."""
        built_in = Mixer.load(device=self.job.device)
        if built_in.template.topology_hash == self.job.talk.topology_hash:
            return built_in
        return mixer_of(self.job, trained(self.job, DESD, 0))

    @property
    def mixer_words(self) -> str:
        """Which DE-SD that is, for a note under a table."""
        own = self.job.cells.root in self.mixer.path.parents
        return "a DE-SD trained on this data, seed 0" if own else "the built-in DE-SD"

    def dataset(self, version: str) -> Done:
        """The cell of EmoVOCAv1 or v2, mixed plainly as in the paper (mu 2 and 1, 2, 3), over the scale's share of the clips."""
        job, clips = self.job, self.scale.clips
        settings = {"version": version, "clips": clips, "mixer": checkpoint_hash(self.mixer.path), "data": job.data_hashes}

        def work(folder: Path) -> dict[str, Any]:
            def update(done: int, total: int, metrics: Mapping[str, float]) -> None:
                job.progress(f"building EmoVOCA{version}", done, total)

            talk = job.talk.thinned(clips)
            report = build_dataset(talk, job.expression, self.mixer, folder / DATASET, version, progress=update)
            return {"sequences": report.sequences}

        return job.cells.get("dataset", settings, work)

    def data(self, corpus: Corpus) -> EmoDataset:
        """The opened dataset that a corpus is, or is a part of."""
        version = "v1" if corpus == NEUTRAL else corpus
        if version not in self._datasets:
            self._datasets[version] = EmoDataset(self.dataset(version).folder / DATASET)
        return self._datasets[version]

    def source(self, corpus: Corpus) -> SequenceSource:
        """The sequences of a corpus; of the neutral one those without emotion alone."""
        data = self.data(corpus)
        if corpus != NEUTRAL:
            return data
        return Selection(data, tuple(entry for entry in data.entries if entry.emotion is None))

    def tests(self, corpus: Corpus) -> list[SequenceEntry]:
        """The scale's share of a corpus's test sequences: of some talking clips the neutral one, or some emotional versions, all
        conditions equally often. Raises DataError when there are none."""
        scale = self.scale
        held = [entry for entry in self.source(corpus).entries if entry.split == "test"]
        talks = {
            talk
            for subject in dict.fromkeys(entry.subject for entry in held)
            for talk in spread(list(dict.fromkeys(entry.talk for entry in held if entry.subject == subject)), scale.test_clips)
        }
        held = [entry for entry in held if entry.talk in talks]
        if corpus != NEUTRAL:
            chosen = choose_entries(held, per_clip=scale.test_conditions or len(held), seed=0)
            held = [entry for entry in chosen if entry.emotion is not None]
        if not held:
            raise DataError("the data has no test sequences; give it test identities with --data, or prepare it again")
        return held

    def trained(self, talker: Talker, seed: int) -> tuple[Done, ...]:
        """The cells of a generator's networks: one for FaceFormer, S2L and S2D for the other."""
        scale = self.scale
        if talker.kind == "faceformer":
            config = replace(scale.faceformer, labels=talker.corpus != NEUTRAL, seed=seed)
            return (self._train("faceformer", train_faceformer, config, talker.corpus),)
        return (
            self._train("s2l", train_s2l, replace(scale.s2l, seed=seed), talker.corpus),
            self._train("s2d", train_s2d, replace(scale.s2d, seed=seed), talker.corpus),
        )

    def _train(self, kind: str, train: Callable[..., Any], config: Any, corpus: Corpus) -> Done:
        job = self.job
        what = f"training {kind} on {corpus}, seed {config.seed}"
        settings = {"settings": comparable(plain_values(config)), "corpus": corpus, "dataset": self.data(corpus).root.parent.name}

        def work(folder: Path) -> dict[str, Any]:
            def update(done: int, total: int, metrics: Mapping[str, float]) -> None:
                job.progress(what, done, total)

            def preparing(part: str, done: int, total: int) -> None:
                job.progress(f"{what}: reading {part}", done, total)

            made = train(config, self.source(corpus), folder, device=job.device, progress=update, preparing=preparing, resume=True)
            return {"steps": made.loop.steps, "test": dict(made.test)}

        return job.cells.get(kind, settings, work)

    def generator(self, talker: Talker, seed: int) -> SpeechGenerator:
        """A trained generator, ready to speak."""
        if (talker, seed) not in self._generators:
            folders = [done.folder for done in self.trained(talker, seed)]
            self._generators[talker, seed] = (
                load_generator(folders[0], device=self.job.device)
                if talker.kind == "faceformer"
                else Generator.load(*folders, device=self.job.device)
            )
        return self._generators[talker, seed]
