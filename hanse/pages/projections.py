"""Where a place stands on the maps of the pages: two projections, from degrees to the units of the drawn land."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 2000
"""Units of a map's width; the drawn land and the markers share them."""
Point = tuple[float, float]


@dataclass(frozen=True)
class MapView:
    """A map: `project` takes latitude and longitude in degrees to a plane; (left, foot, right, top) of it is seen."""

    name: str
    title: str
    project: Callable[[float, float], Point]
    left: float
    foot: float
    right: float
    top: float

    @property
    def height(self) -> int:
        """Units of the map's height."""
        return round(WIDTH * (self.top - self.foot) / (self.right - self.left))

    def place(self, latitude: float, longitude: float) -> Point:
        """Units from the upper left corner; outside of 0..WIDTH and 0..height for what the map does not show."""
        x, y = self.project(latitude, longitude)
        scale = WIDTH / (self.right - self.left)
        return (x - self.left) * scale, (self.top - y) * scale

    def shows(self, latitude: float, longitude: float) -> bool:
        """Whether the place lies on the map."""
        x, y = self.place(latitude, longitude)
        return 0 <= x <= WIDTH and 0 <= y <= self.height


def equal_area_of_europe(latitude: float, longitude: float) -> Point:
    """Lambert's azimuthal equal-area projection about 52 N, 10 E (that of EPSG:3035, on a sphere), in radii.

    Snyder, Map Projections (USGS PP 1395), equations 24-2 to 24-4. The antipode of the centre lies at the rim.
    """
    phi, away = math.radians(latitude), math.radians(longitude - 10)
    sin_0, cos_0 = math.sin(math.radians(52)), math.cos(math.radians(52))
    nearness = 1 + sin_0 * math.sin(phi) + cos_0 * math.cos(phi) * math.cos(away)
    k = math.sqrt(2 / max(nearness, 1e-9))
    return k * math.cos(phi) * math.sin(away), k * (
        cos_0 * math.sin(phi) - sin_0 * math.cos(phi) * math.cos(away)
    )


def equal_earth(latitude: float, longitude: float) -> Point:
    """The Equal Earth projection, in radii (Savric, Patterson, Jenny 2018)."""
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    theta = math.asin(math.sqrt(3) / 2 * math.sin(math.radians(latitude)))
    square = theta * theta
    sixth = square**3
    slope = 9 * a4 * sixth * square + 7 * a3 * sixth + 3 * a2 * square + a1
    x = 2 * math.sqrt(3) * math.radians(longitude) * math.cos(theta) / (3 * slope)
    return x, theta * (a1 + a2 * square + a3 * sixth + a4 * sixth * square)


VIEWS: Final[Mapping[str, MapView]] = {
    "europe": MapView("europe", "Europe", equal_area_of_europe, -0.318, -0.318, 0.358, 0.34),
    "world": MapView("world", "World", equal_earth, -2.6, -1.0, 2.72, 1.315),
}
