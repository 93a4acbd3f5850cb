"""The last two steps before a downtime is declared: whom it hits, and what is about to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import FieldFault, HanseError
from hanse.web import FormFaults, current_principal, ground, page
from registry import downtime_parts, downtime_series, impact, neighbours
from registry.downtime_parts import Affected
from registry.models import Service, Site
from registry.schemas.downtimes import DowntimeIn, RepeatIn, SeriesIn
from registry.settings import RegistrySettings
from registry.views import downtime_wizard_words as words

MOST_MEETINGS: Final = 12


@dataclass(frozen=True)
class _Look:
    """What a downtime would hit, read at once: its sites, the impact, a quiet day, what is wrong with its parts."""

    sites: Sequence[Site]
    hit: impact.Impact
    quiet_days: int | None
    affected: Sequence[tuple[str, bool, list[str]]]
    wrong: Sequence[FieldFault]


def _look(
    form: DowntimeIn,
    heard: Mapping[str, neighbours.Heard],
    start: datetime,
    end: datetime,
    now: datetime,
) -> _Look:
    with ground().db.transaction() as session:
        sites = list(session.scalars(select(Site).where(Site.name.in_(form.names)).order_by(Site.name)))
        parts, wrong = downtime_parts.resolve(session, sites, form.services, form.endpoints)
        used = impact.used(heard, {site.name for site in sites})
        hit = impact.of(session, parts, start, end, severity=form.severity, used=used)
        quiet = impact.quiet_day(session, parts, start, end, now) if hit.meetings else None
        return _Look(sites, hit, quiet, _affected(session, parts), wrong)


def show(
    step: str,
    typed: Mapping[str, Any],
    key: str | None,
    form: DowntimeIn,
    repeat: RepeatIn | None,
    faults: FormFaults,
) -> BaseResponse:
    """The impact by VO, the downtimes that are met, what the rules say; or the same in short, to be confirmed."""
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    now = datetime.now(UTC)
    start, end = form.start or now, max(form.end, form.start or now)
    heard = neighbours.ask(ground().db, settings, impact.questions(now))
    look = _look(form, heard, start, end, now)
    refused = [FieldFault(name, reason) for name, reason in faults.faults.items()] or list(look.wrong)
    occurrences = _occurrences(form, repeat)
    return page(
        f"registry/downtime_{step}.html",
        title="Declare a downtime",
        sentence=words.sentence(step, look.hit, form),
        crumbs=[("Sites", "/sites"), ("Downtimes", "/downtimes"), ("New", "")],
        status=422 if faults else 200,
        api="POST /api/v1/downtimes/impact",
        step=step,
        steps=words.steps(step, typed, key),
        draft=key or "",
        form=faults,
        labels=words.LABELS,
        what=form,
        start=start,
        end=end,
        lasts=end - start,
        affected=look.affected,
        local=[(site.name, local_words(site.timezone, start, end)) for site in look.sites if site.timezone],
        hit=look.hit,
        meetings=look.hit.meetings[:MOST_MEETINGS],
        quiet=None if look.quiet_days is None else start + timedelta(days=look.quiet_days),
        quiet_days=look.quiet_days,
        rules=impact.rules(start, end, " and ".join(form.names), refused),
        occurrences=occurrences,
        silent=[silence(one) for one in heard.values() if not one.fresh],
        who_is_told=words.told(settings, look.hit),
        button=words.button(form, occurrences),
    )


def silence(one: neighbours.Heard) -> str:
    """Why figures are missing or old."""
    if one.absent:
        return f"{one.name} is not connected; its figures are left out"
    if one.at is None:
        return f"{one.fault}; its figures are left out"
    return f"{one.fault}; its figures are of {one.at:%d %b, %H:%M} UTC"


def _affected(session: Session, parts: Sequence[Affected]) -> list[tuple[str, bool, list[str]]]:
    """Each site, whether it is meant whole, and otherwise its services in words."""
    found = []
    for part in parts:
        rows = session.execute(
            select(Service.id, Service.service_type, Service.hostname)
            .where(Service.id.in_(part.services))
            .order_by(Service.id)
        )
        names = [
            f"{kind} on {host}" + ("" if part.services[number] else ", single endpoints")
            for number, kind, host in rows
        ]
        found.append((part.site.name, part.whole, names))
    return found


def _occurrences(form: DowntimeIn, repeat: RepeatIn | None) -> list[downtime_series.Occurrence]:
    if repeat is None:
        return []
    try:
        series = SeriesIn(downtime=form, repeat=repeat)
        return downtime_series.tell(ground().db, current_principal(), series)
    except HanseError:  # said at the step where it was typed
        return []


def local_words(zone: str | None, start: datetime, end: datetime) -> str:
    """ "09:00-17:00 in Europe/Madrid"; "" for a zone that is not known."""
    try:
        clock = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ""
    first, last = start.astimezone(clock), end.astimezone(clock)
    day = "" if first.date() == last.date() else f"{last:%d %b}, "
    return f"{first:%d %b, %H:%M} to {day}{last:%H:%M} in {zone}"
