"""The expression classifier: which frames it learns from, that it learns, and that stopping changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.constants import EMOTIONS_V1
from emovoca_cli.data.store import Store
from emovoca_cli.errors import CheckpointError, DataError, TopologyError, UsageError
from emovoca_cli.reproduce.classifier import Classifier, ClassifierTraining, LabelledFrames, accuracy_on, train_classifier
from tests.desd.fakes import FRAMES
from tests.reproduce.fakes import CLASSIFIER, emotions

pytestmark = pytest.mark.pipeline
Stores = tuple[Store, Store]


@pytest.fixture(scope="module")
def learnt(data: Stores, tmp_path_factory: pytest.TempPathFactory) -> ClassifierTraining:
    return train_classifier(CLASSIFIER, data[1], tmp_path_factory.mktemp("classifier"), labels=EMOTIONS_V1)


def test_only_strong_frames_count_as_their_label(data: Stores) -> None:
    frames = LabelledFrames.gather(data[1], "test", EMOTIONS_V1, 0.5)
    strong = np.flatnonzero(np.sin(np.linspace(0, np.pi, FRAMES)) >= 0.5)
    assert len(frames.numbers) == 5 * len(strong)
    for target, number in zip(frames.targets, frames.numbers, strict=True):
        row, frame = frames.sampler.locate(int(number))
        assert row.label == EMOTIONS_V1[target]
        assert frame in strong


def test_every_frame_comes_once_an_epoch_in_an_order_of_the_seed(data: Stores) -> None:
    frames = LabelledFrames.gather(data[1], "test", EMOTIONS_V1, 0.9)
    count = len(frames.numbers)

    def order(seed: int, epoch: int) -> list[float]:
        return [float(frames.batch(epoch * count + step, 1, seed)[0][0].sum()) for step in range(count)]

    whole = sorted(float(mesh.sum()) for mesh in frames.sampler[frames.numbers])
    assert sorted(order(0, 0)) == pytest.approx(whole)
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(1, 0)
    assert order(0, 0) != order(0, 1)


def test_a_spread_keeps_frames_with_their_labels(data: Stores) -> None:
    frames = LabelledFrames.gather(data[1], "test", EMOTIONS_V1, 0.5)
    some = frames.spread(11)
    assert len(some.numbers) == 11
    targets = dict(zip(frames.numbers.tolist(), frames.targets.tolist(), strict=True))
    assert [targets[number] for number in some.numbers.tolist()] == some.targets.tolist()
    assert set(some.targets.tolist()) == set(range(5))
    assert frames.spread(10**6).numbers.tolist() == frames.numbers.tolist()


def test_it_learns_the_toy_expressions(learnt: ClassifierTraining, data: Stores) -> None:
    assert learnt.accuracy == 1.0
    peaks = emotions()
    for name in EMOTIONS_V1:
        assert learnt.classifier.hits(np.stack([0.7 * peaks[name], peaks[name]]), name) == 2
        assert learnt.classifier.hits(peaks[name][None], EMOTIONS_V1[EMOTIONS_V1.index(name) - 1]) == 0
    other = LabelledFrames.gather(data[1], "train", EMOTIONS_V1, 0.5)
    wrong = replace(other, targets=(other.targets + 1) % 5)
    assert accuracy_on(learnt.classifier, other) == 1.0
    assert accuracy_on(learnt.classifier, wrong) == 0.0


def test_a_loaded_one_answers_alike(learnt: ClassifierTraining) -> None:
    loaded = Classifier.load(learnt.out)
    assert loaded.labels == EMOTIONS_V1
    meshes = np.stack(list(emotions().values()))
    assert np.array_equal(loaded.classify(meshes), learnt.classifier.classify(meshes))


def test_stopped_and_resumed_equals_unbroken(data: Stores, tmp_path: Path) -> None:
    config = replace(CLASSIFIER, steps=12, checkpoint_every=4, log_every=4)

    def stop(step: int, total: int, metrics: Mapping[str, float]) -> None:
        if step == 8:
            raise KeyboardInterrupt

    train_classifier(config, data[1], tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_classifier(config, data[1], tmp_path / "broken", progress=stop)
    resumed = train_classifier(config, data[1], tmp_path / "broken", resume=True)
    assert resumed.loop.first_step == 8
    whole, broken = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken"))
    assert whole == broken


def test_wrong_use_is_named(learnt: ClassifierTraining, data: Stores, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="knows no 'bored'; its labels: afraid"):
        learnt.classifier.hits(emotions()["happy"][None], "bored")
    with pytest.raises(TopologyError, match=r"shape \(1, 5, 3\), the classifier .* \(frames, 357, 3\)"):
        learnt.classifier.classify(np.zeros((1, 5, 3), np.float32))
    with pytest.raises(DataError, match="no frame to classify"):
        learnt.classifier.classify(np.zeros((0, 357, 3), np.float32))
    with pytest.raises(DataError, match="has no train frame of 'bored'"):
        train_classifier(CLASSIFIER, data[1], tmp_path / "none", labels=("happy", "bored"))
    with pytest.raises(UsageError, match="strength is 0"):
        replace(CLASSIFIER, strength=0.0)
    config = learnt.out / "config.json"
    text = config.read_text(encoding="utf-8")
    try:
        config.write_text(text.replace('"labels"', '"names"'), encoding="utf-8")
        with pytest.raises(CheckpointError, match="names no labels"):
            Classifier.load(learnt.out)
    finally:
        config.write_text(text, encoding="utf-8")
