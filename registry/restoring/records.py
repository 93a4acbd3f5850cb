"""NGIs, projects, service groups, scopes, service types."""

from __future__ import annotations

from hanse.errors import Conflict
from hanse.identity.permissions import check
from hanse.revisions import Body
from registry import ngis, projects, scopes, service_groups, service_types
from registry.federation_entities import put_scope, put_service_type
from registry.keys import Keys
from registry.models import Ngi, Project, Scope, ServiceGroup, ServiceType
from registry.restoring.work import Work, fields_of, form_of, named
from registry.rights import EDIT_GROUP, EDIT_NGI, EDIT_PROJECT, RUN_FEDERATION, check_owner, is_operator
from registry.schemas.records import (
    ProjectEdit,
    ProjectIn,
    ScopeEdit,
    ScopeIn,
    ServiceGroupEdit,
    ServiceGroupIn,
)
from registry.schemas.services import ServiceTypeEdit, ServiceTypeIn
from registry.schemas.sites import NgiEdit, NgiIn


def _refuse_used(what: str, found: list[str]) -> None:
    if found:
        raise Conflict(f"{what} is in use by {scopes.in_words(found)}; so its making is not undone.")


class Ngis:
    """NGIs."""

    fields = fields_of(NgiEdit)

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        ngi = ngis.lock(work.session, work.session.get_one(Ngi, int(entity_id)).name)
        check_owner(work.principal, EDIT_NGI, ngi)
        values = named(form_of(NgiEdit, wanted, fields))
        ngis.apply(work.session, work.change, ngi, values, operator=is_operator(work.principal))

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        check(work.principal, RUN_FEDERATION, "federation")
        ngi = ngis.lock(work.session, now["name"])
        _refuse_used(f"NGI {ngi.name}", ngis.uses(work.session, ngi))
        ngis.delete(work.session, work.change, ngi)

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        check(work.principal, RUN_FEDERATION, "federation")
        form = form_of(NgiIn, wanted, self.fields)
        ngis.create(work.session, work.change, form, Keys(number=int(entity_id)))


class Projects:
    """Projects."""

    fields = fields_of(ProjectEdit)

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        project = projects.lock(work.session, work.session.get_one(Project, int(entity_id)).name)
        check_owner(work.principal, EDIT_PROJECT, project)
        if "name" in fields:
            check(work.principal, RUN_FEDERATION, "federation")
        projects.apply(work.session, work.change, project, named(form_of(ProjectEdit, wanted, fields)))

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        check(work.principal, RUN_FEDERATION, "federation")
        projects.delete(work.session, work.change, projects.lock(work.session, now["name"]))

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        check(work.principal, RUN_FEDERATION, "federation")
        form = form_of(ProjectIn, wanted, self.fields)
        projects.create(work.session, work.change, form, Keys(number=int(entity_id)))


class ServiceGroups:
    """Service groups."""

    fields = fields_of(ServiceGroupEdit)

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        name = work.session.get_one(ServiceGroup, int(entity_id)).name
        group = service_groups.lock(work.session, name)
        check_owner(work.principal, EDIT_GROUP, group)
        values = named(form_of(ServiceGroupEdit, wanted, fields))
        operator = is_operator(work.principal)
        service_groups.apply(work.session, work.change, group, values, operator=operator)

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        group = service_groups.lock(work.session, now["name"])
        check_owner(work.principal, EDIT_GROUP, group)
        service_groups.delete(work.session, work.change, group)

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        # who administered it lost the role with it, so only an operator can know that it may come back
        check(work.principal, RUN_FEDERATION, "federation")
        form = form_of(ServiceGroupIn, wanted, self.fields)
        keys = Keys(int(entity_id), str(wanted["primary_key"]))
        service_groups.create(work.session, work.change, form, keys, operator=True)


class Scopes:
    """Scopes."""

    fields = fields_of(ScopeEdit)

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        check(work.principal, RUN_FEDERATION, "federation")
        name = work.session.get_one(Scope, int(entity_id)).name
        scopes.apply(work.session, work.change, name, named(form_of(ScopeEdit, wanted, fields)))

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        check(work.principal, RUN_FEDERATION, "federation")
        _refuse_used(f"The scope {now['name']}", scopes.uses(work.session, now["name"]))
        scopes.delete(work.session, work.change, work.session.get_one(Scope, int(entity_id)))

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        check(work.principal, RUN_FEDERATION, "federation")
        form = form_of(ScopeIn, wanted, self.fields)
        scope = Scope(id=int(entity_id), **form.model_dump(exclude={"reason"}))
        work.session.add(scope)
        work.session.flush()
        put_scope(work.change, scope)


class ServiceTypes:
    """Service types."""

    fields = fields_of(ServiceTypeEdit)

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        check(work.principal, RUN_FEDERATION, "federation")
        kind = service_types.lock(work.session, work.session.get_one(ServiceType, int(entity_id)).name)
        service_types.apply(work.session, work.change, kind, named(form_of(ServiceTypeEdit, wanted, fields)))

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        check(work.principal, RUN_FEDERATION, "federation")
        kind = service_types.lock(work.session, now["name"])
        _refuse_used(f"The service type {kind.name}", service_types.uses(work.session, kind.name))
        service_types.delete(work.session, work.change, kind)

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        check(work.principal, RUN_FEDERATION, "federation")
        form = form_of(ServiceTypeIn, wanted, self.fields)
        kind = ServiceType(id=int(entity_id), **form.model_dump(exclude={"reason"}))
        work.session.add(kind)
        work.session.flush()
        put_service_type(work.change, kind)
