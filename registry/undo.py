"""Undo of a revision as a new change: by the rules, with the rights it needs, never unasked over later work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import Body, History, Revision
from registry import trail
from registry.differences import MISSING, Path, flat, paths_changed, with_values, written
from registry.recording import recording
from registry.restoring import KINDS, Work, kind_of, lock_what_is_there, order_of
from registry.states import called

MOST_SHOWN = 20
MOST_EVENTS = 500
MOST_OFFERED = 50
Verdict = Literal["possible", "lost", "refused"]


@dataclass(frozen=True)
class Lost:
    """A later change that undoing would lose: `field` is `now`, and would be `then` again."""

    kind: str
    id: str
    name: str
    field: str
    now: Any
    then: Any
    revision: int
    at: datetime
    actor_name: str

    @property
    def sentence(self) -> str:
        """What would be lost, for people."""
        return (
            f"was changed by {self.actor_name} in revision {self.revision} ({self.at:%d %b %Y, %H:%M} UTC);"
            " undoing would lose that"
        )


@dataclass(frozen=True)
class Step:
    """What undoing does with one entity: `wanted` is the body to write, None to remove it."""

    kind: str
    id: str
    act: Literal["change", "remove", "restore"]
    wanted: Body | None
    fields: frozenset[str]
    now: Body | None


@dataclass(frozen=True)
class Looked:
    """A revision, and what undoing it would mean."""

    events: Sequence[trail.Event]
    steps: Sequence[Step]
    lost: Sequence[Lost]
    refusal: str

    @property
    def verdict(self) -> Verdict:
        """Whether it can be undone; rights and rules are looked at when it is."""
        return "refused" if self.refusal else "lost" if self.lost else "possible"

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.refusal:
            return self.refusal
        if self.lost:
            count = len(self.lost)
            return f"{count} later {'change' if count == 1 else 'changes'} of the same fields would be lost."
        return "It can be undone."


@dataclass(frozen=True)
class Done:
    """The revision that undid another."""

    revision: int
    reason: str


def look(session: Session, number: int) -> Looked:
    """What revision `number` did, and what undoing it would mean now. Raises NotFound."""
    found = trail.events(session, trail.Wanted(revision=number), limit=MOST_EVENTS)
    if not found:
        raise NotFound(f"There is no revision {number}.")
    rows = [_Row(*row) for row in session.execute(_WITH_BOTH_ENDS, {"number": number})]
    strange = sorted({row.kind for row in rows if kind_of(row.kind, row.entity_id) == "strange"})
    known = [row for row in rows if kind_of(row.kind, row.entity_id) in KINDS]
    # credentials that went with their site stay gone; those that went alone are all there is
    if strange and not known:
        words = ", ".join(one.replace("_", " ") for one in strange)
        return Looked(found, [], [], f"Not undone by anybody: {words}. Add it again where it belongs.")
    steps, lost = [], []
    for row in known:
        step, more = _step(session, row)
        lost += more
        if step is not None:
            steps.append(step)
    refusal = "" if steps else "Nothing of it is left to undo: all is as it was before, or gone."
    steps.sort(key=lambda one: order_of(one.kind, one.id, one.act))
    return Looked(found, steps, lost, refusal)


@dataclass(frozen=True)
class _Row:
    """One entity of a revision: what it was before, became by it, and is now; None where it was, or is, not."""

    kind: str
    entity_id: str
    from_revision: int
    body: Body | None
    before: Body | None
    now: Body | None


# one question for all entities: a file that was applied may have touched thousands
_WITH_BOTH_ENDS = text(
    "select h.kind, h.entity_id, h.from_revision, h.body,"
    " (select b.body from history b where b.kind = h.kind and b.entity_id = h.entity_id"
    "  and b.from_revision < h.from_revision order by b.from_revision desc limit 1),"
    " (select n.body from history n where n.kind = h.kind and n.entity_id = h.entity_id and n.to_revision is null)"
    " from history h where h.from_revision = :number order by h.id"
)


def _rows(session: Session, number: int) -> list[History]:
    return list(session.scalars(select(History).where(History.from_revision == number).order_by(History.id)))


def _step(session: Session, row: _Row) -> tuple[Step | None, list[Lost]]:
    old, now = row.before, row.now
    kind = KINDS[kind_of(row.kind, row.entity_id)]
    if row.body is None:
        if now is not None or old is None:
            return None, []
        return Step(row.kind, row.entity_id, "restore", old, frozenset(old), None), []
    if now is None:
        return None, []
    if old is None:
        later = _lost(session, row, _changed_since(row.body, now, kind.fields), row.body, now)
        return Step(row.kind, row.entity_id, "remove", None, frozenset(), now), later
    pairs = {path: pair for path, pair in paths_changed(old, row.body).items() if path[0] in kind.fields}
    present = flat(now)
    back: dict[Path, Any] = {}
    clashing: dict[Path, Any] = {}
    for path, (was, became) in pairs.items():
        is_now = present.get(path, MISSING)
        if is_now == was and type(is_now) is type(was):
            continue
        back[path] = was
        if is_now != became:
            clashing[path] = was
    if not back:
        return None, []
    wanted = with_values(now, back)
    step = Step(row.kind, row.entity_id, "change", wanted, frozenset(path[0] for path in back), now)
    return step, _lost(session, row, clashing, row.body, now)


def _changed_since(then: Body, now: Body, fields: frozenset[str]) -> dict[Path, Any]:
    return {path: MISSING for path in paths_changed(then, now) if path[0] in fields}


def _lost(session: Session, row: _Row, paths: Mapping[Path, Any], then: Body, now: Body) -> list[Lost]:
    """For each path the last later revision that set it."""
    if not paths:
        return []
    later = session.execute(
        select(History.body, Revision)
        .join(Revision, Revision.number == History.from_revision)
        .where(
            History.kind == row.kind,
            History.entity_id == row.entity_id,
            History.from_revision > row.from_revision,
        )
        .order_by(History.from_revision)
    ).all()
    blamed: dict[Path, Revision] = {}
    before = then
    for body, revision in later:
        for path in paths_changed(before, body or {}):
            blamed[path] = revision
        before = body or {}
    present, name = flat(now), called(row.kind, now)
    return [
        Lost(
            kind=row.kind,
            id=row.entity_id,
            name=name,
            field=written(path),
            now=_plain(present.get(path, MISSING)),
            then=_plain(was),
            revision=blamed[path].number,
            at=blamed[path].at,
            actor_name=blamed[path].actor_name,
        )
        for path, was in paths.items()
        if path in blamed
    ]


def _plain(value: Any) -> Any:
    return None if value is MISSING else value


def undo(
    db: Database, principal: Principal, number: int, reason: str = "", *, overwrite: bool = False
) -> Done:
    """Undo revision `number` as a new revision; with `overwrite` also where that loses later changes.

    Raises NotFound; Refused when nothing is left to undo or a rule forbids it; Conflict naming what would be lost;
    Forbidden when the principal may not make such a change.
    """
    with db.transaction() as session:
        first = look(session, number).events[0]
    reason = reason or f"Undo of revision {number}: {first.reason}"[:300]
    with recording(db, principal, reason) as (session, change):
        # the rows are locked before it is looked again, so that nobody slips in between
        lock_what_is_there(session, _rows(session, number))
        looked = look(session, number)
        if looked.refusal:
            raise Refused(looked.refusal)
        if looked.lost and not overwrite:
            shown = [FieldFault(one.field, one.sentence) for one in looked.lost[:MOST_SHOWN]]
            raise Conflict(f"Nothing was undone. {looked.sentence}", *shown)
        whole_site = any(one.kind == "site" and one.act == "restore" for one in looked.steps)
        work = Work(session, change, principal, reason, whole_site)
        for step in looked.steps:
            _take(work, step)
        undoing = change.number
        session.flush()
    if undoing is None:  # pragma: no cover - every step changes something
        raise Refused("Nothing of it is left to undo.")
    return Done(undoing, reason)


def _take(work: Work, step: Step) -> None:
    kind = KINDS[kind_of(step.kind, step.id)]
    if step.act == "remove":
        assert step.now is not None
        kind.remove(work, step.id, step.now)
    elif step.wanted is not None and step.act == "restore":
        kind.restore(work, step.id, step.wanted)
    elif step.wanted is not None:
        kind.change(work, step.id, step.wanted, step.fields)


@dataclass(frozen=True)
class Offer:
    """What somebody did in the last two minutes and can take back."""

    revision: int
    reason: str
    left_s: int
    undoable: bool


def offered(session: Session, principal: Principal, now: datetime, for_s: int = 120) -> Offer | None:
    """The last change of the principal, when it is not older than `for_s` seconds."""
    last = session.scalar(
        select(Revision).where(Revision.actor == principal.key).order_by(Revision.number.desc()).limit(1)
    )
    if last is None:
        return None
    left = for_s - int((now - last.at).total_seconds())
    if left <= 0:
        return None
    many = session.scalar(select(func.count()).where(History.from_revision == last.number)) or 0
    # what is as large as a file is not looked through for every page: its own page offers it
    undoable = many <= MOST_OFFERED and not look(session, last.number).refusal
    return Offer(last.number, last.reason, min(left, for_s), undoable)
