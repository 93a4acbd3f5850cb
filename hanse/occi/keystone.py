"""Where a cloud says one has to log in. The negotiation itself finds its room here."""

import re

# ooi and rOCCI name Keystone, Synnefo its own; double quotes or single ones.
_CHALLENGE = re.compile(r"""^\s*(?:Keystone|snf-auth)\s+uri=("|')(.+)\1\s*$""", re.IGNORECASE)


def login_address(challenge: str | None) -> str | None:
    """The address in a WWW-Authenticate challenge of Keystone or snf-auth; None when it is another or
    none."""
    match = _CHALLENGE.match(challenge or "")
    return match.group(2) if match else None
