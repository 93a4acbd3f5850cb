"""Findings as people read them: only those of their own sites and VOs, the operators all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.orm import Session

from accounting.asking.sight import sight_of
from accounting.crosschecks.checks import CHECKS
from accounting.models import Finding
from hanse.errors import NotFound
from hanse.identity.principals import Principal

STATES = ("open", "acknowledged", "accepted", "gone")


@dataclass(frozen=True)
class Wanted:
    """Which findings: of a kind, a site, a VO ("" = any), and in which state."""

    kind: str = ""
    site: str = ""
    vo: str = ""
    state: str = "open"


@dataclass
class Counted:
    """How many findings of one kind are in each state."""

    kind: str
    title: str
    mend: str
    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))


def findings(
    session: Session, principal: Principal, wanted: Wanted, *, before: int | None = None, limit: int = 51
) -> Sequence[Finding]:
    """Findings that the principal may see, newest first, before the one with id `before`."""
    statement = _visible(session, principal).where(*_conditions(wanted))
    if before is not None:
        statement = statement.where(Finding.id < before)
    return session.scalars(statement.order_by(Finding.id.desc()).limit(limit)).all()


def counts(session: Session, principal: Principal, wanted: Wanted) -> list[Counted]:
    """Every kind with its counts by state, for the site and VO that are wanted."""
    state = _state_column()
    statement = _visible(session, principal).where(
        *_conditions(Wanted(site=wanted.site, vo=wanted.vo, state=""))
    )
    rows = statement.with_only_columns(Finding.kind, state, func.count()).group_by(Finding.kind, state)
    found = {kind: Counted(kind, check.title, check.mend) for kind, check in CHECKS.items()}
    for kind, name, count in session.execute(rows):
        if kind in found:
            found[kind].states[name] = int(count)
    return list(found.values())


def places(session: Session, principal: Principal) -> tuple[list[str], list[str]]:
    """The sites and the VOs of the findings that the principal may see, also those that are gone."""
    visible = _visible(session, principal)
    sites, vos = (
        sorted(set(session.scalars(visible.with_only_columns(column).distinct())))
        for column in (Finding.site, Finding.vo)
    )
    return sites, [vo for vo in vos if vo]


def one(session: Session, principal: Principal, number: int, *, lock: bool = False) -> Finding:
    """Finding `number`. Raises NotFound, also for one that the principal may not see."""
    statement = _visible(session, principal).where(Finding.id == number)
    row = session.scalars(statement.with_for_update() if lock else statement).first()
    if row is None:
        raise NotFound(f"There is no finding {number} among those of your sites and VOs.")
    return row


def state_of(row: Finding) -> str:
    """`open`, `acknowledged`, `accepted` or `gone`."""
    return "gone" if row.gone_at is not None else row.decision or "open"


def _state_column() -> ColumnElement[str]:
    standing = func.coalesce(func.nullif(Finding.decision, ""), "open")
    return case((Finding.gone_at.is_not(None), "gone"), else_=standing)


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for column, value in ((Finding.kind, wanted.kind), (Finding.site, wanted.site), (Finding.vo, wanted.vo)):
        if value:
            found.append(column == value)
    if wanted.state == "gone":
        found.append(Finding.gone_at.is_not(None))
    elif wanted.state:
        found.append(Finding.gone_at.is_(None))
        found.append(Finding.decision == ("" if wanted.state == "open" else wanted.state))
    return found


def _visible(session: Session, principal: Principal) -> Select[Finding]:
    sight = sight_of(session, principal)
    statement = select(Finding)
    if sight.everything:
        return statement
    return statement.where(or_(Finding.site.in_(sight.sites), Finding.vo.in_(sight.vos)))
