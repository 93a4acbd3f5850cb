"""What accounting can be told beyond the settings of every service."""

from __future__ import annotations

from pydantic import Field

from hanse.settings import ServiceSettings


class AccountingSettings(ServiceSettings):
    """Settings of accounting."""

    ams_project: str = Field("accounting", description="Project under which messages are published (AMS).")
    ams_topics: tuple[str, ...] = Field(
        ("eu-egi-cloud-accounting", "eu-egi-storage-accounting", "gLite-APEL"),
        description="Topics to which messages may be published (AMS).",
    )
    future_tolerance_s: int = Field(
        3600, ge=0, description="How far a record's times may lie ahead of its receipt, in seconds."
    )
    inbox_max_waiting: int = Field(
        1_000_000, ge=1, description="Messages that may wait for a loader; beyond, publishing answers 503."
    )
    worker_poll_s: float = Field(
        1.0, gt=0, description="Seconds a loader waits when the inbox is empty before it looks again."
    )
    publishing_warning_days: int = Field(7, ge=1, description="Days of silence after which a site is late.")
    publishing_critical_days: int = Field(
        31, ge=1, description="Days of silence after which a site's usage is missing."
    )
