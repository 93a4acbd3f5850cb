"""One federation document on its way into the registry, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, HanseError, Refused
from hanse.identity import names
from hanse.identity.principals import Principal
from hanse.revisions import Change
from registry import certification, credentials, ngis, policy, scopes, services, sites
from registry.bodies import service_type_body
from registry.federation_people import People
from registry.federation_spanning import Spanning, set_fields
from registry.models import HostCertificate, Ngi, Service, ServiceType, Site
from registry.renderings.federation_yaml import (
    FederationDoc,
    NgiDoc,
    ServiceDoc,
    ServiceTypeDoc,
    SiteDoc,
)
from registry.schemas.services import ServiceIn
from registry.schemas.sites import SiteIn
from registry.snapshot import ngi_doc, service_doc, site_values

Values = Mapping[str, Any]
_New = TypeVar("_New", SiteIn, ServiceIn)


@dataclass(frozen=True)
class Step:
    """One difference: what is done to which thing, and the fields as (old, new)."""

    action: str
    kind: str
    name: str
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The step in words, one line."""
        fields = "; ".join(
            f"{name}: {_short(old)} -> {_short(new)}" for name, (old, new) in self.changes.items()
        )
        return f"{self.action} {self.kind.replace('_', ' ')} {self.name}" + (f" ({fields})" if fields else "")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Say in which entry of the file a rule was broken."""
    try:
        yield
    except HanseError as error:
        faults = error.fields or (FieldFault("entry", error.detail),)
        raise type(error)(
            f"{where}: {error.detail}",
            *(FieldFault(f"{where}: {fault.field}", fault.reason) for fault in faults),
        ) from error


class Application:
    """One document on its way into the registry, inside one transaction."""

    def __init__(self, principal: Principal, prune: bool) -> None:
        self.principal = principal
        self.prune = prune
        self.steps: list[Step] = []
        self.spanning = Spanning(self)
        self.people = People(self)

    def run(self, session: Session, change: Change, document: FederationDoc) -> None:
        """Do everything that the document says, noting each step; raises what a rule refuses."""
        self.session, self.change = session, change
        for kind in document.service_types:
            self._service_type(kind)
        self.spanning.new_scopes(document.scopes)
        for ngi in document.ngis:
            with _at(f"NGI {ngi.name}"):
                self._ngi(ngi)
        for project in document.projects:
            with _at(f"project {project.name}"):
                self.spanning.project(project)
        for site in document.sites:
            with _at(f"site {site.name}"):
                self._site(site)
        for group in document.service_groups:
            with _at(f"service group {group.name}"):
                self.spanning.group(group)
        for person in document.people:
            with _at(f"person {person.name}"):
                self.people.person(person)
        if self.prune:
            self._prune(document)
        self.spanning.scopes(document.scopes)
        if self.prune:
            self.spanning.prune_words(document)

    def step(
        self, action: str, kind: str, name: str, changes: dict[str, tuple[Any, Any]] | None = None
    ) -> None:
        self.steps.append(Step(action, kind, name, changes or {}))

    def _service_type(self, wanted: ServiceTypeDoc) -> None:
        row = self.session.scalar(select(ServiceType).where(ServiceType.name == wanted.name))
        if row is None:
            self.step("add", "service_type", wanted.name)
            row = ServiceType(name=wanted.name)
            self.session.add(row)
        elif not self.differs(
            "service_type",
            wanted.name,
            set_fields(wanted),
            {f: getattr(row, f) for f in type(wanted).model_fields},
        ):
            return
        for name, value in set_fields(wanted).items():
            setattr(row, name, value)
        self.session.flush()
        self.change.put("service_type", str(row.id), service_type_body(row))

    def differs(self, kind: str, name: str, wanted: Values, present: Values) -> dict[str, Any]:
        """The wanted values that differ from the present ones, noted as a step; empty when none does."""
        changes = {
            key: (present.get(key), value) for key, value in wanted.items() if present.get(key) != value
        }
        if changes:
            self.step("change", kind, name, changes)
        return {key: new for key, (_, new) in changes.items()}

    def add_scopes(self, wanted: Iterable[str]) -> None:
        for name in scopes.add_missing(self.session, self.change, wanted):
            self.step("add", "scope", name)

    def _ngi(self, wanted: NgiDoc) -> None:
        row = self.session.scalar(select(Ngi).where(Ngi.name == wanted.name))
        if row is None:
            self.step("add", "ngi", wanted.name)
            self.add_scopes(wanted.scopes)
            ngis.create(self.session, self.change, wanted)
            return
        values = set_fields(wanted)
        values.pop("reason", None)
        if "scopes" in values:
            values["scopes"] = sorted(values["scopes"])
        differing = self.differs("ngi", wanted.name, values, ngi_doc(row).model_dump())
        if differing:
            self.add_scopes(differing.get("scopes", ()))
            ngis.apply(self.session, self.change, row, differing, operator=True)

    def _site(self, wanted: SiteDoc) -> None:
        row = self.session.scalar(select(Site).where(Site.name == wanted.name).with_for_update(of=Site))
        values = _site_values(wanted)
        if row is None:
            self.step("add", "site", wanted.name)
            self.add_scopes(wanted.scopes)
            policy.check_begins_alone(self.session, wanted.certification)
            row = sites.create(self.session, self.change, _as_new_site(values), operator=True)
        else:
            differing = self.differs("site", wanted.name, values, site_values(row))
            status = differing.pop("certification", None)
            if status is not None:
                policy.check_alone(self.session, row.certification, status)
                certification.take_step(
                    self.session, self.change, self.principal, row, status, "As the federation file says"
                )
            self.add_scopes(differing.get("scopes", ()))
            if "supports" in differing:  # a project that the file takes away would be kept else
                for share in row.shares:
                    share.project_id = None
            if differing:
                sites.apply(self.session, self.change, row, differing, operator=True)
        self._services(row, wanted)
        self._host_certificates(row, wanted)

    def _services(self, site: Site, wanted: SiteDoc) -> None:
        present: dict[tuple[str, str], list[Service]] = {}
        for service in self.session.scalars(
            select(Service).where(Service.site_id == site.id).order_by(Service.id)
        ):
            present.setdefault((service.service_type, service.hostname), []).append(service)
        for entry in wanted.services:
            same = present.get((entry.type, entry.hostname.lower()), [])
            with _at(f"service {entry.type} on {entry.hostname}"):
                self._service(site, entry, same.pop(0) if same else None)
        if self.prune and "services" in wanted.model_fields_set:
            for service in (one for rest in present.values() for one in rest):
                self.step("remove", "service", f"{service.service_type} on {service.hostname}")
                services.delete(self.session, self.change, service)

    def _service(self, site: Site, wanted: ServiceDoc, row: Service | None) -> None:
        name = f"{wanted.type} on {wanted.hostname}"
        values = set_fields(wanted)
        if row is None:
            self.step("add", "service", name)
            form = {**values, "service_type": values.pop("type")}
            form.pop("type", None)
            self.add_scopes(wanted.scopes)
            services.create(self.session, self.change, site, _strict(ServiceIn, form), operator=True)
            return
        _normalise_endpoints(values, wanted.type)
        values["hostname"] = wanted.hostname.lower()
        differing = self.differs("service", name, values, service_doc(row).model_dump())
        endpoints = differing.pop("endpoints", None)
        if differing:
            self.add_scopes(differing.get("scopes", ()))
            services.apply(self.session, self.change, row, differing, operator=True)
        if endpoints is not None:
            services.set_endpoints(self.session, self.change, row, wanted.endpoints)

    def _host_certificates(self, site: Site, wanted: SiteDoc) -> None:
        certificates = [credentials.read_certificate(pem) for pem in wanted.host_certificates]
        rows = {
            row.fingerprint: row
            for row in self.session.scalars(select(HostCertificate).where(HostCertificate.site_id == site.id))
        }
        for certificate in certificates:
            if rows.pop(credentials.fingerprint(certificate), None) is None:
                row = credentials.create(self.session, self.change, site, certificate)
                self.step("add", "host_certificate", names.slash(row.subject_der))
        if self.prune and "host_certificates" in wanted.model_fields_set:
            for row in rows.values():
                self.step("remove", "host_certificate", names.slash(row.subject_der))
                credentials.delete(self.session, self.change, row)

    def _prune(self, document: FederationDoc) -> None:
        """Remove what the file does not name, in the sections that it has; people are never removed by a file."""
        self.spanning.prune(document)
        if "sites" in document.model_fields_set:
            kept = {entry.name for entry in document.sites}
            for site in self.session.scalars(
                select(Site).where(Site.name.not_in(kept)).order_by(Site.id)
            ).all():
                self.step("remove", "site", site.name)
                sites.delete(self.session, self.change, site)


def _site_values(wanted: SiteDoc) -> dict[str, Any]:
    values = {
        key: value
        for key, value in set_fields(wanted).items()
        if key not in ("services", "host_certificates")
    }
    if "supports" in values:
        values["supports"] = sorted(values["supports"], key=lambda share: str(share["vo"]))
    if "scopes" in values:
        values["scopes"] = sorted(values["scopes"])
    if values.get("usage_site_names") == []:
        values["usage_site_names"] = [wanted.name]
    return values


def _normalise_endpoints(values: dict[str, Any], service_type: str) -> None:
    if "scopes" in values:
        values["scopes"] = sorted(values["scopes"])
    if "endpoints" in values:
        rows = [{**entry, "interface": entry["interface"] or service_type} for entry in values["endpoints"]]
        values["endpoints"] = sorted(rows, key=lambda entry: str(entry["name"]))


def _as_new_site(values: Values) -> SiteIn:
    return _strict(SiteIn, values)


def _strict(model: type[_New], values: Values) -> _New:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Refused(
            "Something is missing.",
            *(
                FieldFault(".".join(map(str, one["loc"])), one["msg"])
                for one in error.errors(include_url=False)
            ),
        ) from None
