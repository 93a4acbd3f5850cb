"""People and roles as lists need them: with the names of what roles are held in, without all that hangs on it."""

from __future__ import annotations

from sqlalchemy.orm import joinedload, lazyload, selectinload
from sqlalchemy.orm.strategy_options import _AbstractLoad as Option  # what the functions above give

from registry.models import Person, Project, Role, ServiceGroup, Site


def of_roles() -> list[Option]:
    """Options for a select of roles; whatever else is asked of a row is read when it is."""
    return [
        joinedload(Role.person).lazyload("*"),
        joinedload(Role.site).options(
            lazyload(Site.contacts), lazyload(Site.shares), lazyload(Site.properties)
        ),
        joinedload(Role.project).lazyload(Project.ngis),
        joinedload(Role.service_group).lazyload(ServiceGroup.properties),
    ]


def of_people() -> list[Option]:
    """Options for a select of people with their identities, roles and requests."""
    return [
        selectinload(Person.credentials),
        selectinload(Person.roles).options(*of_roles()),
        selectinload(Person.requests).options(*of_roles()),
    ]
