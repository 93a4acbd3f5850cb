"""Many results at once: those that change nothing, which are nearly all, in one transaction.

Whatever needs judging goes through `recording.record`, one transaction each, as before; and so does everything when
something is wrong with a batch.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from monitoring.models import Check, StoredResult
from monitoring.recording import Bench, Outcome, is_quiet, measure, row_of, ruled


def record_quiet(session: Session, outcomes: Sequence[Outcome], bench: Bench) -> list[Outcome]:
    """Store those of the outcomes that change no judgement; the ones that are stored.

    Of several of one check only the first is looked at, so that they keep their order. A check that somebody else
    has locked is passed over: waiting for it could turn into waiting for each other."""
    first: dict[int, Outcome] = {}
    for outcome in outcomes:
        first.setdefault(outcome.lease.check_id, outcome)
    rows = (
        select(Check)
        .where(Check.id.in_(first))
        .order_by(Check.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    quiet: dict[tuple[int, str], tuple[Check, Outcome]] = {}
    for check in session.scalars(rows):
        said = ruled(session, check, first[check.id], bench)
        if is_quiet(check, said):
            quiet[check.id, said.lease.key] = (check, said)
    if not quiet:
        return []
    made = session.execute(
        insert(StoredResult).on_conflict_do_nothing().returning(StoredResult.check_id, StoredResult.lease),
        [row_of(outcome) for _, outcome in quiet.values()],
    )
    for check_id, lease in made:
        measure(session, *quiet[check_id, lease])
    return [first[check_id] for check_id, _ in quiet]
