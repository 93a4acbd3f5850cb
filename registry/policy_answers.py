"""What another service's answer says of an item of the checklist; one judge for each check that asks a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from registry.schemas.fields import parse_time
from registry.schemas.policy import ItemDoc

Met = Literal["met", "not_met", "unknown"]
Judge = Callable[[ItemDoc, str, Mapping[str, Any], datetime], tuple[Met, str]]
"""From the item, the site, the answer and the time: whether it is met, and in words why."""


def _answering(_item: ItemDoc, site: str, body: Mapping[str, Any], _now: datetime) -> tuple[Met, str]:
    """Every endpoint that is watched answers now, or is in a declared downtime."""
    told = next((one for one in _listed(body, "sites") if one.get("site") == site), None)
    watched = [] if told is None else _listed(told, "endpoints")
    if not watched:
        return "not_met", "they are registered, and none is watched yet"
    bad = [one for one in watched if one.get("state") not in ("ok", "downtime")]
    if not bad:
        return "met", f"{len(watched)} of {len(watched)} endpoints answer"
    named = [f"{one.get('url') or one.get('id')} is {one.get('state')}" for one in bad[:3]]
    return "not_met", f"{len(watched) - len(bad)} of {len(watched)} answer: {'; '.join(named)}"


def _monitoring(item: ItemDoc, site: str, body: Mapping[str, Any], now: datetime) -> tuple[Met, str]:
    """Every one of the last whole days was in order or in a declared downtime."""
    days = min(item.days or 7, 90)
    told = next((one for one in _listed(body, "sites") if one.get("site") == site), None)
    if told is None:
        return "not_met", "nothing of the site is watched"
    today = now.date().isoformat()
    past = [one for one in _listed(told, "days") if str(one.get("day")) < today][-days:]
    green = [one for one in past if one.get("state") in ("ok", "downtime")]
    if len(past) == days and len(green) == days:
        return "met", f"in order on each of the last {days} days"
    bad = [f"{one.get('day')} {one.get('state')}" for one in past if one not in green][-3:]
    why = f": {', '.join(bad)}" if bad else ""
    return "not_met", f"in order on {len(green)} of the last {days} days{why}"


def _accounting(item: ItemDoc, site: str, body: Mapping[str, Any], now: datetime) -> tuple[Met, str]:
    days = item.days or 7
    told = next((one for one in _listed(body, "items") if one.get("site") == site), None)
    last = None if told is None else told.get("last_message_at")
    if last is None:
        return "not_met", "nothing has ever arrived"
    at = parse_time(last)
    age = now - at
    state: Met = "met" if age <= timedelta(days=days) else "not_met"
    return state, f"the last message came on {at:%d %b %Y}"


def _vomsdb(_item: ItemDoc, site: str, body: Mapping[str, Any], _now: datetime) -> tuple[Met, str]:
    pairs = [one for one in _listed(body, "pairs") if one.get("site") == site]
    if not pairs:
        return "not_met", "the site receives no VO's identities"
    late = [str(one.get("vo")) for one in pairs if one.get("state") not in ("in_step", "behind")]
    silent = [str(one.get("vo")) for one in pairs if one.get("acked_at") is None]
    if late or silent:
        return "not_met", f"not confirmed in time: {', '.join(sorted({*late, *silent})[:5])}"
    return "met", f"{len(pairs)} VOs are in step"


def _listed(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of another service's answer; whatever is none of objects is taken for nothing."""
    held = body.get(name)
    return [one for one in held if isinstance(one, Mapping)] if isinstance(held, list) else []


JUDGES: Final[Mapping[str, Judge]] = {
    "endpoints_valid": _answering,
    "monitoring_green": _monitoring,
    "accounting_arriving": _accounting,
    "identities_replicated": _vomsdb,
}
