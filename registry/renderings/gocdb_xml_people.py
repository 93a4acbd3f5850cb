"""People in the XML of GOCDB's programmatic interface (5.12): contacts, users, security addresses, access_test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from registry.renderings import gocdb_xml as xml
from registry.renderings.gocdb_xml import SiteRow
from registry.renderings.gocdb_xml_groups import GroupRow, Named, group_head


class PersonRow(NamedTuple):
    """What is told of a person. `certificate` is a subject in slash form, the others subjects of identity providers."""

    id: int
    forename: str
    surname: str
    title: str
    email: str | None
    telephone: str
    works_from: str
    works_until: str
    certificate: str = ""
    egi_checkin: str = ""
    iris_iam: str = ""
    other: str = ""

    @property
    def identifier(self) -> str:
        """The identifier of first choice: the certificate's, else the first that there is."""
        return self.certificate or self.egi_checkin or self.iris_iam or self.other


class ContactRow(NamedTuple):
    """A person in a role."""

    person: PersonRow
    role: str


class HeldRole(NamedTuple):
    """A role of a person: its name, on what, the kind and key of that, and the projects that recognise it."""

    role: str
    entity: str
    kind: str
    key: str
    projects: Sequence[tuple[int, str]]


class UserRow(NamedTuple):
    """A person with all roles."""

    id: int
    person: PersonRow
    roles: Sequence[HeldRole]


class Told(NamedTuple):
    """How people are told: the portal's address, and whether the identities of all realms are listed."""

    portal: str
    all_realms: bool


def _identities(at: str, person: PersonRow, told: Told) -> str:
    if not told.all_realms:
        return xml.always(at, "CERTDN", person.identifier)
    return (
        xml.always(at, "CERTDN", person.certificate)
        + xml.always(at, "EGICHECKIN", person.egi_checkin)
        + xml.always(at, "IRISIAM", person.iris_iam)
    )


def _names(at: str, person: PersonRow) -> str:
    return xml.always(at, "FORENAME", person.forename) + xml.always(at, "SURNAME", person.surname)


def _hours(at: str, person: PersonRow) -> str:
    return xml.always(at, "WORKING_HOURS_START", person.works_from) + xml.always(
        at, "WORKING_HOURS_END", person.works_until
    )


def _contact(row: ContactRow, told: Told, *, hours: bool = False) -> str:
    at, person = "      ", row.person
    return (
        f'    <CONTACT USER_ID="{person.id}G0" PRIMARY_KEY="{person.id}G0">\n'
        f"{_names(at, person)}"
        f"{xml.always(at, 'TITLE', person.title)}"
        f"{xml.always(at, 'EMAIL', person.email)}"
        f"{xml.always(at, 'TEL', person.telephone)}"
        f"{_hours(at, person) if hours else ''}"
        f"{_identities(at, person, told)}"
        f"{xml.always(at, 'ROLE_NAME', row.role)}"
        "    </CONTACT>\n"
    )


def _site_head(row: SiteRow) -> str:
    """The id of a site carries `G0` here, unlike in get_site: an oddity that clients know."""
    key, at = xml.attribute(row.primary_key), "    "
    return (
        f'  <SITE ID="{row.id}G0" PRIMARY_KEY="{key}" NAME="{xml.attribute(row.name)}">\n'
        f"{at}<PRIMARY_KEY>{xml.escape(row.primary_key)}</PRIMARY_KEY>\n"
        f"{at}<SHORT_NAME>{xml.escape(row.name)}</SHORT_NAME>\n"
    )


def site_contacts(row: SiteRow, contacts: Sequence[ContactRow], told: Told) -> str:
    """A `SITE` of `get_site_contacts`."""
    return _site_head(row) + "".join(_contact(one, told) for one in contacts) + "  </SITE>\n"


def site_security(row: SiteRow) -> str:
    """A `SITE` of `get_site_security_info`."""
    return (
        f"{_site_head(row)}{xml.always('    ', 'CSIRT_EMAIL', row.csirt_email)}"
        f"{xml.always('    ', 'CSIRT_TEL', row.csirt_telephone)}  </SITE>\n"
    )


def roc_contacts(row: Named, contacts: Sequence[ContactRow], told: Told) -> str:
    """A `ROC` of `get_roc_contacts`."""
    at = "    "
    return (
        f'  <ROC ID="{row.id}" ROC_NAME="{xml.attribute(row.name)}">\n'
        f"{at}<ROCNAME>{xml.escape(row.name)}</ROCNAME>\n"
        f"{xml.always(at, 'MAIL_CONTACT', row.email)}"
        f"{at}<GOCDB_PORTAL_URL>{xml.portal_url(told.portal, 'NGI', row.id)}</GOCDB_PORTAL_URL>\n"
        + "".join(_contact(one, told) for one in contacts)
        + "  </ROC>\n"
    )


def project_contacts(row: Named, contacts: Sequence[ContactRow], told: Told) -> str:
    """A `Project` of `get_project_contacts`."""
    head = f'  <Project ID="{row.id}" NAME="{xml.attribute(row.name)}"'
    if not contacts:
        return f"{head}/>\n"
    return f"{head}>\n" + "".join(_contact(one, told, hours=True) for one in contacts) + "  </Project>\n"


def group_roles(row: GroupRow, contacts: Sequence[ContactRow], told: Told) -> str:
    """A `SERVICE_GROUP` of `get_service_group_role`."""
    at = "      "
    users = "".join(
        "    <USER>\n"
        f"{_names(at, one.person)}"
        f"{_identities(at, one.person, told)}"
        f"{at}<GOCDB_PORTAL_URL>{xml.portal_url(told.portal, 'User', one.person.id)}</GOCDB_PORTAL_URL>\n"
        f"{xml.always(at, 'ROLE', one.role)}"
        "    </USER>\n"
        for one in contacts
    )
    return f"{group_head(row, told.portal)}{users}  </SERVICE_GROUP>\n"


def user(row: UserRow, told: Told) -> str:
    """An `EGEE_USER` of `get_user`. What GOCDB always leaves empty is empty here too."""
    at, person = "    ", row.person
    return (
        f'  <EGEE_USER ID="{row.id}G0" PRIMARY_KEY="{row.id}G0">\n'
        f"{_names(at, person)}"
        f"{xml.always(at, 'TITLE', person.title)}"
        f"{at}<DESCRIPTION/>\n"
        f"{at}<GOCDB_PORTAL_URL>{xml.portal_url(told.portal, 'User', row.id)}</GOCDB_PORTAL_URL>\n"
        f"{xml.always(at, 'EMAIL', person.email)}"
        f"{xml.always(at, 'TEL', person.telephone)}"
        f"{_hours(at, person)}"
        f"{_identities(at, person, told)}"
        f"{at}<SSOUSERNAME/>\n{at}<APPROVED/>\n{at}<ACTIVE/>\n{at}<HOMESITE/>\n"
        + "".join(map(_user_role, row.roles))
        + "  </EGEE_USER>\n"
    )


def _user_role(row: HeldRole) -> str:
    at = "      "
    projects = "".join(
        f'{at}  <PROJECT ID="{number}">{xml.escape(name)}</PROJECT>\n' for number, name in row.projects
    )
    recognised = (
        f"{at}<RECOGNISED_IN_PROJECTS>\n{projects}{at}</RECOGNISED_IN_PROJECTS>\n"
        if projects
        else f"{at}<RECOGNISED_IN_PROJECTS/>\n"
    )
    return (
        "    <USER_ROLE>\n"
        f"{at}<USER_ROLE>{xml.escape(row.role)}</USER_ROLE>\n"
        f"{at}<ON_ENTITY>{xml.escape(row.entity)}</ON_ENTITY>\n"
        f"{at}<ENTITY_TYPE>{row.kind}</ENTITY_TYPE>\n"
        f"{at}<PRIMARY_KEY>{xml.escape(row.key)}</PRIMARY_KEY>\n"
        f"{recognised}"
        "    </USER_ROLE>\n"
    )


def access(identifier: str) -> str:
    """The answer of `access_test` to somebody who may read personal data."""
    return (
        f'{xml.HEAD}<results identifier="{xml.attribute(identifier)}">\n'
        "  <authorized>true</authorized>\n</results>\n"
    )
