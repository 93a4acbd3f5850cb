"""States in the words of people: on pages, in the API and in metrics."""

from monitoring.algebra import State

KIND = {
    State.OK: "ok",
    State.WARNING: "degraded",
    State.CRITICAL: "down",
    State.DOWNTIME: "downtime",
    State.UNKNOWN: "unknown",
    State.MISSING: "unknown",
}
IN_WORDS = {
    "ok": "in order",
    "degraded": "degraded",
    "down": "down",
    "downtime": "downtime",
    "unknown": "unknown",
}
ORDER = ("down", "degraded", "downtime", "unknown", "ok")


def kind(state: str) -> str:
    """ok, degraded, down, downtime or unknown."""
    return KIND[State(state)]


def worst_first(kind_of: str) -> int:
    """Place in a list that begins with trouble."""
    return ORDER.index(kind_of)
