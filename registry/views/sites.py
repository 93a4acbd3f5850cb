"""Sites: the list with its map."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import Response, request
from markupsafe import Markup
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.identity.permissions import PUBLIC, allows
from hanse.pages.words import with_query
from hanse.web import Pages, csv_response, current_principal, ground, page
from registry import directory, neighbours, standing, states
from registry.directory import Listed, Wanted
from registry.lately import Lately
from registry.rights import REGISTER_SITE
from registry.views import mapping, site_list
from registry.views.home import settings
from registry.views.site_list import Column, Row

Made = TypeVar("Made")
pages = Pages(
    "registry_pages",
    __name__,
    nav=[
        ("All sites", "/sites"),
        ("My sites", "/mine"),
        ("Services", "/services"),
        ("Downtimes", "/downtimes"),
        ("Find a cloud", "/clouds"),
        ("Federation", "/federation"),
        ("Roles", "/roles"),
        ("People", "/people"),
        ("History", "/history"),
        ("Account", "/account"),
    ],
)
STATES = (
    ("", "any"),
    ("down", "down"),
    ("degraded", "degraded"),
    ("downtime", "downtime"),
    ("ok", "in order"),
    ("unknown", "unknown"),
    ("not_monitored", "not monitored"),
    ("suspended", "suspended"),
)
VIEWS = ("list", "both", "map")
LONGEST = 200
JOINING = ("Candidate", "Uncertified")


@dataclass(frozen=True)
class _Asked:
    """The address of the list as it was understood; `told` says what of it was not."""

    wanted: Wanted
    state: str
    view: str
    region: str
    columns: list[Column]
    as_of: str | None
    told: str


def _asked() -> _Asked:
    args = request.args
    given = {
        field.name: args.get(field.name, "")[:LONGEST] for field in fields(Wanted) if field.name != "box"
    }
    box, told = _box(args.get("box", ""))
    as_of = args.get("as_of", "").strip()
    past = as_of.lower() not in ("", "now")
    columns = site_list.chosen(args.getlist("column"))
    state = args.get("state", "")
    if past and state:
        state, told = "", "States are told of the present only; all sites are shown."
    elif state not in dict(STATES):
        state, told = "", "There is no such state; all are shown."
    return _Asked(
        wanted=Wanted(**given, box=box),
        state=state,
        view=args.get("view", "both") if args.get("view") in VIEWS else "both",
        region=args.get("region", ""),
        columns=site_list.then(columns) if past else columns,
        as_of=as_of if past else None,
        told=told,
    )


def _box(text: str) -> tuple[mapping.Box | None, str]:
    """ "40.1,-3.2,41,2": south, west, north, east in degrees."""
    if not text:
        return None, ""
    try:
        south, west, north, east = (float(edge) for edge in text.split(","))
    except ValueError:
        return None, "The area of the map cannot be read and was left out; it is south,west,north,east."
    if not (-90 <= south <= north <= 90 and -180 <= west <= east <= 180):
        return None, "The area of the map is none on Earth and was left out; it is south,west,north,east."
    return (south, west, north, east), ""


@dataclass(frozen=True)
class _Found:
    """The sites of the list, and of all, with what the others tell; of the past, with a `moment`, they tell nothing.

    `whole` = nothing is filtered out.
    """

    every: Sequence[Listed]
    rows: Sequence[Row]
    whole: bool
    heard: Mapping[str, neighbours.Heard]
    moment: tuple[datetime | None, int] | None


_lists: Lately[tuple[list[Row], str]] = Lately()
_sums: Lately[dict[str, float]] = Lately()
_maps: Lately[mapping.Map] = Lately()


def _find(asked: _Asked) -> _Found:
    every: Sequence[Listed]
    db, moment, heard = ground().db, None, {}
    if asked.as_of is None:
        questions = {"monitoring": standing.QUESTION, **site_list.questions(asked.columns, datetime.now(UTC))}
        heard = neighbours.ask(db, settings(), questions)
        with db.transaction() as session:
            federation = directory.look(db, session)
        every = federation.sites
        known = standing.of_all(heard["monitoring"], every, federation.monitored, federation.away.sites)
        rows = site_list.rows(every, known, heard)
    else:
        with db.transaction() as session:
            every, moment = directory.sites(db, session, asked.as_of), _moment(session, asked.as_of)
        rows = site_list.rows_then(every)
    if asked.wanted == Wanted() and not asked.state:
        return _Found(every, rows, True, heard, moment)
    matching = [
        row for row in rows if asked.wanted.matches(row.site) and asked.state in ("", row.standing.kind)
    ]
    return _Found(every, matching, False, heard, moment)


def _kept(kept: Lately[Made], found: _Found, how: Hashable, make: Callable[[], Made]) -> Made:
    """What is made of all sites is kept while nothing of them changes; a choice of them is made anew."""
    return kept.get((found.rows,), how, make) if found.whole else make()


def _ordered(found: _Found, sort: str) -> tuple[list[Row], str]:
    if found.moment is not None and sort.removeprefix("-") in ("", site_list.WORST_FIRST):
        sort = "site"
    return _kept(_lists, found, sort, lambda: site_list.ordered(found.rows, sort))


@pages.get("/sites", permission=PUBLIC)
def all_sites() -> BaseResponse:
    """Sites, those in trouble first, as a list and on a map."""
    asked = _asked()
    found = _find(asked)
    rows, sort = _ordered(found, request.args.get("sort", ""))
    shown = site_list.part(rows, request.args.get("cursor", ""))
    totals = _kept(_sums, found, None, lambda: _totals(rows))
    counted = [] if found.moment else standing.tell([row.standing for row in rows])
    drawn = _map(asked, found)
    return page(
        "registry/sites.html",
        title="Sites",
        sentence=_list_sentence(rows, totals, None if found.moment else counted),
        api=_api_of("/api/v1/sites"),
        csv=_api_of("/sites/list.csv"),
        shown=shown,
        sort=sort,
        counted=counted,
        choices=directory.choices(found.every),
        states=STATES,
        columns=asked.columns,
        every_column=site_list.then(site_list.COLUMNS) if found.moment else site_list.COLUMNS,
        map=drawn,
        map_markup=None if drawn is None else mapping.markup(drawn, with_query(box=None, cursor=None)),
        totals=totals,
        joining=[row for row in rows if row.site.certification in JOINING][:8],
        filters=_filters(asked),
        told=asked.told,
        view=asked.view,
        box=asked.wanted.box,
        heard=found.heard,
        moment=found.moment,
        as_of=asked.as_of,
        may_register=allows(current_principal(), REGISTER_SITE),
        month=f"{datetime.now(UTC):%b}",
        settings=settings(),
    )


@pages.get("/sites/list.csv", permission=PUBLIC)
def list_csv() -> Response:
    """The whole list as it is filtered and sorted, with the columns that are shown."""
    asked = _asked()
    found = _find(asked)
    rows, _ = _ordered(found, request.args.get("sort", ""))
    return csv_response(*site_list.table(rows, asked.columns, told=found.moment is None), "sites.csv")


def _map(asked: _Asked, found: _Found) -> mapping.Map | None:
    if asked.view == "list":
        return None
    wide, box = asked.view == "map", asked.wanted.box
    return _kept(
        _maps,
        found,
        (asked.region, wide),
        lambda: mapping.draw(
            [row.site for row in found.rows],
            {row.site.name: row.standing for row in found.rows},
            asked.region,
            wide=wide,
            box=box,
        ),
    )


def _filters(asked: _Asked) -> list[tuple[str, str]]:
    """What is filtered by, as (name of the parameter, words)."""
    labels = {"q": "words", "country_code": "country", "vo": "VO", "ngi": "NGI"}
    given = [
        (field.name, f"{labels.get(field.name, field.name)} {getattr(asked.wanted, field.name)}")
        for field in fields(Wanted)
        if field.name != "box" and getattr(asked.wanted, field.name)
    ]
    if asked.state:
        given.append(("state", dict(STATES)[asked.state]))
    return given + ([("box", "an area of the map")] if asked.wanted.box else [])


def _totals(rows: Sequence[Row]) -> dict[str, float]:
    """Sums of the columns that add up."""
    adding = ("vcpu", "cpu", "ram", "storage", "volumes", "ips")
    return {key: sum(site_list.BY_KEY[key].value(row) or 0 for row in rows) for key in adding}


def _moment(session: Session, as_of: str | None) -> tuple[datetime | None, int] | None:
    number = states.number_at(session, as_of)
    return None if number is None else (states.moment_of(session, number), number)


def _api_of(path: str) -> str:
    query = request.query_string.decode("ascii", "replace")
    return f"{path}?{query}" if query else path


def _list_sentence(
    rows: Sequence[Row], totals: Mapping[str, float], counted: Sequence[tuple[str, int]] | None
) -> Markup:
    countries = len({row.site.country for row in rows})
    first = Markup("{} {} in {} {} offer{} {} vCPU{}.").format(
        f"{len(rows):,}",
        "site" if len(rows) == 1 else "sites",
        countries,
        "country" if countries == 1 else "countries",
        "s" if len(rows) == 1 else "",
        f"{totals['vcpu']:,.0f}",
        f", {totals['ram'] / 1000:,.1f} TB RAM" if totals["ram"] >= 1000 else "",
    )
    return first if counted is None else first + _trouble_words(dict(counted))


def _trouble_words(counted: Mapping[str, Any]) -> Markup:
    verbs = {"down": "down", "degraded": "degraded", "downtime": "in downtime"}
    trouble = [
        f"{counted[kind]} {'is' if counted[kind] == 1 else 'are'} {word}"
        for kind, word in verbs.items()
        if kind in counted
    ]
    return Markup(" <b>{}.</b>").format(", ".join(trouble)) if trouble else Markup(" None fails.")
