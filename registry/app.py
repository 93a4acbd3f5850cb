"""The registry as an application."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flask import Flask
from sqlalchemy import func, select

from hanse.database import Database
from hanse.identity.authority import Authority
from hanse.identity.trust import TrustStore
from hanse.revisions import FeedIdentity, head
from hanse.web import Gauge, make_app
from hanse.web.failover import install_read_only
from hanse.web.feed import feed_room
from registry import mails, webhooks
from registry.api import (
    api_credentials,
    certification,
    clouds,
    downtime_drafts,
    downtimes,
    federation,
    history,
    importing,
    information,
    listening,
    ngis,
    people,
    policy,
    properties,
    records,
    services,
    sites,
)
from registry.api.seen import install_last_seen
from registry.models import Downtime, Role, Service, Site
from registry.protocols import (
    ams_information,
    cloud_info_api,
    gocdb_help,
    gocdb_pi,
    gocdb_write,
    ical,
    prometheus_sd,
)
from registry.settings import RegistrySettings
from registry.views import (
    account,
    downtime_calendar,
    downtime_edit,
    downtime_import,
    downtime_wizard,
    extensions,
    forms,
    home,
    machines,
    mine,
    portal,
    programs,
    service_forms,
    site_page,
)
from registry.views import clouds as cloud_pages
from registry.views import downtimes as downtime_pages
from registry.views import drift as drift_pages
from registry.views import history as history_pages
from registry.views import listening as listening_pages
from registry.views import mails as mail_pages
from registry.views import people as people_pages
from registry.views import policy as policy_pages
from registry.views import records as record_pages
from registry.views import roles as role_pages
from registry.views import services as service_pages
from registry.views import sites as site_pages
from registry.views.past import install_past

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


def create_app(settings: RegistrySettings) -> Flask:
    """The application; connects to nothing."""
    db = Database(settings.database_url)
    banners = (settings.read_only_reason if settings.read_only else "", settings.banner)
    app = make_app(
        "registry",
        settings,
        db,
        import_name="registry",
        rooms=[
            site_pages.pages,
            portal.pages,
            site_page.pages,
            service_pages.pages,
            service_forms.pages,
            record_pages.pages,
            extensions.pages,
            machines.pages,
            mine.pages,
            home.pages,
            forms.pages,
            downtime_pages.pages,
            downtime_wizard.pages,
            downtime_edit.pages,
            downtime_calendar.pages,
            downtime_import.pages,
            cloud_pages.pages,
            drift_pages.pages,
            people_pages.pages,
            policy_pages.pages,
            account.pages,
            role_pages.pages,
            mail_pages.pages,
            programs.pages,
            history_pages.pages,
            listening_pages.pages,
            sites.api,
            services.api,
            ngis.api,
            records.api,
            certification.api,
            properties.api,
            downtimes.api,
            downtime_drafts.api,
            people.api,
            api_credentials.api,
            federation.api,
            importing.api,
            policy.api,
            prometheus_sd.api,
            history.api,
            listening.api,
            clouds.api,
            information.api,
            information.publishing,
            cloud_info_api.protocol,
            ams_information.protocol,
            gocdb_pi.protocol,
            ical.protocol,
            gocdb_help.protocol,
            gocdb_write.protocol,
            feed_room(),
        ],
        authority=Authority(db, settings.service_tokens, TrustStore(settings.trust_dir)),
        gauges=gauges(db),
        version=version(db),
        banners=tuple(filter(None, banners)),
    )
    if settings.read_only:
        install_read_only(app, settings.read_only_reason)
    install_last_seen(app, read_only=settings.read_only)
    install_past(app)
    return app


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
