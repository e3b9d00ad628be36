"""Which talking clip is mixed with whose expression, of which label, how strongly: a dataset as data (paper section 4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from emovoca_cli.constants import EMOTIONS_V1, EMOTIONS_V2, INTENSITIES, NEUTRAL_MU
from emovoca_cli.data.splits import check_agreement, check_splits
from emovoca_cli.data.store import ClipRow, Store
from emovoca_cli.data.subjects import FLORENCE_OF
from emovoca_cli.errors import DataError, TopologyError, UsageError

VERSIONS: Mapping[str, tuple[str, ...]] = {"v1": EMOTIONS_V1, "v2": EMOTIONS_V2}
DEFAULT_MU_E: Mapping[int, float] = {intensity: float(intensity) for intensity in INTENSITIES}
"""mu_e of every intensity, as in the authors' release."""


@dataclass(frozen=True)
class PlannedSequence:
    """One sequence to be: a talking clip, an emotion and an intensity."""

    id: str
    talk: ClipRow
    expression_subject: str
    emotion: str
    intensity: int
    mu_e: float


@dataclass(frozen=True)
class Plan:
    """All that decides which sequences a dataset has. `partners`: talking subject to the identity whose expressions it wears."""

    version: str
    emotions: tuple[str, ...]
    mu_e: Mapping[int, float]
    mu_t: float
    clips: tuple[ClipRow, ...]
    partners: Mapping[str, str]
    splits: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        """Number of sequences: clips x emotions x intensities."""
        return len(self.clips) * len(self.emotions) * len(self.mu_e)

    def of(self, talk: ClipRow) -> Iterator[PlannedSequence]:
        """The sequences of one talking clip, in order of emotion and intensity."""
        for emotion in self.emotions:
            for intensity, mu_e in self.mu_e.items():
                yield PlannedSequence(
                    f"{talk.id}_{emotion}_{intensity}", talk, self.partners[talk.subject], emotion, intensity, mu_e
                )

    def __iter__(self) -> Iterator[PlannedSequence]:
        """All sequences."""
        for talk in self.clips:
            yield from self.of(talk)

    @cached_property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """The (identity, label) pairs whose expression codes are needed, sorted by identity, labels in order."""
        return tuple((subject, emotion) for subject in sorted(set(self.partners.values())) for emotion in self.emotions)


def make_plan(
    talk: Store, expression: Store, version: str, *, mu_e: Mapping[int, float] = DEFAULT_MU_E, mu_t: float = NEUTRAL_MU
) -> Plan:
    """Plan EmoVOCAv1 or v2 over a talk and an expression store.

    A talking subject wears the expressions of the identity of the same name; a speaker of VOCASET those of the Florence 4D identity
    that the release gives it; one without gets, in turn, an identity of its own split that nobody else has. Raises UsageError for
    an unknown version, TopologyError and DataError for stores that do not fit.
    """
    if version not in VERSIONS:
        raise UsageError(f"unknown dataset version {version!r}; choose {' or '.join(VERSIONS)}")
    if not mu_e or any(value < 0 for value in mu_e.values()) or mu_t < 0:
        raise UsageError(
            "mu_t and the mu_e of every intensity must be 0 or more, with at least one intensity; the release used 2 and 1, 2, 3"
        )
    if talk.topology_hash != expression.topology_hash:
        raise TopologyError(
            f"talk ({talk.root}) has {talk.vertex_count} vertices, expression ({expression.root}) {expression.vertex_count}, "
            "or their faces differ; both need one topology"
        )
    check_agreement(talk.splits, expression.splits)
    emotions = VERSIONS[version]
    partners: dict[str, str] = {}
    speakers = {row.subject for row in talk.clips}
    for split, members in talk.splits.items():
        identities = expression.splits[split]
        own = {subject: subject if subject in identities else FLORENCE_OF.get(subject, subject) for subject in members}
        taken = speakers | set(own.values())
        spare = sorted(set(identities) - taken) or sorted(set(identities) - speakers) or sorted(identities)
        lonely = [subject for subject in sorted(members) if own[subject] not in identities]
        if lonely and not spare:
            raise DataError(
                f"talking subject {lonely[0]} ({split}) has no expressions: {expression.root} has no identity in split {split}"
            )
        partners |= {subject: identity for subject, identity in own.items() if identity in identities}
        partners |= {subject: spare[index % len(spare)] for index, subject in enumerate(lonely)}
    have = {(row.subject, row.label) for row in expression.clips}
    for subject in sorted(set(partners.values())):
        for emotion in emotions:
            if (subject, emotion) not in have:
                raise DataError(
                    f"{expression.root} has no {emotion!r} of {subject}, which {version} needs; "
                    f"its labels: {', '.join(expression.labels)}"
                )
    splits = check_splits(talk.splits, speakers)
    return Plan(version, emotions, dict(sorted(mu_e.items())), mu_t, talk.clips, partners, splits)
