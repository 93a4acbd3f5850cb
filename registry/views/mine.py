"""My sites: what somebody who runs sites looks at first, and what waits for a decision of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import request
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.identity.permissions import SIGNED_IN
from hanse.revisions import History
from hanse.web import Pages, current_principal, ground, page
from registry import directory, downtime_finding, neighbours, standing, states, waiting
from registry.directory import Listed, listed
from registry.models import Downtime, DowntimePart, HostCertificate, Site
from registry.rights import DECLARE_DOWNTIME, EDIT_SITE, may_site
from registry.schemas.downtimes import DowntimeFilter
from registry.schemas.fields import parse_time
from registry.states import Moment, State
from registry.views import looking, site_list
from registry.views.home import settings

pages = Pages("registry_mine", __name__)
SOON = timedelta(days=21)
MOST_DOWNTIMES = 3


@dataclass(frozen=True)
class Ending:
    """A certificate of the past that ends at `not_after`."""

    not_after: datetime


@dataclass(frozen=True)
class Mine:
    """One of somebody's sites: how it is, what comes up, and whether something of it ends soon."""

    site: Mapping[str, Any]
    standing: standing.Standing
    row: site_list.Row
    refused: int
    downtimes: list[dict[str, Any]]
    ending: Sequence[HostCertificate | Ending]


@pages.get("/mine", permission=SIGNED_IN)
def my_sites() -> BaseResponse:
    """The sites that somebody runs, those in trouble first."""
    with ground().db.transaction() as session:
        moment = states.moment(session, request.args.get("as_of"))
    return _mine_now() if moment is None else _mine_then(moment)


def _mine_then(moment: Moment) -> BaseResponse:
    """The sites that somebody runs today, as the log had them; what other services tell is of now and left out."""
    with ground().db.transaction() as session:
        mine = [_then(session, state, moment) for state in _states_then(session, _own(session), moment)]
    return page(
        "registry/mine.html",
        title="My sites",
        sentence=_sentence_then(len(mine)),
        api="/api/v1/sites",
        mine=mine,
        tasks=[],
        past=True,
        now=moment.at,
        settings=settings(),
        may_declare=False,
    )


def _sentence_then(count: int) -> str:
    if not count:
        return "None of the sites that you run now was registered."
    return f"{count} of the sites that you run now {'was' if count == 1 else 'were'} registered."


def _states_then(session: Session, rows: Sequence[Site], moment: Moment) -> list[State]:
    wanted = [History.entity_id.in_([str(row.id) for row in rows])]
    return states.by_name(session, "site", where=wanted, as_of=str(moment.number))


def _then(session: Session, state: State, moment: Moment) -> Mine:
    name, as_of = state.body["name"], str(moment.number)
    found = downtime_finding.find(session, DowntimeFilter(site=name), as_of=as_of)
    downtimes = sorted(
        (_timed(one.body) for one in found if one.body["state"] != "ended"), key=lambda one: one["start"]
    )
    of_site = [states.text_of("site") == name]
    certificates = states.by_id(session, "host_certificate", where=of_site, as_of=as_of)
    ends = sorted(parse_time(one.body["not_after"]) for one in certificates)
    return Mine(
        site=state.body,
        standing=standing.Standing(standing.UNTOLD),
        row=site_list.Row(listed(state.id, state.body), standing.Standing(standing.UNTOLD)),
        refused=0,
        downtimes=downtimes[:MOST_DOWNTIMES],
        ending=[Ending(end) for end in ends if moment.at - SOON < end < moment.at + SOON],
    )


def _timed(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**body, **{edge: parse_time(body[edge]) for edge in ("start", "end")}}


def _mine_now() -> BaseResponse:
    """With how they are, as the other services tell, and what waits."""
    principal, now = current_principal(), datetime.now(UTC)
    questions = {"monitoring": standing.QUESTION, **site_list.questions(site_list.chosen([]), now)}
    heard = neighbours.ask(ground().db, settings(), questions)
    with ground().db.transaction() as session:
        rows = _own(session)
        mine = _read(session, rows, heard, now)
        tasks = waiting.for_person(session, principal, directory.sites(ground().db, session))
    mine.sort(key=lambda one: (one.standing.rank, one.site["name"]))
    return page(
        "registry/mine.html",
        title="My sites",
        sentence=_sentence(mine, len(tasks)),
        api="/api/v1/sites",
        refresh_s=30,
        mine=mine,
        tasks=tasks,
        heard=heard,
        now=now,
        settings=settings(),
        may_declare=any(may_site(principal, DECLARE_DOWNTIME, row) for row in rows),
    )


def _own(session: Session) -> list[Site]:
    """Sites that one holds a role at; those of a whole federation are the list of sites."""
    principal = current_principal()
    names = {
        scope.removeprefix("site:")
        for role in ("site_administrator", "site_security_officer")
        for scope in principal.scopes(role)
    }
    ngis = {scope.removeprefix("ngi:") for scope in principal.scopes("ngi_manager")}
    rows = session.scalars(select(Site).order_by(Site.name)) if names or ngis else ()
    return [
        row
        for row in rows
        if row.name in names or (row.ngi.name in ngis and may_site(principal, EDIT_SITE, row))
    ]


def _read(
    session: Session, rows: Sequence[Site], heard: Mapping[str, neighbours.Heard], now: datetime
) -> list[Mine]:
    bodies = [states.find(session, "site", str(row.id)).body for row in rows]
    federation = directory.look(ground().db, session)
    found = standing.standings(heard["monitoring"], bodies, federation.monitored, federation.away.sites)
    brief = {one.site.name: one for one in site_list.rows(_listed(rows, bodies), found, heard)}
    refused = {
        one.get("site"): int(one.get("refused_open") or 0)
        for one in heard["accounting"].body.get("items", ())
    }
    return [
        Mine(
            site=body,
            standing=found[row.name],
            row=brief[row.name],
            refused=refused.get(row.name, 0),
            downtimes=_downtimes(session, row),
            ending=_ending(session, row, now),
        )
        for row, body in zip(rows, bodies, strict=True)
    ]


def _listed(rows: Sequence[Site], bodies: Sequence[Mapping[str, Any]]) -> list[Listed]:
    return [listed(str(row.id), body) for row, body in zip(rows, bodies, strict=True)]


def _downtimes(session: Session, row: Site) -> list[dict[str, Any]]:
    """Those that go on and those to come."""
    of_site = select(DowntimePart.downtime_id).where(DowntimePart.site_id == row.id)
    statement = select(Downtime.id).where(Downtime.id.in_(of_site), Downtime.state != "ended")
    return looking.downtimes(
        session, list(session.scalars(statement.order_by(Downtime.start_at).limit(MOST_DOWNTIMES)))
    )


def _ending(session: Session, row: Site, now: datetime) -> list[HostCertificate]:
    """Certificates of the site's machines that ended lately or will soon."""
    return list(
        session.scalars(
            select(HostCertificate)
            .where(
                HostCertificate.site_id == row.id,
                HostCertificate.not_after < now + SOON,
                HostCertificate.not_after > now - SOON,
            )
            .order_by(HostCertificate.not_after)
        )
    )


def _sentence(mine: Sequence[Mine], tasks: int) -> Markup:
    if not mine:
        return Markup("<b>You run no site.</b>") + _tasks(tasks)
    counted = dict(standing.tell([one.standing for one in mine]))
    verbs = {"down": "down", "degraded": "degraded", "downtime": "in downtime"}
    trouble = [
        f"{counted[kind]} of {len(mine)} {'is' if counted[kind] == 1 else 'are'} {word}"
        for kind, word in verbs.items()
        if kind in counted
    ]
    first = (
        Markup("<b>{}.</b>").format(", ".join(trouble)) if trouble else Markup("<b>None of yours fails.</b>")
    )
    return first + _tasks(tasks)


def _tasks(count: int) -> str:
    return f" {count} {'decision waits' if count == 1 else 'decisions wait'} for you." if count else ""
