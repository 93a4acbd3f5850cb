"""What Prometheus is told, on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from registry.schemas.fields import NgiName, Query, Scope, ServiceTypeName, SiteName, VoName
from registry.schemas.sites import Certification, Infrastructure

Several: Final[Any] = Field(default=[], max_length=50)


class TargetsQuery(Query):
    """Which endpoints. A filter may be given several times: any of its values will do; all filters must hold.

    `address`: `host` gives host:port, as exporters are scraped; `url` the whole address, for a blackbox exporter.
    """

    scope: Annotated[list[Scope], Several]
    type: Annotated[list[ServiceTypeName], Several]
    site: Annotated[list[SiteName], Several]
    ngi: Annotated[list[NgiName], Several]
    vo: Annotated[list[VoName], Several]
    certification: Annotated[list[Certification], Several]
    infrastructure: Annotated[list[Infrastructure], Several]
    monitored: bool | None = None
    production: bool | None = None
    address: Literal["host", "url"] = "host"
