"""Finding downtimes: the tables and the revision log pick the same, and both what a naive look picks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanse.revisions import head
from registry import downtime_finding, downtimes
from registry.schemas.downtimes import DowntimeFilter

from .conftest import Registry

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def many(registry: Registry) -> Registry:
    """Downtimes of each kind: (sites, begins in hours, lasts hours)."""
    registry.send("PATCH", "/api/v1/sites/UKIM", {"supports": [{"vo": "chipster", "vcpu": 4}]})
    for number, (sites, begins, lasts) in enumerate(
        [
            (["BIFI"], -40, 3),
            (["BIFI", "UKIM"], -2, 5),
            (["CESNET"], 1, 2),
            (["UKIM"], 30, 12),
            (["CESNET", "UKIM"], 48, 1),
        ]
    ):
        registry.declare(
            sites[0], begins * HOUR, lasts * HOUR, sites=sites, description=f"Works {number} at 50 %",
            severity="WARNING" if number % 2 else "OUTAGE",
        )  # fmt: skip
    return registry


def found(registry: Registry, query: DowntimeFilter) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Ids by the tables, ids by the log, and all bodies."""
    with registry.db.transaction() as session:
        now = [state.id for state in downtime_finding.find(session, query)]
        then = [state.id for state in downtime_finding.find(session, query, as_of=str(head(session)))]
        everything = [state.body for state in downtime_finding.find(session, DowntimeFilter())]
    return now, then, everything


LOOKS: dict[str, Callable[[dict[str, Any], Any], bool]] = {
    "site": lambda body, site: site in body["sites"],
    "state": lambda body, state: bool(body["state"] == state),
    "severity": lambda body, severity: bool(body["severity"] == severity),
    "classification": lambda body, kind: bool(body["classification"] == kind),
    "since": lambda body, since: datetime.fromisoformat(body["end"]) > since,
    "until": lambda body, until: datetime.fromisoformat(body["start"]) < until,
    "q": lambda body, q: q.lower() in (body["description"] + " ".join(body["sites"])).lower(),
    "ngi": lambda body, ngi: {"NGI_CZ": "CESNET", "NGI_MK": "UKIM"}[ngi] in body["sites"],
    "vo": lambda body, vo: bool(set(body["sites"]) & ({"UKIM"} if vo == "chipster" else {"BIFI", "CESNET"})),
    "service": lambda body, number: str(number) in body["services"],
    "endpoint": lambda body, number: str(number) in body["endpoints"],
    "scope": lambda body, scope: scope == "EGI",
}
VALUES = {
    "site": st.sampled_from(["BIFI", "CESNET", "UKIM", "NOWHERE"]),
    "state": st.sampled_from(["planned", "ongoing", "ended"]),
    "severity": st.sampled_from(["OUTAGE", "WARNING"]),
    "classification": st.sampled_from(["SCHEDULED", "UNSCHEDULED"]),
    "since": st.integers(-60, 60).map(lambda many: NOW + many * HOUR + HOUR / 2),
    "until": st.integers(-60, 60).map(lambda many: NOW + many * HOUR + HOUR / 2),
    "q": st.sampled_from(["works", "works 1", "ukim", "50 %", "_", "nothing"]),
    "ngi": st.sampled_from(["NGI_CZ", "NGI_MK"]),
    "vo": st.sampled_from(["chipster", "training.egi.eu"]),
    "service": st.integers(1, 4),
    "endpoint": st.integers(1, 4),
    "scope": st.sampled_from(["EGI", "Local"]),
}


@given(
    st.lists(st.sampled_from(sorted(VALUES)), max_size=4, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: VALUES[name] for name in names})
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_filter_picks_what_a_naive_look_picks(many: Registry, given_: dict[str, Any]) -> None:
    now, then, everything = found(many, DowntimeFilter(**given_))
    naive = [
        body["id"] for body in everything if all(LOOKS[name](body, value) for name, value in given_.items())
    ]
    assert now == naive
    assert then == naive


@given(st.integers(-60, 80), st.integers(1, 40))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_overlaps_are_those_that_share_a_moment(many: Registry, begins: int, lasts: int) -> None:
    start, end = NOW + begins * HOUR, NOW + (begins + lasts) * HOUR
    with many.db.transaction() as session:
        picked = {one.id for one in downtimes.overlapping(session, start, end)}
        everything = downtimes.overlapping(session, NOW - 9999 * HOUR, NOW + 9999 * HOUR)
        naive = {one.id for one in everything if max(one.start_at, start) < min(one.end_at, end)}
    assert picked == naive


def test_the_list_is_read_page_by_page(many: Registry) -> None:
    seen, cursor = [], ""
    for _ in range(4):
        page = many.get("/api/v1/downtimes?limit=2" + cursor, None)
        seen += [one["id"] for one in page["items"]]
        cursor = f"&cursor={page['next']}"
        if page["next"] is None:
            break
    assert seen == [one["id"] for one in many.get("/api/v1/downtimes", None)["items"]]
    assert len(seen) == 5


def test_a_list_as_csv_has_all_of_them(many: Registry) -> None:
    answer = many.ask("GET", "/api/v1/downtimes.csv?severity=OUTAGE", None)
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    assert len(answer.text.splitlines()) == 4
    assert "CESNET" in answer.text


def test_an_unknown_filter_is_refused(many: Registry) -> None:
    assert many.ask("GET", "/api/v1/downtimes?colour=red", None).status_code == 422
    assert many.ask("GET", "/api/v1/downtimes?since=yesterday", None).status_code == 422
