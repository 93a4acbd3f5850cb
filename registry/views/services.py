"""Services: the list over all sites, and one service."""

from __future__ import annotations

from flask import request
from pydantic import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC
from hanse.web import Pages, ground, page
from registry import finding
from registry.models import Service
from registry.schemas.services import ServiceQuery
from registry.views import looking
from registry.views.home import settings

pages = Pages("registry_service_pages", __name__)


@pages.get("/services", permission=PUBLIC)
def all_services() -> BaseResponse:
    """Services of all sites, with their endpoints."""
    given = {
        name: value for name, value in request.args.items() if value and name in ("site", "service_type")
    }
    try:
        query = ServiceQuery.model_validate({**given, "cursor": request.args.get("cursor"), "limit": 50})
    except ValidationError:
        raise NotFound("There are no services of such a site or type.") from None
    with ground().db.transaction() as session:
        found = finding.services(session, query, query.limit + 1)
        kinds = sorted(
            set(session.scalars(Service.__table__.select().with_only_columns(Service.service_type)))
        )
        names = [site["name"] for site in looking.sites(session)]
    shown = [state.body for state in found[: query.limit]]
    return page(
        "registry/services.html",
        title="Services",
        sentence=f"Services that the sites of {settings().federation} run.",
        api="/api/v1/services",
        services=shown,
        next_cursor=shown[-1]["id"] if len(found) > query.limit else None,
        kinds=[("", "any"), *((kind, kind) for kind in kinds)],
        names=[("", "any"), *((name, name) for name in names)],
    )
