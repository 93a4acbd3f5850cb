"""What the portal and the API ask at once: with the reader's sight; machines counted once; the VOs there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.asking.answers import Line, answer
from accounting.asking.capacity import capacity
from accounting.asking.kinds import CLOUD, KINDS
from accounting.asking.measures import DECLARED, MEASURES
from accounting.asking.question import Question
from accounting.asking.sight import NOBODY, demand_sight, sight_of
from accounting.places import places
from hanse.identity.principals import Principal

BEGUN = "begun"


def ask(session: Session, question: Question, principal: Principal, sums: Sequence[str] = ()) -> list[Line]:
    """The answer as far as the principal may see it. Raises Unauthorised or Forbidden when users are asked for."""
    sight = NOBODY
    if question.names_people:
        sight = sight_of(session, principal)
        demand_sight(principal, sight)
    return answer(session, question, sight, sums)


def figures(session: Session, question: Question, now: datetime) -> Callable[[Line], float | None]:
    """How a line of the answer becomes the figure of the measure, also where that is a share of what was declared."""
    measure = question.figures
    if measure.per != DECLARED:
        return lambda line: measure.figure(line.sums)
    held = capacity(places(session), question, now)

    def share(line: Line) -> float | None:
        declared = held.cpu_s(dict(zip(question.by, line.values, strict=True)))
        return measure.figure(line.sums | {DECLARED: declared})

    return share


def beside(question: Question) -> tuple[str, ...]:
    """Measures that are given beside the one that was asked for, as far as the same table keeps them."""
    kind = KINDS[question.kind]
    names = (*question.by, *(name for name, _ in question.only))
    wanted = [
        name for name in kind.beside if kind.source(names, (*question.figures.sums, *MEASURES[name].sums))
    ]
    return tuple(wanted)


def sums_of(measures: Sequence[str]) -> tuple[str, ...]:
    """The sums that these measures are made of."""
    return tuple(dict.fromkeys(name for measure in measures for name in MEASURES[measure].sums))


def added(lines: Sequence[Line]) -> Line:
    """All lines of an answer as one."""
    sums: dict[str, float] = {}
    for line in lines:
        for name, value in line.sums.items():
            sums[name] = sums.get(name, 0) + value
    return Line((), sums)


def distinct_vms(session: Session, question: Question) -> int | None:
    """Machines that ran at any time in these months, each counted once (twice where it changed its VO).

    Those of the first month, and those that begun in a later one; None for filters by which that is not kept.
    """
    names = [name for name, _ in question.only]
    if question.kind != CLOUD.name or not CLOUD.sources[0].keeps(names, (*MEASURES["vms"].sums, BEGUN)):
        return None
    by_month = replace(question, measure="vms", by=("month",))
    return once(by_month, answer(session, by_month, NOBODY, (BEGUN,)))


def once(question: Question, lines: Sequence[Line]) -> int:
    """Machines of an answer by month, with its sum of machines that begun, each counted once."""
    at, first = question.by.index("month"), f"{question.first:%Y-%m}"
    return int(sum(line.sums["vms"] if line.values[at] == first else line.sums[BEGUN] for line in lines))


# one step of the index a VO, instead of a look at every row
_VOS = text(
    """
    with recursive step as (
      (select vo from usage_month where kind = :kind order by vo limit 1)
      union all
      select (select vo from usage_month where kind = :kind and vo > step.vo order by vo limit 1) from step
       where step.vo is not null
    ) select vo from step where vo is not null
    """
)


def known_vos(session: Session, kind: str) -> list[str]:
    """Every VO with rolled-up usage of a kind, by name."""
    return list(session.scalars(_VOS, {"kind": kind}))
