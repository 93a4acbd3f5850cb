"""Manifests: which snapshot of a VO a site should hold and until when, signed for each pair of site and VO.

One is signed anew when the VO has a newer snapshot, when part of its validity has passed, and when the moment is there
from which the attribute authority signs with its next key. To have many signed anew they are marked (`manifest_at`
empty), which costs one statement; they are signed when somebody asks for them, or by the job that looks for marked
ones, some at a time, so that a change which is urgent never waits for a daily run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, select, text
from sqlalchemy.orm import Session

from vomsdb import snapshots
from vomsdb.models import Vo
from vomsdb.press import Authority, Press
from vomsdb.snapshots import Manifest

BATCH = 1000


def one_at_a_time(session: Session) -> None:
    """Whoever writes documents waits for the others until their transactions end: they touch the same rows in
    different orders, and two would hold one another up."""
    session.execute(text("select pg_advisory_xact_lock(hashtextextended('vomsdb documents', 0))"))


_OLD = """
    select r.site, r.vo, head.seq, head.sha256
    from replica r cross join lateral (
        select s.seq, s.sha256 from snapshot s where s.vo = r.vo order by s.seq desc limit 1
    ) head
    where (cast(:vo as text) is null or r.vo = :vo) and (cast(:site as text) is null or r.site = :site)
"""
_RENEWED = """
    and (r.manifest_at is null
         or r.manifest_at < greatest(now() - make_interval(secs => :older_than), cast(:changed_at as timestamptz)))
"""
_BEHIND = " and (r.manifest_at is null or r.sha256 is distinct from head.sha256)"
_ONE = " limit 1"
_LOCKED = " order by r.site, r.vo limit :most for update of r"


def write(
    session: Session,
    press: Press,
    *,
    vo: str | None = None,
    site: str | None = None,
    older_than: timedelta | None = None,
    most: int = 1_000_000,
) -> int:
    """Signs a manifest of the newest snapshot for each replica of the VO or of the site that lacks one; how many.

    With `older_than` those that were signed before that, or before the attribute authority changed, as well; else those
    that name another snapshot.
    """
    session.flush()
    ask = _OLD + (_BEHIND if older_than is None else _RENEWED)
    given: dict[str, Any] = {"vo": vo, "site": site}
    if older_than is not None:
        given["older_than"], given["changed_at"] = older_than.total_seconds(), _changed_at(press)
    if session.execute(text(ask + _ONE), given).first() is None:
        return 0
    one_at_a_time(session)
    rows = session.execute(text(ask + _LOCKED), given | {"most": most}).mappings().all()
    _sign_all(session, press, rows)
    return len(rows)


def _changed_at(press: Press) -> datetime | None:
    """When the attribute authority changed; None while it will."""
    moment = press.authorities_change_at
    return moment if moment is not None and moment <= datetime.now(UTC) else None


_MARK = text(
    """
    with chosen as (
        select site, vo from replica where cast(:sites as text[]) is null or site = any(:sites)
        order by site, vo for update
    )
    update replica r set manifest_at = null from chosen where r.site = chosen.site and r.vo = chosen.vo
    """
)


def mark(session: Session, sites: Sequence[str] | None) -> int:
    """The manifests of these sites, or of all, are to be signed anew before anybody gets them; how many."""
    one_at_a_time(session)
    session.flush()
    given = {"sites": None if sites is None else list(sites)}
    count: int = session.execute(_MARK, given).rowcount  # type: ignore[attr-defined]
    session.expire_all()
    return count


class _Head(NamedTuple):
    """A pair with the newest snapshot of its VO."""

    site: str
    vo: str
    seq: int
    sha256: str


_WRITE = text(
    """
    update replica r set seq = signed.seq, sha256 = signed.sha256, manifest = cast(signed.manifest as jsonb),
        manifest_at = :now, valid_until = :until
    from unnest(cast(:sites as text[]), cast(:vos as text[]), cast(:seqs as bigint[]), cast(:hashes as text[]),
        cast(:manifests as text[])) signed (site, vo, seq, sha256, manifest)
    where r.site = signed.site and r.vo = signed.vo
    """
)


def _sign_all(session: Session, press: Press, rows: Sequence[RowMapping]) -> None:
    """One statement for all of them: at a thousand sites a statement for each takes most of the time."""
    heads = [_Head(**row) for row in rows]
    now = datetime.now(UTC)
    until = now + press.valid_for
    known = authorities(session, press, {head.vo for head in heads})
    given = {
        "now": now,
        "until": until,
        "sites": [head.site for head in heads],
        "vos": [head.vo for head in heads],
        "seqs": [head.seq for head in heads],
        "hashes": [head.sha256 for head in heads],
        "manifests": [json.dumps(_signed(head, press, known.get(head.vo), now, until)) for head in heads],
    }
    session.execute(_WRITE, given)
    session.expire_all()


def _signed(
    head: _Head, press: Press, known: Sequence[Authority] | None, now: datetime, until: datetime
) -> dict[str, str]:
    manifest = Manifest(
        federation=press.federation,
        site=head.site,
        vo=head.vo,
        seq=head.seq,
        sha256=head.sha256,
        generated_at=snapshots.moment(now),
        valid_until=snapshots.moment(until),
    )
    payload = manifest.payload(None if known is None else [one._asdict() for one in known])
    return press.key.sign(payload).as_json()


def authorities(session: Session, press: Press, names: set[str]) -> Mapping[str, list[Authority]]:
    """The attribute authorities of each VO, ours first; nothing while the certificate of ours cannot be read."""
    ours = press.authorities()
    if ours is None:
        return {}
    cards = session.execute(select(Vo.name, Vo.authorities).where(Vo.name.in_(names)))
    return {name: [*ours, *(_named(one) for one in others)] for name, others in cards}


def _named(card: Mapping[str, Any]) -> Authority:
    return Authority(str(card["host"]), (str(card["dn"]), str(card["ca_dn"])))
