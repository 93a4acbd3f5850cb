"""The methods of GOCDB's read interface: who may ask, with which parameters, and what each answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar
from urllib.parse import urlencode

from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.gocdb import downtimes, groups, people, services, sites
from registry.gocdb.asking import PAGE_SIZE, Asked, Page
from registry.models import Role
from registry.renderings import gocdb_xml as xml
from registry.renderings import gocdb_xml_downtimes as downtimes_xml
from registry.renderings import gocdb_xml_groups as groups_xml
from registry.renderings import gocdb_xml_people as people_xml
from registry.renderings.gocdb_xml_people import ContactRow, Told


class Numbered(Protocol):
    """What a page is counted by."""

    @property
    def id(self) -> int: ...


Row = TypeVar("Row", bound=Numbered)


@dataclass(frozen=True)
class Call:
    """One question, the address that its links lead back to, the portal's address, how people are told of, who asks.

    `read` gathers the ids of the people whom the answer tells about.
    """

    asked: Asked
    base: str
    portal: str
    all_realms: bool
    identifier: str
    read: set[int] = field(default_factory=set)

    @property
    def told(self) -> Told:
        """How people are told of."""
        return Told(self.portal, self.all_realms)


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


def _get_roc_list(session: Session, call: Call) -> str:
    rows = groups.ngi_names(session, call.asked)
    return xml.answer(groups_xml.roc_in_list(row.id, row.name) for row in rows)


def _get_subgrid_list(session: Session, call: Call) -> str:
    return xml.answer(groups_xml.sub_grid(*row) for row in sites.sub_grids(session, call.asked))


def _get_site_count_per_country(session: Session, call: Call) -> str:
    return xml.answer(groups_xml.country_count(*row) for row in sites.count_per_country(session, call.asked))


def _get_cert_status_date(session: Session, call: Call) -> str:
    rows = sites.certification_dates(session, call.asked)
    return _answer(call, rows, groups_xml.certification_date)


def _get_cert_status_changes(session: Session, call: Call) -> str:
    rows = sites.certification_changes(session, call.asked)
    call.read.update(row.person for row in rows if row.person is not None)
    return _answer(call, rows, _certification_change)


def _certification_change(row: groups_xml.Step) -> str:
    by = people.subject_in_slash_form(row.subject) if row.subject else row.name
    return groups_xml.certification_step(row, by)


def _get_ngi(session: Session, call: Call) -> str:
    return _answer(call, groups.find_ngis(session, call.asked), groups_xml.ngi)


def _get_service_group(session: Session, call: Call) -> str:
    rows = groups.find_groups(session, call.asked, members=True)
    return _answer(call, rows, lambda row: groups_xml.service_group(row, call.portal))


def _get_site_security_info(session: Session, call: Call) -> str:
    return _answer(call, sites.find_sites(session, call.asked), people_xml.site_security)


def _get_site_contacts(session: Session, call: Call) -> str:
    rows = sites.find_sites(session, call.asked)
    contacts = _contacts(session, call, Role.site_id, [row.id for row in rows])
    return _answer(call, rows, lambda row: people_xml.site_contacts(row, contacts.get(row.id, ()), call.told))


def _get_roc_contacts(session: Session, call: Call) -> str:
    rows = groups.ngi_names(session, call.asked)
    contacts = _contacts(session, call, Role.ngi_id, [row.id for row in rows])
    return _answer(call, rows, lambda row: people_xml.roc_contacts(row, contacts.get(row.id, ()), call.told))


def _get_project_contacts(session: Session, call: Call) -> str:
    rows = groups.project_names(session, call.asked)
    contacts = _contacts(session, call, Role.project_id, [row.id for row in rows])
    return _answer(
        call, rows, lambda row: people_xml.project_contacts(row, contacts.get(row.id, ()), call.told)
    )


def _get_service_group_role(session: Session, call: Call) -> str:
    rows = groups.find_groups(session, call.asked, members=False)
    contacts = _contacts(session, call, Role.service_group_id, [row.id for row in rows])
    return _answer(call, rows, lambda row: people_xml.group_roles(row, contacts.get(row.id, ()), call.told))


def _contacts(
    session: Session, call: Call, column: InstrumentedAttribute[int | None], owners: Sequence[int]
) -> dict[int, list[ContactRow]]:
    found = people.contacts_of(session, column, owners, call.asked)
    call.read.update(one.person.id for contacts in found.values() for one in contacts)
    return found


def _get_user(session: Session, call: Call) -> str:
    rows = people.find_users(session, call.asked)
    call.read.update(row.id for row in rows)
    return _answer(call, rows, lambda row: people_xml.user(row, call.told))


def _access_test(session: Session, call: Call) -> str:
    return people_xml.access(call.identifier)


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

_CONTACTS: Final = _words("sitename roc country roletype scope scope_match")
_GROUP: Final = _words("service_group_name scope scope_match")
_COUNT: Final = _words("production_status certification_status scope")
_GROUPS: Final = _SERVICES | _words("service_group")

METHODS: Final[dict[str, Method]] = {
    "access_test": Method(3, _NONE, _access_test, paged=False, strict=True),
    "get_cert_status_changes": Method(3, _words("site startdate enddate"), _get_cert_status_changes),
    "get_cert_status_date": Method(2, _words("certification_status roc"), _get_cert_status_date),
    "get_downtime": Method(1, _DOWNTIME, _get_downtime, kinds=_DOWNTIMES),
    "get_downtime_nested_services": Method(1, _DOWNTIME, _get_downtime_nested, kinds=_DOWNTIMES),
    "get_downtime_to_broadcast": Method(
        1, _words("interval scope scope_match id"), _get_downtime_to_broadcast
    ),
    "get_ngi": Method(3, _words("roc scope scope_match"), _get_ngi, kinds=_PLACES),
    "get_project_contacts": Method(3, _words("project"), _get_project_contacts),
    "get_roc_contacts": Method(3, _words("roc roletype"), _get_roc_contacts),
    "get_roc_list": Method(1, _words("roc"), _get_roc_list, paged=False),
    "get_service": Method(1, _SERVICE, _get_service, kinds=_SERVICES),
    "get_service_endpoint": Method(1, _SERVICE, _get_service, kinds=_SERVICES),
    "get_service_group": Method(3, _GROUP | {"extensions"}, _get_service_group, kinds=_GROUPS),
    "get_service_group_role": Method(3, _GROUP | {"extensions"}, _get_service_group_role),
    "get_service_types": Method(1, _NONE, _get_service_types, paged=False, kinds=_words("service_type")),
    "get_site": Method(3, _SITE, _get_site, kinds=_PLACES),
    "get_site_contacts": Method(3, _CONTACTS, _get_site_contacts),
    "get_site_count_per_country": Method(1, _COUNT, _get_site_count_per_country, paged=False),
    "get_site_list": Method(1, _SITE, _get_site_list, kinds=_PLACES),
    "get_site_security_info": Method(3, _SITE - {"extensions"}, _get_site_security_info, kinds=_PLACES),
    "get_subgrid_list": Method(1, _words("subgrid"), _get_subgrid_list, paged=False),
    "get_user": Method(3, _words("dn dnlike forename surname roletype"), _get_user),
}
