"""`voms.json` of keystone-voms: the tenant of each group or role, and of the VO itself by its bare name."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vomsdb.feeds.material import Feed, OfVo


def render(vos: Sequence[OfVo]) -> bytes:
    """By the site's rules, in their order: keystone-voms looks for the group or role first, then for the VO."""
    tenants: dict[str, dict[str, str]] = {}
    for vo in vos:
        for rule in vo.rules:
            if rule.tenant:
                name = vo.name if rule.fqan == f"/{vo.name}" else rule.fqan
                tenants.setdefault(name, {"tenant": rule.tenant})
    return (json.dumps(tenants, indent=2, ensure_ascii=False) + "\n").encode()


FEED = Feed(
    name="voms.json",
    content_type="application/json",
    what="the tenant of each group and role, for keystone-voms",
    members=False,
    authorities=False,
    render=render,
)
