"""Services and endpoints on the wire."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from registry.schemas.fields import (
    AsOf,
    Description,
    DistinguishedName,
    EmailList,
    EndpointName,
    Hostname,
    Ipv4,
    Ipv6,
    Line,
    Query,
    Reason,
    Scope,
    ServiceTypeName,
    SiteName,
    Url,
    UtcTime,
    Wire,
)
from registry.schemas.sites import Extensions, Scopes, once


class EndpointFields(Wire):
    """An address of a service; `interface` is the service type unless said otherwise."""

    name: EndpointName
    url: Url
    interface: Line | None = None
    monitored: bool = True
    description: Description = ""
    email: EmailList | None = None
    extensions: Extensions = Field(default={})


class EndpointIn(EndpointFields):
    """A new endpoint."""

    reason: Reason = ""


class EndpointEdit(EndpointFields):
    """What to change; only the keys that are there."""

    name: EndpointName | None = None  # type: ignore[assignment]  # an edit names only what changes
    url: Url | None = None  # type: ignore[assignment]
    reason: Reason = ""


class ServiceFields(Wire):
    """Everything of a service that its site's administrator may change."""

    url: Url | None = None
    description: Description = ""
    host_dn: DistinguishedName | None = None
    host_ip: Ipv4 | None = None
    host_ipv6: Ipv6 | None = None
    host_os: Line | None = None
    host_arch: Line | None = None
    email: EmailList | None = None
    beta: bool = False
    production: bool = True
    monitored: bool = True
    notify: bool = True
    scopes: Scopes = Field(default=["EGI"])
    extensions: Extensions = Field(default={})

    @model_validator(mode="after")
    def _scopes_once(self) -> Self:
        return once(self, "scopes")


class ServiceIn(ServiceFields):
    """A new service. With `url` and no endpoints it gets one endpoint, "main", so that something is watched."""

    service_type: ServiceTypeName
    hostname: Hostname
    endpoints: Annotated[list[EndpointFields], Field(max_length=100)] = Field(default=[])
    reason: Reason = ""

    @model_validator(mode="after")
    def _endpoint_names_once(self) -> Self:
        names = [endpoint.name for endpoint in self.endpoints]
        if len(set(names)) != len(names):
            raise ValueError("endpoints: two have the same name")
        return self


class ServiceEdit(ServiceFields):
    """What to change; only the keys that are there."""

    service_type: ServiceTypeName | None = None
    hostname: Hostname | None = None
    reason: Reason = ""


class EndpointPart(Wire):
    """An endpoint inside its service."""

    id: str
    name: str
    url: str
    interface: str
    monitored: bool
    description: str
    email: str | None
    extensions: dict[str, str]


class ServiceOut(Wire):
    """A service as it stands at `revision`."""

    id: str
    primary_key: str
    site: str
    service_type: str
    hostname: str
    url: str | None
    description: str
    host_dn: str | None
    host_ip: str | None
    host_ipv6: str | None
    host_os: str | None
    host_arch: str | None
    email: str | None
    beta: bool
    production: bool
    monitored: bool
    notify: bool
    scopes: list[str]
    endpoints: list[EndpointPart]
    extensions: dict[str, str]
    revision: int
    updated_at: UtcTime


class ServicePage(Wire):
    """Services by id; `next` is the cursor of the page after, None on the last."""

    items: list[ServiceOut]
    next: str | None


class ServiceQuery(Query):
    """Which services. Filters are exact; `q` looks for a part of host, type or site."""

    q: Annotated[str, Field(max_length=255)] | None = None
    site: SiteName | None = None
    service_type: ServiceTypeName | None = None
    hostname: Annotated[str, Field(max_length=253)] | None = None
    scope: Scope | None = None
    production: bool | None = None
    monitored: bool | None = None
    as_of: AsOf | None = None
    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,15}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class EndpointOut(Wire):
    """An endpoint with what others need to know of its service, as the feed tells it."""

    id: str
    name: str
    site: str
    service_id: str
    service_type: str
    hostname: str
    url: str
    interface: str
    monitored: bool
    production: bool
    host_dn: str | None
    extensions: dict[str, str]


class EndpointPage(Wire):
    """Endpoints by id; `next` is the cursor of the page after."""

    items: list[EndpointOut]
    next: str | None


class EndpointQuery(Query):
    """Which endpoints; `as_of` gives them as they were."""

    site: SiteName | None = None
    as_of: AsOf | None = None
    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,15}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class ServiceTypeOut(Wire):
    """What a service can be, as it stands at `revision`."""

    id: str
    name: str
    description: str
    monitoring_exception: bool
    revision: int
    updated_at: UtcTime


class ServiceTypeIn(Wire):
    """A new service type."""

    name: ServiceTypeName
    description: Description = ""
    monitoring_exception: bool = False
    reason: Reason = ""


class ServiceTypeEdit(ServiceTypeIn):
    """What to change; only the keys that are there. Services follow a new name."""

    name: ServiceTypeName | None = None  # type: ignore[assignment]  # an edit names only what changes


class ServiceTypePage(Wire):
    """Service types by name; `next` is the cursor of the page after, None on the last."""

    items: list[ServiceTypeOut]
    next: str | None
