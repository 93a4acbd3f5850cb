"""Downtimes on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from registry.schemas.fields import (
    AsOf,
    Code,
    EntityId,
    LongDescription,
    Query,
    Reason,
    Scope,
    SiteName,
    UtcTime,
    VoName,
    Wire,
)

Severity = Literal["OUTAGE", "WARNING"]
Classification = Literal["SCHEDULED", "UNSCHEDULED"]
State = Literal["planned", "ongoing", "ended"]
Ids = Annotated[list[EntityId], Field(min_length=1, max_length=1000)]
Sites = Annotated[list[SiteName], Field(min_length=1, max_length=100)]
ServiceEnds = Annotated[
    dict[EntityId, UtcTime],
    Field(max_length=1000, description="A service's own, earlier end, by the id of the service."),
]


class AffectedIn(Wire):
    """What is affected: sites, services of theirs, endpoints of these.

    A site none of whose services is named is taken whole, also the services that it gets later. A service none of
    whose endpoints is named is taken whole, also the endpoints that it gets later. `site` is short for one site.
    """

    site: SiteName | None = None
    sites: Sites | None = None
    services: Ids | None = None
    endpoints: Ids | None = None
    service_ends: ServiceEnds | None = None

    @property
    def names(self) -> list[str]:
        """The sites that are named, each once, in their order."""
        one = [] if self.site is None else [self.site]
        return list(dict.fromkeys([*one, *(self.sites or ())]))


class DowntimeIn(AffectedIn):
    """A downtime to declare. Without `start` it begins now. The class is computed, never given."""

    severity: Severity
    description: LongDescription
    start: UtcTime | None = None
    end: UtcTime
    reason: Reason = ""


class DowntimeEdit(AffectedIn):
    """What to change; only the keys that are there (rules: reference 2.2). `service_ends` replaces all that were."""

    severity: Severity | None = None
    description: LongDescription | None = None
    start: UtcTime | None = None
    end: UtcTime | None = None
    reason: Reason = ""


class EndIn(Wire):
    """What ends in 60 s: these services, the services of these sites, or, without either, the whole downtime."""

    services: Ids | None = None
    sites: Sites | None = None
    reason: Reason = ""


class CloneIn(Wire):
    """The same downtime at another time. Without `end` it lasts as long as the first."""

    start: UtcTime
    end: UtcTime | None = None
    description: LongDescription | None = None
    reason: Reason = ""


class RepeatIn(Wire):
    """How often: `times` downtimes in all, `every` day, week or month (`interval` of them) in `timezone`.

    Monthly keeps the day of the month; a month without that day is left out and not counted.
    """

    every: Literal["day", "week", "month"]
    times: Annotated[int, Field(ge=2, le=60)]
    interval: Annotated[int, Field(ge=1, le=12)] = 1
    timezone: Annotated[
        str,
        Field(
            max_length=64, description="The hour of the day stays the same in this zone, summer and winter."
        ),
    ] = "UTC"


class SeriesIn(Wire):
    """A downtime that is repeated; `downtime` is the first of them. All are declared, or none."""

    downtime: DowntimeIn
    repeat: RepeatIn


class DowntimeOut(Wire):
    """A downtime as it stands at `revision`; `id` and `revision` are None for one that was only tried.

    `site` is the first of `sites`; `whole_sites` are those that are affected with all they have. `service_ends` holds
    the services that end, or ended, before the downtime does. `series` is the first of its repetitions.
    """

    id: str | None
    primary_key: str | None
    site: str
    sites: list[str]
    whole_sites: list[str]
    severity: str
    classification: str
    start: UtcTime
    end: UtcTime
    description: str
    services: list[str]
    endpoints: list[str]
    service_ends: dict[str, UtcTime]
    series: str | None
    state: str
    created_at: UtcTime
    created_by: str
    revision: int | None
    updated_at: UtcTime | None


class DowntimePage(Wire):
    """Downtimes, the latest declared first; `next` is the cursor of the page after."""

    items: list[DowntimeOut]
    next: str | None


class Fault(Wire):
    """A field and why it was refused."""

    field: str
    reason: str


class OccurrenceOut(Wire):
    """One of a series: when, of which class, its id once declared, and why it would be refused."""

    start: UtcTime
    end: UtcTime
    classification: str
    id: str | None
    faults: list[Fault]


class SeriesOut(Wire):
    """The downtimes of a series in their order."""

    items: list[OccurrenceOut]


class VoImpactOut(Wire):
    """A VO at the affected sites: the vCPU that go of all that is declared for it, the sites that stay for it, those
    that are away at the same time, and what it has at the affected sites this month (null: nobody answered).
    """

    vo: str
    lost_vcpu: int
    declared_vcpu: int
    stays: list[str]
    away: list[str]
    members: int | None
    vms: int | None
    cpu_hours: float | None


class MeetingOut(Wire):
    """Another downtime at the same time: `same_sites` are those of both, `vos` those that both hit."""

    id: str
    sites: list[str]
    start: UtcTime
    end: UtcTime
    severity: str
    same_sites: list[str]
    vos: list[str]


class ImpactOut(Wire):
    """Whom a downtime hits, before it is declared."""

    vos: list[VoImpactOut]
    meets: list[MeetingOut]


class DowntimeFilter(Query):
    """Which downtimes. `since` and `until` give those that overlap the time between them.

    `ngi` and `vo` mean downtimes of a site of that NGI, of a site that supports that VO; `scope` those of a service
    with that scope; `q` is looked for in the description and in the names of the sites.
    """

    site: SiteName | None = None
    ngi: Code | None = None
    vo: VoName | None = None
    scope: Scope | None = None
    service: EntityId | None = None
    endpoint: EntityId | None = None
    state: State | None = None
    severity: Severity | None = None
    classification: Classification | None = None
    series: EntityId | None = None
    since: UtcTime | None = None
    until: UtcTime | None = None
    q: Annotated[str, Field(max_length=255)] | None = None


class DowntimeQuery(DowntimeFilter):
    """A page of the downtimes that fit, now or at a time that has passed."""

    as_of: AsOf | None = None
    cursor: Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,15}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class CalendarQuery(Query):
    """Which downtimes stand in a calendar: of a site, an NGI, a VO's sites, services of a scope."""

    site: SiteName | None = None
    ngi: Code | None = None
    vo: VoName | None = None
    scope: Scope | None = None
    severity: Severity | None = None


class ImportQuery(Query):
    """`dry_run=true` tells what would become of each event. `site` is meant where an event names none."""

    dry_run: bool = False
    site: SiteName | None = None


class ImportIn(Wire):
    """A calendar of planned downtimes (RFC 5545), as text."""

    calendar: Annotated[str, Field(min_length=1, max_length=1_000_000)]


class ImportedOut(Wire):
    """What became of an event, or would: declare, change, cancel, nothing or refuse, and why.

    `line` is where the event begins in the file; a repetition gives one of these for each time. `id` is the downtime.
    """

    line: int
    uid: str
    summary: str
    sites: list[str]
    start: UtcTime | None
    end: UtcTime | None
    action: Literal["declare", "change", "cancel", "nothing", "refuse"]
    words: str
    id: str | None
    faults: list[Fault]


class ImportOut(Wire):
    """Each event of the file in its order."""

    items: list[ImportedOut]


class DryRunQuery(Query):
    """`dry_run=true`: check everything, tell what it would be, keep nothing."""

    dry_run: bool = False
