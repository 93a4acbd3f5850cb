"""ARGO's topology and downtimes as of a day. Both come from the registry: every date has its own, no other is taken."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask import Response, current_app, request

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Protocol, ground
from monitoring import alerts, feed
from monitoring.figures import inputs, topology
from monitoring.figures.reports import matches, passes
from monitoring.models.figures import TopologyRow
from monitoring.permissions import PROFILES
from monitoring.profiles import kept
from monitoring.profiles.bodies import Report
from monitoring.protocols.argo_words import ArgoFault, asked_day, speak, success

argo_topology = Protocol("argo_topology", __name__)
speak(argo_topology)
OURS = "The topology of {} stands already: it comes from the registry. Change it there."


@argo_topology.route("/api/v2/topology/endpoints", ["GET"], permission=SIGNED_IN)
def endpoints() -> Response:
    """Endpoints with the site that they belong to; filters by any field, `*` and `~` as ARGO's."""
    return success(_filtered(_endpoints(_rows())))


@argo_topology.route("/api/v2/topology/endpoints/by_report/<report>", ["GET"], permission=SIGNED_IN)
def endpoints_of(report: str) -> Response:
    """Those that count in a report."""
    return success(_endpoints(_rows(report)))


@argo_topology.route("/api/v2/topology/groups", ["GET"], permission=SIGNED_IN)
def groups() -> Response:
    """Sites with the NGI that they belong to."""
    return success(_filtered(_groups(_rows())))


@argo_topology.route("/api/v2/topology/groups/by_report/<report>", ["GET"], permission=SIGNED_IN)
def groups_of(report: str) -> Response:
    """Those that count in a report."""
    return success(_groups(_rows(report)))


@argo_topology.route("/api/v2/topology/<what>", ["POST"], permission=PROFILES)
def refuse(what: str) -> Response:
    """409: the date has its topology."""
    if what not in ("endpoints", "groups", "service-types", "tags"):
        raise ArgoFault(404, f"The topology has no {what[:60]!r}.")
    raise ArgoFault(409, OURS.format(asked_day()))


@argo_topology.route("/api/v2/topology/tags", ["GET"], permission=SIGNED_IN)
def tags() -> Response:
    """Which tags there are to filter by, and their values."""
    rows = _rows()
    return success(
        [
            {"name": "endpoints", "values": _tag_values(_endpoints(rows))},
            {"name": "groups", "values": _tag_values(_groups(rows))},
        ]
    )


@argo_topology.route("/api/v2/topology/stats", ["GET"], permission=SIGNED_IN)
def stats() -> Response:
    """How many groups, endpoint groups and services there are."""
    rows = _rows()
    ngis, sites = sorted({row.ngi for row in rows}), sorted({row.site for row in rows})
    services = sorted({row.service_type for row in rows})
    return success(
        {
            "group_count": len(ngis),
            "group_type": "NGI",
            "group_list": ngis,
            "endpoint_group_count": len(sites),
            "endpoint_group_type": "SITES",
            "endpoint_group_list": sites,
            "service_count": len(services),
            "service_list": services,
        }
    )


@argo_topology.route("/api/v2/topology/service-types", ["GET"], permission=SIGNED_IN)
def service_types() -> Response:
    """The service types of the day, and how many endpoints each has."""
    counted = Counter(row.service_type for row in _rows())
    return success(
        [
            {
                "date": asked_day().isoformat(),
                "name": name,
                "title": name,
                "description": f"{count} monitored",
                "tags": ["topology"],
            }
            for name, count in sorted(counted.items())
        ]
    )


@argo_topology.route("/api/v2/downtimes", ["GET"], permission=SIGNED_IN)
def downtimes() -> Response:
    """The downtimes that touch the day, an entry an endpoint."""
    day = asked_day()
    start = inputs.midnight(day)
    with ground().db.transaction() as session:
        rows = topology.of_day(session, day)
        hosts = topology.host_names(rows)
        known = [
            one
            for one in inputs.all_downtimes(session)
            if one.start < start + timedelta(days=1) and one.end > start
        ]
    found = [
        {
            "hostname": hosts[row.endpoint_id],
            "service": row.service_type,
            "start_time": f"{one.start:%Y-%m-%dT%H:%M:%SZ}",
            "end_time": f"{one.of_service(row.service_id).end:%Y-%m-%dT%H:%M:%SZ}",
            "description": one.description,
            "severity": one.severity,
            "classification": one.classification,
        }
        for row in rows
        for one in known
        if one.covers(row.site, row.service_id, row.endpoint_id)
    ]
    kind = request.args
    wanted = [
        entry
        for entry in found
        if kind.get("severity", entry["severity"]).upper() == entry["severity"].upper()
        and kind.get("classification", entry["classification"]).upper() == entry["classification"].upper()
    ]
    return success([{"date": day.isoformat(), "endpoints": wanted}])


@argo_topology.route("/api/v2/downtimes", ["POST", "DELETE"], permission=PROFILES)
def refuse_downtimes() -> Response:
    """409: downtimes are declared in the registry."""
    raise ArgoFault(409, f"The downtimes of {asked_day()} come from the registry; declare or end them there.")


@argo_topology.route("/api/v2/feeds/topology", ["GET"], permission=SIGNED_IN)
def feed_of_topology() -> Response:
    """Where the topology comes from."""
    settings = current_app.extensions["hanse"].settings
    return success(
        [
            {
                "type": "gocdb",
                "feed_url": settings.registry_url,
                "paginated": "true",
                "fetch_type": ["sites"],
                "uid_endpoints": "endpoints",
            }
        ]
    )


def _rows(report: str = "") -> list[TopologyRow]:
    day = asked_day()
    with ground().db.transaction() as session:
        rows = topology.of_day(session, day)
        if report:
            body = Report.model_validate(kept.named(session, "report", report, day).body)
            rows = [row for row in rows if passes(row, body.filter_tags)]
        session.expunge_all()
    return rows


def _endpoints(rows: Sequence[TopologyRow]) -> list[dict[str, Any]]:
    hosts, contacts, day = topology.host_names(rows), _contacts(), asked_day().isoformat()
    return [
        {
            "date": day,
            "group": row.site,
            "type": "SITES",
            "service": row.service_type,
            "hostname": hosts[row.endpoint_id],
            "notifications": {"contacts": contacts(row.site), "enabled": bool(contacts(row.site))},
            "tags": {
                "scope": ", ".join(row.scopes),
                "production": "1" if row.production else "0",
                "monitored": "1",
                "info_URL": row.url,
                "info_ID": row.endpoint_id,
            },
        }
        for row in rows
    ]


def _groups(rows: Sequence[TopologyRow]) -> list[dict[str, Any]]:
    contacts, day = _contacts(), asked_day().isoformat()
    sites: dict[str, list[TopologyRow]] = {}
    for row in rows:
        sites.setdefault(row.site, []).append(row)
    return [
        {
            "date": day,
            "group": own[0].ngi,
            "type": "NGI",
            "subgroup": site,
            "notifications": {"contacts": contacts(site), "enabled": bool(contacts(site))},
            "tags": {
                "certification": own[0].certification,
                "scope": ", ".join(sorted({scope for row in own for scope in row.scopes})),
                "infrastructure": "Production" if any(row.production for row in own) else "Test",
            },
        }
        for site, own in sites.items()
    ]


def _contacts() -> Callable[[str], list[str]]:
    """The addresses of a site as the registry has them now: people of then are not kept."""
    with ground().db.transaction() as session:
        sites = feed.sites(session)
    return lambda site: [one["email"] for one in alerts.contacts_of(sites.get(site, {}))]


def _filtered(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By the fields that the query names, and by `tags=name:value,name:value`."""
    wanted = {
        name: request.args[name]
        for name in ("group", "subgroup", "type", "service", "hostname")
        if request.args.get(name)
    }
    pairs = [pair.partition(":") for pair in request.args.get("tags", "").split(",") if ":" in pair]
    return [
        entry
        for entry in entries
        if all(matches(pattern, [str(entry.get(name, ""))]) for name, pattern in wanted.items())
        and all(_tagged(entry["tags"], name.strip(), value) for name, _, value in pairs)
    ]


def _tagged(tags: Mapping[str, str], name: str, pattern: str) -> bool:
    return matches(pattern, [part.strip() for part in tags.get(name, "").split(",")])


def _tag_values(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, set[str]] = {}
    for entry in entries:
        for name, value in entry["tags"].items():
            found.setdefault(name, set()).update(
                part.strip() for part in str(value).split(",") if part.strip()
            )
    return [{"name": name, "values": sorted(values)} for name, values in sorted(found.items())]
