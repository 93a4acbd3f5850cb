"""/exports: what can be taken away as files, with links that are ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from flask import Response

from accounting.asking import DIMENSIONS, KINDS, MEASURES
from accounting.exports import MOST_ROWS
from hanse.identity.permissions import PUBLIC
from hanse.pages.words import number
from hanse.web import Pages, ground, page

exports_pages = Pages("accounting_exports_pages", __name__, nav=[("Exports", "/exports")])
FORMATS: Final = (("CSV", ".csv"), ("JSON", ""), ("Parquet", ".parquet"))
VIEWS: Final = {
    "cloud": (
        ("site", "month"),
        ("vo", "month"),
        ("ngi", "month"),
        ("discipline", "month"),
        ("site", "vo", "month"),
    ),
    "jobs": (
        ("site", "month"),
        ("vo", "month"),
        ("site", "vo", "month"),
        ("submit_host", "benchmark", "month"),
    ),
    "gpu": (("site", "month"), ("vo", "model", "month")),
    "storage": (("site", "month"), ("vo", "system", "month")),
    "ip": (("site", "ip_version", "month"), ("vo", "month")),
}


@dataclass(frozen=True)
class Export:
    """A file that can be had: what is in it, and its address in each format."""

    what: str
    about: str
    links: tuple[tuple[str, str], ...]


@exports_pages.get("/exports", permission=PUBLIC)
def exports() -> Response:
    """What can be taken away as files, with links that are ready."""
    base = ground().settings.url.rstrip("/")
    return page(
        "accounting/exports.html", title="Exports", crumbs=[("Usage", "/usage")],
        sentence="Every view of the portal is a file too: of the last 12 months here, of any other at its own page.",
        kinds=[(kind.label, _measures(kind.name), _views(kind.name)) for kind in KINDS.values()],
        whole=_whole(), lists=_lists(), most=number(MOST_ROWS), api="/api/v1/usage/measures",
        curl=f"curl -o usage.parquet '{base}/api/v1/usage.parquet?by=site,vo,month'",
        read="import pandas\nusage = pandas.read_parquet('usage.parquet')",
    )  # fmt: skip


def _measures(kind: str) -> str:
    return ", ".join(MEASURES[name].label for name in KINDS[kind].measures)


def _views(kind: str) -> list[Export]:
    found = []
    for by in VIEWS[kind]:
        query = urlencode({"kind": kind, "by": ",".join(by)}, safe=",")
        labels = [DIMENSIONS[name].label for name in by]
        links = tuple((label, f"/api/v1/usage{suffix}?{query}") for label, suffix in FORMATS)
        found.append(
            Export("By " + ", ".join(labels[:-1]) + f" and {labels[-1]}", f"by={','.join(by)}", links)
        )
    return found


def _whole() -> list[Export]:
    return [
        Export(
            "Everything by month, site and VO", "machines and jobs, in the shape of EGI's accounting portal",
            (("CSV", "/csv"), ("JSON", "/json")),
        )
    ]  # fmt: skip


def _lists() -> list[Export]:
    publishing = (("CSV", "/api/v1/publishing.csv"), ("JSON", "/api/v1/publishing"))
    return [
        Export("Publishing", "how each site publishes: last message, counts of 30 days", publishing),
        Export("What can be asked", "kinds, measures, units, dimensions", (("JSON", "/api/v1/usage/measures"),)),
        Export("The API's description", "OpenAPI", (("JSON", "/openapi.json"),)),
    ]  # fmt: skip
