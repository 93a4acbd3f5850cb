"""/api/v1: the state of every VO at every site, join codes, runs; and the service in a few figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Api, Listing, current_principal, ground
from vomsdb import applications, mails, promise, replication, standings, vos
from vomsdb.api.answers import acknowledgement_out, cut, number_after, pair_out, settings
from vomsdb.api.answers import promise as promised
from vomsdb.jobs import press_of
from vomsdb.permissions import JOIN_CODES, OVERSEE, REPLICATE
from vomsdb.schemas.fields import AcknowledgementQuery, MailQuery, PairQuery, SitePath
from vomsdb.schemas.replication import (
    AcknowledgementOut,
    AttemptOut,
    JoinCodeOut,
    LateOut,
    MailOut,
    OverviewOut,
    ReplicationOut,
    RunIn,
    RunOut,
)

MOST_LATE = 500

api = Api("vomsdb_replication", __name__, "Replication")


@api.post(
    "/sites/<site>/join-codes",
    permission=JOIN_CODES,
    summary="Make a join code",
    responses={201: JoinCodeOut},
)
def join_code(path: SitePath) -> tuple[JoinCodeOut, int]:
    """Shown this once; the site's agent joins with it and with the site's host certificate."""
    within = timedelta(hours=settings().join_code_hours)
    with ground().db.transaction() as session:
        code, ends = replication.new_join_code(session, path.site, within, current_principal())
    return JoinCodeOut(site=path.site, code=code, expires_at=ends), 201


@api.get("/replication", permission=SIGNED_IN, summary="VOs at sites", responses={200: ReplicationOut})
def state(query: PairQuery) -> ReplicationOut:
    """`age_s` is the age of the oldest change that the site has not confirmed; null = none."""
    with ground().db.transaction() as session:
        pairs = promise.pairs(session, promised(), site=query.site, vo=query.vo)
        speed = promise.speed(session)
    return ReplicationOut(
        generated_at=datetime.now(UTC),
        in_step=sum(pair.state == promise.IN_STEP for pair in pairs),
        pairs=[pair_out(pair) for pair in pairs],
        median_s=speed.median_s,
        p99_s=speed.p99_s,
        promise_s=settings().breach_after_s,
    )


@api.get(
    "/replication/acknowledgements",
    permission=SIGNED_IN,
    summary="What sites confirmed",
    responses={200: Listing[AcknowledgementOut]},
)
def acknowledgements(query: AcknowledgementQuery) -> Listing[AcknowledgementOut]:
    """Newest first, kept for 90 days."""
    before = number_after(query.cursor)
    with ground().db.transaction() as session:
        found = standings.acknowledgements(
            session, site=query.site, vo=query.vo, before=before, limit=query.limit + 1
        )
        shown, more = cut(found, query.limit)
        items = [acknowledgement_out(one) for one in shown]
    return Listing[AcknowledgementOut](items=items, next=str(items[-1].id) if more else None)


@api.post("/replication/runs", permission=REPLICATE, summary="Tell the sites now", responses={202: RunOut})
def run(body: RunIn) -> tuple[RunOut, int]:
    """Fresh manifests are signed at once; the pushes follow within seconds."""
    with ground().db.transaction() as session:
        sites, pairs = replication.tell_all(session, press_of(settings()), body.sites, timedelta(0))
    return RunOut(sites=sites, pairs=pairs), 202


@api.get(
    "/replication/sites/<site>/attempts",
    permission=SIGNED_IN,
    summary="Contacts with a site",
    responses={200: Listing[AttemptOut]},
)
def attempts(path: SitePath) -> Listing[AttemptOut]:
    """The last 100, newest first."""
    with ground().db.transaction() as session:
        found = promise.attempts(session, path.site, limit=100)
    return Listing[AttemptOut](
        items=[AttemptOut(at=a.at, vo=a.vo, way=a.way, good=a.good, answer=a.answer) for a in found]
    )


@api.get("/overview", permission=OVERSEE, summary="In a few figures", responses={200: OverviewOut})
def overview() -> OverviewOut:
    """For the operator's page."""
    with ground().db.transaction() as session:
        summary = standings.summary(session, promised())
        late = standings.worst(session, promised().late_after, MOST_LATE)
        pending = applications.pending_count(session)
        active = sum(listed.members for listed in vos.search(session, limit=500))
    now = datetime.now(UTC)
    return OverviewOut(
        generated_at=now,
        late=[_late(one, now) for one in late],
        pairs_total=summary.total,
        in_step=summary.in_step,
        pending_requests=pending,
        members=active,
    )


def _late(one: standings.Standing, now: datetime) -> LateOut:
    age_s = one.age_s(now) or 0
    return LateOut(site=one.site, vo=one.vo, age_s=age_s, state=promised().state(timedelta(seconds=age_s)))


@api.get("/mails", permission=OVERSEE, summary="Mails and their delivery", responses={200: Listing[MailOut]})
def list_mails(query: MailQuery) -> Listing[MailOut]:
    """Newest first, without their text."""
    with ground().db.transaction() as session:
        found = mails.listed(session, query.state, query.limit)
    return Listing[MailOut](items=[MailOut.model_validate(mail, from_attributes=True) for mail in found])
