"""The map of usage: each site a disc whose area is its figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from accounting.places import Place
from hanse.pages.projections import VIEWS, WIDTH

DRAWN_WIDTH: Final = 760
BIGGEST: Final = 34.0
SMALLEST: Final = 3.0
MOST_NAMED: Final = 14
MOSTLY: Final = 0.8


@dataclass(frozen=True)
class Disc:
    """A site at (x, y) with radius `r`; `words` say its figure, `label` is its name where it is one of the largest."""

    x: float
    y: float
    r: float
    words: str
    label: str
    url: str


@dataclass(frozen=True)
class BubbleMap:
    """A map of `width` x `height` units; the drawn land is scaled by `scale`. `elsewhere` are sites it cannot show."""

    view: str
    title: str
    width: int
    height: int
    scale: float
    discs: tuple[Disc, ...]
    elsewhere: tuple[str, ...]


def draw(
    figures: Mapping[str, float],
    known: Sequence[Place],
    words: Callable[[float], str],
    url: Callable[[str], str],
) -> BubbleMap:
    """Figures by site on the map of Europe when most of the sites lie there, else of the world; the largest first,
    so that smaller ones lie above.
    """
    placed = {
        each.site: (each.latitude, each.longitude)
        for each in known
        if each.site in figures and each.latitude is not None and each.longitude is not None
    }
    europe = VIEWS["europe"]
    inside = sum(europe.shows(*at) for at in placed.values())
    shown = europe if inside >= MOSTLY * len(placed) else VIEWS["world"]
    scale = DRAWN_WIDTH / WIDTH
    peak = max(figures.values(), default=0) or 1
    ranked = sorted(figures, key=lambda site: (-figures[site], site))
    discs = []
    for rank, site in enumerate(ranked):
        if site not in placed or not shown.shows(*placed[site]):
            continue
        x, y = shown.place(*placed[site])
        radius = max(SMALLEST, BIGGEST * math.sqrt(max(figures[site], 0) / peak))
        label = site if rank < MOST_NAMED else ""
        said = f"{site}: {words(figures[site])}"
        discs.append(Disc(round(x * scale, 1), round(y * scale, 1), round(radius, 1), said, label, url(site)))
    seen = {disc.words.partition(":")[0] for disc in discs}
    return BubbleMap(
        shown.name, shown.title, DRAWN_WIDTH, round(shown.height * scale), scale, tuple(discs),
        tuple(site for site in ranked if site not in seen),
    )  # fmt: skip
