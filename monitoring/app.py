"""create_app(settings): the monitoring service. Nothing happens at import."""

from collections.abc import Callable

from flask import Flask

from hanse.database import Database
from hanse.errors import Unavailable
from hanse.follow import lag
from hanse.identity.authority import Authority
from hanse.identity.trust import TrustStore
from hanse.web import make_app
from monitoring import story
from monitoring.api.availability import availability_api
from monitoring.api.endpoints import endpoints_api
from monitoring.api.incidents import incidents_api
from monitoring.api.status import status_api
from monitoring.metrics import METRICS, gauges
from monitoring.protocols.argo_metrics import argo_metrics
from monitoring.protocols.argo_profiles import argo_profiles
from monitoring.protocols.argo_recomputations import argo_recomputations
from monitoring.protocols.argo_results import argo_results
from monitoring.protocols.argo_status import argo_status
from monitoring.protocols.argo_topology import argo_topology
from monitoring.settings import MonitoringSettings
from monitoring.views import monitoring_pages
from monitoring.views.availability import availability_pages
from monitoring.views.incidents import incident_pages
from monitoring.views.public import public_pages

__all__ = ["METRICS", "create_app"]
PAGES = (monitoring_pages, incident_pages, availability_pages, public_pages)
ARGO = (argo_results, argo_status, argo_topology, argo_profiles, argo_recomputations, argo_metrics)


def create_app(settings: MonitoringSettings) -> Flask:
    """The Flask application: status, incidents, endpoints, probes; JSON API and pages."""
    db = Database(settings.database_url)
    return make_app(
        "monitoring",
        settings,
        db,
        import_name="monitoring",
        rooms=[status_api, endpoints_api, incidents_api, availability_api, *ARGO, *PAGES],
        authority=Authority(db, settings.service_tokens, TrustStore(settings.trust_dir)),
        ready={"registry": _registry_followed(settings, db)},
        gauges=lambda: gauges(db),
        badges=lambda: _badges(db),
    )


def _badges(db: Database) -> dict[str, int]:
    with db.transaction() as session:
        return {"Monitoring": story.count_open(session)}


def _registry_followed(settings: MonitoringSettings, db: Database) -> Callable[[], None]:
    def check() -> None:
        if not settings.registry_url:
            return
        with db.transaction() as session:
            state = lag(session).get("registry")
        if state is None or state.age_s is None:
            raise Unavailable(
                "The registry's feed was never read: no endpoint is known yet. Run the jobs process."
            )

    return check
