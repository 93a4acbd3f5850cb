"""The accounting house of the tests: a database that follows a registry with the three sites, and its
pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from accounting import summaries
from accounting.app import create_app
from accounting.files import ADMINISTRATOR
from accounting.inbox import Arrival, Inbox, Sender
from accounting.loading import Loader, Outcome, make_loader
from accounting.models import Message, RefusedRecord, Remark, VmMonth
from accounting.settings import AccountingSettings
from demo.ca import Issued
from hanse import cms
from hanse.database import Database, Followed
from hanse.identity.principals import X509Identity
from hanse.identity.tokens import token_key

SITES = {
    "CESNET": ("Czech Republic", "NGI_CZ", 64),
    "BIFI": ("Spain", "NGI_IBERGRID", 50),
    "UKIM": ("North Macedonia", "NGI_MK", 48),
}


@dataclass
class House:
    """Accounting with everything that the tests look at."""

    db: Database
    settings: AccountingSettings
    loader: Loader
    inbox: Inbox
    numbers: list[int] = field(default_factory=list)

    def follow(self, kind: str, entity: str, body: dict[str, Any]) -> None:
        """An entity as the registry's (or membership's) feed would have brought it."""
        with self.db.transaction() as session:
            session.merge(Followed(source="registry", kind=kind, id=entity, body=body, revision=1))

    def forget(self, kind: str, entity: str) -> None:
        """The feed told that the entity is gone."""
        with self.db.transaction() as session:
            session.execute(
                text("delete from followed where kind = :kind and id = :id"), {"kind": kind, "id": entity}
            )

    def site(self, name: str, **changes: Any) -> None:
        """Register a site."""
        country, ngi, vcpu = SITES.get(name, ("Nowhere", "NGI_X", 10))
        body = {
            "id": name, "name": name, "ngi": ngi, "country": country, "certification": "Certified",
            "capacity": {"vcpu": vcpu}, "usage_site_names": [name], "supports": [],
        }  # fmt: skip
        self.follow("site", name, body | changes)

    def register(
        self, site: str, host: Issued, not_before: str | None = None, not_after: str | None = None
    ) -> None:
        """Let a certificate speak for a site."""
        key = X509Identity.from_certificate(host.cert).key
        body = {"id": key, "site": site, "key": key, "not_before": not_before, "not_after": not_after}
        self.follow("host_certificate", f"{site} {key}", body)
        self.grant(key, "site_machine", f"site:{site}", f"acct.{site.lower()}.example")

    def grant(self, principal: str, role: str, scope: str, name: str = "") -> None:
        """A role as the feed brings it."""
        body = {
            "principal": principal,
            "role": role,
            "scope": scope,
            "name": name,
            "not_before": None,
            "not_after": None,
        }
        self.follow("grant", f"{principal} {role} {scope}", body)

    def token(self, name: str, role: str, scope: str, subject: str | None = None) -> dict[str, str]:
        """A token with a role; returns the header that carries it."""
        token = f"hst_{name.replace(' ', '')}_{role}"
        self.grant(token_key(token), role, scope, name)
        identity = {
            "key": token_key(token), "person": None, "site": None, "name": name, "email": None,
            "subject_slash": subject, "subject_der": None, "issuer_der": None,
        }  # fmt: skip
        self.follow("identity", token_key(token), identity)
        return {"Authorization": f"Bearer {token}"}

    def receive(self, body: str | bytes, *, empaid: str = "", source: str = "ams", site: str = "") -> int:
        """Put a message into the inbox; its number."""
        raw = body.encode() if isinstance(body, str) else body
        sender = Sender("token:x", "a publisher", site) if source == "ams" else ADMINISTRATOR
        empaid = empaid or f"test/{len(self.numbers)}"
        number = self.inbox.accept([Arrival(raw, empaid)], sender, source=source)[0]
        self.numbers.append(number)
        return number

    def load(self, body: str | bytes, **how: Any) -> Outcome:
        """Receive and load one message as the administrator (plain text), or with source="ams" as the
        network.
        """
        number = self.receive(body, **{"source": "load"} | how)
        outcome = self.loader.load(number)
        assert outcome is not None
        summaries.summarise(self.db)
        return outcome

    def signed(self, body: str, host: Issued, **how: Any) -> Outcome:
        """Sign, receive from the network and load."""
        return self.load(cms.sign(body.encode(), host.cert, host.key), source="ams", **how)

    def months(self, **where: str) -> dict[str, tuple[int, int, int]]:
        """Usage by month as "YYYY-MM": (wall seconds, CPU seconds, machines), from the summaries."""
        clause = "".join(f" and {name} = :{name}" for name in where)
        with self.db.transaction() as session:
            rows = session.execute(
                text(
                    "select to_char(month, 'YYYY-MM'), sum(wall_s), sum(cpu_s), sum(vms) from usage_summary"
                    f" where true{clause} group by 1 order by 1"
                ),
                where,
            ).all()
        return {month: (int(wall), int(cpu), int(vms)) for month, wall, cpu, vms in rows}

    def refused(self, state: str = "refused") -> Sequence[RefusedRecord]:
        """Refused records, oldest first."""
        with self.db.transaction() as session:
            return session.scalars(
                select(RefusedRecord).where(RefusedRecord.state == state).order_by(RefusedRecord.id)
            ).all()

    def remarks(self) -> dict[str, int]:
        """Remarks by code: how many records."""
        with self.db.transaction() as session:
            found = session.scalars(select(Remark)).all()
        return {each.code: each.records for each in found}

    def remark_reasons(self) -> dict[str, str]:
        """Remarks by code: the reason of the newest."""
        with self.db.transaction() as session:
            found = session.scalars(select(Remark).order_by(Remark.message_id)).all()
        return {each.code: each.reason for each in found}

    def message(self, number: int) -> Message:
        """The row of a message."""
        with self.db.transaction() as session:
            return session.get_one(Message, number)

    def redact(self, number: int) -> None:
        """A name in the message was replaced, so that nobody can open it any more."""
        with self.db.transaction() as session:
            session.get_one(Message, number).redacted_at = datetime.now(UTC)

    def vm_months(self) -> set[tuple[str, str, str, int, int]]:
        """(site, machine, month, wall, CPU) of every machine-month."""
        with self.db.transaction() as session:
            rows = session.scalars(select(VmMonth)).all()
        return {(row.site, row.vmuuid, f"{row.month:%Y-%m}", row.wall_s, row.cpu_s) for row in rows}


@pytest.fixture
def make_house(settings_for: Callable[..., Any], cast: Any) -> Callable[[Database], House]:
    """Furnish a database: three sites, each with its host certificate registered."""

    def make(db: Database, **changes: Any) -> House:
        settings = settings_for(AccountingSettings, "accounting", db, **changes)
        house = House(db, settings, make_loader(settings, db), Inbox(db, settings.inbox_max_waiting))
        for site in SITES:
            house.site(site)
            house.register(site, cast.host(site))
        return house

    return make


@pytest.fixture
def house(database_for: Callable[[str], Database], make_house: Callable[[Database], House]) -> House:
    """A furnished house of one's own."""
    return make_house(database_for("accounting"))


@pytest.fixture
def app(house: House) -> Iterator[Flask]:
    """The application over the house's database."""
    made = create_app(house.settings)
    yield made
    made.extensions["hanse"].db.close()


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A client without credentials."""
    with app.test_client() as made:
        yield made


@pytest.fixture
def operator(house: House) -> dict[str, str]:
    """Ingrid Holm, federation operator."""
    return house.token("Ingrid Holm", "federation_operator", "federation")


@pytest.fixture
def eliska(house: House) -> dict[str, str]:
    """Eliška Malá, site administrator of CESNET."""
    return house.token("Eliška Malá", "site_administrator", "site:CESNET")


@pytest.fixture
def laura(house: House) -> dict[str, str]:
    """Laura Gil, site administrator of BIFI."""
    return house.token("Laura Gil", "site_administrator", "site:BIFI")


@pytest.fixture
def marta(house: House) -> dict[str, str]:
    """Marta Kowalska, manager of training.egi.eu."""
    return house.token("Marta Kowalska", "vo_manager", "vo:training.egi.eu")


@pytest.fixture
def anna(house: House) -> dict[str, str]:
    """Anna Lindqvist, researcher."""
    return house.token(
        "Anna Lindqvist", "vo_member", "vo:training.egi.eu", "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"
    )


@pytest.fixture
def bifi_token(house: House) -> dict[str, str]:
    """The token with which the machines of BIFI publish."""
    header = house.token("cASO at BIFI", "site_machine", "site:BIFI")
    return {"x-api-key": header["Authorization"].removeprefix("Bearer ")}
