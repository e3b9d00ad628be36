"""From answers to Tables 4 and 5: preferences with intervals and tests, and which emotion was named for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.errors import DataError
from emovoca_cli.evaluation.statistics import Bootstrap, Tally, estimate
from emovoca_cli.study.answers import Answer
from emovoca_cli.study.design import NAMING, SAME, Design, compared

TOTAL, UNNAMED = "all tests", "no test"


@dataclass(frozen=True)
class Share:
    """A share in 0-1 with its bootstrap interval over participants (None for fewer than two of them) and on how much it stands."""

    value: float
    low: float | None
    high: float | None
    answers: int
    participants: int


@dataclass(frozen=True)
class Preference:
    """How often the first of two systems was preferred, a tie counting half.

    wilson: interval of the share as if all answers were independent; p_answers: two-sided binomial test of the answers that are no
    ties against one half; p_participants: the same, each participant counted once by what they preferred (None: nobody did).
    left: how often the video on the left was preferred, ties left out, None without any.
    """

    group: str
    question: str
    systems: tuple[str, str]
    share: Share
    wins: int
    losses: int
    ties: int
    wilson: tuple[float, float]
    p_answers: float | None
    p_participants: float | None
    left: float | None


@dataclass(frozen=True, eq=False)
class Confusion:
    """Which label was named for which wanted emotion: counts (K,K), wanted in rows, and the share that was right."""

    group: str
    system: str
    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    right: Share

    def percent(self) -> NDArray[np.float64]:
        """The counts in % of their row, NaN in rows of emotions that nobody saw."""
        totals = self.counts.sum(axis=1, keepdims=True)
        return np.where(totals > 0, 100.0 * self.counts / np.maximum(totals, 1), np.nan)


def preferences(answers: Sequence[Answer], design: Design, bootstrap: Bootstrap) -> list[Preference]:
    """Every pair of systems, question and test that was answered, and all tests together where there are several."""
    found = []
    for pair in compared(design.systems, every=True):
        for question in dict.fromkeys(answer.question for answer in answers if answer.question != NAMING):
            mine = [answer for answer in answers if answer.question == question and set(answer.shown) == set(pair)]
            found += [_preference(part, pair, question, group, bootstrap) for group, part in _by_group(mine).items()]
    return found


def confusions(answers: Sequence[Answer], design: Design, bootstrap: Bootstrap) -> list[Confusion]:
    """A confusion matrix a system and test, and of all tests together where there are several."""
    found = []
    for system in design.systems:
        mine = [answer for answer in answers if answer.question == NAMING and answer.shown == (system,)]
        found += [_confusion(part, system, design.choices, group, bootstrap) for group, part in _by_group(mine).items()]
    return found


def _by_group(answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    """The answers by their test, sorted, then all of them; nothing for none, and one entry where there is one test."""
    groups = sorted({answer.group for answer in answers})
    if len(groups) < 2:
        return {group or TOTAL: list(answers) for group in groups}
    parts = {group or UNNAMED: [answer for answer in answers if answer.group == group] for group in groups}
    return parts | {TOTAL: list(answers)}


def _preference(answers: Sequence[Answer], pair: tuple[str, str], question: str, group: str, bootstrap: Bootstrap) -> Preference:
    first, second = pair
    gains = [1.0 if answer.given == first else 0.5 if answer.given == SAME else 0.0 for answer in answers]
    given = Counter(answer.given for answer in answers)
    balance: Counter[int] = Counter()
    for answer, gain in zip(answers, gains, strict=True):
        balance[answer.participant] += int(2 * gain) - 1
    left = [answer.given == answer.shown[0] for answer in answers if answer.given != SAME]
    return Preference(
        group, question, pair, _share(answers, gains, bootstrap), given[first], given[second], given[SAME],
        wilson(sum(gains), len(gains), bootstrap.confidence), _binomial(given[first], given[second]),
        _binomial(sum(value > 0 for value in balance.values()), sum(value < 0 for value in balance.values())),
        sum(left) / len(left) if left else None,
    )  # fmt: skip


def _confusion(answers: Sequence[Answer], system: str, labels: tuple[str, ...], group: str, bootstrap: Bootstrap) -> Confusion:
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for answer in answers:
        counts[labels.index(str(answer.emotion)), labels.index(answer.given)] += 1
    right = _share(answers, [float(answer.given == answer.emotion) for answer in answers], bootstrap)
    return Confusion(group, system, labels, counts, right)


def _share(answers: Sequence[Answer], gains: Sequence[float], bootstrap: Bootstrap) -> Share:
    tally = Tally()
    for index, (answer, gain) in enumerate(zip(answers, gains, strict=True)):
        tally.add(index, f"{answer.participant:06d}", gain, 1.0)
    found = estimate(tally, bootstrap, lambda means: means)
    if found is None:
        raise DataError("no answers to take a share of")
    return Share(found.value, found.low, found.high, len(answers), found.units)


def wilson(wins: float, count: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of wins / count, both in 0-1 (E. B. Wilson, 1927). Raises DataError for a count of 0."""
    from scipy.stats import norm

    if count < 1:
        raise DataError("no answers to take a share of")
    z = float(norm.ppf(0.5 + confidence / 2))
    share = wins / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _binomial(wins: int, losses: int) -> float | None:
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else None


def score_study(answers: Sequence[Answer], design: Design, bootstrap: Bootstrap) -> tuple[list[Preference], list[Confusion]]:
    """All that Tables 4 and 5 hold. Raises DataError when there is no answer."""
    if not answers:
        raise DataError("no usable answers; nothing was scored")
    return preferences(answers, design, bootstrap), confusions(answers, design, bootstrap)
