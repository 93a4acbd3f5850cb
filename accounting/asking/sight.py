"""Whose usage a reader may see by name: the one place behind the portal, the API and the exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, false, or_, select
from sqlalchemy.orm import Session

from accounting import signatures
from hanse.database import Followed
from hanse.errors import Forbidden, Unauthorised
from hanse.identity.principals import Principal


@dataclass(frozen=True)
class Sight:
    """Whose users a reader may see by name: all, or those of some sites, of some VOs, or the reader's own."""

    everything: bool = False
    sites: frozenset[str] = frozenset()
    vos: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @property
    def nothing(self) -> bool:
        """No user at all may be seen."""
        return not (self.everything or self.sites or self.vos or self.names)


NOBODY = Sight()


def in_sight(sight: Sight, columns: Mapping[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    """The condition that a row tells only of users in sight; the columns are site, vo and user."""
    allowed = [
        columns[name].in_(sorted(values))
        for name, values in (("site", sight.sites), ("vo", sight.vos), ("user", sight.names))
        if values
    ]
    return or_(*allowed) if allowed else false()


def sight_of(session: Session, principal: Principal) -> Sight:
    """Whose users the principal may see: the operator all, a site and a VO's manager their own, a person
    oneself.
    """
    if principal.has("federation_operator", "federation") or principal.has("service", "federation"):
        return Sight(everything=True)
    sites = _names(principal, ("site_administrator", "site_security_officer"), "site:")
    ngis = _names(principal, ("ngi_manager",), "ngi:")
    if ngis:
        known = signatures.directory(session).sites.values()
        sites |= {site.name for site in known if site.ngi in ngis}
    return Sight(
        sites=frozenset(sites),
        vos=frozenset(_names(principal, ("vo_manager",), "vo:")),
        names=_own_names(session, principal),
    )


def _names(principal: Principal, roles: Sequence[str], prefix: str) -> set[str]:
    scopes = {scope for role in roles for scope in principal.scopes(role)}
    return {scope.removeprefix(prefix) for scope in scopes if scope.startswith(prefix)}


def _own_names(session: Session, principal: Principal) -> frozenset[str]:
    """The global user names that are the person's own: the subjects of all their certificates."""
    names = {principal.x509.subject_slash} if principal.x509 else set()
    keys = [key for key in {principal.key, *principal.keys} if key]
    if keys:
        found = select(Followed.body["subject_slash"].astext).where(
            Followed.kind == "identity", Followed.body["key"].astext.in_(keys)
        )
        names |= {name for name in session.scalars(found) if name}
    return frozenset(names)


def demand_sight(principal: Principal, sight: Sight) -> None:
    """Raise Unauthorised or Forbidden when nobody's usage may be shown by name."""
    if not sight.nothing:
        return
    who = "a federation operator, the site's administrators, the VO's managers and the person concerned"
    if not principal.signed_in:
        raise Unauthorised(f"Sign in to see usage by user: {who} may.")
    raise Forbidden(f"Usage by user is shown to {who} only; you are signed in as {principal.name}.")
