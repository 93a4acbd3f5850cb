"""A result comes in: stored, judged, laid under downtimes, folded into endpoint and site; incidents follow.

Everything about one result is one transaction, so a worker may be killed at any point: the result is either
there with all its consequences or not at all, and a repeated one (same lease) changes nothing. A site is
judged under the lock of its row; a result that changes nothing takes no lock but its check's.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import any_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from monitoring import feed, incidents, timeline
from monitoring.alerts import Audience
from monitoring.algebra import State, both
from monitoring.clock import database_time
from monitoring.downtimes import Downtime, current
from monitoring.findings import Result, Status
from monitoring.judgement import (
    MEASURED,
    Rules,
    Standing,
    Verdict,
    Witness,
    accuse,
    doubted,
    judge,
    waiting,
    would_accuse,
)
from monitoring.models import Answer, Check, Endpoint, Site, StoredResult
from monitoring.profiles.applied import Thresholds, ruling
from monitoring.running import NETWORK
from monitoring.schedule import Lease, hurry
from monitoring.standing import fold_site, read_standing, write_standing

# An answer of any kind proves that the way to the endpoint is open.
SILENCE = NETWORK | {"tls-timeout", "http-timeout", "timeout", "tcp-reset"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result as a worker hands it over; what the probe said and the rule, where a thresholds profile said
    otherwise."""

    lease: Lease
    result: Result
    started_at: datetime
    worker: str
    original_status: str | None = None
    threshold_rule: str | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What judging needs besides the tables: the rules, whom to tell, thresholds for perfdata."""

    rules: Rules
    audience: Audience
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True, slots=True)
class Before:
    """What a check had measured before the result at hand."""

    measured: str | None
    reason: str
    at: datetime | None

    @property
    def cut_off(self) -> bool:
        """Whether it could not get through."""
        return self.measured == Status.CRITICAL and self.reason in NETWORK


def record(session: Session, outcome: Outcome, bench: Bench) -> None:
    """Store the result and all that follows from it. Twice is once; an endpoint that is gone is passed
    over."""
    check = session.get(Check, outcome.lease.check_id)
    if check is None:
        return
    outcome = ruled(session, check, outcome, bench)
    if not _store(session, outcome):
        return
    if is_quiet(check, outcome):
        check = session.get_one(Check, check.id, with_for_update=True, populate_existing=True)
        measure(session, check, outcome)
        return
    site = _lock_site(session, check)
    check = session.get_one(Check, check.id, with_for_update=True, populate_existing=True)
    before = Before(check.measured, check.reason, check.measured_at)
    measure(session, check, outcome)
    if outcome.lease.due_at is None:
        _bring_forward(session, check, outcome)
        return
    _judge(session, check, outcome, before, bench.rules)
    settle(session, session.get_one(Endpoint, check.endpoint_id), site, bench, outcome.started_at)


def settle(session: Session, endpoint: Endpoint, site: Site, bench: Bench, at: datetime) -> None:
    """Fold the endpoint's checks, lay a downtime over, write the timelines, open or end incidents.

    `at` is when the last measurement was made; the site's row must be locked."""
    checks = list(session.scalars(select(Check).where(Check.endpoint_id == endpoint.id, Check.active)))
    judged, since, culprit = _fold(checks, at, new=endpoint.judged == State.MISSING)
    if judged == State.OK and endpoint.judged != State.OK and any(check.held_since for check in checks):
        return  # what was held back has its say before a recovery is believed
    downtime = _downtime(session, endpoint, at)
    _write_endpoint(session, endpoint, judged, since, downtime)
    endpoint.cause = culprit.judged_summary if culprit is not None else ""
    endpoint.cause_check = culprit.probe if culprit is not None else ""
    fold_site(session, site, since if endpoint.since == since else at)
    incidents.follow(session, endpoint, judged, culprit, downtime, bench.audience, at)


def ruled(session: Session, check: Check, outcome: Outcome, bench: Bench) -> Outcome:
    """The outcome with the status that a thresholds profile gives to its figures, where a rule says otherwise."""
    rules = bench.thresholds.of(session, check.probe) if outcome.result.figures else []
    if not rules or outcome.original_status is not None:
        return outcome
    endpoint = session.get_one(Endpoint, check.endpoint_id)
    values = {figure.label: figure.value for figure in outcome.result.figures}
    found = ruling(rules, check.probe, endpoint.hostname, endpoint.site, values)
    if found is None or found.state == MEASURED[outcome.result.status]:
        return outcome
    status = Status(found.state.value)
    said = f"{outcome.result.summary} (by a threshold {status.name}: {found.rule})"
    result = replace(outcome.result, status=status, summary=said, reason=outcome.result.reason or "threshold")
    return replace(
        outcome, result=result, original_status=outcome.result.status.value, threshold_rule=found.rule
    )


def _store(session: Session, outcome: Outcome) -> bool:
    row = insert(StoredResult).values(**row_of(outcome))
    return session.scalar(row.on_conflict_do_nothing().returning(StoredResult.id)) is not None


def row_of(outcome: Outcome) -> dict[str, Any]:
    """The outcome as a row of the table of results."""
    result, lease = outcome.result, outcome.lease
    return {
        "check_id": lease.check_id,
        "lease": lease.key,
        "due_at": lease.due_at,
        "started_at": outcome.started_at,
        "took_s": result.took_s,
        "status": result.status,
        "reason": result.reason,
        "summary": _clean(result.summary),
        "figures": [asdict(figure) for figure in result.figures],
        "phases": [{**asdict(phase), "seen": _clean(phase.seen)} for phase in result.phases],
        "asked_by": lease.asked_by,
        "worker": outcome.worker,
        "original_status": outcome.original_status,
        "threshold_rule": outcome.threshold_rule,
    }


def is_quiet(check: Check, outcome: Outcome) -> bool:
    """All was well, all is well: nothing to judge."""
    good = outcome.result.status == Status.OK
    return good and check.judged == State.OK and check.candidate is None and check.held_since is None


def measure(session: Session, check: Check, outcome: Outcome) -> None:
    """Write what was measured into the (locked) check's row, and keep the raw answer."""
    result = outcome.result
    if check.lease_owner is not None and outcome.lease.key.startswith(check.lease_owner + " "):
        check.lease_owner = check.lease_until = None
    if check.asked_at is not None and check.asked_at <= outcome.lease.until:
        check.asked_at = check.asked_by = None
    check.measured, check.measured_at = result.status, outcome.started_at
    check.reason, check.summary = result.reason, _clean(result.summary)
    if result.reason not in SILENCE:
        check.answered_at = outcome.started_at
    if result.status == Status.OK:
        check.good_at, check.good_summary = outcome.started_at, check.summary
    if result.answer is not None:
        _keep_answer(session, check.id, outcome)


def _keep_answer(session: Session, check_id: int, outcome: Outcome) -> None:
    answer = outcome.result.answer
    assert answer is not None
    texts = {name: _clean(text) for name, text in asdict(answer).items() if isinstance(text, str)}
    values = {**texts, "at": outcome.started_at, "body_bytes": answer.body_bytes}
    row = insert(Answer).values(check_id=check_id, **values)
    session.execute(row.on_conflict_do_update(index_elements=["check_id"], set_=values))


def _bring_forward(session: Session, check: Check, outcome: Outcome) -> None:
    """A check that somebody asked for is not counted; where it disagrees, the counted one comes at once."""
    if MEASURED[outcome.result.status] != check.judged:
        hurry(session, check, 0)


def _judge(session: Session, check: Check, outcome: Outcome, before: Before, rules: Rules) -> None:
    measured, at = MEASURED[outcome.result.status], outcome.started_at
    if _held_by_network(session, check, outcome, before):
        return
    standing = read_standing(check)
    after = judge(standing, measured, at, rules)
    if outcome.result.reason in SILENCE and would_accuse(standing, measured, at, rules):
        after = _weigh(session, check, standing, after, at)
    write_standing(session, check, after, outcome.result.reason)
    doubting = after.judged == State.UNKNOWN and measured == State.CRITICAL
    confirmed = before.reason == check.reason or standing.judged != after.judged
    if (measured == after.judged or doubting) and confirmed:
        check.judged_reason, check.judged_summary = check.reason, check.summary
    if after.suspect:
        hurry(session, check, check.retry_s)
    _release_dependents(session, check, outcome)


def _held_by_network(session: Session, check: Check, outcome: Outcome, before: Before) -> bool:
    """A deeper check that cannot get through says nothing about its own subject: ask the check that it needs.

    Where that one has found the way open since the last try, the failure is the deeper check's own."""
    if outcome.result.status != Status.CRITICAL or outcome.result.reason not in NETWORK:
        check.held_since = None
        return False
    needed = session.scalars(
        select(Check).where(
            Check.endpoint_id == check.endpoint_id, Check.active, Check.probe.in_(check.needs)
        )
    ).all()
    if (before.cut_off and all(_well_since(other, before.at) for other in needed)) or not needed:
        check.held_since = None
        return False
    check.held_since = check.held_since or outcome.started_at
    for other in needed:
        hurry(session, other, 0)
    hurry(session, check, check.retry_s)
    return True


def _well_since(check: Check, moment: datetime | None) -> bool:
    good = check.measured == Status.OK and check.measured_at is not None
    return bool(good and moment and check.measured_at and check.measured_at > moment)


def _release_dependents(session: Session, check: Check, outcome: Outcome) -> None:
    """The needed check is well again: what waited for it runs now."""
    if outcome.result.status != Status.OK:
        return
    waiting_for = select(Check).where(
        Check.endpoint_id == check.endpoint_id,
        any_(Check.needs) == check.probe,
        Check.held_since.is_not(None),
    )
    for other in session.scalars(waiting_for):
        hurry(session, other, 1)


def _weigh(session: Session, check: Check, standing: Standing, after: Standing, at: datetime) -> Standing:
    """Before a site is accused: can anything be reached at all?"""
    endpoint = session.get_one(Endpoint, check.endpoint_id)
    began = standing.candidate_since or at
    witnesses, others = _witnesses(session, endpoint.site)
    verdict = accuse(began, at, witnesses)
    if verdict == Verdict.ACCUSE:
        return after
    if verdict == Verdict.DOUBT:
        return doubted(standing, at)
    for other in others:
        hurry(session, other, 0)
    return waiting(standing, at)


def _witnesses(session: Session, accused: str) -> tuple[list[Witness], Sequence[Check]]:
    """Other sites that were not down already, by their first checks; and those checks."""
    rows = session.execute(
        select(Check, Endpoint.site)
        .join(Endpoint)
        .where(
            Endpoint.site != accused,
            Endpoint.active,
            Endpoint.state.not_in([State.CRITICAL, State.DOWNTIME]),
            Check.active,
            Check.needs == [],
        )
    ).all()
    by_site: dict[str, list[Check]] = {}
    for check, site in rows:
        by_site.setdefault(site, []).append(check)
    found = [
        Witness(
            site,
            max((c.answered_at for c in checks if c.answered_at), default=None),
            max((c.measured_at for c in checks if c.measured_at and c.reason in SILENCE), default=None),
        )
        for site, checks in by_site.items()
    ]
    return found, [check for check, _ in rows]


def _fold(checks: Sequence[Check], at: datetime, *, new: bool) -> tuple[State, datetime, Check | None]:
    """The endpoint's judged state, since when, and the check to blame: of several the one that others need.

    A `new` endpoint is judged when all its checks were measured; a check added later waits for its first."""
    counted = [
        check for check in checks if check.held_since is None and (new or check.measured_at is not None)
    ]
    judged = both(State(check.judged) for check in counted)
    blamed = [check for check in counted if check.judged == judged]
    blamed.sort(key=lambda check: (len(check.needs), check.judged_since or at, check.probe))
    since = max(check.judged_since or at for check in counted) if judged == State.OK and counted else None
    if blamed and judged != State.OK:
        since = min(check.judged_since or at for check in blamed)
    culprit = blamed[0] if blamed and judged not in (State.OK, State.MISSING) else None
    return judged, since or at, culprit


def _downtime(session: Session, endpoint: Endpoint, at: datetime) -> Downtime | None:
    return current(feed.downtimes(session), endpoint.site, endpoint.service_id, endpoint.id, at)


def _write_endpoint(
    session: Session, endpoint: Endpoint, judged: State, since: datetime, downtime: Downtime | None
) -> None:
    endpoint.judged = judged
    state = State.DOWNTIME if downtime is not None else judged
    if state == endpoint.state:
        return
    begins = downtime.start if downtime is not None else since
    if endpoint.state == State.DOWNTIME:
        begins = max(begins, endpoint.since, _downtime_ended(session, endpoint))
    timeline.append(
        session, "endpoint", endpoint.id, state, begins, downtime.id if downtime is not None else ""
    )
    endpoint.state, endpoint.since = (
        state,
        max(begins, endpoint.since) if endpoint.state != "missing" else begins,
    )


def _downtime_ended(session: Session, endpoint: Endpoint) -> datetime:
    """When the downtime that covered the endpoint last was over: the state below it holds from there."""
    now = database_time(session)
    ends = [
        d.of_service(endpoint.service_id).end
        for d in feed.downtimes(session)
        if d.covers(endpoint.site, endpoint.service_id, endpoint.id)
    ]
    return max((end for end in ends if now - timedelta(days=1) < end <= now), default=now)


def _lock_site(session: Session, check: Check) -> Site:
    endpoint = session.get_one(Endpoint, check.endpoint_id)
    return session.get_one(Site, endpoint.site, with_for_update=True, populate_existing=True)


def _clean(text: str) -> str:
    """PostgreSQL's text cannot hold NUL."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
