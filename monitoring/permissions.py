"""Who may do what in monitoring."""

from hanse.identity.permissions import Permission

_SITE_PEOPLE = frozenset({"federation_operator", "site_administrator", "site_security_officer"})
ACKNOWLEDGE = Permission("acknowledge and comment incidents of this site", _SITE_PEOPLE, None)
PROBE = Permission("have this endpoint probed", _SITE_PEOPLE, None)
OVERVIEW = Permission(
    "read the operator's overview", frozenset({"service", "federation_operator"}), "federation"
)
TRY_OUT = Permission("try out alerts", frozenset({"federation_operator"}), "federation")
PROFILES = Permission("edit profiles, weights and reports", frozenset({"federation_operator"}), "federation")
RECOMPUTE = Permission(
    "ask for a recomputation", frozenset({"federation_operator", "ngi_manager", "site_administrator"}), None
)
DECIDE = Permission("decide about recomputations", frozenset({"federation_operator"}), "federation")
