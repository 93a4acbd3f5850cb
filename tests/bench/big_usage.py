"""Usage as big as wanted: machines of fifty sites over twelve months, made by the database itself.

Each machine ran all through the year and was reported at each month's end, so that every figure is known: a month of a
machine is its seconds. The groups are numbered by the code that numbers them in messages.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import text

from accounting.usage import part_of
from hanse.database import Database
from tests.bench.accounting_house import VOS, House

MONTHS = 12
GROUPS_A_SITE = 400
GROUP = (
    "service",
    "vo",
    "vo_group",
    "vo_role",
    "user_name",
    "status",
    "image",
    "cores",
    "benchmark_type",
    "benchmark",
)
TABLES = ("vm_snapshot", "vm_month", "usage_summary", "usage_day")


def months() -> list[date]:
    """The first days of the twelve months before this one, and of this one."""
    now = datetime.now(UTC)
    index = now.year * 12 + now.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(index - MONTHS, index + 1)]


def fill(house: House, db: Database, vm_months: int) -> None:
    """Make about so many VM-months; what was there is forgotten."""
    house.empty(db)
    sites = list(house.hosts)
    with db.transaction() as session:
        for statement in _GROUPS:
            session.execute(text(statement))
        groups = [(site, n, *_group(site, n)) for site in sites for n in range(GROUPS_A_SITE)]
        rows = [(*row, part_of(row[2:])) for row in groups]
        db.copy(session, "bench_group", ("site", "number", *GROUP, "part"), rows)
        first, *ends = months()
        spans = zip([first, *ends], ends, strict=False)
        db.copy(session, "bench_month", ("begun", "ended"), spans)
        given = {
            "machines": max(1, vm_months // MONTHS // len(sites)),
            "groups": GROUPS_A_SITE,
            "first": first,
        }
        for statement in _ROWS:
            session.execute(text(statement), given)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _group(site: str, number: int) -> tuple[object, ...]:
    user, vo = number // 4, VOS[number // 4 % len(VOS)]
    name = f"/C=EU/O=Hanse Demo/OU=People/CN=Person {user} of {site}"
    size = f"{2 ** (number % 2)}.000"
    return (
        f"{site}-CLOUD",
        vo,
        f"/{vo}",
        "Role=NULL",
        name,
        "started",
        f"image-{number % 4 // 2}",
        size,
        "",
        "0.000",
    )


def bytes_a_vm_month(db: Database) -> float:
    """What the tables of usage and their indexes take on disk."""
    with db.transaction() as session:
        sizes = [session.scalar(text(f"select pg_total_relation_size('{name}')")) or 0 for name in TABLES]
        count = session.scalar(text("select count(*) from vm_month")) or 1
    return sum(sizes) / count


_GROUPS = (
    "create temporary table bench_group (site text, number int, service text, vo text, vo_group text, vo_role text,"
    " user_name text, status text, image text, cores numeric(10, 3), benchmark_type text, benchmark numeric(10, 3),"
    " part bigint) on commit drop",
    "create temporary table bench_month (begun date, ended date) on commit drop",
)
_EACH = "bench_group g join generate_series(0, :machines - 1) n on g.number = n % :groups cross join bench_month m"
_SECONDS = "extract(epoch from m.ended::timestamptz - m.begun::timestamptz)::bigint"
_SINCE = "extract(epoch from m.ended::timestamptz - cast(:first as date)::timestamptz)::bigint"
_ROWS = (
    "insert into vm_snapshot (site, message_id, receipt, vmuuid, measured_at, started_at, wall_s, cpu_s, cpu_count,"
    " status, service, machine_name, local_user, local_group, user_name, fqan, vo, vo_group, vo_role, network_type,"
    " memory_mb, disk_gb, benchmark_type, benchmark, storage_record, image, cloud_type, from_at, used_wall_s,"
    " used_cpu_s)"
    f" select g.site, 0, 0, 'vm-' || n, m.ended, cast(:first as date), {_SINCE}, {_SINCE} * g.cores, g.cores, g.status,"
    " g.service, 'vm-' || n, 'u', 'g', g.user_name, '/' || g.vo || '/Role=NULL/Capability=NULL', g.vo, g.vo_group,"
    " g.vo_role, '', 8192, 80, '', 0, '', g.image, 'caso/5.2.2 (OpenStack)', m.begun,"
    f" {_SECONDS}, {_SECONDS} * g.cores from {_EACH}",
    f"insert into vm_month (site, vmuuid, month, part, {', '.join(GROUP)}, wall_s, cpu_s, memory_mb, disk_gb, vms)"
    f" select g.site, 'vm-' || n, m.begun, g.part, {', '.join(f'g.{name}' for name in GROUP)},"
    f" {_SECONDS}, {_SECONDS} * g.cores, 8192, 80, 1 from {_EACH}",
    f"insert into usage_summary (site, month, part, {', '.join(GROUP)}, wall_s, cpu_s, wall_core_s, network_in,"
    f" network_out, memory_mb, disk_gb, vms) select site, month, part, {', '.join(GROUP)}, sum(wall_s), sum(cpu_s),"
    f" sum(wall_s) * cores, 0, 0, sum(memory_mb), sum(disk_gb), sum(vms) from vm_month"
    f" group by site, month, part, {', '.join(GROUP)}",
    "insert into usage_day (site, day, vo, wall_s, cpu_s, vms)"
    " select v.site, d::date, v.vo, sum(86400), sum(86400 * v.cores), count(*) from vm_month v"
    " cross join lateral generate_series(v.month, v.month + interval '1 month' - interval '1 day', interval '1 day') d"
    " group by 1, 2, 3",
)
