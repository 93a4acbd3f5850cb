"""Where the markers and names of a map stand: sites in, coordinates out; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from flask import get_template_attribute
from markupsafe import Markup

from hanse.pages.projections import VIEWS, WIDTH, MapView
from registry.directory import Listed
from registry.lately import Lately
from registry.standing import WORST_FIRST, Standing

MOST_APART: Final = 60
"""Sites on a map up to which each has its own marker; of more, neighbours share one."""
MOSTLY: Final = 0.8
NARROW: Final = 460
WIDE: Final[Mapping[str, int]] = {"europe": 760, "world": 1300}
"""Units of the width beside a list, and alone; about as many as the browser has pixels for it."""
NEAR: Final = 22.0
SAME: Final = 5.0
CHARACTER: Final = 6.3
LINE: Final = 13.0
TROUBLE: Final = ("down", "degraded", "downtime")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Marker:
    """A site, or `count` of them, at (x, y). The label stands at (label_x, label_y); "" when there was no room."""

    x: float
    y: float
    kind: str
    names: tuple[str, ...]
    count: int
    area: str
    label: str = ""
    label_x: float = 0
    label_y: float = 0
    anchor: str = "start"

    @property
    def trouble(self) -> bool:
        """True for what wants attention."""
        return self.kind in TROUBLE


@dataclass(frozen=True)
class Map:
    """A map of `width` x `height` units. The land is drawn with `scale` after it was moved by (left, top).

    `outside` are sites that lie elsewhere, `unplaced` those whose place nobody registered.
    """

    view: str
    title: str
    width: int
    height: int
    scale: float
    left: float
    top: float
    markers: tuple[Marker, ...]
    outside: tuple[str, ...]
    unplaced: tuple[str, ...]


@dataclass(frozen=True)
class _Spot:
    """A site with its place in units of the map."""

    site: Listed
    kind: str
    x: float
    y: float


def draw(
    sites: Iterable[Listed],
    standings: Mapping[str, Standing],
    view: str = "",
    *,
    wide: bool = False,
    box: Box | None = None,
) -> Map:
    """The map of the sites; without `view` that of Europe when most of them lie there. `box` is looked at closely."""
    every = list(sites)
    placed = [site for site in every if site.latitude is not None and site.longitude is not None]
    shown = VIEWS.get(view) or _fitting(placed)
    frame = _frame(shown, box)
    width = WIDE[shown.name] if wide else NARROW
    scale = width / (frame[2] - frame[0])
    height = round((frame[3] - frame[1]) * scale)
    spots, outside = [], []
    for site in placed:
        x, y = _place(shown.name, *_at(site))
        x, y = (x - frame[0]) * scale, (y - frame[1]) * scale
        if 0 <= x <= width and 0 <= y <= height:
            spots.append(_Spot(site, standings[site.name].kind, x, y))
        else:
            outside.append(site.name)
    return Map(
        view=shown.name,
        title=shown.title,
        width=width,
        height=height,
        scale=scale,
        left=-frame[0],
        top=-frame[1],
        markers=tuple(_named(_gathered(spots), width, height)),
        outside=tuple(outside),
        unplaced=tuple(site.name for site in every if site.latitude is None or site.longitude is None),
    )


_markup: Lately[Markup] = Lately(16)


def markup(drawn: Map, elsewhere: str) -> Markup:
    """The map as it stands in a page. `elsewhere` is the address of the list, to which a marker adds its area."""
    return _markup.get((drawn,), elsewhere, lambda: _rendered(drawn, elsewhere))


def _rendered(drawn: Map, elsewhere: str) -> Markup:
    macro = get_template_attribute("registry/site_map.html", "site_map")
    return Markup(macro(drawn, elsewhere))  # noqa: S704 - the template has escaped it


def _at(site: Listed) -> tuple[float, float]:
    assert site.latitude is not None
    assert site.longitude is not None
    return site.latitude, site.longitude


@lru_cache(maxsize=8192)
def _place(view: str, latitude: float, longitude: float) -> tuple[float, float]:
    """Units of the drawn land; sites do not move."""
    return VIEWS[view].place(latitude, longitude)


def _fitting(placed: Sequence[Listed]) -> MapView:
    europe = VIEWS["europe"]
    places = [_place(europe.name, *_at(site)) for site in placed]
    inside = sum(0 <= x <= WIDTH and 0 <= y <= europe.height for x, y in places)
    return europe if inside >= MOSTLY * len(placed) else VIEWS["world"]


def _frame(view: MapView, box: Box | None) -> Box:
    """Left, top, right, foot of what is seen, in units of the drawn land: all, or a box with room about it."""
    if box is None:
        return 0, 0, WIDTH, view.height
    south, west, north, east = box
    corners = [
        view.place(latitude, longitude)
        for latitude in (south, (south + north) / 2, north)
        for longitude in (west, (west + east) / 2, east)
    ]
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    top, foot = min(y for _, y in corners), max(y for _, y in corners)
    side = max(1.25 * (right - left), 1.25 * (foot - top) * WIDTH / view.height, WIDTH / 8)
    middle_x, middle_y = (left + right) / 2, (top + foot) / 2
    tall = side * view.height / WIDTH
    return middle_x - side / 2, middle_y - tall / 2, middle_x + side / 2, middle_y + tall / 2


def _gathered(spots: Sequence[_Spot]) -> list[Marker]:
    """Markers, the worst last, so that they are drawn above the others."""
    size = NEAR if len(spots) > MOST_APART else SAME
    cells: dict[tuple[int, int], list[_Spot]] = {}
    for spot in spots:
        cells.setdefault((int(spot.x // size), int(spot.y // size)), []).append(spot)
    markers = [_marker(cell) for cell in cells.values()]
    return sorted(markers, key=lambda marker: (-WORST_FIRST.index(marker.kind), marker.names))


def _marker(cell: Sequence[_Spot]) -> Marker:
    places = [_at(spot.site) for spot in cell]
    north, east = max(at[0] for at in places), max(at[1] for at in places)
    south, west = min(at[0] for at in places), min(at[1] for at in places)
    return Marker(
        x=round(sum(spot.x for spot in cell) / len(cell), 1),
        y=round(sum(spot.y for spot in cell) / len(cell), 1),
        kind=min((spot.kind for spot in cell), key=WORST_FIRST.index),
        names=tuple(sorted(spot.site.name for spot in cell)),
        count=len(cell),
        area=",".join(f"{edge:.3f}" for edge in _rounded_out(south, west, north, east)),
    )


def _rounded_out(south: float, west: float, north: float, east: float) -> Box:
    """A box that still holds its corners when it is written with three decimals."""
    low, high = (
        [math.floor(edge * 1000) / 1000 for edge in (south, west)],
        [math.ceil(edge * 1000) / 1000 for edge in (north, east)],
    )
    return low[0], low[1], high[0], high[1]


def _named(markers: Sequence[Marker], width: float, height: float) -> list[Marker]:
    """Names beside the markers where there is room, the worst first."""
    taken = [(marker.x - 8, marker.y - 8, marker.x + 8, marker.y + 8) for marker in markers]
    quiet = len(markers) <= MOST_APART
    labelled: dict[int, Marker] = {}
    for number in range(len(markers) - 1, -1, -1):
        marker = markers[number]
        if marker.count > 1 or not (quiet or marker.trouble):
            continue
        placed = _labelled(marker, [box for i, box in enumerate(taken) if i != number], width, height)
        if placed is not None:
            labelled[number] = placed[0]
            taken.append(placed[1])
    return [labelled.get(number, marker) for number, marker in enumerate(markers)]


def _labelled(marker: Marker, taken: Sequence[Box], width: float, height: float) -> tuple[Marker, Box] | None:
    name = marker.names[0]
    long = len(name) * CHARACTER * (1.08 if marker.trouble else 1)
    for anchor, x, y, left in (
        ("start", marker.x + 10, marker.y + 4, marker.x + 10),
        ("end", marker.x - 10, marker.y + 4, marker.x - 10 - long),
        ("middle", marker.x, marker.y - 11, marker.x - long / 2),
        ("middle", marker.x, marker.y + 19, marker.x - long / 2),
    ):
        box = (left, y - LINE + 3, left + long, y + 3)
        inside = box[0] >= 0 and box[2] <= width and box[1] >= 0 and box[3] <= height
        if inside and not any(_overlap(box, other) for other in taken):
            return replace(marker, label=name, label_x=round(x, 1), label_y=round(y, 1), anchor=anchor), box
    return None


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
