"""Answers: which files count, and what comes out of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from emovoca_cli.data.checks import Findings
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.evaluation.statistics import Bootstrap
from emovoca_cli.study.answers import Answer, checksum, find_answers, read_answers
from emovoca_cli.study.design import CHOICES, EMOTION, LIP_SYNC, NAMING, SAME, Design, Item
from emovoca_cli.study.make import Made
from emovoca_cli.study.paper import TABLES
from emovoca_cli.study.report import build_report, cells, naming_pairs, table_rows
from emovoca_cli.study.score import confusions, preferences, score_study, wilson
from tests.study.videos import filled_in, save

pytestmark = pytest.mark.unit
DRAWS = Bootstrap(draws=200, seed=1)


def prefer(design: Design, system: str) -> Callable[[str, tuple[str, ...], int], str]:
    """A participant who always prefers one system and names every emotion rightly."""

    def choose(question: str, videos: tuple[str, ...], trial: int) -> str:
        if question == NAMING:
            return str(design.trials[trial].emotion)
        return "a" if design.videos[videos[0]].system == system else "b"

    return choose


def test_a_partial_participant_counts_only_when_asked_for(study: tuple[Made, Path], tmp_path: Path) -> None:
    design = study[0].design
    paths = [
        save(tmp_path / "1.json", filled_in(design, 1, prefer(design, "ours"))),
        save(tmp_path / "2.json", filled_in(design, 2, prefer(design, "other"), screens=3)),
    ]
    findings = Findings()
    kept = read_answers(paths, design, findings)
    assert {answer.participant for answer in kept} == {1}
    assert findings.problems == [(str(paths[1]), "incomplete, 3 of 5 screens; --allow-incomplete counts what is there")]
    findings = Findings()
    kept = read_answers(paths, design, findings, allow_incomplete=True)
    assert {answer.participant for answer in kept} == {1, 2}
    assert findings.problems == []


def test_whatever_the_sides_the_preferred_system_wins(study: tuple[Made, Path], tmp_path: Path) -> None:
    design = study[0].design
    paths = [save(tmp_path / f"{n}.json", filled_in(design, n, prefer(design, "ours" if n < 5 else "other"))) for n in range(1, 7)]
    answers = read_answers(paths, design, Findings())
    scored = preferences(answers, design, DRAWS)
    assert [(one.group, one.question, one.wins, one.losses, one.ties) for one in scored] == [
        ("Test 1", LIP_SYNC, 8, 4, 0), ("Test 2", LIP_SYNC, 4, 2, 0), ("all tests", LIP_SYNC, 12, 6, 0),
        ("Test 1", EMOTION, 8, 4, 0),
    ]  # fmt: skip
    lips = scored[2]
    assert lips.share.value == pytest.approx(2 / 3)
    assert lips.p_answers == pytest.approx(binomtest(12, 18).pvalue)
    assert lips.p_participants == pytest.approx(binomtest(4, 6).pvalue)
    assert scored[0].left == 0.5, "who prefers a system prefers no side, for sides are balanced"
    assert [int(one.counts.trace()) for one in confusions(answers, design, DRAWS)] == [6, 6]


def corrupted(content: dict[str, Any], change: Callable[[dict[str, Any]], object], *, sign: bool = True) -> dict[str, Any]:
    """A copy with a change, and with a checksum that fits it."""
    other = copy.deepcopy(content)
    change(other)
    return other | {"checksum": checksum(other)} if sign else other


def test_files_that_do_not_fit_are_named_and_left_out(study: tuple[Made, Path], tmp_path: Path) -> None:
    design = study[0].design
    whole = filled_in(design, 1, prefer(design, "ours"))
    pair = next(place for place, (index, _) in enumerate(design.shown(1)) if len(design.trials[index].videos) == 2)
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "edited": (
            corrupted(whole, lambda c: c["answers"][pair]["given"].update(lip_sync=SAME), sign=False),
            "changed after it was saved",
        ),
        "foreign": (corrupted(whole, lambda c: c.update(study="0" * 16)), "answers to another study"),
        "newer": (corrupted(whole, lambda c: c.update(schema=2)), "schema 2, this version reads 1"),
        "nobody": (corrupted(whole, lambda c: c.update(participant=7)), "participant 7 is none of 1 to 6"),
        "borrowed": (corrupted(whole, lambda c: c.update(participant=2)), "shows other videos than participant and design say"),
        "swapped": (corrupted(whole, lambda c: c["answers"][pair]["videos"].reverse()), f"screen {pair + 1} shows other videos"),
        "odd": (
            corrupted(whole, lambda c: c["answers"][pair]["given"].update(lip_sync="c")),
            "answers 'c', expected one of a, b, same",
        ),
        "less": (corrupted(whole, lambda c: c["answers"][pair].update(given={})), "asked was"),
        "unseen": (corrupted(whole, lambda c: c["answers"][pair].update(plays=[1, 0])), "answered without watching"),
        "hasty": (
            corrupted(whole, lambda c: c["answers"][-1].update(answered=c["answers"][-1]["shown"] + 50)),
            "was answered in 0.1 s, its videos last 0.8 s",
        ),
        "back": (corrupted(whole, lambda c: c["answers"][1].update(shown=5)), "screen 2 was shown before the one before it"),
        "more": (corrupted(whole, lambda c: c["answers"].append(c["answers"][0])), "6 answers, the study asks 5 times"),
        "torn": (corrupted(whole, lambda c: c["answers"][0].pop("plays")), "not as the page writes it"),
        "empty": (corrupted(whole, lambda c: c.update(answers=[])), "incomplete, 0 of 5"),
        "other": ({"kind": "clip"}, "no answers of a study"),
    }
    paths = [save(tmp_path / f"{name}.json", content) for name, (content, _) in cases.items()]
    (tmp_path / "cut.json").write_text('{"kind": "emovoca-st')
    paths.append(tmp_path / "cut.json")
    good = save(tmp_path / "good.json", filled_in(design, 3, prefer(design, "ours")))
    findings = Findings()
    kept = read_answers([*paths, good], design, findings)
    assert {answer.participant for answer in kept} == {3}, "the good one is scored all the same"
    said = {Path(file).stem: why for file, why in findings.problems}
    assert set(said) == {*cases, "cut"}
    for name, (_, message) in cases.items():
        assert message in said[name], name
    assert "not readable JSON" in said["cut"]
    empty = corrupted(whole, lambda c: c.update(answers=[]))
    again = Findings()
    assert read_answers([save(tmp_path / "e.json", empty)], design, again, allow_incomplete=True) == []
    assert again.problems[0][1] == "no answer in it"


def test_one_file_a_participant(study: tuple[Made, Path], tmp_path: Path) -> None:
    design = study[0].design
    first = save(tmp_path / "a.json", filled_in(design, 1, prefer(design, "ours")))
    same = save(tmp_path / "b.json", filled_in(design, 1, prefer(design, "ours")))
    other = save(tmp_path / "c.json", filled_in(design, 1, prefer(design, "other")))
    findings = Findings()
    assert len(read_answers([first, same], design, findings)) == len(read_answers([first], design, Findings()))
    assert findings.problems == [(str(same), f"the same answers as {first}, counted once")]
    findings = Findings()
    assert read_answers([first, same, other], design, findings) == []
    assert [file for file, _ in findings.problems] == [str(first), str(same), str(other)]
    assert find_answers([tmp_path, first]) == [first, same, other], "a file that is meant twice is read once"
    for nothing in (tmp_path / "nowhere", study[1] / "page" / "videos"):
        with pytest.raises(UsageError):
            find_answers([nothing])


def pair_answers(design: Design, table: dict[int, str]) -> list[Answer]:
    """Lip-sync answers of participants, spelled w (ours), l (other), t (tie)."""
    meant = {"w": "ours", "l": "other", "t": SAME}
    return [
        Answer(participant, LIP_SYNC, f"i{place}", "", None, ("ours", "other"), meant[letter])
        for participant, letters in table.items()
        for place, letter in enumerate(letters)
    ]


def test_preferences_by_hand(study: tuple[Made, Path]) -> None:
    one = preferences(pair_answers(study[0].design, {1: "wwwt", 2: "wwll", 3: "wttl"}), study[0].design, DRAWS)[0]
    assert (one.group, one.wins, one.losses, one.ties) == ("all tests", 6, 3, 3)
    assert one.share.value == pytest.approx((6 + 1.5) / 12)
    assert (one.share.answers, one.share.participants) == (12, 3)
    assert one.p_answers == pytest.approx(0.5078125)  # 2 (84 + 36 + 9 + 1) / 2^9
    assert one.p_participants == pytest.approx(1.0)  # one for, none against, two even
    assert one.left == pytest.approx(6 / 9)


def test_the_interval_draws_participants_not_answers(study: tuple[Made, Path]) -> None:
    design = study[0].design
    split = preferences(pair_answers(design, {n: "w" * 10 if n % 2 else "l" * 10 for n in range(1, 9)}), design, DRAWS)[0]
    even = preferences(pair_answers(design, dict.fromkeys(range(1, 9), "wl" * 5)), design, DRAWS)[0]
    assert split.share.value == even.share.value == 0.5
    assert even.share.low == even.share.high == 0.5, "all participants alike: drawing others changes nothing"
    assert split.share.low is not None
    assert split.share.high is not None
    assert split.share.low < 0.3, "two camps: who happens to take part decides"
    assert split.share.high > 0.7
    rng = np.random.default_rng(0)
    twin = np.quantile([np.mean(rng.choice([1.0, 0.0] * 4, 8)) for _ in range(4000)], (0.025, 0.975))
    assert (split.share.low, split.share.high) == pytest.approx(tuple(twin), abs=0.13)
    alone = preferences(pair_answers(design, {1: "wl"}), design, DRAWS)[0]
    assert (alone.share.low, alone.share.high) == (None, None)


def test_wilson_against_its_textbook_values() -> None:
    assert wilson(0, 10, 0.95) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert wilson(10, 10, 0.95)[1] == pytest.approx(1.0)
    with pytest.raises(DataError):
        wilson(0, 0, 0.95)


def test_confusions_by_hand_and_as_the_paper_prints_them(study: tuple[Made, Path]) -> None:
    design = study[0].design
    named = {"ours": ["angry", "angry", "sad"], "other": ["happy", "angry", "happy"]}
    answers = [
        Answer(participant, NAMING, "n1", "", "angry", (system,), given)
        for system, row in named.items()
        for participant, given in enumerate(row, start=1)
    ]
    first, second = confusions(answers, design, DRAWS)
    place = design.choices.index("angry")
    assert first.counts.sum() == 3
    assert first.percent()[place] == pytest.approx([0, 0, 0, 100 / 3, 200 / 3])
    assert np.isnan(first.percent()[design.choices.index("happy")]).all(), "nobody saw happy: there is no share of nothing"
    assert (first.right.value, second.right.value) == pytest.approx((2 / 3, 1 / 3))
    report = build_report(design, answers, ([], [first, second]), bootstrap=DRAWS)
    heads, rows = cells(*naming_pairs(report)[0])
    assert heads == ("", *design.choices)
    assert rows == [("angry", "0.0/66.7", "0.0/0.0", "0.0/0.0", "33.3/0.0", "66.7/33.3")]
    flat = table_rows(report)
    assert [(row["system"], row["percent"]) for row in flat if row["kind"] == "accuracy"] == [
        ("ours", pytest.approx(200 / 3)), ("other", pytest.approx(100 / 3)),
    ]  # fmt: skip
    assert sum(row["count"] for row in flat if row["kind"] == "confusion") == 6


def test_nothing_answered_is_no_score(study: tuple[Made, Path]) -> None:
    with pytest.raises(DataError, match="no usable answers"):
        score_study([], study[0].design, DRAWS)


def test_the_papers_tables_add_up_but_for_the_two_that_do_not() -> None:
    odd = []
    for table in TABLES:
        odd += [(table.name, row) for row in table.preferences if abs(row[2] + row[3] - 100) > 0.11]
        for matrix in (table.ours, table.others):
            assert len(matrix) == len(CHOICES)
            odd += [(table.name, label) for label, row in zip(CHOICES, matrix, strict=True) if abs(sum(row) - 100) > 0.11]
    assert odd == [("Table 5", ("Test 1", EMOTION, 55.5, 45.5)), ("Table 5", "happy")]
    assert Item("x").asks == (LIP_SYNC, EMOTION, NAMING)
