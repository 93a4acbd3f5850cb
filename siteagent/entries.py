"""Who may use the site now: the members of all VOs held, one entry a certificate, each with its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Iterable, Protocol

from siteagent.documents import Certificate, Snapshot


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


class Accounts(Protocol):
    """Where local accounts come from."""

    def pool(self, vo: str) -> str:
        """The account or `.poolprefix` of a VO, as a grid-mapfile names it."""

    def account(self, vo: str, member: str) -> str:
        """The account of one member, the same for as long as the site remembers."""


def entries_of(
    snapshot: Snapshot, valid_until: datetime, accounts: Accounts, now: datetime
) -> Iterable[Entry]:
    """The entries of one VO at `now`: active members, each until its own end or the end of the manifest's
    promise.
    """
    for member in snapshot.members:
        ends = valid_until if member.not_after is None else min(member.not_after, valid_until)
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
