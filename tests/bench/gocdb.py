"""What GOCDB's interface costs: `python -m tests.bench.gocdb`.

A private PostgreSQL with 400 sites, 5,000 services, 7,500 endpoints, 2 scopes and 2 properties a service, and 500
downtimes of three services each: the size at which a GOCDB was measured (5.3 to 6.6 s of CPU for all services). Targets:
all services in less than 0.5 s of CPU when nothing is kept, in less than 20 ms when nothing changed.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from hanse.revisions import Actor, change
from registry.app import create_app
from registry.models import (
    Downtime,
    DowntimeEndpoint,
    DowntimeService,
    Endpoint,
    ExtensionProperty,
    Ngi,
    Service,
    Site,
)
from registry.settings import RegistrySettings

SITES, SERVICES, ENDPOINTS, DOWNTIMES = 400, 5000, 7500, 500
TYPES = ("eu.egi.cloud.vm-management.occi", "org.openstack.nova", "eu.egi.cloud.accounting", "gLite-APEL")


@dataclass(frozen=True)
class Figure:
    """One measurement: what, CPU and wall clock in seconds, bytes of the answer, and the CPU it may cost."""

    what: str
    cpu: float
    wall: float
    size: int
    target: float | None = None

    @property
    def met(self) -> bool:
        """Whether it costs no more than it may."""
        return self.target is None or self.cpu <= self.target


@contextmanager
def loaded_registry() -> Iterator[FlaskClient]:
    """A client of a registry of that size, which ends with the block."""
    places = [Path(tempfile.mkdtemp(prefix="hanse-bench-")) for _ in range(2)]
    server, data = PrivatePostgres(places[0], durable=False), places[1]
    try:
        server.start()
        server.create_database("registry")
        upgrade("registry", server.dsn("registry"))
        db = Database(server.dsn("registry"))
        with db.transaction() as session:
            fill(session)
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("analyze"))
        settings = RegistrySettings(
            service="registry",
            database_url=db.url,
            secret_key=SecretStr("a secret of the bench alone"),
            data_dir=data,
            url="http://127.0.0.1:7010",
        )
        app = create_app(settings)
        yield app.test_client()
        app.extensions["hanse"].db.close()
        db.close()
    finally:
        server.stop()
        for place in places:
            shutil.rmtree(place, ignore_errors=True)


def fill(session: Session) -> None:
    """The whole federation, and one revision that stands for its history."""
    session.execute(insert(Ngi), [{"id": n, "name": f"NGI_{n:02}", "scopes": ["EGI"]} for n in range(1, 41)])
    session.execute(insert(Site), [_site(n) for n in range(101, 101 + SITES)])
    session.execute(insert(Service), [_service(n) for n in range(1, SERVICES + 1)])
    session.execute(insert(Endpoint), [_endpoint(n) for n in range(ENDPOINTS)])
    properties = [
        {"service_id": n, "key": f"key{k}", "value": f"value {n}"} for n in range(1, SERVICES + 1) for k in (0, 1)
    ]
    session.execute(insert(ExtensionProperty), properties)
    _downtimes(session)
    with change(session, Actor("bench", "Bench"), "filled") as recorded:
        recorded.put("ngi", "1", {"name": "NGI_01"})


def _site(n: int) -> dict[str, object]:
    return {
        "id": n, "primary_key": f"{n}G0", "name": f"SITE-{n}", "ngi_id": n % 40 + 1, "official_name": f"Institute {n}",
        "country": "Czech Republic", "country_code": "CZ", "certification": "Certified", "production": True,
        "infrastructure": "Production", "scopes": ["EGI", "FedCloud"], "usage_site_names": [f"SITE-{n}"],
        "home_url": f"https://site{n}.example.org", "domain": f"site{n}.example.org",
    }  # fmt: skip


def _service(n: int) -> dict[str, object]:
    host = f"h{n:05}.site{n % SITES}.example.org"
    return {
        "id": n, "primary_key": f"{n}G0", "site_id": 101 + n % SITES, "service_type": TYPES[n % 4], "hostname": host,
        "url": f"https://{host}:11443/", "host_dn": f"/DC=org/DC=example/CN={host}", "host_ip": "192.0.2.10",
        "production": True, "monitored": True, "scopes": ["EGI", "FedCloud"],
    }  # fmt: skip


def _endpoint(n: int) -> dict[str, object]:
    service = n % SERVICES + 1
    return {
        "id": n + 1, "service_id": service, "name": f"ep{n // SERVICES}",
        "url": f"https://h{service:05}.site{service % SITES}.example.org:11443/ep{n // SERVICES}",
        "interface_name": TYPES[service % 4], "monitored": True,
    }  # fmt: skip


def _downtimes(session: Session) -> None:
    now = datetime.now(UTC)
    rows = [
        {
            "id": n, "primary_key": f"{900_000 + n}G0", "site_id": 101 + n % SITES, "severity": "OUTAGE",
            "classification": "SCHEDULED", "description": f"Works {n}", "start_at": now + timedelta(days=n % 30 + 2),
            "end_at": now + timedelta(days=n % 30 + 3), "state": "planned", "created_by": "Bench",
        }
        for n in range(1, DOWNTIMES + 1)
    ]  # fmt: skip
    session.execute(insert(Downtime), rows)
    of_services = [(n, (n + SITES * k - 1) % SERVICES + 1) for n in range(1, DOWNTIMES + 1) for k in range(3)]
    session.execute(insert(DowntimeService), [{"downtime_id": d, "service_id": s} for d, s in of_services])
    session.execute(insert(DowntimeEndpoint), [{"downtime_id": d, "endpoint_id": s} for d, s in of_services])


def measure(
    what: str, call: Callable[[], bytes], *, times: int = 5, target: float | None = None
) -> Figure:
    """The median of some calls, by this process's CPU and by the wall clock."""
    cpu, wall, size = [], [], 0
    for _ in range(times):
        began, clock = time.process_time(), time.perf_counter()
        size = len(call())
        cpu.append(time.process_time() - began)
        wall.append(time.perf_counter() - clock)
    return Figure(what, statistics.median(cpu), statistics.median(wall), size, target)


def figures(client: FlaskClient) -> list[Figure]:
    """All measurements of the read interface."""

    def get(query: str) -> bytes:
        answer = client.get(f"/gocdbpi/public/?{query}")
        assert answer.status_code == 200
        return answer.get_data()

    def cold(query: str) -> bytes:
        client.application.extensions.pop("gocdb_answers", None)
        data = Path(client.application.extensions["hanse"].settings.data_dir)
        shutil.rmtree(data / "gocdb-answers", ignore_errors=True)
        return get(query)

    every = "method=get_service_endpoint&scope="
    get("method=get_service_types")  # the first request pays for the connection
    measured = [measure("get_service_endpoint, 5000, nothing kept", lambda: cold(every), target=0.5)]
    get(every)
    measured.append(measure("the same, unchanged", lambda: get(every), times=20, target=0.02))
    tag = client.get(f"/gocdbpi/public/?{every}").headers["ETag"]
    known = {"If-None-Match": tag}
    measured.append(
        measure(
            "the same, the caller holds it (304)",
            lambda: client.get(f"/gocdbpi/public/?{every}", headers=known).get_data(),
            times=20,
            target=0.02,
        )
    )
    more = (
        ("the same, one page of 100", f"{every}&next_cursor=2000"),
        ("get_service_endpoint of one host", f"{every}&hostname=h01000.%25"),
        ("get_downtime, 500 of 3 services", "method=get_downtime&scope="),
        ("get_downtime_nested_services", "method=get_downtime_nested_services&scope="),
        ("get_site_list, 400", "method=get_site_list&scope="),
        ("services by 3 extensions", f"{every}&extensions=(key0=value 7)OR(key1=value 8)NOT(key0=value 9)"),
    )
    return [*measured, *(measure(what, lambda query=query: cold(query)) for what, query in more)]  # type: ignore[misc]


def table(found: Sequence[Figure]) -> str:
    """The figures for people."""
    lines = [f"{'GOCDB interface':44} {'bytes':>10} {'CPU ms':>8} {'wall ms':>8} {'target':>8}"]
    for one in found:
        target = "" if one.target is None else f"{one.target * 1000:.0f}{'' if one.met else ' !'}"
        lines.append(
            f"{one.what:44} {one.size:>10,} {one.cpu * 1000:>8.1f} {one.wall * 1000:>8.1f} {target:>8}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and end with 1 when a target was missed."""
    with loaded_registry() as client:
        found = figures(client)
    print(table(found))
    raise SystemExit(0 if all(one.met for one in found) else 1)


if __name__ == "__main__":
    main()
