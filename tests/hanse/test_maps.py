"""The maps of the pages: where a place stands, and the land that is drawn from outlines at set-up."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.pages import atlas
from hanse.pages.projections import VIEWS, WIDTH, equal_area_of_europe, equal_earth

EARTH_KM = 6371.0
# Two countries that share a border of one corner; the second crosses 180 degrees.
OUTLINES: dict[str, Any] = {
    "transform": {"scale": [1, 1], "translate": [-180, -90]},
    "arcs": [
        [[190, 140], [0, 5], [0, 5]],
        [[190, 150], [-5, 0], [0, -10], [5, 0]],
        [[190, 140], [5, 0], [0, 10], [-5, 0]],
        [[355, 100], [10, 0], [0, 10], [-10, 0], [0, -10]],
    ],
    "objects": {
        "countries": {
            "geometries": [
                {"type": "Polygon", "id": "276", "arcs": [[0, 1]]},
                {"type": "MultiPolygon", "id": "203", "arcs": [[[2, ~0]], [[3]]]},
                {"type": "Polygon", "id": "010", "arcs": [[3]]},
            ]
        }
    },
}


def test_distances_in_europe_are_nearly_true() -> None:
    brno, zaragoza = equal_area_of_europe(49.20, 16.61), equal_area_of_europe(41.65, -0.89)
    assert math.dist(brno, zaragoza) * EARTH_KM == pytest.approx(1612, rel=0.02)


def test_equal_earth_is_as_its_authors_print_it() -> None:
    assert equal_earth(0, 180)[0] == pytest.approx(2.7066, abs=1e-3)
    assert equal_earth(90, 0)[1] == pytest.approx(1.3173, abs=1e-3)
    assert equal_earth(-30, 40) == pytest.approx([equal_earth(30, 40)[0], -equal_earth(30, 40)[1]])


@pytest.mark.parametrize(
    ("place", "on_europe"),
    [
        ((49.2, 16.6), True),
        ((42.0, 21.4), True),
        ((38.7, -9.1), True),
        ((64.1, -21.9), True),
        ((25.0, 121.5), False),
        ((-23.5, -46.6), False),
    ],
)
def test_what_each_map_shows(place: tuple[float, float], on_europe: bool) -> None:
    assert VIEWS["europe"].shows(*place) is on_europe
    assert VIEWS["world"].shows(*place)


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_every_place_of_the_earth_has_a_point(latitude: float, longitude: float) -> None:
    for view in VIEWS.values():
        assert all(math.isfinite(part) for part in view.place(latitude, longitude))


def test_the_land_is_drawn_without_lines_around_the_earth() -> None:
    path = atlas.land(VIEWS["world"], OUTLINES, smallest=1.0)
    assert len(re.findall("M", path)) == 3  # Antarctica is left out
    steps = [
        [int(part) for part in pair] for pair in re.findall(r"(-?\d+)[ ]?(-?\d+)", path.replace("M", " "))
    ]
    assert max(abs(x) for x, _ in steps[1:4]) < 100
    crossing = path.split("M")[3]
    assert max(abs(int(number)) for number in re.findall(r"-?\d+", crossing.split("l")[1])) < WIDTH / 10


def test_small_islands_are_left_out() -> None:
    assert atlas.land(VIEWS["world"], OUTLINES, smallest=1e6) == ""


def test_maps_are_written_for_the_browser(tmp_path: Path) -> None:
    for source in atlas.SOURCES.values():
        (tmp_path / source).parent.mkdir(exist_ok=True)
        (tmp_path / source).write_text(json.dumps(OUTLINES))
    drawn = atlas.draw(tmp_path, tmp_path)
    assert [path.name for path in drawn] == ["europe.svg", "world.svg"]
    assert 'id="land"' in drawn[0].read_text()
