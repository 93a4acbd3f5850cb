"""From measurements to judgements: two failures confirm an outage, two successes a recovery.

Pure rules, no clock and no database. A judgement begins when its first measurement was made, not when it was
confirmed, so that timelines tell the true start.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from monitoring.algebra import State
from monitoring.findings import Status

_SEVERITY = {State.OK: 0, State.WARNING: 1, State.CRITICAL: 2}
MEASURED = {
    Status.OK: State.OK,
    Status.WARNING: State.WARNING,
    Status.CRITICAL: State.CRITICAL,
    Status.UNKNOWN: State.UNKNOWN,
}
PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Rules:
    """How many measurements in a row it takes."""

    failures: int = 2
    successes: int = 2


@dataclass(frozen=True, slots=True)
class Standing:
    """A check's judged state, and the streak of measurements that speaks against it.

    `candidate` None = the last measurement agreed. `count` measurements since `candidate_since` did not."""

    judged: State = State.MISSING
    since: datetime | None = None
    candidate: State | None = None
    candidate_since: datetime | None = None
    count: int = 0

    @property
    def suspect(self) -> bool:
        """Whether the next measurement may turn the judgement: then it is made sooner."""
        return self.candidate is not None


def judge(standing: Standing, measured: State, at: datetime, rules: Rules = Rules()) -> Standing:
    """The standing after one more measurement (OK, WARNING, CRITICAL or UNKNOWN) at `at`.

    The first good measurement ever is believed at once; everything else needs its count in a row. A streak
    that wavers is judged by its mildest when things got worse, by its worst when they got better."""
    if measured == standing.judged:
        return replace(standing, candidate=None, candidate_since=None, count=0)
    if standing.judged == State.MISSING and measured == State.OK:
        return Standing(State.OK, at)
    candidate, since, count = _streak(standing, measured, at)
    needed = rules.successes if _better(standing.judged, candidate) else rules.failures
    if count >= needed:
        return Standing(candidate, since)
    return replace(standing, candidate=candidate, candidate_since=since, count=count)


def would_accuse(standing: Standing, measured: State, at: datetime, rules: Rules = Rules()) -> bool:
    """Whether this measurement turns the judgement to CRITICAL."""
    return standing.judged != State.CRITICAL == judge(standing, measured, at, rules).judged


def waiting(standing: Standing, at: datetime) -> Standing:
    """The failure counts, but is not confirmed yet: others are being asked."""
    since = standing.candidate_since or at
    return replace(standing, candidate=State.CRITICAL, candidate_since=since, count=max(standing.count, 1))


def doubted(standing: Standing, at: datetime) -> Standing:
    """UNKNOWN since the failure began; to accuse later takes another failure after somebody else has
    answered."""
    known = standing.judged == State.UNKNOWN and standing.since is not None
    since = standing.since if known else standing.candidate_since or at
    return Standing(State.UNKNOWN, since, State.CRITICAL, at, 1)


def _streak(standing: Standing, measured: State, at: datetime) -> tuple[State, datetime, int]:
    before, since = standing.candidate, standing.candidate_since
    if before is None or since is None or (before == State.UNKNOWN) != (measured == State.UNKNOWN):
        return measured, at, 1
    if _better(standing.judged, before) != _better(standing.judged, measured):
        return measured, at, 1
    if measured == State.UNKNOWN:
        return measured, since, standing.count + 1
    pick = max if _better(standing.judged, measured) else min
    return pick(before, measured, key=_SEVERITY.__getitem__), since, standing.count + 1


def _better(judged: State, measured: State) -> bool:
    if measured == State.UNKNOWN or judged not in _SEVERITY:
        return measured == State.OK
    return _SEVERITY[measured] < _SEVERITY[judged]


class Verdict(StrEnum):
    """What to do with a confirmed network failure."""

    ACCUSE = "accuse"
    ASK = "ask"
    DOUBT = "doubt"


@dataclass(frozen=True, slots=True)
class Witness:
    """Another site that was up when this failure began: when it last answered anything, when it last
    failed."""

    site: str
    answered_at: datetime | None
    failed_at: datetime | None


def accuse(began: datetime, now: datetime, witnesses: Iterable[Witness]) -> Verdict:
    """Whether a site that cannot be reached since `began` is to blame, or our own network.

    ACCUSE when another site has answered since, when there is no other site to ask, or after ten minutes
    without a measurement of one. DOUBT when every other site has failed since too. ASK (probe them now)
    while that is open."""
    others = list(witnesses)
    if any(w.answered_at is not None and w.answered_at >= began for w in others):
        return Verdict.ACCUSE
    silent = [w for w in others if w.failed_at is None or w.failed_at < began]
    if not others:
        return Verdict.ACCUSE
    if not silent:
        return Verdict.DOUBT
    return Verdict.ACCUSE if now - began > PATIENCE else Verdict.ASK
