"""What the portal and the API ask at once: with the reader's sight; machines counted once; the VOs there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounting.asking.answers import Line, answer
from accounting.asking.kinds import CLOUD
from accounting.asking.question import Question, months_back
from accounting.asking.sight import NOBODY, demand_sight, sight_of
from hanse.identity.principals import Principal


def ask(session: Session, question: Question, principal: Principal, sums: Sequence[str] = ()) -> list[Line]:
    """The answer as far as the principal may see it. Raises Unauthorised or Forbidden when users are asked for."""
    sight = NOBODY
    if question.names_people:
        sight = sight_of(session, principal)
        demand_sight(principal, sight)
    return answer(session, question, sight, sums)


def distinct_vms(session: Session, question: Question) -> int | None:
    """Machines that ran at any time in these months, each counted once (twice where it changed its VO).

    Those of the first month, and those that begun in a later one; None for filters by which that is not kept.
    """
    whole = replace(question, measure="vms", by=())
    names = [name for name, _ in question.only]
    if question.kind != CLOUD.name or not CLOUD.sources[0].keeps(names, ("vms", "begun")):
        return None
    ran = answer(session, replace(whole, last=whole.first), NOBODY)
    begun = []
    if whole.last > whole.first:
        begun = answer(session, replace(whole, first=months_back(whole.first, -1)), NOBODY, ("begun",))
    return int(sum(line.sums["vms"] for line in ran) + sum(line.sums["begun"] for line in begun))


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
