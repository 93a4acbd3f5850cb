"""Who is asking at GOCDB's interface, and may that caller read personal data?"""

from __future__ import annotations

from hanse.identity.permissions import allows
from hanse.identity.principals import Principal
from registry.rights import READ_PEOPLE


def identifier_of(principal: Principal) -> str:
    """How GOCDB names a caller: the subject of the certificate in slash form, else who the credential belongs to."""
    return principal.x509.subject_slash if principal.x509 is not None else principal.name


def may_read_people(principal: Principal) -> bool:
    """Whether a role lets the caller read about people; services of the federation may."""
    return allows(principal, READ_PEOPLE) or principal.has("service", "federation")
