"""What the demo registry has to show beyond sites and people: a group, a webhook with deliveries, subscriptions, API
credentials, a downtime of each kind, a step of certification that waits for a decision, drift with an accepted line.

Each is done by the person who would do it, and only when it is not there yet.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.calls import Caller, Untrue, until
from demo.cast import OPERATOR, SITES, Person, person
from demo.layout import Layout
from demo.sinks import CHANGES

CallerOf = Callable[[Person, str], Caller]
GROUP = "TRAINING-CLOUDS"
DRIFTING, DECLARED_RAM_GB = "CESNET", 96
"""A site whose declared memory was out of date, until its administrator took over what the cloud publishes."""
_FACT = "capacity ram_gb"


def federation_parts() -> dict[str, object]:
    """What federation.yaml holds for show: a project, and a group of all clouds."""
    members = [
        {"site": one.name, "type": "eu.egi.cloud.vm-management.occi", "hostname": f"occi.{one.domain}"}
        for one in SITES
    ]
    return {
        "projects": [{"name": "EGI", "ngis": sorted({one.ngi for one in SITES})}],
        "service_groups": [
            {
                "name": GROUP,
                "description": "The clouds on which courses run",
                "email": OPERATOR.email,
                "services": members,
            }
        ],
    }


class Showcase:
    """The steps; `caller_of` gives a person's calls to a service."""

    def __init__(self, layout: Layout, caller_of: CallerOf) -> None:
        self._layout = layout
        self._caller_of = caller_of

    def _registry(self, who: Person) -> Caller:
        return self._caller_of(who, "registry")

    def run(self) -> None:
        """Take the steps that were not taken yet. Raises Untrue when one is not accepted."""
        # the webhook first, so that it is told of all that follows
        self._webhook()
        steps = (self._credentials, self._subscriptions, self._downtimes, self._proposal)
        with ThreadPoolExecutor(len(steps)) as pool:
            for done in [pool.submit(step) for step in steps]:
                done.result()

    def _missing(self, caller: Caller, path: str, **wanted: object) -> bool:
        items = caller.get(path)["items"]
        return not any(all(one[name] == value for name, value in wanted.items()) for one in items)

    def _webhook(self) -> None:
        operator = self._registry(OPERATOR)
        url = f"http://127.0.0.1:{self._layout.ports['webhooks']}{CHANGES}"
        if self._missing(operator, "/api/v1/webhooks", url=url):
            body = {"url": url, "description": "A program that is told of every change"}
            operator.send("POST", "/api/v1/webhooks", body)

    def _credentials(self) -> None:
        for name, may_write in (("BIFI", True), ("CESNET", False)):
            site = next(one for one in SITES if one.name == name)
            admin = self._registry(person(site.admin))
            path = f"/api/v1/sites/{name}/api-credentials"
            if self._missing(admin, path, identifier=site.accounting_host):
                body = {"kind": "x509", "identifier": site.accounting_host, "allow_write": may_write}
                admin.send("POST", path, body)

    def _subscriptions(self) -> None:
        wanted: tuple[tuple[str, dict[str, object]], ...] = (
            ("Laura Gil", {"target": "site", "name": "BIFI", "subject": "all", "means": "mail"}),
            (
                "Marta Kowalska",
                {"target": "vo", "name": "training.egi.eu", "subject": "downtimes", "means": "digest"},
            ),
        )
        for who, body in wanted:
            caller = self._registry(person(who))
            if self._missing(caller, "/api/v1/subscriptions", target=body["target"], subject=body["subject"]):
                caller.send("POST", "/api/v1/subscriptions", body)

    def _downtimes(self) -> None:
        """Scheduled of a whole site, at risk of two sites in one, over, and going on; none touches a cloud now."""
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        operator, cesnet = self._registry(OPERATOR), self._registry(person("Eliška Malá"))
        laura, goran = self._registry(person("Laura Gil")), self._registry(person("Goran Petrov"))
        day, hour = timedelta(days=1), timedelta(hours=1)
        whole = {"site": "CESNET", "severity": "OUTAGE", "description": "The cooling is renewed"}
        self._declare(cesnet, now + 5 * day, 6 * hour, whole)
        both = {"sites": ["BIFI", "UKIM"], "severity": "WARNING", "description": "The network provider moves"}
        self._declare(operator, now + 8 * day, 4 * hour, both)
        over = {"site": "BIFI", "services": [self._accounting("BIFI")], "severity": "OUTAGE"}
        self._declare(
            laura, now - 5 * hour, 2 * hour, {**over, "description": "The usage publisher is updated"}
        )
        going = {"site": "UKIM", "services": [self._accounting("UKIM")], "severity": "WARNING"}
        going["description"] = "Usage may come late: the publisher's disk is being replaced"
        self._declare(goran, now - hour, 12 * hour, going)

    def _accounting(self, site: str) -> str:
        """The id of the service from which the site publishes usage."""
        items = self._registry(OPERATOR).get(f"/api/v1/services?site={site}")["items"]
        return next(str(one["id"]) for one in items if one["service_type"] == "eu.egi.cloud.accounting")

    def _declare(self, caller: Caller, start: datetime, lasts: timedelta, body: dict[str, Any]) -> None:
        site = body.get("site") or body["sites"][0]
        if self._missing(caller, f"/api/v1/downtimes?site={site}", description=body["description"]):
            times = {"start": start.isoformat(), "end": (start + lasts).isoformat()}
            caller.send("POST", "/api/v1/downtimes", {**body, **times})

    def _proposal(self) -> None:
        operator = self._registry(OPERATOR)
        if self._missing(operator, "/api/v1/certification/proposals", site="UKIM", new="Uncertified"):
            body = {"status": "Uncertified", "reason": "New hardware: to be certified anew after the move"}
            operator.send("POST", "/api/v1/sites/UKIM/certification/proposals", body)

    def accept_drift(self) -> None:
        """The administrator takes over what the cloud publishes of its memory, as soon as it has published."""
        admin = self._registry(person(next(one.admin for one in SITES if one.name == DRIFTING)))
        path = f"/api/v1/sites/{DRIFTING}"

        def differs() -> bool:
            if admin.get(path)["capacity"]["ram_gb"] != DECLARED_RAM_GB:
                return True
            return any(one["fact"] == _FACT for one in admin.get(f"{path}/drift")["items"])

        until(f"{DRIFTING} publishes what its cloud offers", differs)
        if admin.get(path)["capacity"]["ram_gb"] == DECLARED_RAM_GB:
            body = {"fact": _FACT, "reason": "the memory that was added in spring"}
            answer = admin.ask("POST", f"{path}/drift/accept", body)
            if not answer.ok and admin.get(path)["capacity"]["ram_gb"] == DECLARED_RAM_GB:
                raise Untrue(f"{admin.who} could not accept the drift: {answer.text[:300]}")
