"""How all sites stand, counted in the database: which are the worst, how many keep the promise; one page at a time.

A pair of site and VO is behind from the oldest change that the site has not confirmed, or from when it held something
else than it was given; `vomsdb.promise` tells everything about single pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from vomsdb.models import Acknowledgement
from vomsdb.promise import BEHIND, BREACH, IN_STEP, LATE, Pair, Promise, pairs

# Many sites hold the same state of a VO: the oldest change that they lack is looked up once for all of them.
_PAIRS = """
    with chosen as (
        select site, vo, since, held_revision, differs_since from replica r
        where (cast(:vo as text) is null or r.vo = :vo) and (:words = '' or strpos(lower(r.site), :words) > 0)
    ), lacking as (
        select h.vo, h.held_revision, (select c.at from vo_change c where c.vo = h.vo and c.revision > h.held_revision
            order by c.revision limit 1) as at
        from (select distinct vo, held_revision from chosen) h
    ), pair as materialized (
        select c.site, c.vo, least(c.differs_since,
            case when l.at is not null then greatest(l.at, c.since) end) as began
        from chosen c join lacking l on l.vo = c.vo and l.held_revision = c.held_revision
    )
"""
_SITES = text(
    _PAIRS + "select site from pair where :all or began is not null group by site"  # noqa: S608
    " order by min(began) nulls last, site offset :past limit :most"
)
_COUNTS = text(
    _PAIRS + "select count(*), count(began), count(*) filter (where began <= :late),"  # noqa: S608
    " count(*) filter (where began <= :broken), (select array[site, vo] from pair where began is not null"
    " order by began, site, vo limit 1), min(began) from pair"
)
_WORST = text(
    _PAIRS + "select site, vo, began from pair where began is not null and began <= :until"  # noqa: S608
    " order by began, site, vo limit :most"
)
_ALL = text(_PAIRS + "select site, vo, began from pair order by site, vo")  # noqa: S608


class Standing(NamedTuple):
    """A pair, and since when it is behind; None = in step."""

    site: str
    vo: str
    began: datetime | None

    def age_s(self, now: datetime) -> int | None:
        """Age in seconds of the oldest change that is not confirmed."""
        return None if self.began is None else max(0, int((now - self.began).total_seconds()))


@dataclass(frozen=True)
class Summary:
    """How many pairs are in which state, and the worst of them."""

    total: int
    behind: int
    late: int
    broken: int
    worst: Standing | None

    @property
    def in_step(self) -> int:
        """Pairs of which the site holds exactly what it should."""
        return self.total - self.behind - self.late - self.broken

    def by_state(self) -> dict[str, int]:
        """The counts by the names of the states."""
        return {IN_STEP: self.in_step, BEHIND: self.behind, LATE: self.late, BREACH: self.broken}


def summary(session: Session, promised: Promise, *, vo: str | None = None, words: str = "") -> Summary:
    """Over all pairs, or those of one VO, or those of sites with the words in their names."""
    now = datetime.now(UTC)
    limits = {"late": now - promised.late_after, "broken": now - promised.breach_after}
    given = {"vo": vo, "words": words.lower(), **limits}
    total, behind, late, broken, oldest, began = session.execute(_COUNTS, given).one()
    found = None if oldest is None else Standing(oldest[0], oldest[1], began)
    return Summary(total, behind - late, late - broken, broken, found)


def worst(
    session: Session, since: timedelta, most: int, *, vo: str | None = None, words: str = ""
) -> list[Standing]:
    """Pairs that have been behind for so long, the worst first."""
    given = {"vo": vo, "words": words.lower(), "until": datetime.now(UTC) - since, "most": most}
    return [Standing(*row) for row in session.execute(_WORST, given)]


def every(session: Session) -> list[Standing]:
    """All pairs, by site and VO."""
    return [Standing(*row) for row in session.execute(_ALL, {"vo": None, "words": ""})]


def sites(session: Session, *, vo: str | None, words: str, behind: bool, past: int, most: int) -> list[str]:
    """Names of sites, the worst first, then by name; only those that are behind if asked; after the first `past`."""
    given = {"vo": vo, "words": words.lower(), "all": not behind, "past": past, "most": most}
    return list(session.execute(_SITES, given).scalars())


def worst_sites(session: Session, promised: Promise, vo: str, most: int = 12) -> list[Pair]:
    """The VO at the sites where it is furthest behind, then by name: what fits on a page about something else."""
    names = sites(session, vo=vo, words="", behind=False, past=0, most=most)
    place = {name: number for number, name in enumerate(names)}
    return sorted(pairs(session, promised, sites=names, vo=vo), key=lambda pair: place[pair.site])


def acknowledgements(
    session: Session, *, site: str | None = None, vo: str | None = None, before: int = 0, limit: int = 50
) -> Sequence[Acknowledgement]:
    """What sites confirmed, newest first, below the id `before` (0 = from the newest)."""
    query = select(Acknowledgement).order_by(Acknowledgement.id.desc()).limit(limit)
    query = query if site is None else query.where(Acknowledgement.site == site)
    query = query if vo is None else query.where(Acknowledgement.vo == vo)
    return session.scalars(query.where(Acknowledgement.id < before) if before else query).all()
