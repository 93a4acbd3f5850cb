"""The list of sites as rows: what stands in each column, in which order, and which part of it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from registry.directory import Listed
from registry.lately import Lately
from registry.neighbours import Heard
from registry.standing import UNTOLD, Standing
from registry.views.parts import Question

PAGE: Final = 50
WORST_FIRST: Final = "state"


@dataclass(frozen=True, slots=True)
class Row:
    """A site with what the other services tell of it; None where they tell nothing."""

    site: Listed
    standing: Standing
    usage_age_s: float | None = None
    usage_state: str = ""
    identities_age_s: float | None = None
    identities_state: str = ""
    cpu_hours: float | None = None


@dataclass(frozen=True)
class Column:
    """A column: `value` gives what it sorts by and what stands in the CSV; `asks` which other service tells it."""

    key: str
    label: str
    value: Callable[[Row], Any]
    right: bool = False
    usual: bool = True
    asks: str = ""
    most_first: bool = False


def _capacity(field: str) -> Callable[[Row], Any]:
    return lambda row: row.site.capacity.get(field)


COLUMNS: Final[tuple[Column, ...]] = (
    Column("middleware", "Middleware", lambda row: row.site.middleware),
    Column("available", "Available 30 d", lambda row: row.standing.available, right=True, asks="monitoring"),
    Column("vcpu", "vCPU", _capacity("vcpu"), right=True, most_first=True),
    Column("cpu", "CPU h", lambda row: row.cpu_hours, right=True, asks="cpu", most_first=True),
    Column(
        "usage", "Last usage", lambda row: row.usage_age_s, right=True, asks="accounting", most_first=True
    ),
    Column(
        "identities",
        "Identities",
        lambda row: row.identities_age_s,
        right=True,
        asks="vomsdb",
        most_first=True,
    ),
    Column("certification", "Certification", lambda row: row.site.certification, usual=False),
    Column("ngi", "NGI", lambda row: row.site.ngi, usual=False),
    Column("vos", "VOs", lambda row: len(row.site.vos), usual=False, most_first=True),
    Column("scopes", "Scopes", lambda row: ", ".join(row.site.scopes), usual=False),
    Column("ram", "RAM, GB", _capacity("ram_gb"), right=True, usual=False, most_first=True),
    Column("storage", "Storage, TB", _capacity("storage_tb"), right=True, usual=False, most_first=True),
    Column("volumes", "Volumes", _capacity("volumes"), right=True, usual=False, most_first=True),
    Column("ips", "Public IPs", _capacity("public_ips"), right=True, usual=False, most_first=True),
)
BY_KEY: Final = {column.key: column for column in COLUMNS}
FIXED: Final = {
    "state": lambda row: row.standing.rank,
    "site": lambda row: row.site.name.casefold(),
    "country": lambda row: (row.site.country, row.site.location),
}


def chosen(keys: Sequence[str]) -> list[Column]:
    """The columns that are asked for, in their own order; the usual ones when none is."""
    asked = {key for key in keys if key in BY_KEY}
    return [column for column in COLUMNS if (column.key in asked if asked else column.usual)]


def then(columns: Sequence[Column]) -> list[Column]:
    """Those of the past: what other services tell is of the present."""
    return [column for column in columns if not column.asks]


def questions(columns: Sequence[Column], now: datetime) -> dict[str, Question]:
    """What other services are asked for these columns."""
    month = f"{now.astimezone(UTC):%Y-%m}"
    every = {
        "accounting": ("accounting", "/api/v1/publishing"),
        "cpu": ("accounting", f"/api/v1/usage?by=site&from={month}&to={month}"),
        "vomsdb": ("vomsdb", "/api/v1/replication"),
    }
    return {name: every[name] for name in {column.asks for column in columns} if name in every}


_kept: Lately[tuple[Row, ...]] = Lately()


def rows(
    sites: Sequence[Listed], standings: Mapping[str, Standing], heard: Mapping[str, Heard]
) -> Sequence[Row]:
    """A row for each site; the very same ones as long as nothing differs that they are made of."""
    told = tuple(heard[name].body if name in heard else None for name in ("accounting", "cpu", "vomsdb"))
    return _kept.get((sites, standings, *told), None, lambda: tuple(_rows(sites, standings, heard)))


def _rows(
    sites: Sequence[Listed], standings: Mapping[str, Standing], heard: Mapping[str, Heard]
) -> Iterator[Row]:
    usage = {one.get("site"): one for one in _items(heard, "accounting", "items")}
    hours = {one.get("site"): one.get("cpu_hours") for one in _items(heard, "cpu", "rows")}
    oldest: dict[Any, Mapping[str, Any]] = {}
    for pair in _items(heard, "vomsdb", "pairs"):
        known = oldest.get(pair.get("site"))
        if known is None or (pair.get("age_s") or 0) > (known.get("age_s") or 0):
            oldest[pair.get("site")] = pair
    for site in sites:
        sent, pair = usage.get(site.name, _NOTHING), oldest.get(site.name, _NOTHING)
        yield Row(
            site=site,
            standing=standings[site.name],
            usage_age_s=sent.get("age_s"),
            usage_state=str(sent.get("state") or ""),
            identities_age_s=pair.get("age_s"),
            identities_state=str(pair.get("state") or ""),
            cpu_hours=hours.get(site.name),
        )


_kept_then: Lately[tuple[Row, ...]] = Lately(4)


def rows_then(sites: Sequence[Listed]) -> Sequence[Row]:
    """A row for each site of the past, of which the log alone tells."""
    return _kept_then.get((sites,), None, lambda: tuple(Row(site, Standing(UNTOLD)) for site in sites))


_NOTHING: Final[Mapping[str, Any]] = {}


def _items(heard: Mapping[str, Heard], name: str, field: str) -> list[Mapping[str, Any]]:
    return list(heard[name].body.get(field) or ()) if name in heard else []


def ordered(found: Sequence[Row], sort: str) -> tuple[list[Row], str]:
    """Rows by `sort` (a column, with - before it from the greatest down), and the sort that was used.

    What is not known stands last either way; equals stand by name.
    """
    down, key = sort.startswith("-"), sort.removeprefix("-")
    value = FIXED.get(key) or (BY_KEY[key].value if key in BY_KEY else None)
    if value is None:
        value, down, sort = FIXED[WORST_FIRST], False, WORST_FIRST
    by_name = sorted(found, key=lambda row: row.site.name)
    known = [row for row in by_name if value(row) not in (None, "")]
    rest = [row for row in by_name if value(row) in (None, "")]
    return [*sorted(known, key=value, reverse=down), *rest], sort


@dataclass(frozen=True)
class Slice:
    """The rows of a page; `next` and `previous` are cursors, "" at the ends. Rows are counted from 1."""

    rows: list[Row]
    first: int
    last: int
    total: int
    next: str | None
    previous: str | None


def part(found: Sequence[Row], cursor: str, size: int = PAGE) -> Slice:
    """The page after the site `cursor`; the first when there is no such site in the list any more."""
    names = [row.site.name for row in found]
    start = names.index(cursor) + 1 if cursor in names else 0
    shown = list(found[start : start + size])
    more = start + size < len(names)
    back = start - size
    return Slice(
        rows=shown,
        first=start + 1 if shown else 0,
        last=start + len(shown),
        total=len(names),
        next=names[start + size - 1] if more else None,
        previous=None if start == 0 else names[back - 1] if back > 0 else "",
    )


def table(
    found: Sequence[Row], columns: Sequence[Column], *, told: bool = True
) -> tuple[list[dict[str, Any]], list[str]]:
    """The whole list for a CSV: its lines, and the names of its columns; with states where they are `told`."""
    names = [
        *(("state", "since") if told else ()),
        "site",
        "location",
        "country",
        *(column.key for column in columns),
    ]
    lines = [
        {
            "state": row.standing.kind,
            "since": row.standing.since or "",
            "site": row.site.name,
            "location": row.site.location,
            "country": row.site.country,
            **{column.key: column.value(row) for column in columns},
        }
        for row in found
    ]
    return lines, names
