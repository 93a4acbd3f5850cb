"""GOCDB's interface at the size at which a GOCDB was measured: all services < 0.5 s of CPU, < 20 ms when unchanged.

400 sites, 5,000 services, 7,500 endpoints, 2 scopes and 2 properties a service, 500 downtimes of three services each,
in a private PostgreSQL. Beside each: what GOCDB 5.12 took on a machine with two cores. CPU is this process's alone.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
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
from tests.bench.measure import line

SITES, SERVICES, ENDPOINTS, DOWNTIMES = 400, 5000, 7500, 500
COLD_MS, KEPT_MS = 500, 20
EVERY = "method=get_service_endpoint&scope="
OTHERS = (
    ("a page of 100 services", f"{EVERY}&next_cursor=2000", 560),
    ("one host", f"{EVERY}&hostname=h01000.%25", None),
    ("500 downtimes", "method=get_downtime&scope=", 890),
    ("500 downtimes, nested", "method=get_downtime_nested_services&scope=", None),
    ("400 sites in a list", "method=get_site_list&scope=", None),
    ("services by 3 extensions", f"{EVERY}&extensions=(key0=value 7)OR(key1=value 8)NOT(key0=value 9)", None),
)
TYPES = ("eu.egi.cloud.vm-management.occi", "org.openstack.nova", "eu.egi.cloud.accounting", "gLite-APEL")


@dataclass(frozen=True)
class Figure:
    """One measurement: CPU and wall clock in milliseconds, bytes of the answer."""

    cpu: float
    wall: float
    size: int


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
        {"service_id": n, "key": f"key{k}", "value": f"value {n}"}
        for n in range(1, SERVICES + 1)
        for k in (0, 1)
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


def measure(call: Callable[[], bytes], calls: int = 5) -> Figure:
    """The median of some calls."""
    cpu, wall, size = [], [], 0
    for _ in range(calls):
        began, clock = time.process_time(), time.perf_counter()
        size = len(call())
        cpu.append((time.process_time() - began) * 1000)
        wall.append((time.perf_counter() - clock) * 1000)
    return Figure(statistics.median(cpu), statistics.median(wall), size)


class Asking:
    """A caller that can make the registry forget what it kept."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client

    def get(self, query: str, **headers: str) -> bytes:
        """The answer."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self._client.get(f"/gocdbpi/public/?{query}", headers=names)
        assert answer.status_code in (200, 304), answer.status_code
        return answer.get_data()

    def cold(self, query: str) -> bytes:
        """The answer when nothing is kept."""
        app = self._client.application
        app.extensions.pop("gocdb_answers", None)
        shutil.rmtree(Path(app.extensions["hanse"].settings.data_dir) / "gocdb-answers", ignore_errors=True)
        return self.get(query)

    def tag(self, query: str) -> str:
        """The answer's ETag."""
        return self._client.get(f"/gocdbpi/public/?{query}").headers["ETag"]


def told(what: str, found: Figure, peer: float | None = None, limit: float | None = None) -> None:
    """A line of the table; the wall clock, which a busy machine makes longer, beside the CPU."""
    line(f"{what} ({found.size:,} bytes)", found.cpu, "ms CPU", "GOCDB", peer, limit=limit)
    line(f"{what}, wall clock", found.wall, "ms")


def main() -> None:
    """Print the table."""
    with loaded_registry() as client:
        asking = Asking(client)
        asking.get("method=get_service_types")  # the first request pays for the connection
        asking.cold(EVERY)
        told("all services, nothing kept", measure(lambda: asking.cold(EVERY)), 5300, COLD_MS)
        told("all services, unchanged", measure(lambda: asking.get(EVERY), 20), 5300, KEPT_MS)
        tag = asking.tag(EVERY)
        held = measure(lambda: asking.get(EVERY, If_None_Match=tag), 20)
        told("all services, the caller holds them (304)", held, 5300, KEPT_MS)
        for what, query, peer in OTHERS:
            told(what, measure(lambda query=query: asking.cold(query)), peer)  # type: ignore[misc]


if __name__ == "__main__":
    main()
