"""Sites and services with their endpoints, host certificates, roles."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import Conflict, Refused
from hanse.identity.permissions import check
from hanse.revisions import Body, History, Revision
from registry import certification, credentials, entities, roles, services, sites
from registry.keys import Keys
from registry.models import CertificationChange, HostCertificate, Person, Role, Service, Site
from registry.recording import lock_service, lock_site
from registry.restoring.work import Work, fields_of, form_of, named
from registry.rights import (
    CERTIFY_SITE,
    EDIT_SITE,
    KEEP_MACHINES,
    REMOVE_SITE,
    check_site,
    is_operator,
)
from registry.rules import check_certification_step
from registry.schemas.fields import parse_time
from registry.schemas.services import EndpointFields, ServiceEdit, ServiceIn
from registry.schemas.sites import SiteEdit, SiteIn


class Sites:
    """Sites with contacts, capacity and VO shares; certification by its own rules."""

    fields = (fields_of(SiteEdit) | {"certification"}) - {"production"}  # which follows the infrastructure

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        site = lock_site(work.session, work.session.get_one(Site, int(entity_id)).name)
        if "certification" in fields:
            check_site(work.principal, CERTIFY_SITE, site)
            operator = is_operator(work.principal)
            check_certification_step(site.certification, wanted["certification"], operator=operator)
            certification.take_step(
                work.session, work.change, work.principal, site, wanted["certification"], work.reason
            )
        if fields - {"certification"}:
            check_site(work.principal, EDIT_SITE, site)
            values = form_of(SiteEdit, wanted, fields - {"certification"}).named()
            sites.apply(work.session, work.change, site, values, operator=is_operator(work.principal))

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        check(work.principal, REMOVE_SITE, "federation")
        site = lock_site(work.session, now["name"])
        left = work.session.scalars(select(Service.hostname).where(Service.site_id == site.id)).all()
        if left:
            raise Conflict(
                f"{site.name} has services by now ({', '.join(sorted(left)[:5])}), which would go with it;"
                " remove these first, or remove the site itself."
            )
        sites.delete(work.session, work.change, site)

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        check(work.principal, REMOVE_SITE, "federation")
        form = form_of(SiteIn, wanted, fields_of(SiteIn) - {"production"})
        keys = Keys(int(entity_id), str(wanted["primary_key"]))
        site = sites.create(work.session, work.change, form, keys, operator=True)
        site.certification_since = parse_time(wanted["certification_since"])
        _steps_again(work.session, site)
        work.session.flush()
        entities.put_site(work.change, site)


def _steps_again(session: Session, site: Site) -> None:
    """The steps of certification went with the site; the log knows them."""
    states = session.execute(
        select(History.body, Revision)
        .join(Revision, Revision.number == History.from_revision)
        .where(History.kind == "site", History.entity_id == str(site.id), History.op == "put")
        .order_by(History.from_revision)
    ).all()
    for (earlier, _), (later, revision) in pairwise(states):
        old, new = (earlier or {}).get("certification"), (later or {}).get("certification")
        if old and new and old != new:
            session.add(
                CertificationChange(
                    site_id=site.id,
                    at=revision.at,
                    old=old,
                    new=new,
                    by_key=revision.actor,
                    by_name=revision.actor_name,
                    reason=revision.reason,
                )
            )


class Services:
    """Services with their endpoints."""

    fields = fields_of(ServiceEdit) | {"endpoints"}

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        service = lock_service(work.session, int(entity_id))
        check_site(work.principal, EDIT_SITE, service.site)
        own = fields - {"endpoints"}
        if own:
            values = named(form_of(ServiceEdit, wanted, own))
            operator = is_operator(work.principal)
            services.apply(work.session, work.change, service, values, operator=operator)
        if "endpoints" in fields:
            self._endpoints(work, service, wanted)

    def _endpoints(self, work: Work, service: Service, wanted: Body) -> None:
        forms = {part["id"]: _endpoint_form(part) for part in wanted["endpoints"]}
        for endpoint in service.endpoints:  # names first: the use case knows endpoints by them
            form = forms.get(str(endpoint.id))
            if form is not None and form.name != endpoint.name:
                services.apply_endpoint(work.session, work.change, service, endpoint, {"name": form.name})
        keys = Keys(endpoints={form.name: int(number) for number, form in forms.items()})
        services.set_endpoints(work.session, work.change, service, list(forms.values()), keys)

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        service = lock_service(work.session, int(entity_id))
        check_site(work.principal, EDIT_SITE, service.site)
        services.delete(work.session, work.change, service)

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        site = lock_site(work.session, wanted["site"])
        check_site(work.principal, EDIT_SITE, site)
        parts = [{key: value for key, value in part.items() if key != "id"} for part in wanted["endpoints"]]
        form = form_of(ServiceIn, {**wanted, "endpoints": parts}, fields_of(ServiceIn))
        numbers = {part["name"]: int(part["id"]) for part in wanted["endpoints"]}
        keys = Keys(int(entity_id), str(wanted["primary_key"]), numbers)
        operator = is_operator(work.principal)
        services.create(work.session, work.change, site, form, keys, operator=operator)


def _endpoint_form(part: Body) -> EndpointFields:
    return form_of(EndpointFields, part, fields_of(EndpointFields))


class HostCertificates:
    """Host certificates; one that has ended does not come back."""

    fields: frozenset[str] = frozenset()

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        raise Refused("A certificate is what it is; nothing of it can change.")  # pragma: no cover

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        site = lock_site(work.session, now["site"])
        check_site(work.principal, KEEP_MACHINES, site)
        credentials.delete(work.session, work.change, work.session.get_one(HostCertificate, int(entity_id)))

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        ended = parse_time(wanted["not_after"]) <= datetime.now(UTC)
        if work.whole_site and (ended or not wanted.get("pem")):
            return
        if not wanted.get("pem"):
            raise Refused("The log does not hold this certificate itself; add it again.")
        site = lock_site(work.session, wanted["site"])
        check_site(work.principal, KEEP_MACHINES, site)
        certificate = credentials.read_certificate(wanted["pem"])
        credentials.create(work.session, work.change, site, certificate, number=int(entity_id))


class Roles:
    """Roles that were granted, or taken away; a request does not come back."""

    fields: frozenset[str] = frozenset()

    def change(self, work: Work, entity_id: str, wanted: Body, fields: frozenset[str]) -> None:
        raise Refused("Grant the other role, and revoke this one.")  # pragma: no cover

    def remove(self, work: Work, entity_id: str, now: Body) -> None:
        row = work.session.get_one(Role, _role_number(entity_id), with_for_update={"of": Role})
        roles.check_may_decide(work.principal, row.role, row.owner)
        roles.note(work.session, row, "revoked", work.principal, work.reason, old=row.status)
        roles.delete(work.session, work.change, row)

    def restore(self, work: Work, entity_id: str, wanted: Body) -> None:
        number = str(wanted["principal"]).removeprefix("person:")
        person = work.session.get(Person, int(number)) if number.isdigit() else None
        if person is None:
            if work.whole_site:
                return
            raise Refused("The person is no longer registered here, so the role stays away.")
        owner = roles.resolve_scope(work.session, wanted["role"], wanted["scope"])
        roles.check_may_decide(work.principal, wanted["role"], owner)
        roles.create(
            work.session,
            work.change,
            person,
            wanted["role"],
            owner,
            work.principal,
            work.reason,
            number=_role_number(entity_id),
        )


def _role_number(entity_id: str) -> int:
    return int(entity_id.removeprefix("role:"))
