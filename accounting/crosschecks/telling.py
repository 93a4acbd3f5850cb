"""Tells owners by mail what was found: one mail an owner and address for all that is new."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from accounting.crosschecks.checks import CHECKS
from accounting.crosschecks.found import FEDERATION
from accounting.models import Finding, Mail
from hanse.database import Database, Followed
from hanse.mails import one_line

LISTED = 20
KEPT = timedelta(days=30)
_ROLE_OF = {"vo": "vo_manager", "site": "site_administrator", FEDERATION: "federation_operator"}
_CONTACTS = ("admin", "accounting", "alarm")


def tell_owners(db: Database, now: datetime, address: str) -> str:
    """Put a mail into the queue for every owner with findings that nobody was told of; a sentence for the run log.

    The mails and the note that they were written are one transaction. An owner without an address is told when there is
    one.
    """
    told = unreachable = 0
    with db.transaction() as session:
        session.execute(delete(Mail).where(Mail.state != "pending", Mail.created_at < now - KEPT))
        fresh = select(Finding).where(
            Finding.gone_at.is_(None), Finding.told_at.is_(None), Finding.decision == ""
        )
        rows = session.scalars(
            fresh.order_by(Finding.owner, Finding.id).with_for_update(skip_locked=True)
        ).all()
        for owner, group in groupby(rows, key=attrgetter("owner")):
            findings = list(group)
            addresses = addresses_of(session, owner)
            if not addresses:
                unreachable += 1
                continue
            for recipient in addresses:
                session.add(_mail(owner, recipient, findings, address))
            for finding in findings:
                finding.told_at = now
            told += 1
    if not rows:
        return "Nobody has to be told."
    left = f" {unreachable} have no address." if unreachable else ""
    return f"{told} owners were told of {len(rows)} findings.{left}"


def _mail(owner: str, recipient: str, findings: Sequence[Finding], address: str) -> Mail:
    where = owner.partition(":")[2] or "the federation"
    many = "a new finding" if len(findings) == 1 else f"{len(findings)} new findings"
    lines = [f"The cross-checks of accounting have {many} that concern {where}:", ""]
    for kind, group in groupby(sorted(findings, key=attrgetter("kind")), key=attrgetter("kind")):
        of_kind = list(group)
        lines += [f"{CHECKS[kind].title} ({len(of_kind)})", f"Mends it: {CHECKS[kind].mend}."]
        lines += [f"* {finding.sentence}" for finding in of_kind[:LISTED]]
        if len(of_kind) > LISTED:
            lines.append(f"* and {len(of_kind) - LISTED} more")
        lines.append("")
    lines += ["Mend the cause, or say on the page that it is in order, and why:", f"{address}/cross-checks"]
    subject = one_line(f"Accounting: {many} for {where}")
    return Mail(recipient=recipient, subject=subject, body="\n".join(lines) + "\n", about=owner)


def addresses_of(session: Session, owner: str) -> list[str]:
    """Where the owner can be reached: a site's contacts, else whoever holds the role of the owner there."""
    kind, _, name = owner.partition(":")
    found = _contacts(session, name) if kind == "site" else []
    return found or _holders(session, _ROLE_OF[kind], owner)


def _contacts(session: Session, site: str) -> list[str]:
    wanted = select(Followed.body).where(Followed.kind == "site", Followed.body["name"].astext == site)
    body = session.scalars(wanted).first() or {}
    contacts = [one for one in body.get("contacts") or () if one.get("email")]
    for purpose in _CONTACTS:
        found = [str(one["email"]) for one in contacts if one.get("kind") == purpose]
        if found:
            return list(dict.fromkeys(found))
    return []


def _holders(session: Session, role: str, scope: str) -> list[str]:
    grants = select(Followed.body["principal"].astext).where(
        Followed.kind == "grant", Followed.body["role"].astext == role, Followed.body["scope"].astext == scope
    )
    wanted = select(Followed.body["email"].astext).where(
        Followed.kind == "identity", Followed.body["key"].astext.in_(grants)
    )
    return sorted({email for email in session.scalars(wanted) if email})
