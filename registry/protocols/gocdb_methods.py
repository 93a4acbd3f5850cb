"""The methods of GOCDB's read interface: who may ask, with which parameters, and what each answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from registry.gocdb import downtimes, services, sites
from registry.gocdb.asking import PAGE_SIZE, Asked, Page
from registry.renderings import gocdb_xml as xml
from registry.renderings import gocdb_xml_downtimes as downtimes_xml


class Numbered(Protocol):
    """What a page is counted by."""

    @property
    def id(self) -> int: ...


Row = TypeVar("Row", bound=Numbered)


@dataclass(frozen=True)
class Call:
    """One question, the address that its links lead back to, the portal's address, and who asks (for access_test)."""

    asked: Asked
    base: str
    portal: str
    identifier: str = ""


@dataclass(frozen=True)
class Method:
    """A method: its level (1 open, 2 any credential, 3 personal), its parameters, what it answers.

    `kinds` are the kinds of entities of the log that the answer is made of: as long as none of them changes, the answer
    may be kept. None means that it never is, because it holds personal data or depends on the hour.
    """

    level: int
    parameters: frozenset[str]
    run: Callable[[Session, Call], str]
    paged: bool = True
    kinds: frozenset[str] | None = None
    strict: bool = False

    def kept(self, asked: Asked) -> frozenset[str] | None:
        """The kinds on which this very answer depends; None when it must not be kept."""
        ongoing = asked.parameters.get("ongoing_only", "").strip().lower() == "yes"
        return None if ongoing or "all_lastmonth" in asked.parameters else self.kinds


def _get_site(session: Session, call: Call) -> str:
    return _answer(call, sites.find_sites(session, call.asked), lambda row: xml.site(row, call.portal))


def _get_site_list(session: Session, call: Call) -> str:
    every = Asked(call.asked.parameters, Page(), call.asked.default_scopes, call.asked.now)
    return xml.answer(map(xml.site_in_list, sites.find_sites(session, every)))


def _get_service(session: Session, call: Call) -> str:
    return _answer(
        call, services.find_services(session, call.asked), lambda row: xml.service(row, call.portal)
    )


def _get_service_types(session: Session, call: Call) -> str:
    return xml.answer(xml.service_type(*row) for row in services.service_types(session))


def _get_downtime(session: Session, call: Call) -> str:
    rows = downtimes.find_downtimes(session, call.asked)
    return _answer(call, rows, lambda row: downtimes_xml.downtime(row, call.portal))


def _get_downtime_nested(session: Session, call: Call) -> str:
    rows = downtimes.find_downtimes(session, call.asked)
    return _answer(call, rows, lambda row: downtimes_xml.downtime_nested(row, call.portal))


def _get_downtime_to_broadcast(session: Session, call: Call) -> str:
    rows = downtimes.find_announced(session, call.asked)
    return _answer(call, rows, lambda row: downtimes_xml.downtime_to_broadcast(row, call.portal))


def _answer(call: Call, rows: Sequence[Row], show: Callable[[Row], str]) -> str:
    if not call.asked.page.asked:
        return xml.answer(map(show, rows))
    links = _links(call, [row.id for row in rows])
    return xml.answer(map(show, rows), xml.page_links(links, len(rows), PAGE_SIZE))


def _links(call: Call, numbers: Sequence[int]) -> dict[str, str]:
    """`next` also on the last full page: the end is a page with count 0 and without it."""
    page = call.asked.page
    which = "next_cursor" if page.next is not None else "prev_cursor"
    asked = page.next if page.next is not None else page.prev
    assert asked is not None
    links = {"self": _link(call, which, asked)}
    if numbers:
        links["next"] = _link(call, "next_cursor", numbers[-1])
        links["prev"] = _link(call, "prev_cursor", numbers[0])
    else:
        links["prev"] = _link(call, "prev_cursor", asked + 1)
    links["start"] = _link(call, "next_cursor", 0)
    return links


def _link(call: Call, cursor: str, value: int) -> str:
    return f"{call.base}?{urlencode({**call.asked.parameters, cursor: value})}"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SITE: Final = _words(
    "sitename roc country certification_status exclude_certification_status production_status scope scope_match"
    " extensions"
)
_SERVICE: Final = _words("hostname sitename roc country service_type monitored scope scope_match extensions")
_DOWNTIME: Final = _words(
    "topentity ongoing_only startdate enddate windowstart windowend scope scope_match all_lastmonth site_extensions"
    " service_extensions id sitelist ngilist service_type_list severity classification production monitored"
    " certification_status servicelist"
)
_NONE: Final = _words("")
_PLACES: Final = _words("site ngi")
_SERVICES: Final = _PLACES | _words("service endpoint service_type")
_DOWNTIMES: Final = _SERVICES | _words("downtime")

METHODS: Final[dict[str, Method]] = {
    "get_site": Method(3, _SITE, _get_site, kinds=_PLACES),
    "get_site_list": Method(1, _SITE, _get_site_list, kinds=_PLACES),
    "get_service": Method(1, _SERVICE, _get_service, kinds=_SERVICES),
    "get_service_endpoint": Method(1, _SERVICE, _get_service, kinds=_SERVICES),
    "get_service_types": Method(1, _NONE, _get_service_types, paged=False, kinds=_words("service_type")),
    "get_downtime": Method(1, _DOWNTIME, _get_downtime, kinds=_DOWNTIMES),
    "get_downtime_nested_services": Method(1, _DOWNTIME, _get_downtime_nested, kinds=_DOWNTIMES),
    "get_downtime_to_broadcast": Method(
        1, _words("interval scope scope_match id"), _get_downtime_to_broadcast
    ),
}
