"""What goes over the wire in /api/v1. Times are UTC; hours are seconds / 3600, unrounded."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

BIGGEST = 2**63 - 1
MONTH = r"^(199\d|[2-9]\d{3})-(0[1-9]|1[0-2])$"
"""A month as it goes over the wire, YYYY-MM, from 1990 on (`asking.question.FIRST_YEAR`)."""
Kind = Literal["cloud", "jobs", "gpu", "storage", "ip"]
Measure = Literal[
    "cpu_hours", "wall_hours", "core_hours", "normalised_cpu_hours", "normalised_wall_hours", "vms", "jobs",
    "efficiency", "share", "network", "gpu_hours", "gpu_active_hours", "gpu_use", "storage", "public_ips",
]  # fmt: skip
RecordState = Literal["refused", "replayed", "discarded"]


def _whole(value: object) -> object:
    """JSON knows one kind of number: 1000.0 is the integer 1000 (JSON Schema, section 4.2.3)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


RecordId = Annotated[int, Field(ge=1, le=BIGGEST), BeforeValidator(_whole)]


class UsageRow(BaseModel):
    """One group of the answer: the dimensions that were asked for, and its figures.

    Beside the measure's `value` stand hours, seconds and counts where the kind of usage has them.
    """

    month: str | None = Field(None, description="YYYY-MM.")
    day: str | None = Field(None, description="YYYY-MM-DD, UTC.")
    site: str | None = None
    ngi: str | None = None
    country: str | None = None
    vo: str | None = Field(None, description='"" = the records name no VO.')
    discipline: str | None = Field(None, description="unknown = the membership service tells none.")
    group: str | None = None
    role: str | None = None
    user: str | None = Field(None, description='Global user name; "" = the records name nobody.')
    service: str | None = None
    status: str | None = None
    image: str | None = None
    cores: str | None = None
    benchmark: str | None = None
    submit_host: str | None = None
    infrastructure: str | None = None
    system: str | None = None
    storage_share: str | None = None
    media: str | None = None
    type: str | None = None
    model: str | None = None
    ip_version: str | None = None
    value: float | None = Field(description="In `unit`; null where there is nothing to divide by.")
    cpu_hours: float | None = None
    wall_hours: float | None = None
    vms: int | None = Field(
        None, description="Machines of the month; over several months, the sum of the months."
    )
    jobs: int | None = None
    cpu_seconds: int | None = None
    wall_seconds: int | None = None


class UsageTotal(BaseModel):
    """Everything that the question covers, in one."""

    value: float | None
    cpu_hours: float | None = None
    wall_hours: float | None = None
    vms: int | None = None
    jobs: int | None = None
    cpu_seconds: int | None = None
    wall_seconds: int | None = None
    distinct_vms: int | None = Field(
        None, description="Each machine once, however many months it ran; null where that is not kept."
    )


class MeasureOut(BaseModel):
    """One thing that can be measured."""

    measure: str
    label: str
    unit: str


class KindOut(BaseModel):
    """A kind of usage: what can be measured of it, and by what it can be grouped and filtered."""

    kind: str
    label: str
    measures: list[MeasureOut]
    dimensions: list[str]


class MeasuresOut(BaseModel):
    """Everything that can be asked of usage."""

    kinds: list[KindOut]


class SiteFreshness(BaseModel):
    """Until when the usage of a site is known."""

    site: str
    last_message_at: datetime
    measured_until: datetime
    state: Literal["in time", "late", "missing"]


class UsageOut(BaseModel):
    """Usage from month `from` to `to`, grouped by the dimensions in `by`."""

    model_config = ConfigDict(populate_by_name=True)

    from_month: str = Field(alias="from")
    to_month: str = Field(alias="to")
    kind: Kind
    measure: Measure
    unit: str
    by: list[str]
    rows: list[UsageRow]
    total: UsageTotal
    complete_until: datetime | None = Field(
        description="The oldest time up to which a site in time has reported."
    )
    late: list[SiteFreshness]
    generated_at: datetime


class FaultOut(BaseModel):
    """One thing that was wrong with a record. `line` counts in the message, from 1."""

    code: str
    field: str
    line: int | None
    reason: str


class RefusedOut(BaseModel):
    """A refused record; `record` 0 stands for a whole message."""

    id: int
    message: int
    record: int
    site: str
    site_name: str
    code: str
    field: str
    line: int | None
    reason: str
    mend: str
    replayable: bool
    subject: str
    vo: str
    cpu_hours: float | None
    month: str | None
    received_at: datetime
    state: RecordState
    decided_at: datetime | None
    decided_by: str
    decided_why: str


class RefusedDetail(RefusedOut):
    """A refused record with every fault and its text as it came; `first_line` is the line where it begins."""

    faults: list[FaultOut]
    first_line: int
    raw: str


class ReplayIn(BaseModel):
    """Which refused records to run through the pipeline again, and for which site to take them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: list[RecordId] = Field(min_length=1, max_length=1000)
    as_site: str | None = Field(None, max_length=255, description="Judge them as if SiteName said this.")


class DiscardIn(BaseModel):
    """Which refused records to take off the list uncounted, and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: list[RecordId] = Field(min_length=1, max_length=1000)
    reason: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")


class ReplayOut(BaseModel):
    """How many records are counted now, how many are still refused, and why the first of them is."""

    counted: int
    refused: int
    reason: str


class DiscardOut(BaseModel):
    """How many records were discarded."""

    discarded: int


class PublishingOut(BaseModel):
    """How a site publishes. Counts are over the last 30 days, `refused_open` over what is refused still."""

    site: str
    state: Literal["in time", "late", "missing", "never"]
    last_message_at: datetime | None
    measured_until: datetime | None
    age_s: float | None
    messages: int
    records: int
    loaded: int
    refused: int
    remarked: int
    refused_open: int
    waiting: int


class FreshnessOut(BaseModel):
    """How old a site's usage is, as a probe says it: `code` is 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""

    site: str
    state: Literal["OK", "WARNING", "CRITICAL", "UNKNOWN"]
    code: int
    reason: str
    age_s: float | None = Field(description="Seconds since the last message that brought records.")
    warning_s: int
    critical_s: int
    last_message_at: datetime | None
    measured_until: datetime | None


class SyncOut(BaseModel):
    """Jobs of a month at a submit host: as the site counts them, as they are counted here, and the difference."""

    month: str
    submit_host: str
    said: int
    counted: int
    difference: int


class PublishingDay(BaseModel):
    """Messages received on a day (UTC) and their records."""

    day: date
    messages: int
    loaded: int
    refused: int
    remarked: int


class SitePublishingOut(BaseModel):
    """One site's publishing: its freshness, months without usage between others, the sync check, the last days."""

    freshness: FreshnessOut
    gaps: list[str] = Field(
        description="Months, YYYY-MM, without usage between the first and the last with some."
    )
    silent_machines: int = Field(description="Machines that ran in their last report, which is too old.")
    sync: list[SyncOut]
    days: list[PublishingDay]


class MessageOut(BaseModel):
    """One message of a site and its verdict. `sha256` is over the bytes as they came."""

    id: int
    received_at: datetime
    source: str
    state: Literal["waiting", "loaded", "refused"]
    empaid: str
    sha256: str
    sender: str
    signer: str
    site: str
    format: str
    records: int
    loaded: int
    refused: int
    remarked: int
    reason: str
    judged_at: datetime | None


class RefusedSite(BaseModel):
    """A site with refused records; `reason` is that of most of them."""

    site: str
    records: int
    reason: str
    oldest: datetime


class DayHours(BaseModel):
    """CPU hours of one day, cut in proportion to time."""

    day: date
    cpu_hours: float


class OverviewOut(BaseModel):
    """What the operator's page shows of accounting."""

    generated_at: datetime
    refused_7d: int
    refused_sites: list[RefusedSite]
    messages_waiting: int
    cpu_hours_month: float
    by_day: list[DayHours]
    late_sites: list[SiteFreshness]
