"""Status for everybody beyond the front page: one site with its services and history, an RSS feed, badges."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from xml.etree import ElementTree

from flask import Response
from markupsafe import escape
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC
from hanse.pages.words import age
from hanse.web import Pages, conditional, ground, page
from monitoring import feed, reading, reasons, story
from monitoring.clock import database_time
from monitoring.figures import reading as figures
from monitoring.figures.bars import day_state
from monitoring.figures.reading import Asked
from monitoring.models import Incident
from monitoring.profiles import kept
from monitoring.profiles.defaults import REPORT
from monitoring.words import IN_WORDS

public_pages = Pages("monitoring_public_pages", __name__)
HISTORY_DAYS = 90
FEED_ITEMS = 50
_COLOURS = {
    "ok": "#1d7555",
    "degraded": "#8a5200",
    "down": "#a51d17",
    "downtime": "#3e4fa0",
    "unknown": "#56606b",
}


@public_pages.get("/status/<site>", permission=PUBLIC)
def site_status(site: str) -> Response:
    """One site: now, its services over 90 days, and what happened."""
    with ground().db.transaction() as session:
        now = database_time(session)
        line = _site_line(session, site)
        history = reading.histories(session, "site", [site])[site]
        services = _service_bars(session, site, now)
        over = story.over_lately(session, now - timedelta(days=HISTORY_DAYS), site, limit=100)
        opened = story.open_incidents(session, site)
        planned = [d for d in feed.downtimes_of(session, [site])[site] if d.end > now]
    return page(
        "monitoring/status_site.html",
        title=line.name,
        sentence=_sentence(line, history.availability, now),
        crumbs=[("Status", "/status"), (line.name, "")],
        api=f"/api/v1/status?site={line.name}&days=true",
        refresh_s=30,
        within="/status",
        line=line,
        base=ground().settings.url.rstrip("/"),
        bars=[{"day": day["day"], "state": day["state"]} for day in history.days],
        services=services,
        incidents=[*opened, *over],
        planned=planned,
        title_of=reasons.title,
        today=now.date(),
        now=now,
    )


@public_pages.get("/status.rss", permission=PUBLIC)
def rss() -> Response:
    """Incidents as they begin and end, for a feed reader."""
    return _feed("")


@public_pages.get("/status/<site>.rss", permission=PUBLIC)
def site_rss(site: str) -> Response:
    """The same of one site."""
    return _feed(site)


@public_pages.get("/badges/<site>.svg", permission=PUBLIC)
def badge(site: str) -> Response:
    """The state of a site to show elsewhere."""
    with ground().db.transaction() as session:
        state = _site_line(session, site).state
    return _svg(site, IN_WORDS[state], _COLOURS[state])


@public_pages.get("/badges/<site>/availability.svg", permission=PUBLIC)
def availability_badge(site: str) -> Response:
    """The availability of a site over 30 days."""
    with ground().db.transaction() as session:
        _site_line(session, site)
        found = reading.histories(session, "site", [site])[site].availability
    said = "–" if found is None else f"{found:.2f} %"
    return _svg(f"{site} 30 d", said, _COLOURS["unknown" if found is None else "ok"])


def _site_line(session: Session, site: str) -> reading.SiteLine:
    for line in reading.site_lines(session):
        if line.name == site:
            return line
    raise NotFound(f"No site {site[:100]!r} is monitored; the status page has those that are.")


def _service_bars(session: Session, site: str, now: datetime) -> list[dict[str, Any]]:
    """Each service type with its kept days."""
    today = now.date()
    reports = kept.in_force(session, "report", today, REPORT)
    if not reports:
        return []
    asked = Asked(reports[0].id, "service", today - timedelta(days=HISTORY_DAYS - 1), today, site=site)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in figures.rows(session, asked):
        found.setdefault(row.service, []).append({"day": row.day, "state": day_state(row.line)})
    whole = figures.results(session, asked, "custom")
    available = {service: rows[0][1].availability for (_, _, service, _), rows in whole.items() if rows}
    return [
        {"service": service, "bars": bars, "availability": available.get(service)}
        for service, bars in found.items()
    ]


def _sentence(line: reading.SiteLine, availability: float | None, now: datetime) -> str:
    words = f"{IN_WORDS[line.state].capitalize()} for {age(now - line.since)}"
    return words + (f"; {availability:.2f} % available in 30 days." if availability is not None else ".")


def _feed(site: str) -> Response:
    here = ground()
    base = here.settings.url.rstrip("/")
    with here.db.transaction() as session:
        if site:
            _site_line(session, site)
        rows = select(Incident).where(Incident.muted_by.is_(None)).order_by(Incident.number.desc())
        if site:
            rows = rows.where(Incident.site == site)
        incidents = list(session.scalars(rows.limit(FEED_ITEMS)))
        root = ElementTree.Element("rss", {"version": "2.0"})
        channel = ElementTree.SubElement(root, "channel")
        _texts(
            channel,
            {
                "title": f"{site or here.settings.federation or 'Federation'}: service status",
                "link": f"{base}/status{'/' + site if site else ''}",
                "description": "Outages and degradations, as they begin and end.",
                "ttl": "5",
            },
        )
        for incident in incidents:
            _item(channel, incident, base)
    body = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return conditional(Response(body, content_type="application/rss+xml; charset=utf-8"))


def _item(channel: ElementTree.Element, incident: Incident, base: str) -> None:
    """One entry an incident and state: its end is news, so the entry gets another id."""
    over = incident.ended_at is not None
    where = incident.site or "Monitoring"
    heading = reasons.title(incident.reason)
    item = ElementTree.SubElement(channel, "item")
    at = incident.ended_at or incident.began_at
    lasted = f" after {age(incident.ended_at - incident.began_at)}" if incident.ended_at else ""
    _texts(
        item,
        {
            "title": f"{where}: {f'in order again ({heading})' if over else heading}",
            "link": f"{base}/incidents/{incident.number}",
            "description": f"{incident.cause}. {'Over' + lasted if over else 'Not over yet'}.",
            "pubDate": format_datetime(at.astimezone(UTC), usegmt=True),
        },
    )
    guid = ElementTree.SubElement(item, "guid", {"isPermaLink": "false"})
    guid.text = f"{base}/incidents/{incident.number}#{'over' if over else 'open'}"


def _texts(parent: ElementTree.Element, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        ElementTree.SubElement(parent, name).text = "".join(c for c in text if c >= " " or c in "\n\t")


def _svg(label: str, words: str, colour: str) -> Response:
    """A label and a word side by side; widths by the number of characters."""
    left, right = 12 + 7 * len(label), 12 + 7 * len(words)
    said = escape(f"{label}: {words}")
    body = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{said}">'
        f"<title>{said}</title>"
        f'<rect width="{left}" height="20" fill="#17293d"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="system-ui,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14" textLength="{left - 12}">{escape(label)}</text>'
        f'<text x="{left + right / 2:g}" y="14" textLength="{right - 12}">{escape(words)}</text></g></svg>'
    )
    answer = Response(body, content_type="image/svg+xml; charset=utf-8")
    answer.headers["Cache-Control"] = "public, max-age=60"
    return conditional(answer)
