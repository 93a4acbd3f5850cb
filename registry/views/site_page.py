"""The page of a site: is it well; if not, which part, since when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from flask import request
from markupsafe import Markup
from sqlalchemy.orm import Session, lazyload
from werkzeug.wrappers import Response as BaseResponse

from hanse.identity.permissions import PUBLIC
from hanse.web import Pages, current_principal, ground, page
from registry import directory, finding, neighbours, standing, states
from registry.models import Site
from registry.rights import DECLARE_DOWNTIME, EDIT_SITE, KEEP_MACHINES, may_site
from registry.schemas.services import ServiceQuery
from registry.views import certification_part, drift, programs, site_parts
from registry.views.home import settings
from registry.views.parts import Part, Question, SiteLook, read_parts

pages = Pages("registry_site", __name__)

# To add a part: a module of your own with a `Part`, a template registry/site_parts/NAME.html, and a line here.
PARTS: list[Part] = [
    site_parts.ENDPOINTS,
    site_parts.CAPACITY,
    drift.PUBLISHED,
    site_parts.DOWNTIMES,
    site_parts.IDENTITIES,
    site_parts.USAGE,
    site_parts.FACTS,
    certification_part.CERTIFICATION,
    certification_part.PROPERTIES,
    site_parts.CERTIFICATES,
    programs.PROGRAMS,
    site_parts.HISTORY,
]
REFRESH_S = 30


@pages.get("/sites/<name>", permission=PUBLIC)
def one_site(name: str) -> BaseResponse:
    """One site, now or as it was."""
    as_of = request.args.get("as_of") or None
    with ground().db.transaction() as session:
        site = states.find_named(session, "site", name, as_of)  # nobody is asked about one that is not there
    heard = neighbours.ask(ground().db, settings(), _questions(name))
    with ground().db.transaction() as session:
        look = _look(session, site, as_of, heard)
        parts = read_parts(PARTS, look)
    query = request.query_string.decode("ascii", "replace")
    return page(
        "registry/site.html",
        title=look.name,
        sentence=_sentence(look),
        crumbs=[
            ("Sites", "/sites"),
            (look.site["country"], f"/sites?country_code={look.site['country_code']}"),
            (look.site["ngi"], f"/ngis/{quote(look.site['ngi'], safe='')}"),
        ],
        api=f"/api/v1/sites/{look.name}" + (f"?{query}" if query else ""),
        refresh_s=None if as_of else REFRESH_S,
        parts=parts,
        tabs=[
            (drawn.part.tab, f"#{drawn.part.name}", False, drawn.own.get("tab_count"))
            for drawn in [one for place in parts.values() for one in place]
            if drawn.part.tab
        ],
        signed_in=look.principal.signed_in,
        **{field: getattr(look, field) for field in look.__dataclass_fields__ if field != "session"},
    )


def _questions(name: str) -> dict[str, Question]:
    month = f"{datetime.now(UTC):%Y-%m}"
    return {
        label: (service, path.format(site=quote(name, safe=""), month=month))
        for part in PARTS
        for label, (service, path) in part.questions.items()
    }


def _look(
    session: Session, site: states.State, as_of: str | None, heard: Mapping[str, neighbours.Heard]
) -> SiteLook:
    called = site.body["name"]
    services = finding.services(session, ServiceQuery(site=called, as_of=as_of, limit=1000))
    row = session.get(Site, int(site.id), options=_ROW_ALONE)
    federation = directory.look(ground().db, session)
    found = standing.standings(heard["monitoring"], [site.body], federation.monitored, federation.away.sites)
    number = states.number_at(session, as_of)
    return SiteLook(
        session=session,
        site=site.body,
        row=row,
        revision=site.revision,
        updated_at=site.at,
        as_of=as_of,
        moment=None if number is None else (states.moment_of(session, number), number),
        services=[state.body for state in services],
        found=found[called],
        heard=heard,
        principal=current_principal(),
        rights=_rights(row),
        settings=settings(),
        now=datetime.now(UTC),
    )


_ROW_ALONE = [lazyload(name) for name in (Site.contacts, Site.shares, Site.properties)]


def _rights(row: Site | None) -> Mapping[str, bool]:
    principal = current_principal()
    known = {"edit": EDIT_SITE, "declare": DECLARE_DOWNTIME, "machines": KEEP_MACHINES}
    return {word: row is not None and may_site(principal, right, row) for word, right in known.items()}


def _sentence(look: SiteLook) -> Markup:
    count = len(look.services)
    facts = Markup(" {} with {} {}.").format(
        look.site["official_name"], count, "service" if count == 1 else "services"
    )
    return facts if look.past else _state_words(look.found) + facts


def _state_words(found: standing.Standing) -> Markup:
    words: Any = "Every endpoint answers"
    if found.kind in ("down", "degraded"):
        words = (found.cause or "An endpoint fails").rstrip(".")
    elif found.kind != "ok":
        words = found.cause[:1].upper() + found.cause[1:] if found.cause else "Nothing is known of it"
    return Markup("<b>{}.</b>").format(words)
