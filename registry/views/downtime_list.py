"""The list of downtimes in three parts: what goes on, what is planned, what is past; now or as it was, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from hanse.web.listing import cursor_of
from registry import downtime_finding
from registry.schemas.downtimes import DowntimeFilter
from registry.schemas.fields import iso

PAGE: Final = 50
PARTS: Final = (
    ("ongoing", "Going on", "Nothing is away by plan."),
    ("planned", "Planned", "No downtime is planned."),
    ("ended", "Past", "No downtime has ended."),
)
Body = dict[str, Any]
Key = Sequence[str | int] | None


@dataclass(frozen=True)
class Part:
    """Downtimes of one state, a page of them; `more` is the cursor of the next page, "" on the last."""

    state: str
    title: str
    nothing: str
    rows: Sequence[Body]
    more: str

    @property
    def count(self) -> str:
        """How many are shown, and whether there are more."""
        return f"{len(self.rows)}{'+' if self.more else ''}"


def parts(
    session: Session, asked: DowntimeFilter, only: Sequence[str] | None, key: Key, as_of: str | None
) -> list[Part]:
    """The parts that are asked for, of the sites `only` if they are given. `key` is where a single part goes on.

    What goes on comes by its end, what is planned by its start, what is past from the latest start on; as it was, from
    the latest declared on.
    """
    wanted = [part for part in PARTS if asked.state in (None, part[0])]
    read = _now if as_of is None else _then
    pages = read(
        session,
        {state: asked.model_copy(update={"state": state}) for state, _, _ in wanted},
        only,
        key,
        as_of,
    )
    return [Part(state, title, nothing, *pages[state]) for state, title, nothing in wanted]


_Page = tuple[list[Body], str]
_Queries = dict[str, DowntimeFilter]


def _now(
    session: Session, queries: _Queries, only: Sequence[str] | None, key: Key, as_of: str | None
) -> dict[str, _Page]:
    found = {
        state: downtime_finding.in_order(session, query, only, key, PAGE + 1)
        for state, query in queries.items()
    }
    numbers = [number for page in found.values() for number, _ in page[:PAGE]]
    bodies = {one.id: one.body for one in downtime_finding.states_of(session, numbers)}
    return {
        state: (
            [bodies[str(number)] for number, _ in page[:PAGE] if str(number) in bodies],
            cursor_of([iso(page[PAGE - 1][1]), page[PAGE - 1][0]]) if len(page) > PAGE else "",
        )
        for state, page in found.items()
    }


def _then(
    session: Session, queries: _Queries, only: Sequence[str] | None, key: Key, as_of: str | None
) -> dict[str, _Page]:
    pages = {}
    for state, query in queries.items():
        found = downtime_finding.in_order_then(session, query, only, as_of, key, PAGE + 1)
        more = ""
        if len(found) > PAGE:
            last = found[PAGE - 1]
            more = cursor_of([last.body["end" if state == "ongoing" else "start"], int(last.id)])
        pages[state] = ([one.body for one in found[:PAGE]], more)
    return pages
