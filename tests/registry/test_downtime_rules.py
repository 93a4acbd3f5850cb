"""The rules of downtimes as algebra: what holds for every choice of times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from registry.rules import (
    BACKDATING,
    NOTICE,
    Times,
    classification,
    delete_fault,
    edit_faults,
    new_downtime_faults,
    service_end_faults,
    state_at,
)

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
hours = st.integers(-100, 100).map(lambda many: NOW + many * HOUR)
spans = st.tuples(hours, st.integers(1, 80)).map(lambda pair: (pair[0], pair[0] + pair[1] * HOUR))
classes = st.sampled_from(["SCHEDULED", "UNSCHEDULED"])


@given(hours, hours)
def test_a_new_downtime_is_refused_for_its_order_or_its_age_alone(start: datetime, end: datetime) -> None:
    fields = [fault.field for fault in new_downtime_faults(start, end, NOW)]
    assert ("end" in fields) == (end <= start)
    assert ("start" in fields) == (start < NOW - BACKDATING)


@given(hours)
def test_more_than_a_day_of_notice_is_scheduled(start: datetime) -> None:
    assert (classification(start, NOW) == "SCHEDULED") == (start - NOW > NOTICE)


@given(spans, spans, classes)
def test_no_edit_that_passes_makes_it_longer_or_touches_what_is_fixed(
    old: tuple[datetime, datetime], new: tuple[datetime, datetime], kind: str
) -> None:
    allowed = not edit_faults(old, new, kind, NOW)
    if old[1] <= NOW or (kind == "SCHEDULED" and old[0] - NOTICE <= NOW):
        assert not allowed
    elif allowed:
        assert new[1] - new[0] <= old[1] - old[0]
        assert new[0] == old[0] or new[0] > NOW
    else:
        assert new[1] - new[0] > old[1] - old[0] or (new[0] != old[0] and new[0] <= NOW)


@given(spans, spans, spans, classes)
def test_edits_one_after_the_other_never_grow(
    first: tuple[datetime, datetime],
    second: tuple[datetime, datetime],
    third: tuple[datetime, datetime],
    kind: str,
) -> None:
    if edit_faults(first, second, kind, NOW) or edit_faults(second, third, kind, NOW):
        return
    assert third[1] - third[0] <= first[1] - first[0]


@given(spans, classes)
def test_what_can_be_deleted_has_not_begun_and_is_not_fixed(
    span: tuple[datetime, datetime], kind: str
) -> None:
    may = delete_fault(span[0], kind, NOW) is None
    assert may == (
        state_at(*span, NOW) == "planned" and not (kind == "SCHEDULED" and span[0] <= NOW + NOTICE)
    )
    if may:  # whatever can be deleted could be edited too
        assert not edit_faults(span, span, kind, NOW)


@given(spans, hours)
def test_a_downtime_is_in_one_state_and_states_follow_each_other(
    span: tuple[datetime, datetime], now: datetime
) -> None:
    order = ["planned", "ongoing", "ended"]
    here, later = state_at(*span, now), state_at(*span, now + HOUR)
    assert order.index(later) >= order.index(here)
    assert (here == "ongoing") == (span[0] <= now < span[1])


ends = st.dictionaries(st.integers(1, 3), hours, max_size=3)


@given(spans, ends, st.sets(st.integers(1, 3)))
def test_own_ends_of_a_new_downtime_lie_inside_it(
    span: tuple[datetime, datetime], own: dict[int, datetime], services: set[int]
) -> None:
    allowed = not service_end_faults(None, Times(*span, own), services, NOW)
    assert allowed == all(one in services and span[0] < end <= span[1] for one, end in own.items())


@given(spans, ends, spans, ends)
def test_no_service_comes_back_later_than_it_was_to(
    old: tuple[datetime, datetime],
    own: dict[int, datetime],
    new: tuple[datetime, datetime],
    later: dict[int, datetime],
) -> None:
    services = {1, 2, 3}
    before, after = Times(*old, own), Times(*new, later)
    if service_end_faults(None, before, services, NOW) or service_end_faults(before, after, services, NOW):
        return
    for service in services:
        assert after.end_of(service) - after.start <= before.end_of(service) - before.start
        if before.end_of(service) <= NOW and service in own:
            assert after.end_of(service) == before.end_of(service)
