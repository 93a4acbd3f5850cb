"""The checklist of a site: what the registry knows itself, and what the other services answer within the deadline.

Where a service cannot answer the item says so and is unknown: nothing is proposed on it, and nothing held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from registry import neighbours, policy_contacts
from registry.models import (
    CertificationEvidence,
    CertificationEvidenceStep,
    HostCertificate,
    Service,
    Site,
)
from registry.neighbours import NAMES, Heard
from registry.policy_answers import JUDGES, Met
from registry.schemas.policy import ItemDoc, PolicyDoc
from registry.settings import RegistrySettings

OWN: Final = "registry"
QUESTIONS: Final = {
    "monitoring": "/api/v1/status?site={site}&days=true",
    "accounting": "/api/v1/publishing",
    "vomsdb": "/api/v1/replication?site={site}",
}
ASKED: Final = {
    "endpoints_valid": "monitoring",
    "monitoring_green": "monitoring",
    "accounting_arriving": "accounting",
    "identities_replicated": "vomsdb",
}


@dataclass(frozen=True)
class Found:
    """What is known of one item now."""

    item: str
    title: str
    state: Met
    told: str
    source: str
    at: datetime
    since: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """For a proposal's record."""
        return {
            "item": self.item,
            "title": self.title,
            "state": self.state,
            "told": self.told,
            "source": self.source,
            "at": self.at.isoformat().replace("+00:00", "Z"),
        }


class Neighbourhood:
    """Answers of the other services for many sites: asked once each, and no more after a service was silent."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._answers: dict[str, Heard] = {}
        self._silent: dict[str, Heard] = {}

    def hear(self, service: str, site: str) -> Heard:
        """What the service says of the site; a fault where it says nothing."""
        if service in self._silent:
            return self._silent[service]
        path = QUESTIONS[service].format(site=quote(site, safe=""))
        key = f"{service} {path}"
        if key not in self._answers:
            heard = neighbours.ask_alone(self._settings, service, path)
            self._answers[key] = heard
            if heard.absent or heard.fault:
                self._silent[service] = heard
        return self._answers[key]


def needed(policy: PolicyDoc) -> set[str]:
    """The services that the policy's items ask."""
    return {ASKED[item.check] for item in policy.items.values() if item.check in ASKED}


def hear(settings: RegistrySettings, policy: PolicyDoc, site: str, around: Neighbourhood) -> dict[str, Heard]:
    """The answers about one site; asked before a transaction begins, since each may take the whole deadline."""
    del settings
    return {service: around.hear(service, site) for service in sorted(needed(policy))}


def look(session: Session, policy: PolicyDoc, site: Site, heard: Mapping[str, Heard]) -> list[Found]:
    """The checklist of a site now, in the order of the policy."""
    now = datetime.now(UTC)
    return [_look_at(session, site, name, item, heard, now) for name, item in policy.items.items()]


def _look_at(
    session: Session, site: Site, name: str, item: ItemDoc, heard: Mapping[str, Heard], now: datetime
) -> Found:
    """One item: what the registry can say itself, and where that is not all, what the service says."""
    own, service = _OWN_CHECKS.get(item.check), ASKED.get(item.check)
    if own is not None:
        state, told = own(session, site, item, now)
        if service is None or state != "met":
            return Found(name, item.title, state, told, OWN, now)
    assert service is not None, f"nobody is asked about {item.check}"
    answer = heard.get(service, Heard(service, absent=True))
    state, told = _of_service(service, item, site.name, answer, now)
    return Found(name, item.title, state, told, service, answer.at or now)


def store(session: Session, site: Site, found: list[Found]) -> None:
    """Keep what was found; `since` stays while the state does. Items that the policy dropped go."""
    rows = {
        row.item: row
        for row in session.scalars(
            select(CertificationEvidence).where(CertificationEvidence.site_id == site.id).with_for_update()
        )
    }
    for one in found:
        row = rows.pop(one.item, None)
        if row is None:
            row = CertificationEvidence(site_id=site.id, item=one.item, since=one.at, state=one.state)
            session.add(row)
            session.add(_step(site, one))
        elif row.state != one.state:
            row.since = one.at
            session.add(_step(site, one))
        row.state, row.told, row.source, row.at = one.state, one.told[:1000], one.source, one.at
    if rows:
        session.execute(
            delete(CertificationEvidence).where(
                CertificationEvidence.site_id == site.id, CertificationEvidence.item.in_(rows.keys())
            )
        )
    session.flush()


def _step(site: Site, one: Found) -> CertificationEvidenceStep:
    """What an item became, for looks at the past."""
    return CertificationEvidenceStep(
        site_id=site.id, item=one.item, at=one.at, state=one.state, told=one.told[:1000], source=one.source
    )


def then(session: Session, policy: PolicyDoc, site_id: int, at: datetime) -> list[Found]:
    """The checklist as it stood at a moment: each item as it had become; what had never been looked at is unknown."""
    newest = (
        select(CertificationEvidenceStep)
        .where(CertificationEvidenceStep.site_id == site_id, CertificationEvidenceStep.at <= at)
        .ext(distinct_on(CertificationEvidenceStep.item))
        .order_by(
            CertificationEvidenceStep.item,
            CertificationEvidenceStep.at.desc(),
            CertificationEvidenceStep.id.desc(),
        )
    )
    steps = {row.item: row for row in session.scalars(newest)}
    found = []
    for name, item in policy.items.items():
        row = steps.get(name)
        source = ASKED.get(item.check, OWN)
        if row is None:
            found.append(Found(name, item.title, "unknown", "nobody had looked yet", source, at))
        else:
            found.append(Found(name, item.title, _met(row.state), row.told, row.source, row.at, row.at))
    return found


def _met(state: str) -> Met:
    return "met" if state == "met" else "not_met" if state == "not_met" else "unknown"


def stored(session: Session, policy: PolicyDoc, site: Site) -> list[Found]:
    """The checklist as it was last looked at; what was never looked at is unknown."""
    rows = {
        row.item: row
        for row in session.scalars(
            select(CertificationEvidence).where(CertificationEvidence.site_id == site.id)
        )
    }
    found = []
    for name, item in policy.items.items():
        row = rows.get(name)
        if row is None:
            at = datetime.now(UTC)
            found.append(
                Found(name, item.title, "unknown", "nobody has looked yet", ASKED.get(item.check, OWN), at)
            )
        else:
            found.append(Found(name, item.title, _met(row.state), row.told, row.source, row.at, row.since))
    return found


def _contact_answered(session: Session, site: Site, item: ItemDoc, now: datetime) -> tuple[Met, str]:
    days = item.days or 365
    states = policy_contacts.states(session, site)
    missing = []
    for kind in item.contacts:
        answers = [one.confirmed_at for one in states if kind in one.kinds and one.confirmed_at is not None]
        if not any(now - at <= timedelta(days=days) for at in answers):
            missing.append(kind)
    if missing:
        return "not_met", f"no {' and no '.join(missing)} contact has answered within {days} days"
    return "met", f"each of {', '.join(item.contacts)} has answered within {days} days"


def _csirt_contact(_session: Session, site: Site, _item: ItemDoc, _now: datetime) -> tuple[Met, str]:
    found = [one for one in site.contacts if one.kind == "security" and one.email]
    return (
        ("met", "a security contact is named") if found else ("not_met", "no security contact has an address")
    )


def _fields_complete(_session: Session, site: Site, _item: ItemDoc, _now: datetime) -> tuple[Met, str]:
    wanted = {
        "latitude": site.latitude,
        "longitude": site.longitude,
        "time zone": site.timezone,
        "description": site.description,
    }
    missing = [name for name, value in wanted.items() if value is None or value == ""]
    return ("not_met", f"missing: {', '.join(missing)}") if missing else ("met", "all are there")


def _endpoints_registered(session: Session, site: Site, _item: ItemDoc, _now: datetime) -> tuple[Met, str]:
    services = list(session.scalars(select(Service).where(Service.site_id == site.id, Service.production)))
    bare = [one.hostname for one in services if one.monitored and not one.endpoints]
    watched = sum(one.monitored and any(end.monitored for end in one.endpoints) for one in services)
    if bare:
        return "not_met", f"without an endpoint: {', '.join(sorted(bare)[:5])}"
    if not watched:
        return "not_met", "no service in production has an endpoint that is watched"
    return "met", f"{watched} services in production can be watched"


def _host_certificate(session: Session, site: Site, item: ItemDoc, now: datetime) -> tuple[Met, str]:
    least = now + timedelta(days=item.days or 7)
    ends = session.scalars(select(HostCertificate.not_after).where(HostCertificate.site_id == site.id))
    last = max(ends, default=None)
    if last is None:
        return "not_met", "no host certificate is registered"
    told = f"the last host certificate ends on {last:%d %b %Y}"
    return ("met" if last > least else "not_met"), told


_OWN_CHECKS: Final[Mapping[str, Callable[[Session, Site, ItemDoc, datetime], tuple[Met, str]]]] = {
    "contact_answered": _contact_answered,
    "csirt_contact": _csirt_contact,
    "fields_complete": _fields_complete,
    "endpoints_registered": _endpoints_registered,
    "endpoints_valid": _endpoints_registered,
    "host_certificate": _host_certificate,
}


def _of_service(service: str, item: ItemDoc, site: str, heard: Heard, now: datetime) -> tuple[Met, str]:
    if heard.absent:
        return "unknown", f"{NAMES[service]} is not configured here (setting {service}_url)"
    if heard.fault or not heard.known:
        return (
            "unknown",
            f"{heard.fault or NAMES[service] + ' has told nothing'} (asked {now:%d %b %Y %H:%M} UTC)",
        )
    return JUDGES[item.check](item, site, heard.body, now)
