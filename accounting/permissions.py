"""Who may do what in accounting."""

from __future__ import annotations

from typing import Final

from hanse.identity.permissions import Permission

_OF_THE_SITE = frozenset({"site_administrator", "site_security_officer", "federation_operator"})

PUBLISH: Final = Permission(
    "publish usage records", frozenset({"site_machine", "federation_operator", "service"})
)
HAVE_TOKEN: Final = Permission("have a token for a certificate", frozenset({"site_machine"}))
READ_REFUSED: Final = Permission(
    "see the refused records", _OF_THE_SITE | {"site_machine", "service"}, "site:{site}"
)
READ_ANY_REFUSED: Final = Permission("see refused records", _OF_THE_SITE | {"site_machine", "service"})
READ_RECORDS: Final = Permission(
    "see the stored records of a site", _OF_THE_SITE | {"site_machine"}, "site:{site}"
)
REPLAY: Final = Permission(
    "replay refused records", frozenset({"site_administrator", "federation_operator"}), "site:{site}"
)
DISCARD: Final = Permission(
    "discard refused records", frozenset({"site_administrator", "federation_operator"}), "site:{site}"
)
SEE_CARRYING: Final = Permission(
    "see what is pulled and forwarded", frozenset({"service", "federation_operator"})
)
OVERVIEW: Final = Permission(
    "see the overview of the federation", frozenset({"service", "federation_operator"})
)
_CONCERNED = _OF_THE_SITE | {"ngi_manager", "vo_manager", "service"}
READ_FINDINGS: Final = Permission("see the cross-checks", _CONCERNED)
DECIDE_FINDING: Final = Permission(
    "decide about findings", frozenset({"site_administrator", "vo_manager", "federation_operator"})
)
READ_EVENTS: Final = Permission("see what was done to the figures", _CONCERNED)
REPUBLISH: Final = Permission(
    "take a month out, to come again", frozenset({"site_administrator", "federation_operator"}), "site:{site}"
)
PSEUDONYMISE: Final = Permission(
    "replace names by pseudonyms", frozenset({"federation_operator"}), "federation"
)
