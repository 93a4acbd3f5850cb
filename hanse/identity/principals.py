"""Who is calling, as the services see it, and the grants that follow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

from cryptography import x509

from hanse.identity import names

PrincipalKind = Literal["anonymous", "x509", "token", "service", "oidc", "person"]
FEDERATION = "federation"


@dataclass(frozen=True, eq=False)
class X509Identity:
    """A certificate's owner: DER of subject and issuer. Equal when the canonical names are."""

    subject_der: bytes
    issuer_der: bytes

    @classmethod
    def from_certificate(cls, cert: x509.Certificate) -> X509Identity:
        """Identity of an end entity. Of a proxy take what TrustStore.verify returns."""
        return cls(names.subject_der(cert), names.issuer_der(cert))

    @cached_property
    def key(self) -> str:
        """`x509:` and the SHA-256 (hexadecimal) over the canonical subject and the canonical issuer."""
        digest = hashlib.sha256(names.canonical(self.subject_der) + names.canonical(self.issuer_der))
        return "x509:" + digest.hexdigest()

    @cached_property
    def subject_slash(self) -> str:
        """Subject in slash form, for people and allow lists."""
        return names.slash(self.subject_der)

    @cached_property
    def issuer_slash(self) -> str:
        """Issuer in slash form."""
        return names.slash(self.issuer_der)

    @property
    def name(self) -> str:
        """What to call the owner: the common name, or the whole subject without one."""
        return names.common_name(self.subject_der) or self.subject_slash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, X509Identity) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def oidc_key(issuer: str, subject: str) -> str:
    """The principal key of a subject of an identity provider: `oidc:` and the SHA-256 over issuer and subject.

    `issuer` is the address as the provider spells it in its tokens (`iss`). Neither can hold a line end.
    """
    return "oidc:" + hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()


@dataclass(frozen=True)
class Subject:
    """Somebody as an OpenID Connect provider knows them: `iss` and `sub` as its tokens spell them."""

    issuer: str
    subject: str

    @property
    def key(self) -> str:
        """The principal key."""
        return oidc_key(self.issuer, self.subject)


@dataclass(frozen=True)
class Grant:
    """A right: the role (`site_administrator`), where (`site:CESNET`, `federation`), and to whom."""

    role: str
    scope: str
    name: str = ""


@dataclass(frozen=True)
class Principal:
    """Somebody who calls. `keys` holds every key of the same person, `key` the one used now.

    Keys: `x509:<hex>`, `oidc:<hex>`, `token:<sha256 hex of the token>`, `service:<name>`, `person:<id>`,
    and `lent:x509:<hex>` for a token that stands for a certificate (as `key` only).
    """

    key: str
    kind: PrincipalKind
    name: str
    keys: frozenset[str] = frozenset()
    grants: frozenset[Grant] = field(default_factory=frozenset)
    person: str | None = None
    x509: X509Identity | None = None
    certificate_not_after: datetime | None = None
    site: str | None = None
    email: str | None = None
    oidc: Subject | None = None

    def has(self, role: str, scope: str) -> bool:
        """True when the role was granted for this scope, or for the whole federation."""
        return any(g.role == role and g.scope in (scope, FEDERATION) for g in self.grants)

    def scopes(self, role: str) -> frozenset[str]:
        """Every scope in which the role was granted."""
        return frozenset(g.scope for g in self.grants if g.role == role)

    @property
    def signed_in(self) -> bool:
        """False for somebody who showed no credential."""
        return self.kind != "anonymous"


ANONYMOUS = Principal(key="", kind="anonymous", name="anonymous")
