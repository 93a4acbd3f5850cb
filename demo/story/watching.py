"""A cloud breaks: one alert that names the cause, one notice when it is over; a downtime mutes, and
measuring goes on.
"""

from __future__ import annotations

import email
import email.policy
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.calls import Caller, until
from demo.cast import OCCI_SERVICE, OPERATOR, SITES, Site
from demo.cloud.faults import FaultFile
from demo.story.scene import Scene, once, require

DOWNTIME_S = 300
_QUIET_S = 4


def breaks_and_recovers(scene: Scene, site: Site) -> None:
    """The port closes; after the alert it opens again."""
    scene.step(f"The cloud of {site.name} breaks: exactly one alert, naming the cause")
    until(f"{site.name} is in order", lambda: _in_order(scene, site), 90)
    begun = datetime.now(UTC)
    fault = FaultFile(scene.layout.cloud(site))
    fault.set("refuse")
    try:
        alert = until("the alert", lambda: next(iter(_alerts(scene, site, begun, "outage")), None), 90)
        require(
            "refuse" in alert["cause"].lower(),
            f"the cause does not say that the port is closed: {alert['cause']}",
        )
        number = int(alert["incident"])
        scene.saw(f"webhook: incident {number}: {alert['subject']}; cause: {alert['cause']}")
        until("the mail to the operator", lambda: _mails(scene, number, "outage"))
        scene.saw(f"mail to {OPERATOR.email}")
        time.sleep(_QUIET_S)
        _count(scene, site, begun, number, "outage")
    finally:
        fault.clear()
    scene.step(f"The cloud of {site.name} is mended: exactly one notice of recovery")
    until("the notice", lambda: _of(_alerts(scene, site, begun, "recovery"), number), 90)
    until("the mail to the operator", lambda: _mails(scene, number, "recovery"))
    until(f"{site.name} is in order", lambda: _in_order(scene, site), 90)
    _count(scene, site, begun, number, "outage")
    _count(scene, site, begun, number, "recovery")
    scene.saw(f"one alert and one notice of recovery for incident {number}, by webhook and by mail")


def downtime_mutes(scene: Scene, site: Site) -> None:
    """During a declared downtime a broken cloud is measured and nobody is alerted."""
    scene.step(
        f"{site.admin} declares a downtime of {site.name}: a failure then alerts nobody, and is measured"
    )
    until(f"{site.name} is in order", lambda: _in_order(scene, site), 90)
    begun = datetime.now(UTC)
    registry = scene.admin(site, "registry")
    number = _declare(registry, site)
    until("monitoring knows of the downtime", lambda: _in_downtime(scene, site))
    fault = FaultFile(scene.layout.cloud(site))
    fault.set("refuse")
    try:
        until("the failure is measured", lambda: _measured_down(scene, site))
        scene.saw(f"downtime {number}: the failure was measured")
        time.sleep(_QUIET_S)
        require(_in_downtime(scene, site), f"during the downtime {site.name} is not shown as in one")
    finally:
        fault.clear()
    until("every check of it is in order again", lambda: _checks_in_order(scene, site), 90)
    # An answer that was lost may mean that it is over already; what counts is that monitoring sees it end.
    registry.ask("PATCH", f"/api/v1/downtimes/{number}", {"end": _in(1), "reason": "the switch is in place"})
    until("the downtime is over", lambda: _in_order(scene, site), 90)
    told = _alerts(scene, site, begun, "outage")
    require(not told, f"a downtime did not mute {len(told)} alerts: {told[:1]}")
    scene.saw("nobody was alerted")


def _declare(registry: Caller, site: Site) -> str:
    description = f"a switch is replaced ({time.time_ns() // 10**6})"
    body = {"site": site.name, "end": _in(DOWNTIME_S), "severity": "OUTAGE", "description": description}

    def declared() -> str | None:
        items = registry.get(f"/api/v1/downtimes?site={site.name}&state=ongoing")["items"]
        return next((str(one["id"]) for one in items if one["description"] == description), None)

    return str(once(registry, "POST", "/api/v1/downtimes", body, declared))


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _in_order(scene: Scene, site: Site) -> bool:
    return bool(_endpoint(scene, site)["state"] == "ok")


def _in_downtime(scene: Scene, site: Site) -> bool:
    return bool(_endpoint(scene, site)["state"] == "downtime")


def _endpoint(scene: Scene, site: Site) -> dict[str, Any]:
    """The state of the site's cloud, as everybody may read it."""
    items = scene.public("monitoring").get(f"/api/v1/endpoints?site={site.name}")["items"]
    return next(dict(one) for one in items if one["service_type"] == OCCI_SERVICE)


def _measured_down(scene: Scene, site: Site) -> bool:
    """Whether the last measurement found the port closed, whatever a downtime makes of it."""
    return any(one["probe"] == "tcp" and one["measured"] == "critical" for one in _checks(scene, site))


def _checks_in_order(scene: Scene, site: Site) -> bool:
    """Whether every check is judged in order, under a downtime too: its end will then find nothing wrong."""
    return all(one["state"] == one["measured"] == "ok" for one in _checks(scene, site))


def _checks(scene: Scene, site: Site) -> list[dict[str, Any]]:
    number = _endpoint(scene, site)["id"]
    return list(scene.public("monitoring").get(f"/api/v1/endpoints/{number}")["checks"])


def _alerts(scene: Scene, site: Site, since: datetime, event: str) -> list[dict[str, Any]]:
    """Distinct alerts about a site that the webhook received; one that was sent twice has the same key."""
    path = scene.layout.webhooks
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        if not line.endswith("\n"):
            continue
        record = json.loads(line)
        body = record["body"]
        if (body["site"], body["event"]) == (site.name, event) and record["received_at"] >= since.isoformat():
            found[body["key"]] = body
    return list(found.values())


def _of(alerts: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return [one for one in alerts if int(one["incident"]) == number]


def _mails(scene: Scene, number: int, event: str) -> set[str]:
    """Message ids of the mails to the operator about an incident and event."""
    found = set()
    for path in scene.layout.mail.glob("*.eml"):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        about = (str(mail["X-Hanse-Incident"]), str(mail["X-Hanse-Event"]))
        if about == (str(number), event) and OPERATOR.email in str(mail["X-Envelope-To"]):
            found.add(str(mail["Message-ID"]))
    return found


def _count(scene: Scene, site: Site, since: datetime, number: int, event: str) -> None:
    told = _alerts(scene, site, since, event)
    require(len(told) == 1, f"{len(told)} alerts ({event}) about {site.name} instead of one: {told}")
    mails = _mails(scene, number, event)
    require(len(mails) == 1, f"{len(mails)} mails ({event}) to the operator instead of one")


def choose(scene: Scene) -> tuple[Site, Site]:
    """A site to break and another for the downtime."""
    first, second = scene.dice.sample(SITES, 2)
    return first, second
