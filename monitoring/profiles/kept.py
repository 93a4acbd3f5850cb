"""Profiles, weights and reports as they are kept: dated, so that a day is judged by what was in force on it."""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from monitoring.figures import noting
from monitoring.models.figures import Profile, ProfileVersion
from monitoring.profiles.bodies import BODIES, AggregationProfile, Body

WORDS = {
    "metric": "metric profile",
    "aggregation": "aggregation profile",
    "operations": "operations profile",
    "thresholds": "thresholds profile",
    "weights": "set of weights",
    "report": "report",
}
FIRST_DAY = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Version:
    """A profile as it is in force from `first_day` on."""

    id: str
    kind: str
    name: str
    first_day: date
    body: Mapping[str, Any]
    made_by: str | None


def in_force(session: Session, kind: str, day: date, name: str = "") -> list[Version]:
    """Everything of a kind as of a day, by name."""
    rows = (
        select(Profile, ProfileVersion)
        .join(ProfileVersion, ProfileVersion.profile_id == Profile.id)
        .ext(distinct_on(Profile.name))
        .where(Profile.kind == kind, ProfileVersion.first_day <= day)
        .order_by(Profile.name, ProfileVersion.first_day.desc())
    )
    if name:
        rows = rows.where(Profile.name == name)
    return [_version(profile, version) for profile, version in session.execute(rows)]


def find(session: Session, kind: str, profile_id: str, day: date) -> Version:
    """One as of a day. Raises NotFound."""
    for version in in_force(session, kind, day):
        if version.id == profile_id:
            return version
    raise NotFound(f"There is no {WORDS[kind]} {profile_id[:100]} on {day}.")


def named(session: Session, kind: str, name: str, day: date) -> Version:
    """One by its name as of a day. Raises NotFound."""
    found = in_force(session, kind, day, name)
    if not found:
        raise NotFound(f"There is no {WORDS[kind]} {name[:100]!r} on {day}.")
    return found[0]


def create(session: Session, kind: str, body: Body, day: date, by: str | None) -> Version:
    """A new one, in force from `day` on. Raises Conflict when the name is taken, Refused when it names what there is
    not."""
    name = _name(body)
    _check_references(session, kind, body)
    row = insert(Profile).values(id=str(uuid.uuid4()), kind=kind, name=name).on_conflict_do_nothing()
    made = session.scalar(row.returning(Profile.id))
    if made is None:
        raise Conflict(f"There is a {WORDS[kind]} {name!r} already; change that one.")
    return write(session, Version(made, kind, name, day, {}, None), body, day, by)


def change(session: Session, kind: str, profile_id: str, body: Body, day: date, by: str | None) -> Version:
    """What it says from `day` on; days since are counted anew. Raises NotFound, Conflict, Refused."""
    profile = session.get(Profile, profile_id, with_for_update=True)
    if profile is None or profile.kind != kind:
        raise NotFound(f"There is no {WORDS[kind]} {profile_id[:100]}.")
    _check_references(session, kind, body)
    name = _name(body)
    taken = select(Profile.id).where(Profile.kind == kind, Profile.name == name, Profile.id != profile_id)
    if session.scalars(taken).first() is not None:
        raise Conflict(f"There is a {WORDS[kind]} {name!r} already.")
    profile.name = name
    return write(session, Version(profile.id, kind, name, day, {}, None), body, day, by)


def write(session: Session, known: Version, body: Body, day: date, by: str | None) -> Version:
    """Keep a version, and note the days that it changes. A report is not dated: it says the same for all days."""
    said = dumped(body)
    day = FIRST_DAY if known.kind == "report" else day
    values = {"body": said, "made_by": by}
    row = insert(ProfileVersion).values(profile_id=known.id, first_day=day, **values)
    session.execute(
        row.on_conflict_do_update(
            index_elements=["profile_id", "first_day"],
            set_={**values, "made_at": func.clock_timestamp()},
        )
    )
    if known.kind not in ("weights", "thresholds"):  # these are applied when asked for, or when measured
        noting.note_since(session, day, f"{WORDS[known.kind]} {known.name} changed")
    return Version(known.id, known.kind, known.name, day, said, by)


def remove(session: Session, kind: str, profile_id: str) -> None:
    """Delete it with all versions. Raises NotFound, Conflict while a report uses it."""
    profile = session.get(Profile, profile_id, with_for_update=True)
    if profile is None or profile.kind != kind:
        raise NotFound(f"There is no {WORDS[kind]} {profile_id[:100]}.")
    using = [
        report.name
        for report in in_force(session, "report", date.max)
        if any(one.get("id") == profile_id for one in report.body["profiles"])
    ]
    if using:
        raise Conflict(f"The report {using[0]} uses this {WORDS[kind]}; name another in the report first.")
    session.execute(delete(Profile).where(Profile.id == profile_id))


def dumped(body: Body) -> dict[str, Any]:
    """The body as it is kept."""
    return body.model_dump(mode="json", exclude_none=True)


def _check_references(session: Session, kind: str, body: Body) -> None:
    """A report names other profiles: these must exist and be in force, since a report says the same for all days.
    An aggregation profile names each service once, so that it has one line."""
    if isinstance(body, AggregationProfile):
        counted = Counter(service.name for group in body.groups for service in group.services)
        twice = [name for name, times in counted.items() if times > 1]
        if twice:
            reason = f"the service {twice[0]} stands there {counted[twice[0]]} times"
            raise Refused("A service belongs to one group; name it once.", FieldFault("groups", reason))
    wanted: list[tuple[str, str, str]] = []
    if kind == "report":
        wanted = [(one.type, one.id, one.name) for one in getattr(body, "profiles")]  # noqa: B009
    for of_kind, profile_id, name in wanted:
        if of_kind not in BODIES:
            raise Refused(
                "The report names a profile of no known type.",
                FieldFault("profiles", "type is metric, operations, aggregation or thresholds"),
            )
        row = session.get(Profile, profile_id)
        if row is None or row.kind != of_kind:
            reason = f"there is no {WORDS[of_kind]} {name!r} with id {profile_id!r}"
            raise Refused("The report names a profile that there is not.", FieldFault("profiles", reason))
        begins = session.scalar(
            select(func.min(ProfileVersion.first_day)).where(ProfileVersion.profile_id == profile_id)
        )
        today = noting.today(session)
        if begins is None or begins > today:
            reason = f"{WORDS[of_kind]} {row.name!r} is in force from {begins} on, and today is {today}"
            raise Refused(
                "The report names a profile that is not in force yet.", FieldFault("profiles", reason)
            )


def _name(body: Body) -> str:
    return str(cast(Any, body).name)


def _version(profile: Profile, version: ProfileVersion) -> Version:
    return Version(profile.id, profile.kind, profile.name, version.first_day, version.body, version.made_by)
