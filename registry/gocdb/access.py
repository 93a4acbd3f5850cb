"""Who is asking at GOCDB's interface, and may that caller read personal data?"""

from __future__ import annotations

from datetime import UTC, datetime

from hanse.database import Database
from hanse.identity.permissions import allows
from hanse.identity.principals import Principal
from registry import api_credentials
from registry.api_credentials import SEEN_EVERY
from registry.rights import READ_PEOPLE


def identifier_of(principal: Principal) -> str:
    """How GOCDB names a caller: the subject of the certificate in slash form, else who the credential belongs to."""
    return principal.x509.subject_slash if principal.x509 is not None else principal.name


def may_read_people(principal: Principal) -> bool:
    """Whether a role lets the caller read about people; services of the federation may."""
    return allows(principal, READ_PEOPLE) or principal.has("service", "federation")


def is_api_credential(db: Database, principal: Principal, *, read_only: bool) -> bool:
    """Whether the caller shows a registered API credential; that it was used is written down, but not on a copy."""
    now = datetime.now(UTC)
    with db.transaction() as session:
        found = api_credentials.of_caller(session, principal)
        stale = [one.id for one in found if one.last_used_at is None or one.last_used_at < now - SEEN_EVERY]
    if stale and not read_only:  # after the first connection went back: nobody holds two
        api_credentials.note_use(db, stale, now)
    return bool(found)
