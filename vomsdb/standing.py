"""All that the database says about somebody who asks for an attribute certificate, in one statement.

The attribute authority looks once before it signs and once after: what changed meanwhile was not signed for anybody. So
nothing is locked, nothing is written, and each look is one way to the database and back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hanse.database import driver_cursor

#: The VO; the member that the certificate is in, if any; groups and roles each by name; values that may be told.
_STANDING = """
    select vo.state, vo.ac_lifetime_s, m.id, m.state, m.until, m.suspension_code, m.suspension_reason, m.aup_due,
           m.link_state, m.link_reason, m.groups, m.roles, m.attributes
      from vo left join lateral (
           select member.id, member.state, member.until, member.suspension_code, member.suspension_reason,
                  member.aup_due, link.state as link_state, link.suspension_reason as link_reason,
                  array(select path from member_group where member_id = member.id order by path) as groups,
                  array(select path || '/Role=' || role from member_role where member_id = member.id
                         order by path, role) as roles,
                  array(select array[name, value, coalesce(path, ''), coalesce(role, '')] from attribute_value av
                         where av.vo = member.vo
                           and (av.member_id = member.id or av.path = '/' || member.vo or av.path in (
                                select path from member_group where member_id = member.id
                                 union all select path from member_role where member_id = member.id))
                         order by name, id) as attributes
             from certificate
             join member_certificate link on link.certificate_id = certificate.id
             join member on member.id = link.member_id
            where certificate.key = %(key)s and member.vo = vo.name and member.state <> 'removed'
            limit 1) m on true
     where vo.name = %(vo)s
"""
_VOS = """
    select distinct member.vo from certificate
      join member_certificate link on link.certificate_id = certificate.id
      join member on member.id = link.member_id
     where certificate.key = %(key)s and member.state <> 'removed' order by member.vo
"""


@dataclass(frozen=True)
class Membership:
    """A member as seen through one of their certificates; `fqans` in short form, the root group first."""

    number: int
    state: str
    until: datetime
    suspension_code: str | None
    suspension_reason: str | None
    aup_due: datetime | None
    certificate_state: str
    certificate_reason: str | None
    fqans: tuple[str, ...]
    values: tuple[tuple[str, str, str], ...]
    """Generic attributes as (name, value, whose): empty for the member's own, or a group, or a role in one."""


@dataclass(frozen=True)
class Standing:
    """A VO and what somebody is in it; None = nobody."""

    vo: str
    state: str
    ac_lifetime_s: int
    membership: Membership | None


#: A statement with its parameters -> the rows.
Query = Callable[[str, dict[str, str]], list[tuple[object, ...]]]


@dataclass(frozen=True)
class Looks:
    """Asks with whatever connection `query` has; each call is a look at what is committed then."""

    query: Query

    def standing(self, key: str, vo: str) -> Standing | None:
        """Of the certificate in the VO; None when there is no such VO."""
        rows = self.query(_STANDING, {"key": key, "vo": vo})
        return _standing(vo, rows[0]) if rows else None

    def vos(self, key: str) -> list[str]:
        """The VOs that the certificate is in, by name."""
        return [str(row[0]) for row in self.query(_VOS, {"key": key})]


def looks_of(session: Session) -> Looks:
    """Looks in the session's transaction."""

    def query(statement: str, given: dict[str, str]) -> list[tuple[object, ...]]:
        with driver_cursor(session, "standing") as cursor:
            return list(cursor.execute(statement, given))

    return Looks(query)


def _standing(vo: str, row: tuple[object, ...]) -> Standing:
    state, lifetime, *rest = row
    assert isinstance(state, str)
    assert isinstance(lifetime, int)
    return Standing(vo, state, lifetime, None if rest[0] is None else _membership(vo, rest))


def _membership(vo: str, row: list[object]) -> Membership:
    number, state, until, code, reason, due, link, link_reason, groups, roles, values = row
    return Membership(
        number=number,  # type: ignore[arg-type]  # as the statement selects them
        state=state,  # type: ignore[arg-type]
        until=until,  # type: ignore[arg-type]
        suspension_code=code,  # type: ignore[arg-type]
        suspension_reason=reason,  # type: ignore[arg-type]
        aup_due=due,  # type: ignore[arg-type]
        certificate_state=link,  # type: ignore[arg-type]
        certificate_reason=link_reason,  # type: ignore[arg-type]
        fqans=(f"/{vo}", *groups, *roles),  # type: ignore[misc]
        values=tuple((n, v, f"{p}/Role={r}" if r else p) for n, v, p, r in values),  # type: ignore[attr-defined]
    )
