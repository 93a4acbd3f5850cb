"""In which state each site is, from what monitoring says and what the registry knows of downtimes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from registry.lately import Lately
from registry.neighbours import Heard

UNTOLD: Final = "dot"
"""What stands for the state of a site of the past, which nobody tells: on maps a bare dot."""
WORST_FIRST: Final = ("down", "degraded", "downtime", "unknown", "ok", "suspended", "not_monitored", UNTOLD)
QUESTION: Final = ("monitoring", "/api/v1/status?endpoints=false")
OF_SITE: Final = ("monitoring", "/api/v1/status?site={site}&days=true")


class Named(Protocol):
    """A site as a body or in brief: its `name` and `certification`."""

    def __getitem__(self, field: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """A site's state with its cause and since when (ISO 8601); `endpoints` by id, `days` the last 90."""

    kind: str
    cause: str = ""
    since: str | None = None
    available: float | None = None
    endpoints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    days: Sequence[Mapping[str, Any]] = ()

    @property
    def rank(self) -> int:
        """Worst first."""
        return WORST_FIRST.index(self.kind)

    @property
    def failing(self) -> int:
        """How many endpoints are down or degraded."""
        return sum(one.get("state") in ("down", "degraded") for one in self.endpoints.values())


def standings(
    status: Heard, sites: Sequence[Named], monitored: Collection[str], away: Collection[str]
) -> dict[str, Standing]:
    """State by site. `monitored` are sites with an endpoint that is watched, `away` those in an ongoing outage.

    What the registry decides itself holds at once; the rest is monitoring's, as of its last answer.
    """
    told = {str(one.get("site")): one for one in status.body.get("sites", ())}
    return {site["name"]: _standing(site, told.get(site["name"]), monitored, away) for site in sites}


_kept: Lately[dict[str, Standing]] = Lately()


def of_all(
    status: Heard, sites: Sequence[Named], monitored: frozenset[str], away: frozenset[str]
) -> dict[str, Standing]:
    """The same for a list of sites that requests share, such as the directory's; not to be changed."""
    return _kept.get(
        (status.body, sites), (monitored, away), lambda: standings(status, sites, monitored, away)
    )


def _standing(
    site: Named,
    told: Mapping[str, Any] | None,
    monitored: Collection[str],
    away: Collection[str],
) -> Standing:
    name = site["name"]
    if site["certification"] in ("Suspended", "Closed"):
        return Standing("suspended", f"{site['certification']} by a decision of the federation")
    if name not in monitored:
        return Standing("not_monitored", "no endpoint of the site is watched")
    if told is None:
        kind, cause = ("downtime", "a downtime is going on") if name in away else ("unknown", "no result yet")
        return Standing(kind, cause)
    state = str(told.get("state"))
    return Standing(
        kind="downtime" if name in away else state if state in WORST_FIRST else "unknown",
        cause=str(told.get("cause") or ""),
        since=told.get("since"),
        available=told.get("availability_30d"),
        endpoints={str(one.get("id")): one for one in told.get("endpoints", ())},
        days=told.get("days", ()),
    )


def tell(found: Collection[Standing]) -> list[tuple[str, int]]:
    """How many sites are in each state, worst first, without empty ones."""
    counted = Counter(one.kind for one in found)
    return [(kind, counted[kind]) for kind in WORST_FIRST if counted[kind]]
