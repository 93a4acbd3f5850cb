"""/api/v1: the rules by which a site's files name accounts and tenants."""

from __future__ import annotations

from collections.abc import Sequence

from hanse.web import Api, Listing, current_principal, ground
from vomsdb import site_files
from vomsdb.feeds.material import Rule
from vomsdb.models import SiteRule
from vomsdb.permissions import FILES_OF_SITE, RULES_OF_SITE
from vomsdb.schemas.fields import SitePath
from vomsdb.schemas.sites import SiteRuleOut, SiteRulesIn

api = Api("vomsdb_sites", __name__, "Files for sites")


@api.get(
    "/sites/<site>/rules",
    permission=FILES_OF_SITE,
    summary="Accounts and tenants of groups",
    responses={200: Listing[SiteRuleOut]},
)
def rules(path: SitePath) -> Listing[SiteRuleOut]:
    """In the order in which they decide."""
    with ground().db.transaction() as session:
        site_files.vos_of_site(session, path.site)
        return _listed(site_files.rules_of(session, path.site))


@api.put(
    "/sites/<site>/rules",
    permission=RULES_OF_SITE,
    summary="Replace them",
    responses={200: Listing[SiteRuleOut]},
)
def replace(path: SitePath, body: SiteRulesIn) -> Listing[SiteRuleOut]:
    """The grid-mapfile and voms.json of the site follow them from the next time they are fetched."""
    given = [Rule(one.fqan, one.account, one.tenant) for one in body.rules]
    with ground().db.transaction() as session:
        return _listed(site_files.set_rules(session, path.site, given, current_principal()))


def _listed(rows: Sequence[SiteRule]) -> Listing[SiteRuleOut]:
    return Listing[SiteRuleOut](
        items=[SiteRuleOut(vo=row.vo, fqan=row.fqan, account=row.account, tenant=row.tenant) for row in rows]
    )
