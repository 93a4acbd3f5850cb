"""What the pages that lead to a downtime say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup, escape

from hanse.pages.words import count
from registry.downtime_series import Occurrence
from registry.impact import Impact
from registry.schemas.downtimes import DowntimeIn
from registry.settings import RegistrySettings

STEPS: Final = ("what", "when", "impact", "confirm")
LABELS: Final = {
    "sites": "Sites",
    "services": "Services",
    "endpoints": "Endpoints",
    "severity": "Severity",
    "description": "Reason",
    "start": "Begins",
    "end": "Ends",
    "every": "Repeat",
    "times": "How often",
}
_TITLES: Final = {"what": "What", "when": "When", "impact": "Impact", "confirm": "Confirm"}


def steps(step: str, typed: Mapping[str, Any], key: str | None) -> list[dict[str, Any]]:
    """Where the way has come to; what lies behind can be changed."""
    here = STEPS.index(step)
    when = " to ".join(_short(typed[name]) for name in ("start", "end")) if typed["end"] else ""
    notes = {
        "what": ", ".join(typed["sites"]) or "sites and services",
        "when": when or "start and end",
        "impact": "whom it hits",
        "confirm": "nothing is declared yet",
    }
    return [
        {
            "title": _TITLES[name],
            "note": _changeable(notes[name], address(name, key) if key and number < here else ""),
            "state": "ok" if number < here else "working" if number == here else "",
        }
        for number, name in enumerate(STEPS)
    ]


def _changeable(note: str, url: str) -> Markup:
    if not url:
        return escape(note)
    return Markup('{} <a href="{}">change</a>').format(note, url)


def _short(text: str) -> str:
    return text.replace("T", " ")[:16] if text else "now"


def address(step: str, key: str) -> str:
    """A step of a draft."""
    return "/downtimes/new?" + urlencode({"step": step, "draft": key})


def sentence(step: str, hit: Impact, form: DowntimeIn) -> str:
    """How many are hit, and who keeps nothing."""
    number = STEPS.index(step) + 1
    if form.severity == "WARNING":
        return f"Step {number} of 4. {count(len(hit.vos), 'VO')} at risk; nothing is taken away."
    vms = [one.used.vms for one in hit.vos if one.used.vms is not None]
    machines = f" and {count(sum(vms), 'VM')} of this month" if vms else ""
    verb = "is" if len(hit.vos) == 1 and not machines else "are"
    words = f"Step {number} of 4. {count(len(hit.vos), 'VO')}{machines} {verb} hit"
    alone = [one.vo for one in hit.left_alone]
    return words + (
        f"; nothing else stays for {', '.join(alone)}." if alone else "; other sites stay for each."
    )


def told(settings: RegistrySettings, hit: Impact) -> list[tuple[str, str]]:
    """Who learns of it, and how."""
    systems = [
        "the calendar at /downtimes.ics",
        "the GOCDB interface",
        "everybody who follows the feed of changes",
    ]
    found = [("Systems", ", ".join(systems))]
    if settings.monitoring_url:
        found.insert(0, ("Monitoring", "mutes the alerts of what is affected, and goes on measuring"))
    if hit.vos:
        found.append(("VOs", ", ".join(one.vo for one in hit.vos)))
    return found


def button(form: DowntimeIn, occurrences: Sequence[Occurrence]) -> str:
    """What the last button does."""
    where = ", ".join(form.names) if len(form.names) < 4 else count(len(form.names), "site")
    if occurrences:
        return f"Declare {count(len(occurrences), 'downtime')} of {where}"
    return f"Declare the downtime of {where}"
