"""Questions about usage and who may ask them: the one place behind the portal, the API and the exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounting import signatures, summaries
from accounting.summaries import Line, Question, Sight
from hanse.database import Followed
from hanse.errors import FieldFault, Forbidden, Refused, Unauthorised
from hanse.identity.principals import Principal

MEASURES: dict[str, str] = {"cpu_hours": "CPU hours", "wall_hours": "Wall hours", "vms": "VMs"}
MOST_MONTHS = 240


def parse_month(value: str, field: str) -> date:
    """The first day of `YYYY-MM`. Raises Refused naming the field."""
    try:
        return datetime.strptime(value, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise Refused("The period cannot be read.", FieldFault(field, "write a month as 2026-11")) from None


def period(first: str | None, last: str | None, today: date) -> tuple[date, date]:
    """The months asked for; without them, the twelve that end with the current one. Raises Refused."""
    this_month = today.replace(day=1)
    end = parse_month(last, "to") if last else this_month
    begin = parse_month(first, "from") if first else summaries.months_back(end, 11)
    if begin > end:
        raise Refused("The period ends before it begins.", FieldFault("from", "must not be after `to`"))
    if len(summaries.months_between(begin, end)) > MOST_MONTHS:
        raise Refused("The period is too long.", FieldFault("from", f"at most {MOST_MONTHS} months"))
    return begin, end


def parse_by(value: str) -> tuple[str, ...]:
    """Dimensions from "vo,month". Raises Refused for one that is not there or stands twice."""
    names = tuple(name for name in value.split(",") if name)
    wrong = [name for name in names if name not in summaries.DIMENSIONS]
    if wrong or len(set(names)) != len(names):
        known = ", ".join(summaries.DIMENSIONS)
        raise Refused("The grouping cannot be read.", FieldFault("by", f"use each of {known} at most once"))
    return names


def sight_of(session: Session, principal: Principal) -> Sight:
    """Whose users the principal may see: the operator all, a site and a VO's manager their own, a person
    oneself.
    """
    if principal.has("federation_operator", "federation") or principal.has("service", "federation"):
        return Sight(everything=True)
    sites = _names(principal, ("site_administrator", "site_security_officer"), "site:")
    ngis = _names(principal, ("ngi_manager",), "ngi:")
    if ngis:
        known = signatures.directory(session).sites.values()
        sites |= {site.name for site in known if site.ngi in ngis}
    return Sight(
        sites=frozenset(sites),
        vos=frozenset(_names(principal, ("vo_manager",), "vo:")),
        names=_own_names(session, principal),
    )


def _names(principal: Principal, roles: Sequence[str], prefix: str) -> set[str]:
    scopes = {scope for role in roles for scope in principal.scopes(role)}
    return {scope.removeprefix(prefix) for scope in scopes if scope.startswith(prefix)}


def _own_names(session: Session, principal: Principal) -> frozenset[str]:
    """The global user names that are the person's own: the subjects of all their certificates."""
    names = {principal.x509.subject_slash} if principal.x509 else set()
    keys = [key for key in {principal.key, *principal.keys} if key]
    if keys:
        found = select(Followed.body["subject_slash"].astext).where(
            Followed.kind == "identity", Followed.body["key"].astext.in_(keys)
        )
        names |= {name for name in session.scalars(found) if name}
    return frozenset(names)


def demand_sight(principal: Principal, sight: Sight) -> None:
    """Raise Unauthorised or Forbidden when nobody's usage may be shown by name."""
    if not sight.nothing:
        return
    who = "a federation operator, the site's administrators, the VO's managers and the person concerned"
    if not principal.signed_in:
        raise Unauthorised(f"Sign in to see usage by user: {who} may.")
    raise Forbidden(f"Usage by user is shown to {who} only; you are signed in as {principal.name}.")


def ask(session: Session, question: Question, principal: Principal) -> list[Line]:
    """The answer as far as the principal may see it. Raises Unauthorised or Forbidden when users are asked
    for.
    """
    sight = Sight()
    if "user" in question.by or question.users:
        sight = sight_of(session, principal)
        demand_sight(principal, sight)
    return summaries.answer(session, question, sight)


def value(line: Line, measure: str) -> float:
    """A line's figure in the measure's unit."""
    if measure == "vms":
        return float(line.vms)
    return (line.cpu_s if measure == "cpu_hours" else line.wall_s) / 3600


@dataclass(frozen=True)
class Table:
    """Figures by group (rows) and column, each row summed; rows sorted by total, largest first."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...], float], ...]
    totals: tuple[float, ...]
    total: float


def table(lines: Sequence[Line], measure: str, columns: Sequence[str] | None = None) -> Table:
    """A table from lines with two values each, (row, column). Columns not given sort by their total.

    A cell without usage is None: no record is not the same as zero hours.
    """
    cells: dict[str, dict[str, float]] = {}
    sums: dict[str, float] = {}
    for line in lines:
        row, column = line.values
        figure = value(line, measure)
        cells.setdefault(row, {})[column] = figure
        sums[column] = sums.get(column, 0.0) + figure
    shown = (
        tuple(columns) if columns is not None else tuple(sorted(sums, key=lambda name: (-sums[name], name)))
    )
    rows = [(name, _cells(found, shown), sum(found.values())) for name, found in cells.items()]
    rows.sort(key=lambda row: (-row[2], row[0]))
    totals = tuple(sums.get(column, 0.0) for column in shown)
    return Table(shown, tuple(rows), totals, sum(totals))


def _cells(found: Mapping[str, float], columns: Sequence[str]) -> tuple[float | None, ...]:
    return tuple(found.get(column) for column in columns)


def capacity_hours(session: Session, first: date, last: date, now: datetime) -> dict[str, float]:
    """CPU hours that each site's declared vCPUs could have given in these months up to now."""
    begin = datetime(first.year, first.month, 1, tzinfo=UTC)
    after = summaries.months_back(last, -1)
    end = min(datetime(after.year, after.month, 1, tzinfo=UTC), now)
    hours = max((end - begin).total_seconds() / 3600, 0.0)
    known = signatures.directory(session).sites.values()
    return {site.name: site.vcpu * hours for site in known if site.vcpu}
