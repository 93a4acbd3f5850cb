"""People, their identities, their roles and what was decided, for the wire."""

from __future__ import annotations

from registry.api.answers import Body
from registry.models import Credential, Person, Role, RoleAction
from registry.models.role_names import shown
from registry.people_then import IdentityThen, PersonThen
from registry.remembered import RoleThen


def person_answer(person: Person | PersonThen) -> Body:
    """A person for the wire."""
    return {
        "id": str(person.id),
        "name": person.name,
        "forename": person.forename,
        "surname": person.surname,
        "title": person.title,
        "email": person.email,
        "telephone": person.telephone,
        "works_from": person.works_from,
        "works_until": person.works_until,
        "last_login_at": person.last_login_at,
        "identities": [identity_answer(one) for one in person.credentials],
        "roles": [role_answer(role) for role in person.roles],
        "requests": [role_answer(role) for role in person.requests],
    }


def identity_answer(row: Credential | IdentityThen) -> Body:
    """A way to sign in, for the wire."""
    return {
        "id": str(row.id),
        "kind": row.kind,
        "realm": row.realm,
        "key": row.key,
        "name": row.name,
        "subject": row.subject or None,
        "issuer": row.issuer or None,
        "created_at": row.created_at,
        "not_after": row.not_after,
        "last_used_at": row.last_used_at,
        "suspended_at": row.suspended_at,
        "suspended_reason": row.suspended_reason,
    }


def role_answer(role: Role | RoleThen) -> Body:
    """A role for the wire."""
    return {
        "id": str(role.id),
        "person": str(role.person_id),
        "person_name": role.person.name,
        "role": role.role,
        "role_name": shown(role.role),
        "scope": role.scope,
        "status": role.status,
        "requested_at": role.requested_at,
        "requested_by": role.requested_by,
        "request_reason": role.request_reason,
        "granted_at": role.granted_at,
        "granted_by": role.granted_by,
    }


def role_action_answer(row: RoleAction) -> Body:
    """What was decided, for the wire."""
    return {
        "id": str(row.id),
        "at": row.at,
        "action": row.action,
        "role": row.role,
        "role_name": shown(row.role),
        "scope": row.scope,
        "person": None if row.person_id is None else str(row.person_id),
        "person_name": row.person_name,
        "by": row.by_name,
        "old_status": row.old_status,
        "new_status": row.new_status,
        "reason": row.reason,
    }
