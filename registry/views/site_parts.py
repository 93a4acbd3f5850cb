"""Parts of the page of a site that the registry itself knows: endpoints, capacity, downtimes, facts, history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanse.identity.permissions import allows
from hanse.revisions import History
from registry import cloudinfo, downtime_finding, standing, states, trail
from registry.neighbours import Heard
from registry.rights import READ_LOG
from registry.schemas.downtimes import DowntimeFilter
from registry.views.parts import Part, SiteLook
from registry.views.words import capacity_words, lines

MOST_ENDPOINTS = 60
LATEST = 12
"""Changes read for the page; a revision of several entities is one line."""


def _endpoints(look: SiteLook) -> Mapping[str, Any]:
    rows = [
        _row(look, service, endpoint)
        for service in look.services
        for endpoint in service["endpoints"] or [None]
    ]
    if not look.past:
        rows.sort(key=lambda row: standing.WORST_FIRST.index(row["kind"]))
    numbers = {
        row["seen"]["incident"]: row["seen"].get("cause", "") for row in rows if row["seen"].get("incident")
    }
    return {
        "count": sum(len(service["endpoints"]) for service in look.services),
        "tab_count": len(look.services),
        "rows": rows[:MOST_ENDPOINTS],
        "more": max(0, len(rows) - MOST_ENDPOINTS),
        "incidents": [{"number": number, "cause": cause} for number, cause in sorted(numbers.items())][:5],
    }


def _row(look: SiteLook, service: Mapping[str, Any], endpoint: Mapping[str, Any] | None) -> dict[str, Any]:
    """An endpoint with its service and what monitoring says of it; a service without one stands alone."""
    seen: Mapping[str, Any] = {}
    kind = "not_monitored"
    if endpoint is not None:
        seen = {} if look.past else look.found.endpoints.get(endpoint["id"], {})
        if endpoint["monitored"] and service["monitored"]:
            told = str(seen.get("state") or "unknown")
            kind = told if told in standing.WORST_FIRST else "unknown"
    return {"service": service, "endpoint": endpoint, "seen": seen, "kind": kind}


def _capacity(look: SiteLook) -> Mapping[str, Any]:
    """What is declared for each VO, and beside it what is used: as the cloud publishes it, and by its usage records."""
    offers = capacity_words(look.site["capacity"])
    if look.past:
        return {"offers": offers, "vos": [_vo_row(one, None, None) for one in look.site["supports"]]}
    running, recorded = _running(look), _recorded(look.heard["usage"])
    declared = {share["vo"]: share for share in look.site["supports"]}
    others = sorted((running.keys() | recorded.keys()) - declared.keys())
    shares = [*declared.values(), *({"vo": vo, "vcpu": None} for vo in others)]
    rows = [_vo_row(one, running.get(one["vo"]), recorded.get(one["vo"])) for one in shares]
    return {"offers": offers, "vos": rows, "supported": frozenset(declared)}


def _vo_row(
    share: Mapping[str, Any], running: Mapping[str, Any] | None, recorded: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {"vo": share["vo"], "vcpu": share["vcpu"], "running": running, "recorded": recorded}


def _running(look: SiteLook) -> dict[str, dict[str, Any]]:
    """Virtual processors and machines that each VO has now, as the clouds of the site publish them while that holds."""
    found: dict[str, dict[str, Any]] = {}
    for document in cloudinfo.current(look.session, look.name, valid_at=look.now):
        for share in document.facts["shares"]:
            if share["vo"] is None or (share["used_cores"] is None and share["total"] is None):
                continue
            row = found.setdefault(share["vo"], {"vcpu": None, "machines": None, "at": document.created_at})
            for name, fact in (("vcpu", "used_cores"), ("machines", "total")):
                if share[fact] is not None:
                    row[name] = (row[name] or 0) + share[fact]
    return found


def _recorded(usage: Heard) -> dict[str, dict[str, Any]]:
    """CPU hours and machines of this month by VO, from the usage records that accounting has loaded."""
    rows = usage.body.get("rows")
    return {
        str(row["vo"]): {"cpu_hours": float(row.get("cpu_hours") or 0), "vms": int(row.get("vms") or 0)}
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, Mapping) and row.get("vo")
    }


def _downtimes(look: SiteLook) -> Mapping[str, Any]:
    query = DowntimeFilter(site=look.name)
    shown = [one.body for one in downtime_finding.find(look.session, query, as_of=look.as_of, limit=6)]
    return {"downtimes": shown, "ongoing": sum(one["state"] == "ongoing" for one in shown)}


def _identities(look: SiteLook) -> Mapping[str, Any]:
    pairs = [
        pair for pair in look.heard["vomsdb"].body.get("pairs", ()) if pair.get("site") == look.site["name"]
    ]
    return {"pairs": pairs}


def _usage(look: SiteLook) -> Mapping[str, Any]:
    return {"publishing": _of_site(look.heard["accounting"], look.name)}


def _of_site(publishing: Heard, site: str) -> Mapping[str, Any] | None:
    return next((one for one in publishing.body.get("items", ()) if one.get("site") == site), None)


def _facts(look: SiteLook) -> Mapping[str, Any]:
    return {"offers": capacity_words(look.site["capacity"])}


def _certificates(look: SiteLook) -> Mapping[str, Any]:
    found = states.by_id(
        look.session, "host_certificate", where=[states.text_of("site") == look.name], as_of=look.as_of
    )
    return {"certificates": [state.body for state in found]}


def _history(look: SiteLook) -> Mapping[str, Any]:
    # the log holds addresses of people and machines
    if not allows(look.principal, READ_LOG):
        return {"history": []}
    upto = [] if look.moment is None else [History.from_revision <= look.moment[1]]
    events = trail.events(look.session, trail.Wanted(site=look.name), where=upto, limit=LATEST)
    return {"history": lines(events)[:8]}


ENDPOINTS = Part("endpoints", "top", _endpoints, tab="Services", questions={"monitoring": standing.OF_SITE})
CAPACITY = Part(
    "capacity",
    "left",
    _capacity,
    questions={"usage": ("accounting", "/api/v1/usage?by=vo&site={site}&from={month}&to={month}")},
)
DOWNTIMES = Part("downtimes", "left", _downtimes, tab="Downtimes")
IDENTITIES = Part(
    "identities",
    "middle",
    _identities,
    past=False,
    questions={"vomsdb": ("vomsdb", "/api/v1/replication?site={site}")},
)
USAGE = Part(
    "usage",
    "middle",
    _usage,
    past=False,
    questions={"accounting": ("accounting", "/api/v1/publishing")},
)
FACTS = Part("facts", "right", _facts)
CERTIFICATES = Part("certificates", "right", _certificates)
HISTORY = Part("history", "foot", _history, tab="History")
