"""How Hanse looks: the shell, macros, style sheet, icons and small scripts that every service's pages are
made of.

Templates here are reached as `hanse/NAME.html`; assets are served at /assets/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hanse.pages import bars, charts, words

FOLDER: Final = Path(__file__).parent
ASSETS: Final = FOLDER / "assets"


def filters() -> Mapping[str, Callable[..., Any]]:
    """Jinja filters: how times, spans and figures are written."""
    return {
        "age": words.age,
        "ago": words.ago,
        "number": words.number,
        "percent": words.percent,
        "day": words.day,
        "clock": words.clock,
        "moment": words.moment,
        "iso": words.iso,
        "count": words.count,
    }


def functions() -> Mapping[str, Any]:
    """Jinja globals: geometry of charts and bars, addresses of assets, this address with other parameters."""
    return {
        "asset": asset,
        "stacked": charts.stacked,
        "ninety_days": bars.ninety_days,
        "age_scale": bars.age_scale,
        "day_scale": bars.day_scale,
        "with_query": words.with_query,
        "options_of": words.options,
    }


@cache
def asset(name: str) -> str:
    """Address of an asset that changes with its content, so that browsers may keep it;
    "" when it is not installed.
    """
    file = ASSETS / name
    if not file.is_file():
        return ""
    return f"/assets/{name}?v={sha256(file.read_bytes()).hexdigest()[:12]}"
