"""The federation of the fixed cast as tests drive it: entities of the registry, measurements at chosen times."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from hanse.database import Database, Followed
from monitoring import topology, upkeep
from monitoring.alerts import Audience
from monitoring.findings import Result, Status
from monitoring.models import Check, Endpoint, Incident, Notification, StatusChange
from monitoring.recording import Bench, Outcome, record
from monitoring.schedule import Lease
from monitoring.settings import MonitoringSettings

OCCI = "eu.egi.cloud.vm-management.occi"
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)
SITES = {
    "CESNET": ("Czech Republic", "Eliška Malá", "eliska.mala@cesnet.example"),
    "BIFI": ("Spain", "Laura Gil", "laura.gil@bifi.example"),
    "UKIM": ("North Macedonia", "Goran Petrov", "goran.petrov@ukim.example"),
}


def result(status: Status = Status.OK, reason: str = "", summary: str = "", took_s: float = 0.01) -> Result:
    return Result(status, summary or reason or "all is well", reason, took_s)


OK = result()
REFUSED = result(Status.CRITICAL, "tcp-refused", "the port refuses TCP connections")
BROKEN = result(Status.CRITICAL, "occi-invalid", "The answer is not OCCI")
ENDING = result(Status.WARNING, "certificate-ending", "The host certificate ends in 3 d")


@dataclass
class Federation:
    """What tests do with it: put feed entities, hand in results at chosen times, look at what follows.

    `now` is the test's own time; measurements are dated by it."""

    db: Database
    settings: MonitoringSettings
    audience: Audience = field(default_factory=lambda: Audience(webhooks=("http://hooks.example/alerts",)))
    now: datetime = START
    _leases: int = field(default=0)

    def put(self, kind: str, entity_id: str, body: Mapping[str, Any]) -> None:
        """An entity as the registry's feed would have left it."""
        row = insert(Followed).values(source="registry", kind=kind, id=entity_id, body=dict(body), revision=1)
        with self.db.transaction() as session:
            keys = ["source", "kind", "id"]
            session.execute(row.on_conflict_do_update(index_elements=keys, set_={"body": row.excluded.body}))

    def remove(self, kind: str, entity_id: str) -> None:
        """The registry has it no longer."""
        with self.db.transaction() as session:
            session.delete(session.get_one(Followed, ("registry", kind, entity_id)))

    def site(self, name: str) -> None:
        """A site of the cast with its administrator as contact."""
        country, person, email = SITES[name]
        contacts = [{"kind": "admin", "name": person, "email": email}]
        self.put("site", name, {"id": name, "name": name, "country": country, "contacts": contacts})

    def endpoint(
        self, site: str, url: str = "", service_type: str = OCCI, number: str = "", **more: Any
    ) -> str:
        """An endpoint of a site; its id."""
        entity = number or site.lower()
        self.site(site)
        body = {
            "id": entity,
            "site": site,
            "service_id": f"service {entity}",
            "service_type": service_type,
            "hostname": f"occi.{site.lower()}.example",
            "url": url or f"https://occi.{site.lower()}.example:8787/",
            "monitored": True,
            **more,
        }
        self.put("endpoint", entity, body)
        return entity

    def downtime(self, site: str, start: datetime, end: datetime, number: str = "1", **more: Any) -> None:
        """A downtime of the whole site, unless `services` or `endpoints` say less."""
        body = {
            "id": number,
            "site": site,
            "start": start.isoformat(),
            "end": end.isoformat(),
            "severity": "OUTAGE",
        }
        self.put("downtime", number, {**body, "description": "storage firmware", **more})

    def adopt(self) -> str:
        """Follow what the registry says."""
        return topology.adopt(self.db, self.settings)

    def watch_clock(self) -> str:
        return upkeep.watch_clock(self.db, self.settings)

    def measure(
        self, endpoint: str, probe: str, what: Result, *, at: datetime | None = None, asked: str = ""
    ) -> None:
        """One measurement, as a worker would hand it over; the test's time goes on by a minute."""
        self._leases += 1
        when = at or self.now
        with self.db.transaction() as session:
            check = session.scalars(
                select(Check).where(Check.endpoint_id == endpoint, Check.probe == probe)
            ).one()
            lease = Lease(
                check.id,
                f"tests {self._leases}",
                probe,
                "",
                check.host,
                {},
                10,
                None if asked else when,
                asked or None,
                when + timedelta(seconds=30),
            )
            record(session, Outcome(lease, what, when, "tests"), self.bench)
        self.now = max(self.now, when) + timedelta(minutes=1)

    @property
    def bench(self) -> Bench:
        return Bench(self.settings.rules, self.audience)

    def all_well(self) -> None:
        """Every check measured once, good."""
        with self.db.transaction() as session:
            known = [
                (row.endpoint_id, row.probe) for row in session.scalars(select(Check).where(Check.active))
            ]
        for endpoint, probe in sorted(known):
            self.measure(endpoint, probe, OK)

    def outage(self, endpoint: str, what: Result = REFUSED, probe: str = "tcp") -> None:
        """Two failures; other sites answered between them, so that no doubt arises."""
        self.measure(endpoint, probe, what)
        self.others_answer(endpoint)
        self.measure(endpoint, probe, what)

    def others_answer(self, but: str) -> None:
        with self.db.transaction() as session:
            rows = session.scalars(
                select(Check.endpoint_id).where(Check.probe == "tcp", Check.endpoint_id != but)
            )
            others = sorted(rows)
        for other in others:
            self.measure(other, "tcp", OK)

    def recover(self, endpoint: str, probe: str = "tcp") -> None:
        self.measure(endpoint, probe, OK)
        self.measure(endpoint, probe, OK)

    # --- what follows ---

    @contextmanager
    def session(self) -> Iterator[Session]:
        with self.db.transaction() as session:
            yield session

    def state(self, endpoint: str) -> str:
        with self.session() as session:
            return session.get_one(Endpoint, endpoint).state

    def check(self, endpoint: str, probe: str) -> Check:
        with self.session() as session:
            return session.scalars(
                select(Check).where(Check.endpoint_id == endpoint, Check.probe == probe)
            ).one()

    def incidents(self) -> list[Incident]:
        with self.session() as session:
            return list(session.scalars(select(Incident).order_by(Incident.number)))

    def messages(self) -> list[tuple[str, str, str]]:
        """(event, notifier, recipient) of all that was queued."""
        with self.session() as session:
            rows = session.scalars(select(Notification).order_by(Notification.created_at, Notification.key))
            return [(row.event, row.notifier, row.recipient) for row in rows]

    def events(self) -> list[str]:
        """What the webhook is told."""
        return [event for event, notifier, _ in self.messages() if notifier == "webhook"]

    def timeline(self, level: str, subject: str) -> list[tuple[datetime, str]]:
        with self.session() as session:
            rows = session.scalars(
                select(StatusChange)
                .where(StatusChange.level == level, StatusChange.subject == subject)
                .order_by(StatusChange.at, StatusChange.id)
            )
            return [(row.at, row.state) for row in rows]

    def due_all(self) -> None:
        """Every check is due now."""
        with self.session() as session:
            session.execute(update(Check).values(next_at=datetime.now(UTC) - timedelta(seconds=1)))
