"""Balance, order and secrecy of a design."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emovoca_cli.study.design import EMOTION, LIP_SYNC, NAMING, Item, balanced_plan, compared, trials_of

pytestmark = pytest.mark.unit


@given(
    single=st.integers(0, 5),
    strata=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    couples=st.integers(1, 4),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_sides_are_balanced_over_items_and_over_participants(
    single: int, strata: list[int], couples: int, seed: int, data: st.DataObject
) -> None:
    kinds: list[str | None] = [None] * single + [f"kind {number}" for number, size in enumerate(strata) for _ in range(size)]
    flipped = data.draw(st.lists(st.booleans(), min_size=len(kinds), max_size=len(kinds)))
    flipped[:single] = [False] * single
    plan = balanced_plan(kinds, flipped, participants=2 * couples, seed=seed)
    first_left: Counter[int] = Counter()
    for row in plan:
        assert sorted(code // 2 for code in row) == list(range(len(kinds))), "everybody sees everything once"
        assert [code // 2 < single for code in row] == sorted((code // 2 < single for code in row), reverse=True), "silent first"
        sides = {code // 2: bool(code % 2) ^ flipped[code // 2] for code in row}
        assert not any(sides[index] for index in range(single))
        for kind in set(kinds) - {None}:
            left = sum(not sides[index] for index, other in enumerate(kinds) if other == kind)
            assert abs(2 * left - kinds.count(kind)) <= 1, "half of each kind has the first system left, for each participant"
        first_left.update(index for index in sides if index >= single and not sides[index])
    assert all(first_left[index] == couples for index in range(single, len(kinds))), "and half of the participants, for each pair"


def test_the_seed_and_the_participant_decide_the_order() -> None:
    kinds = [None] * 6 + ["pair"] * 6
    plan = balanced_plan(kinds, [False] * 12, participants=40, seed=4)
    assert plan == balanced_plan(kinds, [False] * 12, participants=40, seed=4)
    assert plan[:10] == balanced_plan(kinds, [False] * 12, participants=10, seed=4), (
        "more participants change nothing for the first"
    )
    assert plan != balanced_plan(kinds, [False] * 12, participants=40, seed=5)
    assert len({tuple(code // 2 for code in row) for row in plan}) == 40
    firsts = Counter(row[0] // 2 for row in plan)
    assert set(firsts) == set(range(6)), "every silent face is somebody's first"


def test_what_is_asked_of_which_item() -> None:
    items = [
        Item("a", "happy"),
        Item("b", None),
        Item("c", "sad", "Test 3", (NAMING,)),
        Item("d", "sad", "Test 1", (LIP_SYNC, EMOTION)),
    ]
    seen = [(item.name, systems, asks) for item, systems, asks in trials_of(items, ["x", "y"])]
    assert seen == [
        ("a", ("x",), (NAMING,)), ("a", ("y",), (NAMING,)), ("c", ("x",), (NAMING,)), ("c", ("y",), (NAMING,)),
        ("a", ("x", "y"), (LIP_SYNC, EMOTION)), ("b", ("x", "y"), (LIP_SYNC,)), ("d", ("x", "y"), (LIP_SYNC, EMOTION)),
    ]  # fmt: skip
    assert compared(["x", "y", "z"]) == [("x", "y"), ("x", "z")]
    assert compared(["x", "y", "z"], every=True) == [("x", "y"), ("x", "z"), ("y", "z")]
