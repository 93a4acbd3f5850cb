"""Who may use the site now: the members of all VOs held, one entry a certificate, each with its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Iterable, Mapping, Optional, Protocol, Sequence

from siteagent.documents import Authority, Certificate, Snapshot

FOREVER = datetime.max.replace(tzinfo=timezone.utc, microsecond=0)


@dataclass(frozen=True)
class Entry:
    """One certificate that is admitted to a local account until `ends`."""

    vo: str
    member: str
    cert: Certificate
    pool: str
    account: str
    fqans: tuple[str, ...]
    ends: datetime


@dataclass(frozen=True)
class Admitted:
    """What the site's files should say: identities, and of each VO held the pool, the authorities, whether it ended."""

    entries: Sequence[Entry]
    pools: Mapping[str, str]
    """The VO of each account or `.poolprefix`."""
    authorities: Mapping[str, Optional[Sequence[Authority]]]
    """By VO; None while those of a VO are not known, and no entry for a VO whose promise has ended."""
    known: frozenset[str]
    """Every VO held, those that have ended included."""
    projects: Mapping[str, str]
    """Keystone projects by VO or FQAN, as the site's administrator named them."""


class Accounts(Protocol):
    """Where local accounts come from."""

    def pool(self, vo: str) -> str:
        """The account or `.poolprefix` of a VO, as a grid-mapfile names it."""

    def account(self, vo: str, member: str) -> str:
        """The account of one member, the same for as long as the site remembers."""


def entries_of(
    snapshot: Snapshot, promise_ends: datetime, accounts: Accounts, now: datetime
) -> Iterable[Entry]:
    """The entries of one VO at `now`: active members, each until its own end or the end of the server's promise."""
    for member in snapshot.members:
        ends = promise_ends if member.not_after is None else min(member.not_after, promise_ends)
        if not member.active or ends <= now:
            continue
        for cert in member.certs:
            yield Entry(
                vo=snapshot.vo,
                member=member.id,
                cert=cert,
                pool=accounts.pool(snapshot.vo),
                account=accounts.account(snapshot.vo, member.id),
                fqans=member.fqans,
                ends=ends,
            )
