"""The registry's own figures for Prometheus, and the version of all that it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import func, select

from hanse.database import Database
from hanse.revisions import FeedIdentity, head
from hanse.web import Gauge
from registry import mails, webhooks
from registry.models import Downtime, Role, Service, Site

METRICS = {
    "hanse_registry_sites": "Sites by certification status.",
    "hanse_registry_services": "Services that are registered.",
    "hanse_registry_downtimes_ongoing": "Downtimes that are going on.",
    "hanse_registry_revision": "Newest revision of the log.",
    "hanse_registry_role_requests": "Requests for roles that wait for a decision.",
    "hanse_registry_mails": "Mails by what became of them: pending, delivered, failed.",
    "hanse_registry_webhook_deliveries": "Messages to webhooks by what became of them: pending, delivered, failed.",
    "hanse_registry_webhooks_stopped": "Webhooks that were stopped, most of them because nothing was taken.",
}


def version(db: Database) -> Callable[[], str]:
    """Life and newest revision of the log: what `revised` reads tell differs only when this differs."""

    def read() -> str:
        with db.transaction() as session:
            epoch = session.scalar(select(FeedIdentity.epoch)) or "new"
            return f"{epoch[:8]}.{head(session)}"

    return read


def gauges(db: Database) -> Callable[[], Iterable[Gauge]]:
    """The registry's own figures for /metrics, from the database."""

    def read() -> list[Gauge]:
        with db.transaction() as session:
            by_status = session.execute(select(Site.certification, func.count()).group_by(Site.certification))
            figures = [
                _gauge("hanse_registry_sites", count, certification=status) for status, count in by_status
            ]
            services_count = session.scalar(select(func.count()).select_from(Service)) or 0
            ongoing = session.scalar(
                select(func.count()).select_from(Downtime).where(Downtime.state == "ongoing")
            )
            figures.append(_gauge("hanse_registry_services", services_count))
            figures.append(_gauge("hanse_registry_downtimes_ongoing", ongoing or 0))
            figures.append(_gauge("hanse_registry_revision", head(session)))
            waiting = session.scalar(select(func.count()).select_from(Role).where(Role.status == "PENDING"))
            figures.append(_gauge("hanse_registry_role_requests", waiting or 0))
            for state, count in mails.count_by_state(session).items():
                figures.append(_gauge("hanse_registry_mails", count, state=state))
            for state, count in webhooks.count_by_state(session).items():
                figures.append(_gauge("hanse_registry_webhook_deliveries", count, state=state))
            figures.append(_gauge("hanse_registry_webhooks_stopped", webhooks.count_stopped(session)))
        return figures

    return read


def _gauge(name: str, value: float, **labels: str) -> Gauge:
    return Gauge(name, METRICS[name], value, labels)
