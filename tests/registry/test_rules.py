"""The pure rules, over all values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.errors import Refused
from registry import rules
from registry.models import CERTIFICATIONS

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
moments = st.timedeltas(timedelta(days=-10), timedelta(days=10)).map(lambda span: NOW + span)
ALLOWED = {
    ("Candidate", "Uncertified"),
    ("Candidate", "Closed"),
    *{("Uncertified", other) for other in CERTIFICATIONS if other != "Uncertified"},
    *{("Certified", other) for other in CERTIFICATIONS if other != "Certified"},
    ("Suspended", "Candidate"),
    ("Suspended", "Uncertified"),
    ("Suspended", "Closed"),
}


@pytest.mark.parametrize("old", CERTIFICATIONS)
@pytest.mark.parametrize("new", CERTIFICATIONS)
def test_certification_steps_are_those_of_gocdb(old: str, new: str) -> None:
    rules.check_certification_step(old, new, operator=True)
    if old == new or (old, new) in ALLOWED:
        rules.check_certification_step(old, new, operator=False)
    else:
        with pytest.raises(Refused):
            rules.check_certification_step(old, new, operator=False)


@given(moments, moments)
def test_a_downtime_is_in_exactly_one_state(start: datetime, end: datetime) -> None:
    if start >= end:
        return
    state = rules.state_at(start, end, NOW)
    assert state == ("planned" if start > NOW else "ended" if end <= NOW else "ongoing")


@given(moments, moments)
def test_what_is_accepted_begins_at_most_two_days_ago_and_lasts(start: datetime, end: datetime) -> None:
    accepted = not rules.new_downtime_faults(start, end, NOW)
    assert accepted == (start >= NOW - timedelta(hours=48) and start < end)


@given(moments, moments, moments, moments)
def test_no_change_ever_makes_a_downtime_longer(
    old_start: datetime, old_end: datetime, start: datetime, end: datetime
) -> None:
    if old_start >= old_end:
        return
    kind = rules.classification(old_start, NOW)
    if not rules.edit_faults((old_start, old_end), (start, end), kind, NOW):
        assert end - start <= old_end - old_start
        assert old_end > NOW
        assert start == old_start or start > NOW


@given(moments)
def test_what_has_begun_is_never_deleted(start: datetime) -> None:
    kind = rules.classification(start, NOW)
    assert (rules.delete_fault(start, kind, NOW) is None) == (start > NOW)
    assert (rules.delete_fault(start, "SCHEDULED", NOW) is None) == (start > NOW + timedelta(hours=24))
