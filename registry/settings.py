"""What the registry can be told beyond the settings of every service."""

from __future__ import annotations

from pydantic import Field

from hanse.settings import ServiceSettings


class RegistrySettings(ServiceSettings):
    """Settings of the registry."""

    default_scopes: tuple[str, ...] = Field(
        ("EGI",), description="Scopes that the GOCDB interface means when a question names none."
    )
    portal_url: str = Field(
        "", description="Address in the portal links of the GOCDB interface; empty = the registry's own."
    )
    clock_interval_s: float = Field(
        10, gt=0, description="Seconds between two looks at downtimes that begin or end and tokens that end."
    )
    card_deadline_s: float = Field(
        2,
        gt=0,
        le=30,
        description="Seconds that another service has to fill its card on the operator's page.",
    )
