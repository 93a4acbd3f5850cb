"""create_app(settings): the accounting service. Nothing happens at import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flask import Flask

from accounting import crosschecks, inbox, publishing, site_publishing
from accounting.api import (
    carrying_api,
    crosschecks_api,
    keeping_api,
    publishing_api,
    quarantine_api,
    records_api,
    refused_api,
    usage_api,
)
from accounting.carrying import carrying
from accounting.inbox import Inbox
from accounting.loading import make_loader
from accounting.protocols.ams import ams
from accounting.protocols.authn import authn
from accounting.protocols.egi_portal import egi_portal, kept_answers
from accounting.protocols.https_post import apel_rest, messages_api
from accounting.publishing import Limits
from accounting.settings import AccountingSettings
from accounting.views import crosschecks_pages, exports_pages, publishing_pages, refused_pages, usage_pages
from hanse.database import Database
from hanse.errors import Unavailable
from hanse.follow import lag
from hanse.identity.authority import Authority
from hanse.identity.certificate_tokens import CertificateTokens
from hanse.identity.trust import TrustStore
from hanse.web import Gauge, make_app

METRICS: dict[str, str] = {
    "hanse_accounting_messages_waiting": "Messages in the inbox that no loader has judged yet.",
    "hanse_accounting_refused_records": "Records of a site that are refused and neither replayed nor discarded.",
    "hanse_accounting_last_message_age_seconds": "Seconds since the last message of a site that brought records.",
    "hanse_accounting_site_state": "How a site publishes: 0 in time, 1 late, 2 missing or never.",
    "hanse_accounting_silence_limit_seconds": "Silence after which a site is late (warning) and missing (critical).",
    "hanse_accounting_gap_months": "Months of a site without usage between its first and its last with some.",
    "hanse_accounting_sync_differences": "Job counts of a site's own sync messages that differ from what is counted.",
    "hanse_accounting_pull_age_seconds": "Seconds since a subscription was last pulled from without a failure.",
    "hanse_accounting_forward_messages_waiting": "Messages for the higher federation that were not taken there yet.",
    "hanse_accounting_forward_age_seconds": "Seconds that the oldest of them has waited; 0 when none waits.",
    "hanse_accounting_findings": "Findings of the cross-checks, by check, that stand and that nobody accepted.",
}
_STATES = {"in time": 0.0, "late": 1.0, "missing": 2.0, "never": 2.0}


def create_app(settings: AccountingSettings) -> Flask:
    """The Flask application: AMS publishing, the JSON API and the pages."""
    db = Database(settings.database_url)
    trust = TrustStore(settings.trust_dir)
    tokens = CertificateTokens(
        settings.secret_key.get_secret_value(), "accounting", timedelta(hours=settings.ams_token_hours)
    )
    app = make_app(
        "accounting",
        settings,
        db,
        import_name="accounting",
        rooms=[
            usage_api,
            refused_api,
            records_api,
            publishing_api,
            usage_pages,
            publishing_pages,
            refused_pages,
            ams,
            authn,
            messages_api,
            apel_rest,
            egi_portal,
            carrying_api,
            crosschecks_api,
            quarantine_api,
            keeping_api,
            crosschecks_pages,
            exports_pages,
        ],
        authority=Authority(db, settings.service_tokens, trust, tokens),
        ready={"registry": _registry_followed(settings, db)},
        gauges=lambda: gauges(settings, db),
    )
    app.extensions["accounting.tokens"] = tokens
    app.extensions["accounting.inbox"] = Inbox(db, settings.inbox_max_waiting)
    app.extensions["accounting.loader"] = make_loader(settings, db)
    app.extensions["accounting.egi_portal"] = kept_answers(db, settings.federation)
    return app


def _registry_followed(settings: AccountingSettings, db: Database) -> Callable[[], None]:
    def check() -> None:
        if not settings.registry_url:
            return
        with db.transaction() as session:
            state = lag(session).get("registry")
        if state is None or state.age_s is None:
            raise Unavailable(
                "The registry's feed was never read: no site is known yet. Run the jobs process."
            )

    return check


def gauges(settings: AccountingSettings, db: Database) -> list[Gauge]:
    """The figures of /metrics, from the database."""
    now = datetime.now(UTC)
    limits = Limits(settings.publishing_warning_days, settings.publishing_critical_days)
    with db.transaction() as session:
        waiting = inbox.waiting(session)
        statuses = publishing.statuses(session, limits, now)
        gaps = site_publishing.gaps(session)
        differing = Counter(each.site for each in site_publishing.sync(session) if each.difference)
        findings = crosschecks.open_by_kind(session)
        ways = carrying(session, now)
    found = [_gauge("hanse_accounting_messages_waiting", float(waiting))]
    for status in statuses:
        found.append(_gauge("hanse_accounting_refused_records", float(status.refused_open), status.site))
        found.append(_gauge("hanse_accounting_site_state", _STATES[status.state], status.site))
        age = status.age_s(now)
        if age is not None:
            found.append(_gauge("hanse_accounting_last_message_age_seconds", age, status.site))
        found.append(
            _gauge("hanse_accounting_gap_months", float(len(gaps.get(status.site, []))), status.site)
        )
        found.append(_gauge("hanse_accounting_sync_differences", float(differing[status.site]), status.site))
    found.append(_gauge("hanse_accounting_forward_messages_waiting", float(ways.waiting)))
    found.append(_gauge("hanse_accounting_forward_age_seconds", ways.oldest_s or 0.0))
    name = "hanse_accounting_pull_age_seconds"
    for source, pulled in ways.pull_age_s.items():
        if pulled is not None:
            found.append(Gauge(name, METRICS[name], pulled, {"source": source}))
    name = "hanse_accounting_silence_limit_seconds"
    for level, days in (("warning", limits.warning_days), ("critical", limits.critical_days)):
        found.append(Gauge(name, METRICS[name], days * 86_400.0, {"level": level}))
    name = "hanse_accounting_findings"
    found += [Gauge(name, METRICS[name], float(many), {"check": kind}) for kind, many in findings.items()]
    return found


def _gauge(name: str, value: float, site: str | None = None) -> Gauge:
    return Gauge(name, METRICS[name], value, {} if site is None else {"site": site})
