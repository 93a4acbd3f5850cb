"""My sites: what somebody who runs sites looks at first, and what waits for a decision of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Pages, current_principal, ground, page
from registry import directory, neighbours, standing, states, waiting
from registry.directory import Listed, listed
from registry.models import Downtime, DowntimePart, HostCertificate, Site
from registry.rights import DECLARE_DOWNTIME, EDIT_SITE, may_site
from registry.views import looking, site_list
from registry.views.home import settings

pages = Pages("registry_mine", __name__)
SOON = timedelta(days=21)


@dataclass(frozen=True)
class Mine:
    """One of somebody's sites: how it is, what comes up, and whether something of it ends soon."""

    site: Mapping[str, Any]
    standing: standing.Standing
    row: site_list.Row
    refused: int
    downtimes: list[dict[str, Any]]
    ending: list[HostCertificate]


@pages.get("/mine", permission=SIGNED_IN)
def my_sites() -> BaseResponse:
    """The sites that somebody runs, those in trouble first."""
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
    return looking.downtimes(session, list(session.scalars(statement.order_by(Downtime.start_at).limit(3))))


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
