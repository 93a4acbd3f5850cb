"""A store of usage as the portal reads it: 50 sites, 40 VOs, 5,000 users, 200 images, 12 months; machines as many as
asked for, each machine of a month a group of its own, which is hard on any summary.

Rows are made in the database by their numbers alone; the roll-up of months is made by the code that the summariser
runs, so that the bench reads what loading would have written.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from flask import Flask
from pydantic import SecretStr
from sqlalchemy import text

from accounting.app import create_app
from accounting.asking import months_back
from accounting.settings import AccountingSettings
from hanse.database import Database, Followed
from hanse.identity.tokens import token_key
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres

SITES, VOS, USERS, IMAGES, MONTHS = 50, 40, 5_000, 200, 12
COUNTRIES = ("Czech Republic", "Spain", "North Macedonia", "Germany", "France", "Italy", "Poland", "Portugal")
DISCIPLINES = ("Life sciences", "Earth sciences", "Physics", "Engineering", "Humanities")
TOKEN = "hst_bench_operator"
_FILL = text(
    """
    insert into usage_summary (site, month, part, service, vo, vo_group, vo_role, user_name, status, image, cores,
                               benchmark_type, benchmark, wall_s, cpu_s, wall_core_s, network_in, network_out,
                               memory_mb, disk_gb, vms)
    select 'SITE-' || lpad(cast(:site as int)::text, 2, '0'), :month, n, 'cloud-' || cast(:site as int) % 3,
           'vo-' || v || '.example.org', '/vo-' || v || '.example.org', 'None',
           '/DC=org/DC=example/O=People/CN=User number ' || (v * 125 + abs(hashint8(n)) % 125),
           case when n % 3 = 0 then 'started' else 'completed' end,
           'https://images.example.org/' || abs(hashint8(n + 7)) % cast(:images as int), c, 'HEPSPEC06', 10 + n % 7,
           w, w * c * 4 / 5, w * c, n % 90, n % 60, 4096, 40, 1
      from (select n, (n * 2654435761) % cast(:vos as int) as v, 3600 + (n * 40503) % 2500000 as w,
                   1 << (n % 5)::int as c
              from generate_series(1::bigint, cast(:many as bigint)) n) made
    """
)
_ROLL = text(
    """
    insert into usage_month (kind, site, month, vo, wall_s, cpu_s, wall_core_s, normalised_wall_s, normalised_cpu_s,
                             network_in, network_out, vms, begun)
    select 'cloud', site, month, vo, sum(wall_s), sum(cpu_s), sum(wall_core_s), round(sum(wall_s * benchmark)),
           round(sum(cpu_s * benchmark)), sum(network_in), sum(network_out), sum(vms), sum(vms) / 3
      from usage_summary group by site, month, vo
    """
)
# as accounting/rollup.py packs one site and month
_PACK = text(
    """
    insert into usage_packed (vo, month, site, user_name, image, status, service, cores, wall_s, cpu_s, wall_core_s,
                              vms)
    select vo, month, site, array_agg(user_name), array_agg(image), array_agg(status), array_agg(service),
           array_agg(cores), array_agg(wall_s), array_agg(cpu_s), array_agg(wall_core_s), array_agg(vms)
      from usage_summary group by vo, month, site
    """
)


@dataclass(frozen=True)
class Portal:
    """The application over the store, and its database."""

    app: Flask
    db: Database
    months: tuple[date, ...]


@cache
def big_portal(machine_months: int) -> Portal:
    """The store with so many machine-months, made at the first call in this process and taken away at its end."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = Path(tempfile.mkdtemp(prefix="hanse-bench-portal-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    server = stack.enter_context(PrivatePostgres(folder, durable=False))
    server.create_database("accounting")
    upgrade("accounting", server.dsn("accounting"))
    db = Database(server.dsn("accounting"))
    this = datetime.now(UTC).date().replace(day=1)
    months = tuple(months_back(this, back) for back in range(MONTHS))
    _follow(db)
    for site in range(SITES):
        for month in months:
            _fill(db, site, month, machine_months // (SITES * MONTHS))
    with db.transaction() as session:
        session.execute(_ROLL)
        session.execute(_PACK)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze usage_summary"))
        connection.execute(text("vacuum analyze usage_month"))
        connection.execute(text("vacuum analyze usage_packed"))
    settings = AccountingSettings(
        service="accounting", database_url=server.dsn("accounting"), secret_key=SecretStr("of the bench alone"),
        secure_cookies=False, data_dir=folder,
    )  # fmt: skip
    app = create_app(settings)
    stack.callback(app.extensions["hanse"].db.close)
    stack.callback(db.close)
    return Portal(app, db, months)


def _follow(db: Database) -> None:
    """Sites, VOs and the operator as the feeds bring them, and that every site has published today."""
    key = token_key(TOKEN)
    grant = {"principal": key, "role": "federation_operator", "scope": "federation", "name": "Ingrid Holm"}
    told: list[tuple[str, str, dict[str, object]]] = [
        ("grant", "operator", grant),
        ("identity", key, {"key": key, "person": None, "site": None, "name": "Ingrid Holm", "email": None}),
    ]
    for n in range(SITES):
        name, country = f"SITE-{n:02}", COUNTRIES[n % len(COUNTRIES)]
        body = {
            "name": name, "ngi": f"NGI_{n % 20:02}", "country": country, "latitude": 40 + n % 20, "longitude": n,
            "capacity": {"vcpu": 200 + n}, "supports": [], "contacts": ["x" * 80] * 20,
        }  # fmt: skip
        told.append(("site", name, body))
    for n in range(VOS):
        name = f"vo-{n}.example.org"
        told.append(("vo", name, {"name": name, "discipline": DISCIPLINES[n % len(DISCIPLINES)]}))
    with db.transaction() as session:
        for kind, entity, body in told:
            session.merge(Followed(source="registry", kind=kind, id=entity, body=body, revision=1))
        session.execute(
            text(
                "insert into message (source, empaid, sha256, body, state, site, records, loaded)"
                " select 'ams', 'bench/' || n, 'x', 'x', 'loaded', 'SITE-' || lpad(n::text, 2, '0'), 1000, 1000"
                " from generate_series(0, :sites - 1) n"
            ),
            {"sites": SITES},
        )
        session.execute(
            text(
                "insert into site_publishing (site, message_id, last_message_at, measured_until)"
                " select site, id, received_at, received_at from message"
            )
        )


def _fill(db: Database, site: int, month: date, many: int) -> None:
    with db.transaction() as session:
        given = {"site": site, "month": month, "many": many, "vos": VOS, "images": IMAGES}
        session.execute(_FILL, given)
