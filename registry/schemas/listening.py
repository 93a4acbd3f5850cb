"""Webhooks and subscriptions on the wire."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from registry.schemas.fields import EntityId, Line, NgiName, Query, SiteName, UtcTime, VoName, WebUrl, Wire

ToldKind = Literal[
    "site",
    "service",
    "endpoint",
    "downtime",
    "ngi",
    "project",
    "service_group",
    "scope",
    "service_type",
    "host_certificate",
]
Subject = Literal["downtimes", "changes", "all"]
Target = Literal["federation", "ngi", "site", "service", "vo"]
Means = Literal["mail", "digest", "webhook"]


def _receiver(url: str) -> str:
    parts = urlsplit(url)
    if parts.username or parts.password or parts.fragment:
        raise ValueError(
            "must hold no name, password or fragment; a secret belongs into the path or the query"
        )
    return url


ReceiverUrl = Annotated[WebUrl, Field(max_length=500), AfterValidator(_receiver)]
Description = Annotated[str, Field(max_length=300)]


class WebhookIn(Wire):
    """An address to be told of changes. Empty filters let everything through; sites, NGIs and VOs add up."""

    url: ReceiverUrl
    description: Description = ""
    kinds: Annotated[list[ToldKind], Field(max_length=20)] = Field(default=[])
    sites: Annotated[list[SiteName], Field(max_length=100)] = Field(default=[])
    ngis: Annotated[list[NgiName], Field(max_length=100)] = Field(default=[])
    vos: Annotated[list[VoName], Field(max_length=100)] = Field(default=[])


class WebhookEdit(Wire):
    """What to change; only the keys that are there. `active` true starts a stopped one again, from now on."""

    url: ReceiverUrl | None = None
    description: Description | None = None
    kinds: Annotated[list[ToldKind], Field(max_length=20)] | None = None
    sites: Annotated[list[SiteName], Field(max_length=100)] | None = None
    ngis: Annotated[list[NgiName], Field(max_length=100)] | None = None
    vos: Annotated[list[VoName], Field(max_length=100)] | None = None
    active: bool | None = None


class WebhookOut(Wire):
    """A webhook without its secret; `waiting` counts the deliveries that are not done."""

    id: str
    owner: str
    url: str
    description: str
    kinds: list[str]
    sites: list[str]
    ngis: list[str]
    vos: list[str]
    active: bool
    failing_since: UtcTime | None
    stopped_at: UtcTime | None
    stopped_reason: str
    created_at: UtcTime
    waiting: int


class WebhookMade(WebhookOut):
    """A webhook with its secret, which is shown this once."""

    secret: str


class WebhookList(Wire):
    """Webhooks, the newest first."""

    items: list[WebhookOut]


class DeliveryQuery(Query):
    """Which deliveries."""

    state: Literal["pending", "delivered", "failed"] | None = None
    cursor: Annotated[str, Field(max_length=400)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class DeliveryOut(Wire):
    """One message and how it went. `body` is what is sent, to the byte."""

    id: str
    revision: int | None
    state: str
    attempts: int
    created_at: UtcTime
    next_attempt_at: UtcTime | None
    last_attempt_at: UtcTime | None
    last_status: int | None
    last_answer: str
    delivered_at: UtcTime | None
    body: str


class DeliveryPage(Wire):
    """Deliveries, the newest first."""

    items: list[DeliveryOut]
    next: str | None


class SubscriptionIn(Wire):
    """What to hear of, and how. `name` is the site's, the NGI's or the VO's, `service` a service's id."""

    target: Target
    name: Line | None = None
    service: EntityId | None = None
    subject: Subject = "all"
    means: Means = "mail"
    webhook: EntityId | None = None

    @model_validator(mode="after")
    def _whom(self) -> Self:
        if self.target in ("site", "ngi", "vo") and not self.name:
            raise ValueError(f"name: say which {self.target.upper() if self.target != 'site' else 'site'}")
        if self.target == "service" and self.service is None:
            raise ValueError("service: give the id of the service")
        if (self.means == "webhook") != (self.webhook is not None):
            raise ValueError("webhook: give the id of your webhook with the means webhook, and only then")
        return self


class SubscriptionOut(Wire):
    """A subscription; `about` names its target as it is called now."""

    id: str
    target: Target
    about: str
    subject: Subject
    means: Means
    webhook: str | None
    created_at: UtcTime


class SubscriptionList(Wire):
    """Own subscriptions, the newest first."""

    items: list[SubscriptionOut]
