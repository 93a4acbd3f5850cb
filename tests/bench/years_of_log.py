"""Five years of a federation's log, written by the database itself: 1,000 sites, 20,000 services with an endpoint each,
60,000 downtimes; about 1.1 million states in 460,000 revisions. The bodies are as long as real ones.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text

from hanse.database import Database

SITES, SERVICES, DOWNTIMES = 1_000, 20_000, 60_000
VERSIONS = 22  # of each service and endpoint; a site has 60
REVISIONS = SERVICES * VERSIONS + 20_000
BEGAN = "2021-11-25T00:00:00Z"
SECONDS_APART = 340

SITE: dict[str, Any] = {
    "official_name": "Institute for the computing of everything that has to be computed",
    "description": "A cloud of the national grid infrastructure. " * 5,
    "home_url": "https://www.site.example/cloud/",
    "country": "Czech Republic",
    "country_code": "CZ",
    "location": "Brno",
    "timezone": "Europe/Prague",
    "latitude": 49.2,
    "longitude": 16.6,
    "telephone": "+420 123 456 789",
    "domain": "site.example",
    "giis_url": None,
    "middleware": "OpenStack",
    "certification": "Certified",
    "certification_since": "2021-11-25T00:00:00Z",
    "production": True,
    "notify": True,
    "scopes": ["EGI"],
    "capacity": {"vcpu": 64, "ram_gb": 110, "storage_tb": 1, "volumes": 50, "public_ips": 50},
    "contacts": [
        {"kind": kind, "name": "Eliška Malá", "email": f"{kind}@site.example"}
        for kind in ("admin", "security", "alarm")
    ],
    "supports": [{"vo": vo, "vcpu": 16} for vo in ("training.egi.eu", "chipster", "biomed", "ops")],
    "agent_url": "https://agent.site.example/",
    "extensions": {},
}
SERVICE: dict[str, Any] = {
    "service_type": "eu.egi.cloud.vm-management.occi",
    "description": "The interface of the cloud for virtual machines. " * 3,
    "host_dn": "/C=EU/O=Hanse Demo/OU=Services/CN=occi.site.example",
    "host_ip": "192.0.2.10",
    "host_ipv6": "2001:db8::10",
    "host_os": "Debian 12",
    "host_arch": "x86_64",
    "email": "ops@site.example",
    "beta": False,
    "production": True,
    "monitored": True,
    "notify": True,
    "scopes": ["EGI"],
    "extensions": {"GLUE2EndpointQualityLevel": "production"},
}
ENDPOINT: dict[str, Any] = {
    "name": "main",
    "interface": "eu.egi.cloud.vm-management.occi",
    "monitored": True,
    "description": "",
    "email": None,
    "extensions": {},
}

_REVISIONS = """
insert into revision (number, at, actor, actor_name, reason)
select n, cast(:began as timestamptz) + n * interval '1 second' * cast(:apart as float), 'person:' || n % 400,
       'Person ' || n % 400, 'Changed, as every ' || n % 90 || ' days'
from generate_series(1, :revisions) as n
"""
_SITES = """
insert into history (kind, entity_id, from_revision, to_revision, op, body)
select 'site', i::text, v * 7000 + i * 7, case when v < 59 then (v + 1) * 7000 + i * 7 end, 'put',
       cast(:body as jsonb) || jsonb_build_object('id', i::text, 'primary_key', i || 'G0',
         'name', 'SITE-' || lpad(i::text, 4, '0'), 'ngi', 'NGI_' || i % 40,
         'usage_site_names', jsonb_build_array('SITE-' || lpad(i::text, 4, '0')), 'description', 'As of ' || v)
from generate_series(1, :sites) as i, generate_series(0, 59) as v
"""
_SERVICES = """
insert into history (kind, entity_id, from_revision, to_revision, op, body)
select 'service', s::text, s + :services * v, case when v < :versions - 1 then s + :services * (v + 1) end, 'put',
       cast(:body as jsonb) || jsonb_build_object('id', s::text, 'primary_key', s || 'G0',
         'site', 'SITE-' || lpad((s % :sites + 1)::text, 4, '0'), 'hostname', 'occi' || s || '.site.example',
         'url', 'https://occi' || s || '.site.example:11443/' || v,
         'endpoints', jsonb_build_array(cast(:endpoint as jsonb) || jsonb_build_object('id', s::text,
            'url', 'https://occi' || s || '.site.example:11443/' || v)))
from generate_series(1, :services) as s, generate_series(0, :versions - 1) as v
"""
_ENDPOINTS = """
insert into history (kind, entity_id, from_revision, to_revision, op, body)
select 'endpoint', entity_id, from_revision, to_revision, 'put',
       jsonb_build_object('id', entity_id, 'name', 'main', 'site', body -> 'site', 'service_id', entity_id,
         'service_type', body -> 'service_type', 'hostname', body -> 'hostname', 'url', body -> 'url',
         'interface', body -> 'service_type', 'monitored', true, 'production', true, 'host_dn', body -> 'host_dn')
from history where kind = 'service'
"""
_DOWNTIMES = """
insert into history (kind, entity_id, from_revision, to_revision, op, body)
select 'downtime', d::text, d * 7 + step * 20, case when step < 2 then d * 7 + (step + 1) * 20 end, 'put',
       jsonb_build_object('id', d::text, 'primary_key', d || 'G0',
         'site', 'SITE-' || lpad((d % :sites + 1)::text, 4, '0'), 'severity', 'OUTAGE',
         'classification', 'SCHEDULED', 'description', 'New network switches',
         'start', to_char(cast(:began as timestamptz) + d * interval '43 minutes', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
         'end', to_char(cast(:began as timestamptz) + d * interval '43 minutes' + interval '6 hours',
                        'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
         'services', jsonb_build_array((d % :services + 1)::text), 'endpoints', '[]'::jsonb,
         'state', (array['planned', 'ongoing', 'ended'])[step + 1],
         'created_at', '2021-11-25T00:00:00Z', 'created_by', 'Eliška Malá')
from generate_series(1, :downtimes) as d, generate_series(0, 2) as step
"""


def write(db: Database) -> dict[str, int]:
    """Put the years in the place of the log; how many rows of what. Takes about a minute."""
    values = {
        "began": BEGAN,
        "apart": SECONDS_APART,
        "revisions": REVISIONS,
        "sites": SITES,
        "services": SERVICES,
        "versions": VERSIONS,
        "downtimes": DOWNTIMES,
        "endpoint": json.dumps(ENDPOINT),
    }
    bodies = {_SITES: json.dumps(SITE), _SERVICES: json.dumps(SERVICE)}
    with db.transaction() as session:
        session.execute(text("truncate history, revision, trail_entity"))
        for statement in (_REVISIONS, _SITES, _SERVICES, _ENDPOINTS, _DOWNTIMES):
            wanted = {name: value for name, value in values.items() if f":{name}" in statement}
            if statement in bodies:
                wanted["body"] = bodies[statement]
            session.execute(text(statement), wanted)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze history"))
        connection.execute(text("vacuum analyze revision"))
    with db.transaction() as session:
        return {
            table: session.scalar(text(f"select count(*) from {table}")) or 0
            for table in ("revision", "history")
        }
