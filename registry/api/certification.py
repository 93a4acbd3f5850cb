"""/api/v1: steps of certification."""

from __future__ import annotations

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, current_principal, ground
from registry import certification, states
from registry.api.answers import Body, SitePath, read_revision, site_answer, tagged
from registry.api.listing import Answer
from registry.models import CertificationChange
from registry.rights import CERTIFY_SITE
from registry.schemas.records import CertificationChangePage, CertificationChangeQuery
from registry.schemas.sites import CertificationIn, SiteOut

api = Api("registry_certification", __name__, "Certification", csv=True)


@api.post(
    "/sites/<site>/certification",
    permission=CERTIFY_SITE,
    summary="Change the certification of a site",
    responses={200: SiteOut},
)
def certify_site(path: SitePath, body: CertificationIn) -> Answer:
    """A step of certification with its reason; with If-Match only when nobody was quicker."""
    certification.certify(ground().db, current_principal(), path.site, body, read_revision())
    with ground().db.transaction() as session:
        state = states.find_named(session, "site", path.site)
    return tagged(state, site_answer(state))


@api.get(
    "/certification-changes",
    permission=PUBLIC,
    summary="Steps of certification",
    responses={200: CertificationChangePage},
)
def list_steps(query: CertificationChangeQuery) -> Body:
    """Of one site or of all, the newest first; who took them and why is told to those who are signed in."""
    with ground().db.transaction() as session:
        rows = certification.steps(session, query, query.limit + 1)
        shown = [_step(step, site) for step, site in rows[: query.limit]]
    return {"items": shown, "next": shown[-1]["id"] if len(rows) > query.limit else None}


def _step(step: CertificationChange, site: str) -> Body:
    signed_in = current_principal().signed_in  # a reason may name what is not mended yet
    return {
        "id": str(step.id),
        "site": site,
        "at": step.at,
        "old": step.old,
        "new": step.new,
        "by": step.by_name if signed_in else None,
        "reason": step.reason if signed_in else None,
    }
