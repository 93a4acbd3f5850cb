"""ARGO's /results, versions 2 and 3: availability and reliability at every level, as JSON or XML."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal, cast, get_args

from flask import Response, request
from sqlalchemy.orm import Session

from hanse.identity.permissions import SIGNED_IN
from hanse.web import Protocol, ground
from monitoring.figures import reading
from monitoring.figures.ratios import Figures, Pair
from monitoring.figures.reading import Asked, Granularity, Subject
from monitoring.figures.reports import ReportOnDay
from monitoring.protocols import argo_paths
from monitoring.protocols.argo_paths import Names, Path
from monitoring.protocols.argo_words import (
    ArgoFault,
    Node,
    Period,
    demand_accept,
    number,
    period,
    speak,
    tree,
    whole_number,
)

argo_results = Protocol("argo_results", __name__)
speak(argo_results)
Rows = list[dict[str, str]]
NOTHING = "There are no results for this period; figures are kept from the first measurement on."


@argo_results.route("/api/v2/results/<report>/<path:rest>", ["GET"], permission=SIGNED_IN)
def results(report: str, rest: str) -> Response:
    """Figures of supergroups, sites, services or endpoints."""
    demand_accept()
    when, granularity = period(), _granularity()
    with ground().db.transaction() as session:
        found = argo_paths.report_named(session, report, when.last)
        path = argo_paths.read(rest, found.body)
        if path.level == "metric":
            raise ArgoFault(404, "Metrics have a status and no results; ask /api/v2/status.")
        if path.level == "supergroup":
            nodes = _supergroups(session, found, path, when, granularity)
        else:
            nodes = _below(session, found, path, when, granularity)
    if not nodes:
        raise ArgoFault(404, NOTHING)
    return tree("results", nodes, rows_key="results", row_tag="results")


@argo_results.route("/api/v3/results/<report>", ["GET"], permission=SIGNED_IN)
def results_v3(report: str) -> Response:
    """Supergroups with their sites in one answer; days under the key `date`."""
    demand_accept()
    when, granularity = period(), _granularity()
    with ground().db.transaction() as session:
        found = argo_paths.report_named(session, report, when.last)
        path = argo_paths.read(found.body.topology_schema.group.type, found.body)
        asked = Asked(found.id, "site", when.first, when.last)
        above = reading.of_ngis(session, asked, granularity)
        sites = reading.results(session, asked, granularity)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (ngi, site, _, _), figures in sites.items():
        rows = figure_rows(figures, time_key="date")
        groups[ngi].append({"name": site, "type": path.site_type, "results": rows})
    body = [
        {
            "name": ngi,
            "type": path.ngi_type,
            "results": pair_rows(pairs, time_key="date"),
            "groups": groups[ngi],
        }
        for ngi, pairs in above.items()
    ]
    if not body:
        raise ArgoFault(404, NOTHING)
    return Response(json.dumps({"results": body}), content_type="application/json; charset=utf-8")


def _granularity() -> Granularity:
    given = request.args.get("granularity") or "daily"
    if given not in get_args(Granularity):
        raise ArgoFault(400, f"granularity is daily, monthly or custom, not {given[:40]!r}.")
    return cast(Granularity, given)


def _supergroups(
    session: Session, report: ReportOnDay, path: Path, when: Period, granularity: Granularity
) -> list[Node]:
    asked = Asked(report.id, "site", when.first, when.last, ngi=path.ngi)
    found = reading.of_ngis(session, asked, granularity)
    return [Node(ngi, path.ngi_type, pair_rows(pairs)) for ngi, pairs in found.items()]


def _below(
    session: Session, report: ReportOnDay, path: Path, when: Period, granularity: Granularity
) -> list[Node]:
    names = argo_paths.names_on(session, when.last)
    level = cast(Literal["site", "service", "endpoint"], path.level)
    asked = Asked(report.id, level, when.first, when.last, path.ngi, path.site, path.service)
    found = reading.results(session, asked, granularity)
    if path.host:
        wanted = set(names.endpoints(path.host, path.service, path.site))
        found = {subject: figures for subject, figures in found.items() if subject[3] in wanted}
    if level == "site":
        return _by_ngi(found, path)
    if request.path.rstrip("/").endswith(f"{report.name}/endpoints"):
        found = _page(found)
    return _by_site(found, path, names)


def _page(found: dict[Subject, list[tuple[str, Figures]]]) -> dict[Subject, list[tuple[str, Figures]]]:
    """A page of the flat list of endpoints; all of them without pageSize."""
    size = whole_number("pageSize", 0, 10_000)
    start = whole_number("nextPageToken", 0, 10**9)
    keys = list(found)[start : start + size] if size else list(found)[start:]
    return {key: found[key] for key in keys}


def _by_ngi(found: dict[Subject, list[tuple[str, Figures]]], path: Path) -> list[Node]:
    sites: dict[str, list[Node]] = defaultdict(list)
    for (ngi, site, _, _), figures in found.items():
        sites[ngi].append(Node(site, path.site_type, figure_rows(figures)))
    return [Node(ngi, path.ngi_type, children=below, below="endpoints") for ngi, below in sites.items()]


def _by_site(found: dict[Subject, list[tuple[str, Figures]]], path: Path, names: Names) -> list[Node]:
    services: dict[str, dict[str, list[Node]]] = defaultdict(lambda: defaultdict(list))
    own: dict[tuple[str, str], Rows] = {}
    for (_, site, service, endpoint_id), figures in found.items():
        if not endpoint_id:
            own[site, service] = figure_rows(figures)
            services[site].setdefault(service, [])
            continue
        row = names.rows.get(endpoint_id)
        host = names.hosts.get(endpoint_id, endpoint_id)
        info = {"Url": row.url} if row is not None and row.url else {}
        services[site][service].append(Node(host, "endpoint", figure_rows(figures), info=info))
    return [
        Node(site, path.site_type, children=_services(site, below, own), below="serviceflavors")
        for site, below in services.items()
    ]


def _services(site: str, below: dict[str, list[Node]], own: dict[tuple[str, str], Rows]) -> list[Node]:
    return [
        Node(service, "service", own[site, service])
        if (site, service) in own
        else Node(service, "service", children=endpoints, below="endpoints")
        for service, endpoints in below.items()
    ]


def figure_rows(found: Sequence[tuple[str, Figures]], time_key: str = "timestamp") -> Rows:
    """The figures of a site, service or endpoint, as text."""
    return [
        {
            **({time_key: when} if when else {}),
            "availability": number(one.availability),
            "reliability": number(one.reliability),
            "unknown": number(one.unknown),
            "uptime": number(one.uptime),
            "downtime": number(one.downtime),
        }
        for when, one in found
    ]


def pair_rows(found: Sequence[tuple[str, Pair]], time_key: str = "timestamp") -> Rows:
    """The figures of a supergroup, as text."""
    return [
        {
            **({time_key: when} if when else {}),
            "availability": number(one.availability),
            "reliability": number(one.reliability),
        }
        for when, one in found
    ]
