"""Draws the land of the maps from Natural Earth's outlines (public domain), as the npm package world-atlas holds them.

TopoJSON in (https://github.com/topojson/topojson-specification), one SVG symbol a map out; run once at set-up.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from hanse.pages.projections import VIEWS, WIDTH, MapView, Point

SOURCES: Final = {"europe": "world-atlas/countries-50m.json", "world": "world-atlas/countries-110m.json"}
SMALLEST: Final = {"europe": 5.0, "world": 5.0}
"""Square units; a corner or an island below that is left out."""
MARGIN: Final = 40
Ring = list[Point]


def draw(modules: Path, into: Path) -> list[Path]:
    """Write NAME.svg for each map, with the symbol `land`; FileNotFoundError when the outlines are not installed."""
    return [_draw(view, modules / SOURCES[name], into / f"{name}.svg") for name, view in VIEWS.items()]


def _draw(view: MapView, source: Path, target: Path) -> Path:
    topology = json.loads(source.read_text())
    path = land(view, topology, SMALLEST[view.name])
    target.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {view.height}">'
        f'<path id="land" vector-effect="non-scaling-stroke" d="{path}"/></svg>\n'
    )
    return target


def land(view: MapView, topology: dict[str, Any], smallest: float) -> str:
    """The countries of a TopoJSON as the data of an SVG path, in the units of the map."""
    arcs = []
    for arc in _arcs(topology):
        kept = _simplify([view.place(*at) for at in arc], smallest)
        arcs.append([arc[i] for i in kept])
    drawn = []
    for ring in _rings(topology):
        shape = _clip([view.place(*at) for at in _unbroken(_joined(ring, arcs))], view)
        if len(shape) > 2 and _area(shape) >= smallest:
            drawn.append(_path(shape))
    return "".join(drawn)


def _arcs(topology: dict[str, Any]) -> Iterator[list[Point]]:
    """Latitude and longitude along each arc; the file holds steps of a grid."""
    (east, north), (x0, y0) = topology["transform"]["scale"], topology["transform"]["translate"]
    for steps in topology["arcs"]:
        x = y = 0
        arc = []
        for step_x, step_y in steps:
            x, y = x + step_x, y + step_y
            arc.append((y * north + y0, x * east + x0))
        yield arc


def _rings(topology: dict[str, Any]) -> Iterator[Sequence[int]]:
    """Each ring as the numbers of its arcs; Antarctica (010), which has no sites, is left out."""
    for shape in topology["objects"]["countries"]["geometries"]:
        if shape.get("id") == "010":
            continue
        polygons = shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]]
        for polygon in polygons:
            yield from polygon


def _joined(ring: Sequence[int], arcs: Sequence[Ring]) -> Ring:
    """A ring of arcs; ~number is the arc run backwards. The end of one is the beginning of the next."""
    points: Ring = []
    for number in ring:
        arc = arcs[number] if number >= 0 else arcs[~number][::-1]
        points += arc[1:] if points else arc
    return points


def _unbroken(ring: Ring) -> Ring:
    """Latitudes and longitudes that go on past 180 degrees, so that no line runs back around the Earth."""
    turned, unbroken = 0.0, ring[:1]
    for (_, before), (north, east) in pairwise(ring):
        turned += 360.0 * ((east - before < -180) - (east - before > 180))
        unbroken.append((north, east + turned))
    return unbroken


@dataclass
class _Corner:
    """A point of an arc with its neighbours that are still there."""

    at: Point
    before: int
    after: int
    gone: bool = False


def _simplify(arc: Sequence[Point], smallest: float) -> list[int]:
    """Numbers of the points that stay when the corner of the smallest triangle is taken away until all are big enough
    (Visvalingam and Whyatt 1993).

    Both ends stay, so that neighbours still share their borders.
    """
    corners = [_Corner(at, i - 1, i + 1) for i, at in enumerate(arc)]
    waiting = [(_triangle(corners, i), i) for i in range(1, len(arc) - 1)]
    heapq.heapify(waiting)
    while waiting:
        area, i = heapq.heappop(waiting)
        corner = corners[i]
        if area >= smallest:
            break
        if corner.gone or area < _triangle(corners, i):
            continue  # its neighbours have changed since; it waits again with its new size
        corner.gone = True
        corners[corner.before].after, corners[corner.after].before = corner.after, corner.before
        for j in (corner.before, corner.after):
            if 0 < j < len(arc) - 1:
                heapq.heappush(waiting, (max(area, _triangle(corners, j)), j))
    return [i for i, corner in enumerate(corners) if not corner.gone]


def _triangle(corners: Sequence[_Corner], i: int) -> float:
    (ax, ay), (bx, by), (cx, cy) = (corners[j].at for j in (corners[i].before, i, corners[i].after))
    return abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2


def _area(ring: Ring) -> float:
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs)) / 2


def _clip(ring: Ring, view: MapView) -> Ring:
    """What lies in the map and a margin about it (Sutherland and Hodgman 1974)."""
    for axis, limit, sign in (
        (0, -MARGIN, 1),
        (0, WIDTH + MARGIN, -1),
        (1, -MARGIN, 1),
        (1, view.height + MARGIN, -1),
    ):
        ring = _cut(ring, axis, limit, sign)
    return ring


def _cut(ring: Ring, axis: int, limit: float, sign: int) -> Ring:
    kept: Ring = []
    for before, here in zip(ring[-1:] + ring[:-1], ring, strict=True):
        was_in, is_in = sign * (before[axis] - limit) >= 0, sign * (here[axis] - limit) >= 0
        if was_in != is_in:
            share = (limit - before[axis]) / (here[axis] - before[axis])
            kept.append(
                (before[0] + share * (here[0] - before[0]), before[1] + share * (here[1] - before[1]))
            )
        if is_in:
            kept.append(here)
    return kept


def _path(ring: Ring) -> str:
    """Whole units, as steps from point to point."""
    x, y = (round(part) for part in ring[0])
    words = [f"M{x} {y}"]
    steps = []
    for at in ring[1:]:
        to_x, to_y = round(at[0]), round(at[1])
        if (to_x, to_y) != (x, y):
            steps.append(f"{to_x - x} {to_y - y}")
            x, y = to_x, to_y
    return words[0] + ("l" + " ".join(steps).replace(" -", "-") if steps else "") + "z"
