"""Whatever is done in whatever order: every moment stays as it was, and undoing all brings the beginning back."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from hanse.database import Database
from hanse.errors import Conflict, HanseError, Refused
from hanse.revisions import as_of, head
from registry import consistency, states, undo
from registry.comparing import compare
from registry.differences import flat
from registry.trail import Wanted

from .conftest import Registry
from .test_log import ACTS

KINDS = ("site", "service", "endpoint", "ngi", "downtime", "grant", "identity", "host_certificate")
State = dict[str, dict[str, Any]]
courses = st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 6)), min_size=2, max_size=9)
# No tokens, roles and downtimes: their past is not taken back.
KEPT = {"grant a role", "make a token", "make a site token"}
UNDOABLE = sorted(act for act in ACTS if act not in KEPT and "downtime" not in act and "clock" not in act)
undoable = st.lists(st.tuples(st.sampled_from(UNDOABLE), st.integers(0, 6)), min_size=2, max_size=9)
few = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)


def now(db: Database) -> tuple[int, State]:
    with db.transaction() as session:
        return head(session), {
            kind: {one.id: one.body for one in states.by_id(session, kind)} for kind in KINDS
        }


def play(registry: Registry, course: list[tuple[str, int]]) -> list[tuple[int, State]]:
    """Do what the course says; each moment with its revision, the beginning first."""
    operator = registry.principal("Ingrid Holm")
    moments = [now(registry.db)]
    for act, number in course:
        try:
            ACTS[act](registry.db, operator, number)
        except HanseError:
            continue
        moments.append(now(registry.db))
    return moments


@few
@given(courses)
def test_every_moment_stays_as_it_was(registry: Registry, course: list[tuple[str, int]]) -> None:
    moments = play(registry, course)
    with registry.db.transaction() as session:
        for number, state in moments:
            for kind in KINDS:
                then = {one.id: one.body for one in states.by_id(session, kind, as_of=str(number))}
                assert then == state[kind] == as_of(session, kind, number)
        assert consistency.check(session) == []


@few
@given(courses)
def test_a_difference_is_what_tells_two_moments_apart(
    registry: Registry, course: list[tuple[str, int]]
) -> None:
    moments = play(registry, course)
    (first, before), (last, after) = moments[0], moments[-1]
    with registry.db.transaction() as session:
        for kind in KINDS:
            found = compare(session, first, last, Wanted(kind=kind), limit=500)
            told = {one.id: one.act for one in found}
            expected = {
                one: "added"
                if one not in before[kind]
                else "removed"
                if one not in after[kind]
                else "changed"
                for one in before[kind].keys() | after[kind].keys()
                if before[kind].get(one) != after[kind].get(one)
            }
            assert told == expected


@few
@given(undoable)
def test_undoing_everything_backwards_brings_the_beginning_back(
    registry: Registry, course: list[tuple[str, int]]
) -> None:
    """Where no undo is refused. One that is leaves its change standing, and with it what came before."""
    operator = registry.principal("Ingrid Holm")
    moments = play(registry, course)
    (first, before), (last, _) = moments[0], moments[-1]
    refused = []
    for number in range(last, first, -1):
        try:
            undo.undo(registry.db, operator, number)
        except (Refused, Conflict) as refusal:
            refused.append(f"{number}: {refusal.detail}")
    event(f"{len(refused)} refused")
    with registry.db.transaction() as session:
        assert consistency.check(session) == []
    if not refused:
        is_again(now(registry.db)[1], before)


def test_a_course_with_removals_is_undone_without_a_refusal(registry: Registry) -> None:
    operator = registry.principal("Ingrid Holm")
    course = [
        ("change a site", 3),
        ("register a service", 5),
        ("add an endpoint", 2),
        ("remove a service", 0),
    ]
    moments = play(registry, [*course, ("rename a site", 1), ("remove a site", 0)])
    (first, before), (last, _) = moments[0], moments[-1]
    assert len(moments) == 7
    for number in range(last, first, -1):
        undo.undo(registry.db, operator, number)
    is_again(now(registry.db)[1], before)


def is_again(after: State, before: State) -> None:
    for kind in ("ngi", "site", "service", "endpoint"):
        assert after[kind].keys() == before[kind].keys()
    for one, body in before["site"].items():
        assert _set(after["site"][one]) == _set(body)
    for one, body in before["service"].items():
        assert flat(after["service"][one]) == flat(body)


def _set(body: dict[str, Any]) -> dict[Any, Any]:
    return {path: value for path, value in flat(body).items() if path[0] != "certification_since"}
