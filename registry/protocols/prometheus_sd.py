"""HTTP service discovery of Prometheus: `/sd/prometheus?scope=EGI&type=..` (prometheus.io, http_sd format).

The answer is a JSON list of target groups, one a target, with labels `__meta_hanse_*` for relabelling. Prometheus
asks again by itself (`refresh_interval`); who shows the ETag of an unchanged registry is answered 304 at once.
"""

from __future__ import annotations

from flask import Response
from pydantic_core import to_json

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, conditional, ground
from hanse.web.listing import not_changed, version_seen
from registry import discovery
from registry.schemas.discovery import TargetsQuery

api = Api("prometheus_sd", __name__, "Prometheus", prefix="/sd")


@api.get("/prometheus", permission=PUBLIC, summary="Targets for a Prometheus, by scope and type")
def targets(query: TargetsQuery) -> Response:
    """`[{"targets": ["occi.site.example:11443"], "labels": {"__meta_hanse_site": "SITE", ..}}]`."""
    seen = version_seen()
    if seen is not None and (unchanged := not_changed(seen)) is not None:
        return unchanged
    with ground().db.transaction() as session:
        found = discovery.targets(session, query)
    groups = [{"targets": [one.address], "labels": one.labels} for one in found]
    return conditional(Response(to_json(groups), content_type="application/json"), seen)
