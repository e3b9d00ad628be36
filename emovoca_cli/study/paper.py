"""Tables 4 and 5 of the paper, as printed: E-S2L+S2D trained on EmoVOCAv1 ("ours") against EmoTalk and EMOTE."""

from __future__ import annotations

from dataclasses import dataclass

from emovoca_cli.study.design import EMOTION, LIP_SYNC

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class PaperTable:
    """One table: preferences (test, question, % ours, % other); confusion matrices in % by CHOICES, wanted in rows."""

    name: str
    other: str
    participants: int
    preferences: tuple[tuple[str, str, float, float], ...]
    ours: Matrix
    others: Matrix
    remark: str


TABLES = (
    PaperTable(
        "Table 4",
        "EmoTalk",
        22,
        (("Test 1", LIP_SYNC, 72.7, 27.3), ("Test 1", EMOTION, 66.6, 33.4), ("Test 2", LIP_SYNC, 76.2, 23.8)),
        (
            (100.0, 0.0, 0.0, 0.0, 0.0),
            (0.0, 19.0, 4.8, 42.9, 33.3),
            (0.0, 5.3, 78.9, 10.5, 5.3),
            (0.0, 9.5, 23.8, 52.3, 14.3),
            (0.0, 23.8, 4.8, 0.0, 71.4),
        ),
        (
            (95.2, 0.0, 0.0, 4.8, 0.0),
            (14.3, 38.1, 4.8, 9.5, 33.3),
            (0.0, 14.3, 28.6, 23.8, 33.3),
            (61.9, 14.3, 4.8, 9.5, 9.5),
            (0.0, 19.0, 4.8, 14.3, 61.9),
        ),
        "",
    ),
    PaperTable(
        "Table 5",
        "EMOTE",
        20,
        (("Test 1", LIP_SYNC, 82.4, 17.6), ("Test 1", EMOTION, 55.5, 45.5), ("Test 2", LIP_SYNC, 83.2, 16.8)),
        (
            (100.0, 0.0, 0.0, 0.0, 0.0),
            (0.0, 59.1, 0.0, 40.9, 0.0),
            (0.0, 0.0, 89.8, 0.0, 10.2),
            (0.0, 0.0, 9.4, 78.4, 12.2),
            (0.0, 24.3, 0.0, 0.0, 75.7),
        ),
        (
            (100.0, 0.0, 0.0, 4.8, 0.0),
            (0.0, 40.4, 0.0, 0.0, 59.6),
            (11.0, 0.0, 78.5, 10.5, 0.0),
            (0.0, 0.0, 9.5, 90.5, 0.0),
            (0.0, 0.0, 0.0, 0.0, 100.0),
        ),
        "as printed, two entries cannot be: the emotion row adds up to 101 %, EMOTE's row of happy to 104.8 %",
    ),
)
