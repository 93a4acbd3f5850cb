"""Several writers at once: nobody waits for ever, and rows and log stay in step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hanse.errors import HanseError
from registry import consistency, downtimes, services
from registry.schemas.downtimes import DowntimeEdit, DowntimeIn, EndIn
from registry.schemas.services import ServiceIn

from .conftest import OCCI, Registry

HOUR = timedelta(hours=1)


def at_once(*acts: Callable[[], object]) -> list[Exception]:
    """Runs all acts together; what none of them should raise."""
    wrong: list[Exception] = []
    gate = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        gate.wait()
        try:
            act()
        except HanseError:
            pass  # a rule, or somebody who was quicker, may say no
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(act,), daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads), "two writers wait for each other"
    return wrong


def test_what_is_registered_meanwhile_is_never_forgotten(registry: Registry) -> None:
    who, db = registry.principal("Ingrid Holm"), registry.db
    made = registry.declare("UKIM", -HOUR, 4 * HOUR, sites=["UKIM", "BIFI"])
    number = int(made["id"])

    def register(site: str, name: str) -> Callable[[], object]:
        form = ServiceIn(service_type=OCCI, hostname=f"{name}.example.org", url="https://a.example.org/")
        return lambda: services.register(db, who, site, form)

    start = datetime.now(UTC) + 9 * HOUR
    other = DowntimeIn(
        sites=["BIFI", "UKIM"], severity="OUTAGE", description="x", start=start, end=start + HOUR
    )
    wrong = at_once(
        register("BIFI", "one"),
        register("UKIM", "two"),
        lambda: downtimes.edit(db, who, number, DowntimeEdit(severity="WARNING")),
        lambda: downtimes.end_early(db, who, number, EndIn(sites=["BIFI"])),
        lambda: downtimes.declare(db, who, other),
        lambda: downtimes.move_with_clock(db),
        lambda: registry.send("PATCH", "/api/v1/sites/UKIM", {"description": "x"}),
    )
    assert wrong == []
    bodies = registry.get("/api/v1/downtimes")["items"]
    of_both = {
        one["id"]
        for site in ("BIFI", "UKIM")
        for one in registry.get(f"/api/v1/services?site={site}")["items"]
    }
    assert len(of_both) == 4
    for body in bodies:
        assert set(body["services"]) == of_both
    with db.transaction() as session:
        assert [one for one in consistency.check(session) if one.kind == "downtime"] == []
