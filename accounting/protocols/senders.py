"""Who delivers a message, from who is calling."""

from __future__ import annotations

from accounting.inbox import Sender
from hanse.errors import Refused
from hanse.identity.principals import Principal


def sites_of(principal: Principal) -> list[str]:
    """The sites whose machine the caller is, by name."""
    scopes = principal.scopes("site_machine")
    return sorted(scope.removeprefix("site:") for scope in scopes if scope.startswith("site:"))


def sender_of(principal: Principal, named: str | None = None) -> Sender:
    """The caller as a sender; of several sites the one `named`, else none. Raises Refused for a site not its own."""
    sites = sites_of(principal)
    if named is not None and named not in sites:
        speaks = ", ".join(sites) or "no site"
        raise Refused(f"{principal.name} does not speak for {named}; it speaks for: {speaks}.")
    site = named or (sites[0] if len(sites) == 1 else "")
    return Sender(principal.key, principal.name, site)
