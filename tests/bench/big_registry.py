"""A registry as big as the biggest: 1,000 sites, 20,000 services, 30,000 endpoints, 30,000 downtimes, five years.

One thing of each kind is registered through the API; the database copies it, so that rows and bodies have every field
that the registry has today. The copies differ in names, places, types and addresses by their number alone: two runs
give the same registry. `check` compares rows and bodies of a few of them with what the registry would write itself.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

from demo.ca import CertificateAuthority
from hanse.database import Database
from hanse.migrations import upgrade
from hanse.postgres import PrivatePostgres
from registry import bodies
from registry.models import Downtime, Endpoint, Service, Site
from registry.settings import RegistrySettings
from tests.conftest import Cast
from tests.registry.conftest import Registry, close, open_registry, site_document

PLACES = (
    ("Czech Republic", "CZ", "Brno", 49.2, 16.6), ("Spain", "ES", "Zaragoza", 41.6, -0.9),
    ("North Macedonia", "MK", "Skopje", 42.0, 21.4), ("Germany", "DE", "Munich", 48.1, 11.6),
    ("France", "FR", "Lyon", 45.8, 4.8), ("Italy", "IT", "Bologna", 44.5, 11.3),
    ("Poland", "PL", "Krakow", 50.1, 19.9), ("Portugal", "PT", "Braga", 41.5, -8.4),
    ("Finland", "FI", "Espoo", 60.2, 24.7), ("Sweden", "SE", "Uppsala", 59.9, 17.6),
    ("Netherlands", "NL", "Delft", 52.0, 4.4), ("United Kingdom", "GB", "Didcot", 51.6, -1.3),
    ("Greece", "GR", "Patras", 38.2, 21.7), ("Croatia", "HR", "Split", 43.5, 16.4),
    ("Slovakia", "SK", "Kosice", 48.7, 21.3), ("Austria", "AT", "Innsbruck", 47.3, 11.4),
    ("Ireland", "IE", "Galway", 53.3, -9.1), ("Lithuania", "LT", "Kaunas", 54.9, 23.9),
    ("Romania", "RO", "Cluj", 46.8, 23.6), ("Bulgaria", "BG", "Sofia", 42.7, 23.3),
    ("Turkey", "TR", "Ankara", 39.9, 32.8), ("Taiwan", "TW", "Taipei", 25.0, 121.5),
    ("Brazil", "BR", "Sao Paulo", -23.5, -46.6), ("United States", "US", "Chicago", 41.9, -87.6),
)  # fmt: skip
VOS = ("training.egi.eu", "fedcloud.egi.eu", "chipster", "biomed", "ops", "geohazard.example.org")
TYPES = ("eu.egi.cloud.vm-management.occi", "org.openstack.nova", "org.openstack.swift", "Site-BDII", "APEL")


@dataclass(frozen=True)
class Size:
    """How much. Each service, endpoint and site has stood in `states` forms over `years`."""

    sites: int = 1_000
    services: int = 20
    downtimes: int = 30
    states: int = 4
    revisions: int = 60_000
    years: int = 5


FULL = Size()
SMALL = Size(sites=30, services=4, downtimes=3, revisions=600)


@cache
def big_registry(size: Size = FULL) -> Registry:
    """The registry, made at the first call in this process and taken away at its end."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = Path(tempfile.mkdtemp(prefix="hanse-bench-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    data = Path(tempfile.mkdtemp(prefix="hanse-bench-postgres-"))
    stack.callback(shutil.rmtree, data, ignore_errors=True)
    server = stack.enter_context(PrivatePostgres(data, durable=False))
    server.create_database("registry")
    upgrade("registry", server.dsn("registry"))
    db = Database(server.dsn("registry"))
    stack.callback(db.close)
    ca = CertificateAuthority.create(folder / "ca", "/C=EU/O=Hanse Demo/CN=Hanse Demo CA")
    settings = RegistrySettings(
        service="registry",
        database_url=db.url,
        secret_key=SecretStr("a secret of the bench alone"),
        trust_dir=ca.trust_dir,
        secure_cookies=False,
        url="http://127.0.0.1:7010",
    )
    registry = open_registry(db, settings, Cast(ca)["Ingrid Holm"])
    stack.callback(close, registry)
    fill(registry, size)
    return registry


def fill(registry: Registry, size: Size) -> None:
    """Make the first of each kind, and let the database copy them."""
    first = _first(registry)
    with registry.db.engine.begin() as connection:
        _copy(connection, size, first)
    with registry.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))
    with registry.db.transaction() as session:
        check(session)


def _first(registry: Registry) -> dict[str, int]:
    """The site, the service and the downtime that are copied: their ids."""
    registry.send("POST", "/api/v1/ngis", {"name": "NGI_CZ"})
    with registry.db.transaction() as session:
        known = set(session.execute(text("select name from service_type")).scalars())
    for kind in TYPES:
        if kind not in known:
            registry.send("POST", "/api/v1/service-types", {"name": kind, "description": "For the bench"})
    contacts = [
        {"kind": kind, "name": "Eliška Malá", "email": f"{kind}@site.example"}
        for kind in ("admin", "security", "alarm")
    ]
    registry.send(
        "POST",
        "/api/v1/sites",
        site_document(
            "CESNET",
            description="A cloud of the national grid infrastructure. " * 4,
            home_url="https://www.site.example/cloud/",
            contacts=contacts,
            location="Brno",
            latitude=49.2,
            longitude=16.6,
            timezone="Europe/Prague",
            supports=[{"vo": vo, "vcpu": 10} for vo in VOS[:3]],
            capacity={"vcpu": 64, "ram_gb": 110, "storage_tb": 1, "volumes": 50, "public_ips": 50},
        ),
    )
    service = registry.register_service("CESNET", description="The interface of the cloud. " * 3)
    downtime = registry.declare("CESNET", timedelta(days=2), timedelta(hours=6))
    site = registry.get("/api/v1/sites/CESNET")
    return {"site": int(site["id"]), "service": int(service["id"]), "downtime": int(downtime["id"])}


def _columns(connection: Connection, table: str) -> list[str]:
    return [column["name"] for column in inspect(connection).get_columns(table)]


def _clone(connection: Connection, table: str, source: str, where: str, **given: str) -> None:
    """Copy rows of `table`, called t, for each row of `source`. `given` columns are SQL, the others as they are."""
    names = [name for name in _columns(connection, table) if given.get(name, "") != "default"]
    values = ", ".join(given.get(name, f't."{name}"') for name in names)
    quoted = ", ".join(f'"{name}"' for name in names)
    statement = f"insert into {table} ({quoted}) select {values} from {source} where {where}"
    connection.exec_driver_sql(statement.replace("%", "%%"))


def _copy(connection: Connection, size: Size, first: dict[str, int]) -> None:
    run = connection.execute
    run(
        text("set local session_replication_role = replica")
    )  # ten thousands of foreign keys, right by their making
    kept = list(
        run(
            text(
                "select indexname, indexdef from pg_indexes where tablename = 'history' and indexname <> 'history_pkey'"
            )
        )
    )
    for name, _ in kept:
        run(text(f'drop index "{name}"'))
    _revisions(connection, size)
    _sites(connection, size, first["site"])
    _services(connection, size, first["service"])
    _downtimes(connection, size, first["downtime"])
    _history(connection, size, first)
    run(text("truncate trail_entity"))  # its trigger sleeps while the log is copied
    run(text(TRAIL))
    for _, definition in kept:
        run(text(definition))


def _revisions(connection: Connection, size: Size) -> None:
    """Those there are happened five years ago; then one every few minutes until today."""
    connection.execute(
        text("update revision set at = now() - make_interval(years => :years)"), {"years": size.years}
    )
    connection.execute(
        text("create temporary table span on commit drop as select max(number) as base from revision;")
    )
    connection.execute(
        text(
            "insert into revision (number, at, actor, actor_name, reason)"
            " select base + n, now() - make_interval(years => :years) * (1 - cast(n as float) / :many),"
            " 'person:' || n % 400, 'Person ' || n % 400, 'Changed as planned' from span, generate_series(1, :many) n"
        ),
        {"years": size.years, "many": size.revisions},
    )


def _sites(connection: Connection, size: Size, first: int) -> None:
    connection.execute(
        text(
            "create temporary table place (k int, country text, code text, town text, lat float, lon float)"
            " on commit drop"
        )
    )
    connection.execute(
        text("insert into place values (:k, :country, :code, :town, :lat, :lon)"),
        [
            dict(zip(("k", "country", "code", "town", "lat", "lon"), (k, *place), strict=True))
            for k, place in enumerate(PLACES)
        ],
    )
    _clone(
        connection,
        "ngi",
        "ngi t, place p",
        "t.name = 'NGI_CZ' and p.code <> 'CZ'",
        id="nextval('owned_entity_id')",
        name="'NGI_' || p.code",
    )
    connection.execute(
        text(
            "create temporary table new_site on commit drop as select n, nextval('owned_entity_id') as id, p.*,"
            " 'SITE-' || lpad(n::text, 4, '0') as name from generate_series(1, :many) n join place p"
            f" on p.k = n % {len(PLACES)}"
        ),
        {"many": size.sites},
    )
    _clone(
        connection,
        "site",
        "site t, new_site s join ngi g on g.name = 'NGI_' || s.code",
        f"t.id = {first}",
        id="s.id",
        primary_key="s.id || 'G0'",
        name="s.name",
        ngi_id="g.id",
        official_name="'Institute number ' || s.n || ', ' || s.town",
        country="s.country",
        country_code="s.code",
        location="s.town",
        latitude="s.lat + (s.n * 37 % 100 - 50) / 30.0",
        longitude="s.lon + (s.n * 61 % 100 - 50) / 20.0",
        middleware="(array['OpenStack', 'OpenNebula', 'Synnefo'])[1 + s.n % 3]",
        certification="case when s.n % 50 = 0 then 'Candidate' when s.n % 67 = 0 then 'Suspended' else 'Certified' end",
        vcpu="64 + s.n % 500",
        usage_site_names="array[s.name]",
    )
    _clone(connection, "contact", "contact t, new_site s", f"t.site_id = {first}", site_id="s.id")
    vos = "array[" + ", ".join(f"'{vo}'" for vo in VOS) + "]"
    connection.execute(
        text(
            "insert into vo_share (site_id, vo, vcpu) select s.id,"
            f" ({vos})[1 + (s.n + i) % {len(VOS)}], 10 + i from new_site s, generate_series(0, 2) i"
        )
    )


def _services(connection: Connection, size: Size, first: int) -> None:
    types = "array[" + ", ".join(f"'{kind}'" for kind in TYPES) + "]"
    connection.execute(
        text(
            "create temporary table new_service on commit drop as select s.id as site_id, s.name as site, j,"
            f" nextval('service_id') as id, ({types})[1 + j % {len(TYPES)}] as kind,"
            " 's' || j || '.' || lower(s.name) || '.example' as host"
            " from new_site s, generate_series(1, :many) j order by s.n, j"
        ),
        {"many": size.services},
    )
    _clone(
        connection,
        "service",
        "service t, new_service s",
        f"t.id = {first}",
        id="s.id",
        primary_key="s.id || 'G0'",
        site_id="s.site_id",
        service_type="s.kind",
        hostname="s.host",
        url="'https://' || s.host || ':11443/'",
    )
    for number in (1, 2):
        _clone(
            connection,
            "endpoint",
            "endpoint t, new_service s",
            f"t.service_id = {first} and ({number} = 1 or s.j % 2 = 0)",
            id="default",
            service_id="s.id",
            name=f"'{'main' if number == 1 else 'second'}'",
            url=f"'https://' || s.host || ':{11442 + number}/'",
            interface_name="s.kind",
        )


def _downtimes(connection: Connection, size: Size, first: int) -> None:
    """Spread over the years; those of the last hours go on, a few are still to come."""
    connection.execute(
        text(
            "create temporary table new_downtime on commit drop as select s.id as site_id, s.n, j,"
            " nextval('downtime_id') as id, date_trunc('second', now() - make_interval(years => :years)"
            " * (1 - (j - 1 + s.n / cast(:sites as float)) / (:many - 0.5))) as start_at"
            " from new_site s, generate_series(1, :many) j order by j, s.n"
        ),
        {"many": size.downtimes, "years": size.years, "sites": size.sites},
    )
    state = (
        "case when s.start_at > now() then 'planned' when s.start_at + interval '6 hours' > now() then 'ongoing'"
        " else 'ended' end"
    )
    _clone(
        connection,
        "downtime",
        "downtime t, new_downtime s",
        f"t.id = {first}",
        id="s.id",
        primary_key="s.id || 'G0'",
        site_id="s.site_id",
        start_at="s.start_at",
        end_at="s.start_at + interval '6 hours'",
        created_at="s.start_at - interval '3 days'",
        state=state,
    )
    _clone(
        connection,
        "downtime_part",
        "downtime_part t, new_downtime s",
        f"t.downtime_id = {first}",
        downtime_id="s.id",
        site_id="s.site_id",
    )
    _clone(
        connection,
        "downtime_service",
        "downtime_service t, new_downtime s join service v on v.site_id = s.site_id",
        f"t.downtime_id = {first} and v.id % 4 = s.j % 4",
        downtime_id="s.id",
        service_id="v.id",
    )
    _clone(
        connection,
        "downtime_endpoint",
        "downtime_endpoint t, new_downtime s join service v on v.site_id = s.site_id"
        " join endpoint e on e.service_id = v.id",
        f"t.downtime_id = {first} and v.id % 4 = s.j % 4",
        downtime_id="s.id",
        endpoint_id="e.id",
    )


TRAIL = """insert into trail_entity (place, kind, entity_id)
    select distinct place, history.kind, history.entity_id
    from history, trail_places(history.kind, history.body) as place where history.op = 'put'"""
ISO = r"""to_char({} at time zone 'UTC', 'YYYY-MM-DD"T"HH24\:MI\:SS"Z"')"""
BODIES = {
    "ngi": """select g.id::text, g.id, t.body || jsonb_build_object('id', g.id::text, 'name', g.name)
        from ngi g, template t where g.name <> 'NGI_CZ'""",
    "site": """select s.id::text, s.id, t.body || jsonb_build_object('id', s.id::text, 'primary_key', s.primary_key,
        'name', s.name, 'ngi', g.name, 'official_name', s.official_name, 'country', s.country, 'country_code',
        s.country_code, 'location', s.location, 'latitude', s.latitude, 'longitude', s.longitude, 'middleware',
        s.middleware, 'certification', s.certification, 'usage_site_names', to_jsonb(s.usage_site_names),
        'capacity', t.body -> 'capacity' || jsonb_build_object('vcpu', s.vcpu), 'supports',
        (select jsonb_agg(t.body -> 'supports' -> 0 || jsonb_build_object('vo', vo, 'vcpu', vcpu)
         order by vo collate "C") from vo_share v
         where v.site_id = s.id))
        from site s join ngi g on g.id = s.ngi_id, template t where s.name like 'SITE-%'""",
    "service": """select s.id::text, s.id, t.body || jsonb_build_object('id', s.id::text, 'primary_key', s.primary_key,
        'site', i.name, 'service_type', s.service_type, 'hostname', s.hostname, 'url', s.url, 'endpoints',
        (select jsonb_agg(t.body -> 'endpoints' -> 0 || jsonb_build_object('id', e.id::text, 'name', e.name,
         'url', e.url, 'interface', e.interface_name) order by e.id) from endpoint e where e.service_id = s.id))
        from service s join site i on i.id = s.site_id, template t where i.name like 'SITE-%'""",
    "endpoint": """select e.id::text, e.id, t.body || jsonb_build_object('id', e.id::text, 'name', e.name, 'site',
        i.name, 'service_id', s.id::text, 'service_type', s.service_type, 'hostname', s.hostname, 'url', e.url,
        'interface', e.interface_name)
        from endpoint e join service s on s.id = e.service_id join site i on i.id = s.site_id, template t
        where i.name like 'SITE-%'""",
    "downtime": f"""select d.id::text, d.id, t.body || jsonb_build_object('id', d.id::text, 'primary_key',
        d.primary_key, 'site', i.name, 'sites', jsonb_build_array(i.name), 'whole_sites',
        case when jsonb_array_length(t.body -> 'whole_sites') > 0 then jsonb_build_array(i.name) else '[]' end,
        'start', {ISO.format("d.start_at")}, 'end', {ISO.format("d.end_at")}, 'state', d.state, 'created_at',
        {ISO.format("d.created_at")}, 'services', (select coalesce(jsonb_agg(service_id::text order by service_id),
        '[]') from downtime_service l where l.downtime_id = d.id), 'endpoints', (select
        coalesce(jsonb_agg(endpoint_id::text order by endpoint_id), '[]') from downtime_endpoint l
        where l.downtime_id = d.id))
        from downtime d join site i on i.id = d.site_id, template t where i.name like 'SITE-%'""",
}
EARLIER = {"ngi": 1, "downtime": 3}
"""States of a kind that has not `Size.states` of them; a downtime is planned, goes on, and ends."""


def _history(connection: Connection, size: Size, first: dict[str, int]) -> None:
    """State k of each thing begins in the k-th part of the revisions, at a place in it that its id decides."""
    for kind, select in BODIES.items():
        states = EARLIER.get(kind, size.states)
        span = size.revisions // states
        connection.execute(
            text(
                f"""
                with template as (select body from history where kind = :kind and to_revision is null and op = 'put'
                    order by id limit 1),
                now_is as ({select}),
                one as (select entity_id, (id * 7919) % :span as place, body
                    from now_is as n (entity_id, id, body))
                insert into history (kind, entity_id, from_revision, to_revision, op, body)
                select :kind, entity_id, base + 1 + k * :span + place,
                    case when k < :last then base + 1 + (k + 1) * :span + place end, 'put',
                    case when k = :last then body
                         when :kind = 'downtime' then body || jsonb_build_object('state',
                             (array['planned', 'ongoing'])[k + 1])
                         else body || jsonb_build_object('description', 'As it was, the ' || k || '.') end
                from one, span, generate_series(0, :last) k
                """
            ),
            {"kind": kind, "span": span, "last": states - 1},
        )


def check(session: Session) -> None:
    """Compare what the copies say with what the registry would write of their rows. AssertionError when they differ."""
    site = session.query(Site).filter(Site.name.like("SITE-%")).order_by(Site.id.desc()).first()
    assert site is not None
    service = session.query(Service).filter_by(site_id=site.id).order_by(Service.id.desc()).first()
    assert service is not None
    endpoint: Endpoint = service.endpoints[0]
    downtime = session.query(Downtime).filter_by(site_id=site.id).order_by(Downtime.id).first()
    assert downtime is not None
    for kind, row, body in (
        ("site", site, bodies.site_body(site)),
        ("service", service, bodies.service_body(service)),
        ("endpoint", endpoint, bodies.endpoint_body(endpoint, service)),
        ("downtime", downtime, bodies.downtime_body(downtime)),
    ):
        _compare(session, kind, str(row.id), body)


def _compare(session: Session, kind: str, entity_id: str, body: dict[str, Any]) -> None:
    found = session.execute(
        text("select body from history where kind = :kind and entity_id = :id and to_revision is null"),
        {"kind": kind, "id": entity_id},
    ).scalar_one()
    differing = {key: (found.get(key), value) for key, value in body.items() if found.get(key) != value}
    differing |= {key: (value, None) for key, value in found.items() if key not in body}
    assert not differing, f"{kind} {entity_id}: {differing}"
