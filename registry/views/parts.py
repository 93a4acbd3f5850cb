"""What the page of a site is made of: parts that any room of the registry may add without touching the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from hanse.identity.principals import Principal
from registry.models import Site
from registry.neighbours import Heard
from registry.settings import RegistrySettings
from registry.standing import Standing

Place = Literal["top", "left", "middle", "right", "foot"]
Question = tuple[str, str]
"""A service and a path below its address, as `registry.neighbours.ask` takes them; {site} stands for the name, {month}
for this one (2026-11)."""


@dataclass(frozen=True)
class SiteLook:
    """The site that is looked at, and who looks. A part reads what else it needs in `session`.

    `site` is its body now, or at `moment` = (when, revision); `row` is the site as it is now, None when it has
    gone since. `heard` are the answers to the questions of all parts by their names.
    """

    session: Session
    site: Mapping[str, Any]
    row: Site | None
    revision: int
    updated_at: datetime
    as_of: str | None
    moment: tuple[datetime | None, int] | None
    services: list[dict[str, Any]]
    found: Standing
    heard: Mapping[str, Heard]
    principal: Principal
    rights: Mapping[str, bool]
    settings: RegistrySettings
    now: datetime

    @property
    def name(self) -> str:
        """The site's short name, as it was at `moment`."""
        return str(self.site["name"])

    @property
    def past(self) -> bool:
        """True when the page shows the past and offers no change."""
        return self.moment is not None


@dataclass(frozen=True)
class Part:
    """A card, or several, of the page of a site.

    `read` gives the values that `template` (registry/site_parts/NAME.html) sees as `own`, beside everything of
    `SiteLook` by its name; None leaves the part out. `place`: over the columns, in one of the three, or under them;
    parts of a place stand in the order of the list. `questions` are asked of other services before the page is
    read, and stand in `heard`. With `tab`, an entry of the row of tabs leads to the part: its id is its name;
    `own.tab_count` stands in it. `past` = it is shown when the page looks into the past as well.
    """

    name: str
    place: Place
    read: Callable[[SiteLook], Mapping[str, Any] | None]
    tab: str = ""
    past: bool = True
    questions: Mapping[str, Question] = field(default_factory=dict)

    @property
    def template(self) -> str:
        """Where it is drawn."""
        return f"registry/site_parts/{self.name}.html"


@dataclass(frozen=True)
class Drawn:
    """A part with what it read."""

    part: Part
    own: Mapping[str, Any]


def read_parts(parts: list[Part], look: SiteLook) -> dict[Place, list[Drawn]]:
    """The parts that are shown, by their places."""
    places: dict[Place, list[Drawn]] = {"top": [], "left": [], "middle": [], "right": [], "foot": []}
    for part in parts:
        own = None if look.past and not part.past else part.read(look)
        if own is not None:
            places[part.place].append(Drawn(part, own))
    return places
