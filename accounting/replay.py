"""Replaying refused records: through the same pipeline, once what was in their way has been mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounting import events, quarantine, signatures, summaries
from accounting.loading import Loader, Outcome, Selection
from accounting.models import RefusedRecord
from hanse.errors import FieldFault, NotFound, Refused

NOBODYS = "-"
MOST_AT_ONCE = 1000


@dataclass(frozen=True)
class Replayed:
    """What came of a replay: how many records were counted now and how many are refused still, and why (one
    reason). `unread` of the refused are in messages that could not be opened again, or on which the loader failed.
    """

    counted: int
    refused: int
    reason: str
    unread: int = 0


def replay(
    loader: Loader, site: str, ids: Sequence[int], *, as_site: str | None, by: str, told: bool = True
) -> Replayed:
    """Run refused records of `site` through the pipeline again; a whole message (record 0) with all its
    records.

    With `as_site` they are judged as if SiteName said so; the signer must be allowed to speak for it. A
    record that the site has sent again meanwhile is not added twice, and the later receipt counts. A message that
    cannot be opened any more does not keep the others back. `told` writes an event, where the caller does not.
    Raises NotFound, and Refused also when the only message cannot be opened.
    """
    chosen = _chosen(loader, site, ids)
    if as_site is not None:
        check_as_site(loader, as_site)
    outcomes: list[Outcome] = []
    unread, why = 0, ""
    load = loader.load if told and len(chosen) == 1 else loader.load_again
    for message, numbers in chosen.items():
        selection = Selection(None if 0 in numbers else frozenset(numbers), as_site)
        outcome = load(message, selection, by)
        if outcome is not None:
            outcomes.append(outcome)
        if outcome is not None and outcome.failed:
            unread, why = unread + len(numbers), why or outcome.reason
    summaries.summarise(loader.db)
    counted = sum(each.loaded for each in outcomes)
    if (counted or unread) and told:
        words = f"{counted:,} refused records of {site} were counted by a replay."
        if unread:
            words += f" {unread:,} could not be read again: {why}"
        _tell(loader, site, words, by, ids)
    refused = sum(each.refused for each in outcomes) + unread
    return Replayed(counted, refused, why or _still_why(loader, site, ids), unread)


def _tell(
    loader: Loader, site: str, sentence: str, by: str, ids: Sequence[int], kind: str = "replay"
) -> None:
    with loader.db.transaction() as session:
        events.tell(session, kind, sentence, by=by, site=own(site), records=len(ids))


def own(site: str) -> str:
    """The site as the tables have it: "" for what is nobody's."""
    return "" if site == NOBODYS else site


def _chosen(loader: Loader, site: str, ids: Sequence[int]) -> dict[int, set[int]]:
    """The refused records by message. Raises NotFound for one that is not this site's or refused no longer."""
    if not ids:
        raise Refused("Choose at least one record to replay.")
    if len(ids) > MOST_AT_ONCE:
        raise Refused(f"At most {MOST_AT_ONCE} records can be replayed at once; choose fewer.")
    with loader.db.transaction() as session:
        rows = _open(session, site, ids)
    missing = sorted(set(ids) - {row.id for row in rows})
    if missing:
        raise NotFound(
            f"Refused record {missing[0]} of {site} is not there: it was replayed or discarded meanwhile."
        )
    chosen: dict[int, set[int]] = {}
    for row in sorted(rows, key=lambda row: (row.message_id, row.record)):
        chosen.setdefault(row.message_id, set()).add(row.record)
    return chosen


def _open(session: Session, site: str, ids: Sequence[int]) -> list[RefusedRecord]:
    wanted = select(RefusedRecord).where(
        RefusedRecord.id.in_(ids),
        RefusedRecord.site == own(site),
        RefusedRecord.state == "refused",
    )
    return list(session.scalars(wanted))


def check_as_site(loader: Loader, as_site: str) -> None:
    """Raise Refused when the registry has no such site."""
    with loader.db.transaction() as session:
        if as_site not in signatures.directory(session).sites:
            sentence = f'"{as_site}" is not a site of the registry.'
            raise Refused(sentence, FieldFault("as_site", "not registered"))


def _still_why(loader: Loader, site: str, ids: Sequence[int]) -> str:
    with loader.db.transaction() as session:
        rows = _open(session, site, ids)
        return min(rows, key=lambda row: row.id).reason if rows else ""


def discard(loader: Loader, site: str, ids: Sequence[int], by: str, why: str = "") -> int:
    """Take refused records off the list without counting them, with the reason why. Returns how many."""
    with loader.db.transaction() as session:
        count = quarantine.discard(session, own(site), ids, by, datetime.now(UTC), why)
        if count:
            words = f"{count:,} refused records of {site} were discarded uncounted." + (
                f" Reason: {why}" if why else ""
            )
            events.tell(session, "discard", words, by=by, site=own(site), records=count)
        return count


def take_back(loader: Loader, site: str, ids: Sequence[int], by: str) -> int:
    """Put discarded records back on the list of refused ones. Returns how many. Raises NotFound when there is none."""
    with loader.db.transaction() as session:
        count = quarantine.take_back(session, own(site), ids)
        if not count:
            raise NotFound(f"None of these records of {site} is discarded.")
        words = f"{count:,} discarded records of {site} are on the list of refused ones again."
        events.tell(session, "discard", words, by=by, site=own(site), records=count)
        return count
