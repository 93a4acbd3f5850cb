"""The registry as a federation document as it was, from the log, in the order in which `registry.snapshot` writes it.

What people say of themselves beside name and address stands in no log, so it is empty here; who was suspended then, or
known by no identity and without a role, is left out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cryptography import x509
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.identity.principals import X509Identity
from registry import people_then, states
from registry.credentials import fingerprint
from registry.people_then import IdentityThen, PersonThen
from registry.remembered import ERASED
from registry.renderings.federation_yaml import (
    FederationDoc,
    GroupDoc,
    IdentityDoc,
    NgiDoc,
    PersonDoc,
    ProjectDoc,
    RoleDoc,
    ScopeDoc,
    ServiceDoc,
    ServiceTypeDoc,
    SiteDoc,
)
from registry.snapshot import identity_doc
from registry.states import State

Body = Mapping[str, Any]


def document_then(session: Session, number: int) -> FederationDoc:
    """Everything that a federation file could hold after revision `number`. Raises Refused for what was kept by rules
    that have become stricter since.
    """
    try:
        return _document(session, str(number))
    except ValidationError as error:
        faults = [FieldFault(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        raise Refused("What was registered then cannot be written by the rules of today.", *faults) from None


def _document(session: Session, as_of: str) -> FederationDoc:
    services = _by_site(states.by_id(session, "service", as_of=as_of))
    certificates = _by_site(states.by_id(session, "host_certificate", as_of=as_of))

    def named(kind: str) -> list[Body]:
        return [state.body for state in states.by_name(session, kind, as_of=as_of)]

    return FederationDoc(
        service_types=[ServiceTypeDoc(**_only(ServiceTypeDoc, body)) for body in named("service_type")],
        scopes=[ScopeDoc(**_only(ScopeDoc, body)) for body in named("scope")],
        projects=[ProjectDoc(**_only(ProjectDoc, body)) for body in named("project")],
        service_groups=[_group(body, services) for body in named("service_group")],
        ngis=[NgiDoc(**_only(NgiDoc, body)) for body in named("ngi")],
        sites=[
            _site(body, services.get(body["name"], ()), certificates.get(body["name"], ()))
            for body in named("site")
        ],
        people=sorted(
            (_person(one) for one in people_then.listed(session, int(as_of), None, 0)),
            key=lambda entry: (entry.name, entry.model_dump_json()),
        ),
    )


def _only(model: type[BaseModel], body: Body) -> dict[str, Any]:
    """The fields of a body that the file has."""
    return {name: body[name] for name in model.model_fields if name in body}


def _by_site(found: Iterable[State]) -> dict[str, list[State]]:
    sites: dict[str, list[State]] = {}
    for state in found:
        sites.setdefault(state.body["site"], []).append(state)
    return sites


def _site(body: Body, services: Sequence[State], certificates: Sequence[State]) -> SiteDoc:
    pems = [state.body["pem"] for state in certificates]
    return SiteDoc.model_validate(
        {
            **_only(SiteDoc, body),
            "services": [_service(state.body).model_dump() for state in sorted(services, key=_place)],
            "host_certificates": sorted(pems, key=_fingerprint),
        }
    )


def _place(state: State) -> tuple[str, str, int]:
    return state.body["service_type"], state.body["hostname"], int(state.id)


def _fingerprint(pem: str) -> str:
    return fingerprint(x509.load_pem_x509_certificate(pem.encode()))


def _service(body: Body) -> ServiceDoc:
    endpoints = [
        {name: value for name, value in one.items() if name != "id"}
        for one in sorted(body["endpoints"], key=lambda one: str(one["name"]))
    ]
    return ServiceDoc.model_validate(
        {**_only(ServiceDoc, body), "type": body["service_type"], "endpoints": endpoints}
    )


def _group(body: Body, services: Mapping[str, Sequence[State]]) -> GroupDoc:
    wanted = set(body["services"])
    members = [
        _member(state, of_site) for of_site in services.values() for state in of_site if state.id in wanted
    ]
    members.sort(key=lambda one: (one["site"], one["type"], one["hostname"], one["nth"]))
    return GroupDoc.model_validate({**_only(GroupDoc, body), "services": members})


def _member(state: State, of_site: Sequence[State]) -> dict[str, Any]:
    """A service of a group; `of_site` are all services of its site."""
    kind, hostname = state.body["service_type"], state.body["hostname"]
    twins = sorted(
        int(one.id) for one in of_site if (one.body["service_type"], one.body["hostname"]) == (kind, hostname)
    )
    nth = twins.index(int(state.id)) + 1
    return {"site": state.body["site"], "type": kind, "hostname": hostname, "nth": nth}


def _person(person: PersonThen) -> PersonDoc:
    identities = [_identity(one) for one in person.credentials if one.kind != "token"]
    roles = sorted((role.role, role.scope) for role in person.roles)
    about = {
        name: getattr(person, name)
        for name in (
            "name",
            "forename",
            "surname",
            "title",
            "email",
            "telephone",
            "works_from",
            "works_until",
        )
    }
    return PersonDoc(
        **about,
        identities=sorted(
            (one for one in identities if one is not None), key=lambda one: one.model_dump_json()
        ),
        roles=[RoleDoc.model_validate({"role": role, "scope": scope}) for role, scope in roles],
    )


def _identity(one: IdentityThen) -> IdentityDoc | None:
    """An identity as the file has it; None for one that was erased."""
    if one.kind == "x509":
        if not one.subject_der or not one.issuer_der:
            return None
        return identity_doc(X509Identity(base64.b64decode(one.subject_der), base64.b64decode(one.issuer_der)))
    if not one.subject or one.subject == ERASED:
        return None
    return IdentityDoc(provider=one.issuer, provider_subject=one.subject, realm=one.realm or None)
