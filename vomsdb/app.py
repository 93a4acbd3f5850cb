"""The membership service's application."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from flask import Flask
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.identity.authority import Authority
from hanse.identity.trust import TrustStore
from hanse.web import Api, Gauge, Pages, Protocol, make_app
from hanse.web.feed import feed_room
from vomsdb import applications, authorities, mails, standings, views, vos
from vomsdb.api import asked as asked_api
from vomsdb.api import attributes as attributes_api
from vomsdb.api import authority as authority_api
from vomsdb.api import cards as cards_api
from vomsdb.api import letters as letters_api
from vomsdb.api import members as members_api
from vomsdb.api import people as people_api
from vomsdb.api import personal as personal_api
from vomsdb.api import replication as replication_api
from vomsdb.api import sites as sites_api
from vomsdb.api import vos as vos_api
from vomsdb.promise import Promise
from vomsdb.protocols import replication as agents
from vomsdb.protocols import scim, site_files, vo_cards, voms_admin, voms_soap
from vomsdb.settings import VomsdbSettings
from vomsdb.standings import Standing, Summary


def create_app(settings: VomsdbSettings) -> Flask:
    """The application; connects to nothing yet."""
    db = Database(settings.database_url)
    rooms: list[Api | Pages | Protocol] = [
        vos_api.api,
        people_api.api,
        members_api.api,
        asked_api.api,
        attributes_api.api,
        authority_api.api,
        letters_api.api,
        cards_api.api,
        personal_api.api,
        replication_api.api,
        sites_api.api,
        feed_room(),
        agents.protocol,
        scim.protocol,
        vo_cards.protocol,
        site_files.protocol,
        voms_soap.protocol,
        voms_admin.protocol,
        *views.rooms,
    ]
    return make_app(
        "vomsdb",
        settings,
        db,
        import_name="vomsdb",
        rooms=rooms,
        authority=Authority(db, settings.service_tokens, TrustStore(settings.trust_dir)),
        gauges=lambda: gauges(settings, db),
    )


def gauges(settings: VomsdbSettings, db: Database) -> Iterable[Gauge]:
    """The figures for Prometheus, all from the database."""
    promised = Promise(timedelta(seconds=settings.late_after_s), timedelta(seconds=settings.breach_after_s))
    with db.transaction() as session:
        summary = standings.summary(session, promised)
        pairs = standings.every(session) if summary.total <= MOST_PAIRS else _behind(session)
        listed = vos.search(session, limit=500)
        pending = {one.vo.name: applications.pending_count(session, one.vo.name) for one in listed}
        waiting = mails.count_by_state(session)
    yield from _pairs(pairs, summary)
    for one in listed:
        yield Gauge("hanse_vo_members", METRICS["hanse_vo_members"], one.members, {"vo": one.vo.name})
        yield Gauge(
            "hanse_vo_requests_pending",
            METRICS["hanse_vo_requests_pending"],
            pending[one.vo.name],
            {"vo": one.vo.name},
        )
    yield from _certificates(settings)
    for state, count in waiting.items():
        yield Gauge("hanse_mails", METRICS["hanse_mails"], count, {"state": state})


def _behind(session: Session) -> list[Standing]:
    return standings.worst(session, timedelta(0), MOST_PAIRS)


def _pairs(pairs: Iterable[Standing], summary: Summary) -> Iterable[Gauge]:
    now = datetime.now(UTC)
    for pair in pairs:
        age_s = pair.age_s(now)
        labels = {"site": pair.site, "vo": pair.vo}
        for name, value in (
            ("hanse_replication_unacknowledged_seconds", float(age_s or 0)),
            ("hanse_replication_in_step", float(age_s is None)),
        ):
            yield Gauge(name, METRICS[name], value, labels)
    name = "hanse_replication_pairs"
    for state, number in summary.by_state().items():
        yield Gauge(name, METRICS[name], number, {"state": state})
    oldest = summary.worst.age_s(now) if summary.worst else None
    name = "hanse_replication_oldest_seconds"
    yield Gauge(name, METRICS[name], oldest or 0, {})


def _certificates(settings: VomsdbSettings) -> Iterable[Gauge]:
    """One that cannot be read has ended for whoever is to be alarmed."""
    name = "hanse_attribute_authority_certificate_seconds"
    now = datetime.now(UTC)
    for place, one in zip(("present", "next"), authorities.shown(settings, now), strict=False):
        left = 0 if one.not_after is None else max(0, (one.not_after - now).total_seconds())
        yield Gauge(name, METRICS[name], left, {"host": one.seat.host, "certificate": place})


MOST_PAIRS = 5000
"""With more pairs of site and VO only those that are behind have figures of their own."""
METRICS = {
    "hanse_replication_unacknowledged_seconds": "Age of the oldest change a site has not confirmed; 0 = none.",
    "hanse_replication_in_step": "1 when the site holds exactly what it should of the VO.",
    "hanse_replication_pairs": "Pairs of site and VO by state: in_step, behind, late (18 h), breach (24 h).",
    "hanse_replication_oldest_seconds": "Age of the oldest change that any site has not confirmed; 0 = none.",
    "hanse_vo_members": "Active members of a VO.",
    "hanse_vo_requests_pending": "Requests to join a VO that wait for a decision.",
    "hanse_mails": "Mails by state.",
    "hanse_attribute_authority_certificate_seconds": "Time until a certificate of the attribute authority ends; "
    "0 = ended, or its file cannot be read.",
}
