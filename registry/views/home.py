"""Home: the operator's page, and the way in for everybody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from hanse.identity.permissions import PUBLIC
from hanse.identity.principals import Principal
from hanse.pages.charts import Stack, stacked
from hanse.web import Pages, current_principal, ground, page
from registry import directory, neighbours, overview, standing, states, waiting
from registry.directory import Listed
from registry.lately import Lately
from registry.neighbours import Heard
from registry.rights import is_operator
from registry.schemas.fields import parse_time
from registry.settings import RegistrySettings
from registry.states import Moment
from registry.views import looking, mapping, site_list
from registry.views.words import Line, lines

pages = Pages("registry_home", __name__)
QUESTIONS = {
    "status": standing.QUESTION,
    "monitoring": ("monitoring", "/api/v1/overview"),
    "accounting": ("accounting", "/api/v1/overview"),
    "vomsdb": ("vomsdb", "/api/v1/overview"),
}
REFRESH_S = 30


@pages.get("/", permission=PUBLIC)
def home() -> BaseResponse:
    """The operator's page; others are shown to their own, visitors the way in."""
    principal = current_principal()
    with ground().db.transaction() as session:
        moment = states.moment(session, request.args.get("as_of"))
    if is_operator(principal):
        return operators_page() if moment is None else operators_page_then(moment)
    target = own_home(principal, settings()) if principal.signed_in else ""
    if moment is not None:
        # membership has a past of its own; what is told to everybody is the list of sites
        known = target if target.startswith("/") else "/sites"
        return redirect(f"{known}?{urlencode({'as_of': request.args['as_of']})}")
    return redirect(target) if target else landing(principal)


def settings() -> RegistrySettings:
    """The registry's settings."""
    found = ground().settings
    assert isinstance(found, RegistrySettings)
    return found


def own_home(principal: Principal, known: RegistrySettings) -> str:
    """Where somebody's work waits: the own site, the queue of the own VO, the own membership; "" for nowhere."""
    own = {
        scope for role in ("site_administrator", "site_security_officer") for scope in principal.scopes(role)
    }
    if own or principal.scopes("ngi_manager"):
        only = next(iter(own)) if len(own) == 1 and not principal.scopes("ngi_manager") else ""
        return f"/sites/{only.removeprefix('site:')}" if only else "/mine"
    if known.vomsdb_url:
        membership = known.vomsdb_url.rstrip("/")
        for scope in sorted(principal.scopes("vo_manager")):
            return f"{membership}/vos/{scope.removeprefix('vo:')}/queue"
        if principal.scopes("vo_member"):
            return f"{membership}/me"
    return "/sites" if principal.grants else ""


def landing(principal: Principal) -> BaseResponse:
    """What this place is, what can be seen without signing in, and the ways to sign in."""
    known = settings()
    db = ground().db
    heard = neighbours.ask(db, known, {"status": standing.QUESTION})["status"]
    with db.transaction() as session:
        federation = directory.look(db, session)
        ongoing = looking.ongoing(session)
    sites = federation.sites
    found = standing.of_all(heard, sites, federation.monitored, federation.away.sites)
    offered = sum(site.capacity.get("vcpu") or 0 for site in sites)
    return page(
        "registry/landing.html",
        title=known.federation,
        sentence=Markup("<b>{} clouds in {} countries</b> offer {} vCPU to researchers.").format(
            len(sites), len({site.country for site in sites}), f"{offered:,}"
        ),
        sites=sites,
        **_map(sites, found),
        counted=standing.tell(list(found.values())),
        ongoing=ongoing,
        principal=principal,
        settings=known,
    )


def operators_page() -> BaseResponse:
    """What fails now, whose it is, and whether anybody reacted; each card from its owner."""
    db, known = ground().db, settings()
    heard = neighbours.ask(db, known, QUESTIONS)
    now = datetime.now(UTC)
    with db.transaction() as session:
        federation = directory.look(db, session)
        own = overview.look(session, federation, now)
        sites = federation.sites
        tasks = waiting.for_person(session, current_principal(), sites)
    found = standing.of_all(heard["status"], sites, federation.monitored, federation.away.sites)
    return page(
        "registry/home.html",
        title=f"{now:%A} {now.day} {now:%B %Y}",
        sentence=_sentence(list(found.values()), heard["status"]),
        api="/api/v1/overview",
        refresh_s=REFRESH_S,
        heard=heard,
        own=own,
        downtimes=[
            {**one, **{edge: parse_time(one[edge]) for edge in ("start", "end")}} for one in own.downtimes
        ],
        tasks=tasks,
        **_map(sites, found),
        now=now,
        minute=now.replace(second=0, microsecond=0),
        counted=standing.tell(list(found.values())),
        total=len(sites),
        in_order=sum(one.kind == "ok" for one in found.values()),
        changed=_changed(own.changes),
        chart=_usage_chart(heard["accounting"]),
        settings=known,
    )


def operators_page_then(moment: Moment) -> BaseResponse:
    """The federation and the UTC day at a moment, as the log has them; the other services tell of now."""
    db = ground().db
    with db.transaction() as session:
        own = overview.look_then(db, session, moment)
        sites = directory.sites(db, session, str(moment.number))
    rows = site_list.rows_then(sites)
    counted = [(status, many) for status, many in own.sites.items() if many]
    return page(
        "registry/home_then.html",
        title=f"{moment.at:%A} {moment.at.day} {moment.at:%B %Y}",
        sentence=_sentence_then(len(sites), counted),
        api="/api/v1/overview",
        own=own,
        counted=counted,
        total=len(sites),
        downtimes=[
            {**one, **{edge: parse_time(one[edge]) for edge in ("start", "end")}} for one in own.downtimes
        ],
        changed=_changed(own.changes),
        minute=moment.at.replace(second=0, microsecond=0),
        **_map(sites, {row.site.name: row.standing for row in rows}),
    )


def _sentence_then(total: int, counted: Sequence[tuple[str, int]]) -> Markup:
    if not total:
        return Markup("No site was registered yet.")
    words = ", ".join(f"{many} {status}" for status, many in counted)
    return Markup("<b>{} {}</b> registered: {}.").format(
        total, "site was" if total == 1 else "sites were", words
    )


_maps: Lately[mapping.Map] = Lately(2)


def _map(sites: Sequence[Listed], found: Mapping[str, standing.Standing]) -> dict[str, Any]:
    drawn = _maps.get((sites, found), None, lambda: mapping.draw(sites, found))
    return {"map": drawn, "map_markup": mapping.markup(drawn, "/sites")}


_WORDS = {
    "down": ("is down", "are down"),
    "degraded": ("is degraded", "are degraded"),
    "downtime": ("is in downtime", "are in downtime"),
    "unknown": ("is not known", "are not known"),
    "suspended": ("is suspended", "are suspended"),
    "not_monitored": ("is not monitored", "are not monitored"),
}


def _sentence(found: Sequence[standing.Standing], monitoring: Heard) -> Markup:
    """ "1 site is down, 2 are degraded; 9 of 14 are in order." """
    if not found:
        return Markup("No site is registered yet.")
    if monitoring.absent or not monitoring.known:
        return Markup("<b>Monitoring does not answer;</b> the state of the {} sites is not known.").format(
            len(found)
        )
    counted = dict(standing.tell(found))
    trouble = [_words(kind, counted[kind]) for kind in ("down", "degraded", "downtime") if kind in counted]
    good = f"{counted.get('ok', 0)} of {len(found)} are in order"
    rest = [
        _words(kind, counted[kind]) for kind in ("unknown", "suspended", "not_monitored") if kind in counted
    ]
    if not trouble:
        return Markup("<b>No site fails;</b> {}.").format(", ".join([good, *rest]))
    trouble[0] = trouble[0].replace(" ", " site " if trouble[0].startswith("1 ") else " sites ", 1)
    return Markup("<b>{};</b> {}.").format(", ".join(trouble), ", ".join([good, *rest]))


def _words(kind: str, count: int) -> str:
    return f"{count} {_WORDS[kind][count != 1]}"


def _changed(events: Sequence[Any]) -> list[Line]:
    return lines(events)[:9]


def _usage_chart(accounting: Heard) -> Stack | None:
    days = accounting.body.get("by_day") or []
    if not days:
        return None
    labels = [str(int(str(day["day"])[8:10])) for day in days]
    return stacked(
        labels,
        {"CPU hours": [day.get("cpu_hours") for day in days]},
        unit="CPU hours",
        partial_last=True,
        width=400,
        height=140,
    )
