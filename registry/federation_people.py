"""People in a federation file: who they are, what they sign in with, which roles they hold."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.identity import names
from hanse.identity.principals import Principal, X509Identity, oidc_key
from hanse.revisions import Change
from registry import credentials, people, roles
from registry.federation_spanning import set_fields
from registry.identities import add_oidc_identity
from registry.models import Credential, Person, Role
from registry.renderings.federation_yaml import IdentityDoc, PersonDoc
from registry.snapshot import personal_values


@dataclass(frozen=True)
class X509Named:
    """A certificate's owner."""

    identity: X509Identity

    @property
    def key(self) -> str:
        """The principal's key."""
        return self.identity.key

    @property
    def shown(self) -> str:
        """For people."""
        return self.identity.subject_slash


@dataclass(frozen=True)
class OidcNamed:
    """A subject of an identity provider."""

    realm: str
    provider: str
    subject: str

    @property
    def key(self) -> str:
        """The principal's key."""
        return oidc_key(self.provider, self.subject)

    @property
    def shown(self) -> str:
        """For people."""
        return f"{self.subject} at {self.provider}"


Identity = X509Named | OidcNamed


class Steps(Protocol):
    """What an application of a file gives to the steps here."""

    session: Session
    change: Change
    principal: Principal
    prune: bool

    def step(
        self, action: str, kind: str, name: str, changes: dict[str, tuple[Any, Any]] | None = None
    ) -> None:
        """Note a step."""

    def differs(
        self, kind: str, name: str, wanted: dict[str, Any], present: dict[str, Any]
    ) -> dict[str, Any]:
        """The wanted values that differ, noted as a step."""


@dataclass
class People:
    """The steps for people."""

    steps: Steps

    def person(self, wanted: PersonDoc) -> None:
        """A person with identities and roles."""
        identities = [identity_named(entry) for entry in wanted.identities]
        row = self._find_person(wanted, identities)
        if row is None:
            self.steps.step("add", "person", wanted.name)
            row = people.create(self.steps.session, self.steps.change, wanted.name, wanted.email)
            self._personal(row, set_fields(wanted))
        else:
            present = personal_values(row)
            values = {key: value for key, value in set_fields(wanted).items() if key in present}
            differing = self.steps.differs("person", wanted.name, values, present)
            if differing.keys() & {"name", "email"}:
                email = differing.get("email", row.email)
                people.rename(self.steps.session, self.steps.change, row, wanted.name, email)
            self._personal(row, differing)
        self._identities(row, wanted, identities)
        self._roles(row, wanted)

    def _find_person(self, wanted: PersonDoc, identities: list[Identity]) -> Person | None:
        owners = set(
            self.steps.session.scalars(
                select(Credential.person_id).where(Credential.key.in_([one.key for one in identities]))
            )
        )
        if len(owners) > 1:
            raise Refused(
                "These identities belong to different people here; an identity is linked to one person."
            )
        if owners:
            return self.steps.session.get(Person, owners.pop())
        if identities:
            return None
        nameless = select(Person).where(
            Person.name == wanted.name, ~Person.credentials.any(Credential.kind.in_(["x509", "oidc"]))
        )
        return self.steps.session.scalar(nameless.order_by(Person.id).limit(1))

    def _personal(self, row: Person, values: dict[str, Any]) -> None:
        for name in ("forename", "surname", "title", "telephone", "works_from", "works_until"):
            if name in values:
                setattr(row, name, values[name])
        self.steps.session.flush()

    def _identities(self, person: Person, wanted: PersonDoc, named: list[Identity]) -> None:
        session, change = self.steps.session, self.steps.change
        present = {one.key: one for one in person.credentials if one.kind in ("x509", "oidc")}
        for identity in named:
            if present.pop(identity.key, None) is not None:
                continue
            self.steps.step("add", "identity", f"{identity.shown} of {wanted.name}")
            if isinstance(identity, X509Named):
                people.add_certificate_identity(session, change, person, identity.identity)
            else:
                add_oidc_identity(
                    session, change, person, identity.realm, identity.provider, identity.subject
                )
        if self.steps.prune and "identities" in wanted.model_fields_set:
            for credential in present.values():
                self.steps.step("remove", "identity", f"{credential.subject} of {wanted.name}")
                change.delete("identity", credential.key)
                person.credentials.remove(credential)
            session.flush()

    def _roles(self, person: Person, wanted: PersonDoc) -> None:
        present = {(row.role, row.scope): row for row in person.roles}
        for entry in wanted.roles:
            if present.pop((entry.role, entry.scope), None) is None:
                owner = roles.resolve_scope(self.steps.session, entry.role, entry.scope)
                self.steps.step("add", "role", f"{entry.role} in {entry.scope} for {wanted.name}")
                roles.create(
                    self.steps.session, self.steps.change, person, entry.role, owner, self.steps.principal
                )
        if self.steps.prune and "roles" in wanted.model_fields_set:
            for row in present.values():
                self._remove_role(row, wanted.name)

    def _remove_role(self, row: Role, name: str) -> None:
        self.steps.step("remove", "role", f"{row.role} in {row.scope} for {name}")
        roles.note(
            self.steps.session,
            row,
            "revoked",
            self.steps.principal,
            "Not in the federation file",
            old=row.status,
        )
        roles.delete(self.steps.session, self.steps.change, row)


def identity_named(entry: IdentityDoc) -> Identity:
    """The identity that an entry names. Raises Refused for names or certificates that cannot be read."""
    if entry.provider is not None and entry.provider_subject is not None:
        return OidcNamed(entry.realm or entry.provider, entry.provider, entry.provider_subject)
    return X509Named(x509_identity(entry))


def x509_identity(entry: IdentityDoc) -> X509Identity:
    """The identity that an entry names. Raises Refused for names or certificates that cannot be read."""
    if entry.certificate is not None:
        return X509Identity.from_certificate(credentials.read_certificate(entry.certificate))
    try:
        if entry.subject is not None and entry.issuer is not None:
            return X509Identity(names.parse(entry.subject), names.parse(entry.issuer))
        identity = X509Identity(
            base64.b64decode(entry.subject_der or ""), base64.b64decode(entry.issuer_der or "")
        )
        identity.key  # noqa: B018 - a name that cannot be read shows here
    except ValueError as error:
        raise Refused("This identity cannot be read.", FieldFault("identities", str(error))) from None
    return identity
