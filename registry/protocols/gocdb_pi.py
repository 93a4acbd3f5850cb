"""GOCDB's programmatic interface, read side (5.12): `/gocdbpi/{public,private}/?method=..`.

Both addresses run the same program; only the method says who may ask. Every fault is answered with HTTP 200, because
that is what its consumers were written against. What is not served yet answers as an unknown method.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar
from urllib.parse import urlencode

from flask import Response, request
from sqlalchemy.orm import Session

from hanse.errors import HanseError
from hanse.identity.permissions import PUBLIC
from hanse.web import Protocol, conditional, current_principal, ground
from registry.gocdb import asking as gocdb
from registry.gocdb import downtimes as gocdb_downtimes
from registry.gocdb.asking import BadExpression, BadValue, Page
from registry.renderings import gocdb_xml as xml
from registry.settings import RegistrySettings

Row = TypeVar("Row", xml.SiteRow, xml.ServiceRow, xml.DowntimeRow)
NO_CREDENTIAL: Final = "No valid identifier found. Try accessing the resource through the private interface."
_CURSORS: Final = ("next_cursor", "prev_cursor")
_IGNORED: Final = frozenset({"method", "output"})
# characters that GOCDB refuses in a value, and those that XML and the database cannot carry
_BAD_CHARACTER: Final = re.compile("[\"'`\x00-\x1f\x7f]")

protocol = Protocol("gocdb_pi", __name__)


class Fault(Exception):
    """A fault in GOCDB's own words, as an `<error>` or as plain text."""

    def __init__(self, body: str, *, plain: bool = False) -> None:
        super().__init__(body)
        self.body = body if plain else f"<error>{xml.escape(body)}</error>"
        self.plain = plain


@dataclass(frozen=True)
class Call:
    """One question: its parameters without cursors, its page, and the address that links lead back to."""

    parameters: dict[str, str]
    page: Page
    base: str
    portal: str
    default_scopes: Sequence[str]


@dataclass(frozen=True)
class Method:
    """A method of the interface: its level (1 open, 2 and 3 with a credential), its parameters, what it answers."""

    level: int
    parameters: frozenset[str]
    run: Callable[[Session, Call], str]
    paged: bool = True


def _get_site(session: Session, call: Call) -> str:
    rows = gocdb.find_sites(session, call.parameters, call.page, call.default_scopes)
    return _answer(call, rows, lambda row: xml.site(row, call.portal))


def _get_site_list(session: Session, call: Call) -> str:
    rows = gocdb.find_sites(session, call.parameters, Page(), call.default_scopes)
    return xml.answer(map(xml.site_in_list, rows))


def _get_service(session: Session, call: Call) -> str:
    rows = gocdb.find_services(session, call.parameters, call.page, call.default_scopes)
    return _answer(call, rows, lambda row: xml.service(row, call.portal))


def _get_service_types(session: Session, call: Call) -> str:
    return xml.answer(xml.service_type(*row) for row in gocdb.service_types(session))


def _get_downtime(session: Session, call: Call) -> str:
    return _downtimes(session, call, xml.downtime)


def _get_downtime_nested(session: Session, call: Call) -> str:
    return _downtimes(session, call, xml.downtime_nested)


def _downtimes(session: Session, call: Call, show: Callable[[xml.DowntimeRow, str], str]) -> str:
    asked = call.parameters
    if "ongoing_only" in asked and {"startdate", "enddate"} & asked.keys():
        raise Fault("Invalid parameter combination - do not specify startdate or enddate with ongoing_only")
    dates = {"startdate", "enddate", "windowstart", "windowend", "ongoing_only"}
    if "all_lastmonth" in asked and dates & asked.keys():
        raise Fault("Invalid parameter combination - all_lastmonth cannot be used with other date parameters")
    rows = gocdb_downtimes.find_downtimes(session, asked, call.page, call.default_scopes, datetime.now(UTC))
    return _answer(call, rows, lambda row: show(row, call.portal))


def _answer(call: Call, rows: Sequence[Row], show: Callable[[Row], str]) -> str:
    if not call.page.asked:
        return xml.answer(map(show, rows))
    links = _links(call, [row.id for row in rows])
    return xml.answer(map(show, rows), xml.page_links(links, len(rows), gocdb.PAGE_SIZE))


def _links(call: Call, numbers: Sequence[int]) -> dict[str, str]:
    """`next` also on the last full page: the end is a page with count 0 and without it."""
    asked = call.page.next if call.page.next is not None else call.page.prev
    assert asked is not None
    which = "next_cursor" if call.page.next is not None else "prev_cursor"
    links = {"self": _link(call, which, asked)}
    if numbers:
        links["next"] = _link(call, "next_cursor", numbers[-1])
        links["prev"] = _link(call, "prev_cursor", numbers[0])
    else:
        links["prev"] = _link(call, "prev_cursor", asked + 1)
    links["start"] = _link(call, "next_cursor", 0)
    return links


def _link(call: Call, cursor: str, value: int) -> str:
    return f"{call.base}?{urlencode({**call.parameters, cursor: value})}"


_SITE: Final = frozenset(
    {
        "sitename",
        "roc",
        "country",
        "certification_status",
        "exclude_certification_status",
        "production_status",
        "scope",
        "scope_match",
        "extensions",
    }
)
_SERVICE: Final = frozenset(
    {
        "hostname",
        "sitename",
        "roc",
        "country",
        "service_type",
        "monitored",
        "scope",
        "scope_match",
        "extensions",
    }
)
_DOWNTIME: Final = frozenset(
    {
        "topentity",
        "ongoing_only",
        "startdate",
        "enddate",
        "windowstart",
        "windowend",
        "scope",
        "scope_match",
        "all_lastmonth",
        "site_extensions",
        "service_extensions",
        "id",
        "sitelist",
        "ngilist",
        "service_type_list",
        "servicelist",
        "severity",
        "classification",
        "production",
        "monitored",
        "certification_status",
    }
)
METHODS: Final = {
    "get_site": Method(3, _SITE, _get_site),
    "get_site_list": Method(1, _SITE, _get_site_list),
    "get_service": Method(1, _SERVICE, _get_service),
    "get_service_endpoint": Method(1, _SERVICE, _get_service),
    "get_service_types": Method(1, frozenset(), _get_service_types, paged=False),
    "get_downtime": Method(1, _DOWNTIME, _get_downtime),
    "get_downtime_nested_services": Method(1, _DOWNTIME, _get_downtime_nested),
}


@protocol.route("/gocdbpi/public/", ["GET"], permission=PUBLIC)
def public() -> Response:
    """The open address."""
    return _call("public")


@protocol.route("/gocdbpi/private/", ["GET"], permission=PUBLIC)
def private() -> Response:
    """The address for callers with a credential; what needs one is decided by the method."""
    return _call("private")


@protocol.errorhandler(Fault)
def answer_fault(fault: Fault) -> Response:
    """GOCDB's faults, with 200."""
    return (
        _xml(fault.body) if not fault.plain else Response(fault.body, content_type="text/html; charset=utf-8")
    )


@protocol.errorhandler(HanseError)
def answer_error(error: HanseError) -> Response:
    """A credential that is no good is no credential."""
    return Response(NO_CREDENTIAL, content_type="text/html; charset=utf-8")


def _call(side: str) -> Response:
    given = {name: request.args.getlist(name)[-1] for name in request.args}
    name = given.get("method", "")
    method = METHODS.get(name)
    if method is None:
        raise Fault(f"Unable to find method: {xml.escape(name)}", plain=True)
    call = _read(side, given, method)
    if method.level > 1 and not current_principal().signed_in:
        raise Fault(NO_CREDENTIAL, plain=True)
    try:
        with ground().db.transaction() as session:
            return conditional(_xml(method.run(session, call)))
    except BadExpression:
        raise Fault("Invalid query expression", plain=True) from None
    except BadValue as error:
        raise Fault(str(error)) from None


def _read(side: str, given: dict[str, str], method: Method) -> Call:
    _check_parameters(given, method)
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    home = (settings.tls_url if request.is_secure else settings.url).rstrip("/")
    return Call(
        parameters={name: value for name, value in given.items() if name not in _CURSORS},
        page=_page(given) if method.paged else Page(),
        base=f"{home}/gocdbpi/{side}/",
        portal=(settings.portal_url or home).rstrip("/"),
        default_scopes=settings.default_scopes,
    )


def _check_parameters(given: dict[str, str], method: Method) -> None:
    known = method.parameters | _IGNORED | (frozenset(_CURSORS) if method.paged else frozenset())
    for name, value in given.items():
        if name not in known:
            raise Fault(f"Unsupported parameter: {name}")
        if _BAD_CHARACTER.search(value):
            raise Fault(f"Unsuported chracter in value: {_printable(value)}")


def _printable(value: str) -> str:
    return re.sub("[\x00-\x1f\x7f]", "?", value)


def _page(given: dict[str, str]) -> Page:
    if all(name in given for name in _CURSORS):
        raise Fault(
            "It is invalid to specify both 'next_cursor' and 'prev_cursor' parameters in the same query"
        )
    for name in _CURSORS:
        if name in given and not re.fullmatch(r"[0-9]{1,15}", given[name]):
            raise Fault(f"Invalid '{name}' parameter - must be a whole number greater than or equal to zero")
    numbers = {name: int(given[name]) for name in _CURSORS if name in given}
    return Page(next=numbers.get("next_cursor"), prev=numbers.get("prev_cursor"))


def _xml(body: str | Iterable[str]) -> Response:
    return Response(body, content_type="application/xml; charset=utf-8")
