"""The registry as an application."""

from __future__ import annotations

from typing import Final

from flask import Flask

from hanse.database import Database
from hanse.identity.authority import Authority
from hanse.identity.trust import TrustStore
from hanse.web import Api, Pages, Protocol, make_app
from hanse.web.failover import install_read_only
from hanse.web.feed import feed_room
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
    roles,
    services,
    sites,
)
from registry.api.seen import install_last_seen
from registry.metrics import METRICS, gauges, version
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

__all__ = ["METRICS", "create_app"]

ROOMS: Final[tuple[Api | Pages | Protocol, ...]] = (
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
    roles.api,
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
)


def create_app(settings: RegistrySettings) -> Flask:
    """The application; connects to nothing."""
    db = Database(settings.database_url)
    banners = (settings.read_only_reason if settings.read_only else "", settings.banner)
    app = make_app(
        "registry",
        settings,
        db,
        import_name="registry",
        rooms=[*ROOMS, feed_room()],
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
