"""Figures for the page that shows all building blocks; synthetic, and the same each time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hanse.pages.charts import stacked
from hanse.web import FormFaults

NOW = datetime(2026, 11, 24, 14, 32, 7, tzinfo=UTC)
TODAY = date(2026, 11, 24)
MONTHS = ["Dec 2025", "Jan 2026", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov"]
VOS = [
    "fedcloud.egi.eu",
    "chipster",
    "training.egi.eu",
    "geohazard.example.org",
    "harbour.example.org",
    "a",
    "b",
]
BAD_DAYS = {
    69: "down",
    68: "down",
    83: "degraded",
    82: "degraded",
    49: "downtime",
    48: "downtime",
    9: "degraded",
}


def wave(index: int, size: float, turn: int = 0) -> float:
    """A figure that rises and falls without chance."""
    return round(size * (1 + 0.35 * ((index * 7 + turn * 5) % 11 - 5) / 5))


def days() -> list[dict[str, Any]]:
    """90 days, newest first; three of them without a result."""
    known = [
        {"day": TODAY - timedelta(days=i), "state": BAD_DAYS.get(i, "ok"), "note": ""} for i in range(90)
    ]
    return [day for i, day in enumerate(known) if i not in (27, 28, 29)]


def form() -> FormFaults:
    """The form of an endpoint that was refused."""
    reason = "must begin with https://. Port 8787 at this host answers TLS; use https://occi.bifi.example:8787/ooi."
    kept = {"service": "occi", "url": "http://occi.bifi.example:8787/ooi"}
    return FormFaults(kept, {"url": reason}, "Not saved: 1 field must be mended.")


def showcase() -> dict[str, Any]:
    """What components.html and home.html need."""
    daily = [wave(i, 24000) for i in range(23)] + [14000.0]
    october = [wave(i, 22000, 3) for i in range(31)]
    months = {vo: [wave(i, 40000 + 30000 * n, n) for i in range(12)] for n, vo in enumerate(VOS)}
    return {
        "days": days(),
        "last": TODAY,
        "now": NOW,
        "begin": NOW.replace(hour=12, minute=0),
        "end": NOW.replace(hour=18, minute=0),
        "form": form(),
        "daily": stacked(
            [str(i + 1) for i in range(24)],
            {"per day, November": daily},
            unit="CPU hours",
            partial_last=True,
            line=october,
            width=400,
            height=150,
        ),
        "monthly": stacked(MONTHS, months, unit="CPU hours", partial_last=True, width=1100, height=260),
    }
