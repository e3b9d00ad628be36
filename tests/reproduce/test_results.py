"""Whole tables on toy data: what is trained, shared, kept, interrupted, and what cannot be measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.cli.app import run
from emovoca_cli.config.desd import GAP_LOSS
from emovoca_cli.constants import MM
from emovoca_cli.data.store import Store
from emovoca_cli.desd.train import held_frames, reconstruction_mve, train_desd
from emovoca_cli.reproduce.algebra import first_entry
from emovoca_cli.reproduce.job import Job
from emovoca_cli.reproduce.table1 import reconstruction_errors, table1
from emovoca_cli.reproduce.table2 import METHODS, TRUTH, table2, value_of
from emovoca_cli.reproduce.tables import ResultTable
from emovoca_cli.reproduce.variants import VARIANTS, mixer_of, trained, variant_config
from tests.reproduce.fakes import toy_job, toy_scale

pytestmark = pytest.mark.pipeline
Stores = tuple[Store, Store]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def first(data: Stores, place: Path) -> tuple[Job, ResultTable]:
    job = toy_job(data, place)
    return job, table1(job).tables[0]


@pytest.fixture(scope="module")
def second(data: Stores, place: Path, first: object) -> tuple[Job, tuple[ResultTable, ...]]:
    job = toy_job(data, place)
    return job, table2(job).tables


def test_variants_change_one_thing_each() -> None:
    base = toy_scale().desd
    configs = {name: variant_config(base, name, 7) for name in VARIANTS}
    assert configs["DE-SD"] == replace(base, seed=7)
    assert not configs["random start"].symmetric
    assert configs["plain loss"].loss == "plain"
    assert configs["single encoder"].sizes.encoders == "single"
    assert [configs[name].sizes.features for name in ("zero-cat", "sum", "product")] == ["zero", "sum", "product"]
    assert configs["gap loss"] == replace(base, seed=7, gap_loss=GAP_LOSS)
    assert len(set(configs.values())) == len(VARIANTS)


def test_table1_is_the_reconstruction_of_the_test_identities(first: tuple[Job, ResultTable]) -> None:
    job, table = first
    assert [row.name for row in table.rows] == [
        "plain L2, double encoder",
        "weighted L2, single encoder",
        "weighted L2, double encoder",
        "the same with --gap-loss",
    ]
    assert table.cell("the same with --gap-loss", "mve_talk").paper is None
    cell = table.cell("weighted L2, double encoder", "mve_talk")
    assert cell.paper == 0.722
    for place, seed in enumerate(job.seeds):
        model = mixer_of(job, trained(job, "DE-SD", seed)).model
        wanted = reconstruction_mve(model, held_frames(job.talk, "test", job.scale.test_frames), talk=True)
        assert cell.values[place] == pytest.approx(wanted, rel=1e-5)
    assert cell.values[0] != cell.values[1]
    # from one start and the same batches, only what a variant changes can make a difference
    for row in table.rows[:2]:
        assert row.cells["mve_talk"].values[0] != cell.values[0], row.name


def test_errors_of_a_perfect_and_of_a_shifted_reconstruction(
    first: tuple[Job, ResultTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = first
    mixer = mixer_of(job, trained(job, "DE-SD", 0))
    monkeypatch.setattr("emovoca_cli.reproduce.table1.reconstructed", lambda mixer, truth, talk: truth)
    assert set(reconstruction_errors(mixer, job).values()) == {0.0}
    monkeypatch.setattr("emovoca_cli.reproduce.table1.reconstructed", lambda mixer, truth, talk: truth + np.float32(0.001))
    assert list(reconstruction_errors(mixer, job).values()) == pytest.approx([MM * 0.001 * 3**0.5] * 6, rel=1e-3)


def test_a_second_run_makes_nothing_anew_and_says_the_same(data: Stores, place: Path, first: tuple[Job, ResultTable]) -> None:
    job = toy_job(data, place)
    again = table1(job).tables[0]
    assert all(done.kept for done in job.cells.used.values())
    assert again.rows == first[1].rows


def test_table2_takes_what_table1_trained_and_only_trains_the_rest(second: tuple[Job, tuple[ResultTable, ...]]) -> None:
    job, _ = second
    kept = [done.kept for done in job.cells.used.values() if done.folder.name.startswith("desd-")]
    assert (sum(kept), len(kept)) == (4, 6 * 2), "DE-SD of both seeds is shared, and with the gap loss"


def test_table2_measures_every_way_and_says_why_there_is_no_truth(second: tuple[Job, tuple[ResultTable, ...]]) -> None:
    recognised, quality, sealed, errors, _ = second[1]
    assert [row.name for row in recognised.rows] == [method.name for method in METHODS]
    assert recognised.cell("Sum", "accuracy_3").paper == 0.72
    assert recognised.cell("DE-SD, random start", "lve_talk").paper == 5.861
    assert recognised.cell("DE-SD", "lve_talk").paper is None
    assert len(recognised.cell("Reversed", "lve_talk").values) == 2
    # what is not trained has one value, but for the classifier's judgement of it
    assert len(recognised.cell("displacement addition", "lve_talk").values) == 1
    assert len(recognised.cell("displacement addition", "accuracy_2").values) == 2
    assert quality.cell("displacement addition", "slope").mean == pytest.approx(1.0, abs=1e-4)
    assert sealed.cell("displacement addition", "sealed_happy").mean == 0.0
    assert sealed.cell("displacement addition", "sealed_sad").mean == 1.0
    # rows that share a network differ in how they mix
    for one, other in (("Zero-cat", "Zero-cat, own scale"), ("Mult", "Mult, own scale"), ("Reversed", "DE-SD, random start")):
        assert recognised.cell(one, "lve_talk").values != recognised.cell(other, "lve_talk").values
    assert quality.cell("DE-SD", "leak_mm").values != quality.cell("DE-SD --seal", "leak_mm").values
    for column in ("lip_mm_1", "upper_mm_3", "mve_mm_2"):
        assert "no ARKit coefficients" in str(errors.cell("DE-SD", column).why)
    assert "no ARKit coefficients" in str(recognised.cell(TRUTH, "accuracy_1").why)


def test_training_moves_the_sum_of_the_halves_and_never_their_difference(
    second: tuple[Job, tuple[ResultTable, ...]], tmp_path: Path
) -> None:
    job, tables = second
    algebra = tables[-1]
    for row, apart in (("halves start at random", True), ("halves start equal", False)):
        before, after = (np.array(algebra.cell(row, f"difference_{when}").values) for when in ("before", "after"))
        assert (before > 0.1).all() == apart
        assert algebra.cell(row, "moved").mean < 1e-4
        np.testing.assert_allclose(before, after, atol=1e-3)
        assert np.all(np.abs(np.array(algebra.cell(row, "sum_after").values) - algebra.cell(row, "sum_before").values) > 1e-3)
    assert algebra.cell("halves start equal", "reversed_mm").mean < 1e-5
    assert algebra.cell("halves start at random", "reversed_mm").mean > 1e-3
    # the start is the one that training had: a training that cannot move ends where it began
    config = replace(variant_config(job.scale.desd, "random start", 3), steps=1, lr=1e-12)
    still = train_desd(config, job.talk, job.expression, tmp_path / "still").mixer.model.decoder.linear.weight
    assert still.allclose(first_entry(config, job.talk.template), rtol=0, atol=1e-9)


def test_a_column_reads_the_intensity_that_it_names() -> None:
    scores = {
        level: {"accuracy": int(level) / 10, "lve_talk": float(level), "sealed": None, "sealed_by_emotion": {"sad": 1.0}}
        for level in ("1", "2", "3")
    }
    assert [value_of(scores, f"accuracy_{level}") for level in (1, 2, 3)] == [0.1, 0.2, 0.3]
    assert value_of(scores, "lve_talk") == 2.0
    assert value_of(scores, "sealed") is None
    assert value_of(scores, "sealed_sad") == 1.0
    assert value_of(scores, "lip_mm_2") is None


def test_an_interrupted_run_goes_on_to_the_same_table(
    data: Stores,
    first: tuple[Job, ResultTable],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Through the command line, stopped in the middle of the third training."""
    monkeypatch.setitem(__import__("emovoca_cli.reproduce.scales", fromlist=["SCALES"]).SCALES, "tiny", toy_scale())
    line = [
        "reproduce",
        "table1",
        "--scale",
        "tiny",
        "--data",
        str(data[0].root.parent),
        "--out",
        str(tmp_path / "r"),
        "--device",
        "cpu",
    ]
    seen: list[str] = []

    def stop(self: object, what: str, done: int, total: int) -> None:
        seen.append(what)
        if len(set(seen)) == 3 and done == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("emovoca_cli.cli.console.Bar.at", stop)
        assert run([*line, "--quiet"]) == 130
    capsys.readouterr()
    assert not (tmp_path / "r" / "table1-tiny.json").exists()
    assert len(list((tmp_path / "r" / "cells").glob("desd-*/cell.json"))) == 2
    assert len(list((tmp_path / "r" / "cells").glob("desd-*"))) == 3
    assert run([*line, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    cells = answer["tables"][0]["rows"][2]["cells"]
    for key, cell in first[1].rows[2].cells.items():
        assert cells[key]["values"] == list(cell.values), "an interrupted run has to end as an unbroken one"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table7"], "there is no result 'table7' to reproduce; choose table1, table2"),
        (["table1", "--scale", "huge"], "unknown --scale 'huge'"),
        (["table1", "--seeds", "0"], "--seeds is 0, expected 1 or more"),
        (["table1", "--data", "nowhere", "--out", "o"], "nowhere is not a folder"),
    ],
)
def test_wrong_use_is_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["reproduce", *words, "--quiet"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
