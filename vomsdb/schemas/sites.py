"""What a site makes of groups and roles: accounts and tenants."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vomsdb.schemas.fields import Fqan, Line, LongText, Wire


class SiteRuleIn(Wire):
    """A group or role, and what its holders get at the site: an account, a tenant, or both."""

    fqan: Fqan
    account: Annotated[str, Field(max_length=600, examples=[".training"])] = ""
    tenant: Line = ""


class SiteRulesIn(Wire):
    """All rules of the site; the first that a member meets decides."""

    rules: Annotated[list[SiteRuleIn], Field(max_length=500)]


class SiteRuleOut(SiteRuleIn):
    """The same, with the VO that the group is of."""

    vo: str


class RulesForm(Wire):
    """The form on /sites/NAME/old-means: rules are lines of text."""

    rules: LongText = ""
