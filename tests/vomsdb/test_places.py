"""Whether a site of a VO is away, from the downtimes that the registry tells of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from vomsdb.finding import in_downtime

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def downtime(**more: Any) -> dict[str, Any]:
    return {
        "site": "UKIM",
        "sites": ["UKIM", "BIFI"],
        "severity": "OUTAGE",
        "start": (NOW - HOUR).isoformat(),
        "end": (NOW + 4 * HOUR).isoformat(),
        "services": ["7", "8", "9"],
        "service_ends": {},
        **more,
    }


def test_every_site_of_a_downtime_is_away() -> None:
    assert in_downtime("BIFI", {"9"}, [downtime()]) == NOW + 4 * HOUR
    assert in_downtime("UKIM", {"7", "8"}, [downtime()]) == NOW + 4 * HOUR
    assert in_downtime("CESNET", {"1"}, [downtime()]) is None
    assert in_downtime("UKIM", {"7"}, [downtime(severity="WARNING")]) is None


def test_a_site_is_back_with_the_last_of_its_own_services() -> None:
    early = {"7": (NOW + HOUR).isoformat(), "9": (NOW - HOUR / 2).isoformat()}
    told = [downtime(service_ends=early)]
    assert in_downtime("UKIM", {"7"}, told) == NOW + HOUR
    assert in_downtime("UKIM", {"7", "8"}, told) == NOW + 4 * HOUR
    assert in_downtime("BIFI", {"9"}, told) is None


def test_a_body_of_before_many_sites_is_understood() -> None:
    old = downtime()
    del old["sites"], old["service_ends"]
    assert in_downtime("UKIM", {"7"}, [old]) == NOW + 4 * HOUR
    assert in_downtime("BIFI", {"9"}, [old]) is None
