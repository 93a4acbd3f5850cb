"""What a GOCDB holds, as far as its interface tells it: values under our names, each with GOCDB's own keys.

`values` are ready for the schemas of `registry.schemas`; what the interface leaves out is not in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Values = dict[str, Any]


@dataclass
class Record:
    """One thing: its key there (`41G0`), its number there (None where it shows none), its name, its values."""

    key: str
    number: int | None
    name: str
    values: Values = field(default_factory=dict)


@dataclass(frozen=True)
class CertificationRecord:
    """A line of the certification log."""

    site: str
    at: datetime
    old: str
    new: str
    by: str
    reason: str
    number: int | None = None


@dataclass
class UserRecord:
    """A person: the subjects of certificates, subjects of identity providers by realm, and roles.

    A role is (role name, kind of thing, name of the thing); kinds are site, ngi, project and servicegroup.
    """

    key: str
    name: str
    email: str = ""
    telephone: str = ""
    title: str = ""
    works_from: str = ""
    works_until: str = ""
    identifiers: dict[str, str] = field(default_factory=dict)
    roles: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class Bundle:
    """Everything that was read, and what could not be: (method, why)."""

    source: str
    service_types: list[Record] = field(default_factory=list)
    projects: list[Record] = field(default_factory=list)
    ngis: list[Record] = field(default_factory=list)
    sites: list[Record] = field(default_factory=list)
    services: list[Record] = field(default_factory=list)
    groups: list[Record] = field(default_factory=list)
    downtimes: list[Record] = field(default_factory=list)
    certifications: list[CertificationRecord] = field(default_factory=list)
    users: list[UserRecord] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)

    def scopes(self) -> list[str]:
        """Every scope that anything carries, by name."""
        carriers = [*self.ngis, *self.sites, *self.services, *self.groups]
        return sorted({scope for record in carriers for scope in record.values.get("scopes", ())})
