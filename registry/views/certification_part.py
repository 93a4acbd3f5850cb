"""Parts of a site's page: its certification, how it came there and the next step; its extension properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry import certification
from registry.rights import CERTIFY_SITE, is_operator, may_site
from registry.schemas.records import CertificationChangeQuery
from registry.views.parts import Part, SiteLook

SHOWN = 6


def _read(look: SiteLook) -> Mapping[str, Any]:
    until = look.moment[0] if look.moment else None
    query = CertificationChangeQuery(until=until)
    found: list[Any] = []
    if look.row is not None:
        # by its present name: the site may have been called otherwise at the time that is looked at
        found = certification.steps(look.session, query.model_copy(update={"site": look.row.name}), SHOWN + 1)
    may = not look.past and look.row is not None and may_site(look.principal, CERTIFY_SITE, look.row)
    choices = (
        certification.next_steps(look.site["certification"], operator=is_operator(look.principal))
        if may
        else []
    )
    return {
        "steps": found[:SHOWN],
        "more": len(found) > SHOWN,
        "may": may,
        "choices": [(one, one) for one in choices],
    }


def _properties(look: SiteLook) -> Mapping[str, Any]:
    return {}  # they stand in the site itself


CERTIFICATION = Part("certification", "middle", _read)
PROPERTIES = Part("properties", "left", _properties)
