"""From a credential to a principal with its grants, read from the database at every call."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from pydantic import SecretStr
from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Unauthorised, Unavailable
from hanse.identity.certificate_tokens import PREFIX, CertificateTokens
from hanse.identity.principals import FEDERATION, Grant, Principal, PrincipalKind, Subject, X509Identity
from hanse.identity.proxies import end_entity
from hanse.identity.signatures import UNREADABLE
from hanse.identity.tokens import same_token, token_key
from hanse.identity.trust import TrustError, TrustStore
from hanse.identity.validity import those_valid

# Everything that is said of one key, in one question: its identities, those of the same person, the grants of all.
# The fields are spelt out, and the values gathered in arrays, so that the indices on these expressions serve.
_SAID = """
with own as ({own}),
person as (select distinct body ->> 'person' as id from own where body ->> 'person' is not null
    union select cast(:person as text) where cast(:person as text) is not null),
linked as ({linked}),
keys as (select cast(:key as text) as key union select 'person:' || id from person
    union select body ->> 'key' from linked)
select 'own' as said, body from own union all select 'linked', body from linked union all {grants}
"""
# what others keep, and what this service itself keeps in its revision log: the state that no later revision ended
_FOLLOWED = "select {what} from followed where kind = '{kind}' and {condition}"
_HISTORY = (
    "select {what} from history where to_revision is null and op = 'put' and kind = '{kind}' and {condition}"
)


def _question(*tables: tuple[str, str]) -> TextClause:
    """What is asked of tables, each a select and the column of the ids."""

    def asked(kind: str, condition: str, what: str = "body") -> str:
        every = [
            select.format(what=what, kind=kind, condition=condition.format(id=column))
            for select, column in tables
        ]
        return " union all ".join(every)

    own = asked("identity", "{id} = :key")
    linked = asked("identity", "body ->> 'person' = any(array(select id from person))")
    grants = asked("grant", "body ->> 'principal' = any(array(select key from keys))", "'grant', body")
    return text(_SAID.format(own=own, linked=linked, grants=grants))


_OF_OTHERS = _question((_FOLLOWED, "id"))
_OF_ALL = _question((_FOLLOWED, "id"), (_HISTORY, "entity_id"))
Body = dict[str, Any]
_KINDS: Mapping[str, PrincipalKind] = {"x509": "x509", "token": "token", "person": "person", "oidc": "oidc"}


@dataclass
class _Found:
    """What the database says about a key: every key of the same person, and who that is."""

    keys: set[str]
    known: bool = False
    person: str | None = None
    site: str | None = None
    name: str = ""
    email: str | None = None
    grants: set[Grant] = field(default_factory=set)
    x509: X509Identity | None = None


class Authority:
    """Turns certificates, tokens and keys into principals.

    `service_tokens` maps the name of a service to the token it shows. With `trust` every certificate chain is
    checked once more here, against the revocation lists of this moment, whatever TLS remembers. `lent` are tokens
    that stand for a certificate; without it none is believed.
    """

    def __init__(
        self,
        db: Database,
        service_tokens: Mapping[str, SecretStr | str] | None = None,
        trust: TrustStore | None = None,
        lent: CertificateTokens | None = None,
    ) -> None:
        self._db = db
        self._has_history = False
        self._lent = lent
        self._trust = trust
        self._service_tokens = {
            name: token.get_secret_value() if isinstance(token, SecretStr) else token
            for name, token in (service_tokens or {}).items()
        }

    def for_certificate_chain(self, chain: Sequence[x509.Certificate]) -> Principal:
        """The owner of a client certificate chain, leaf first: the first certificate that is not a proxy.

        The chain must come from a finished TLS handshake (`tls.peer_chain`). Raises Unauthorised when it is
        empty, made of proxies only, or not trusted (any more).
        """
        if not chain:
            raise Unauthorised("No client certificate was shown: connect with a certificate of a trusted CA.")
        try:
            if self._trust is not None:
                self._trust.verify(list(chain))
            owner = end_entity(chain)
        except (TrustError, *UNREADABLE) as error:
            raise Unauthorised(str(error)) from error
        identity = X509Identity.from_certificate(owner)
        principal = self._principal(identity.key, "x509", identity)
        ends = min(cert.not_valid_after_utc for cert in chain[: list(chain).index(owner) + 1])
        return replace(principal, certificate_not_after=ends)

    def for_token(self, token: str) -> Principal:
        """The owner of an API token. Raises Unauthorised when nobody knows it."""
        if not token:
            raise Unauthorised("The token is empty: send the one you were given when it was made.")
        service = self._service_of(token)
        if service is not None:
            return _service_principal(service)
        if self._lent is not None and token.startswith(PREFIX):
            return self._for_lent_token(self._lent, token)
        return self._known(
            token_key(token), "token", "This token is not known here: it was withdrawn or mistyped."
        )

    def for_key(self, key: str) -> Principal:
        """The principal behind the key of a session. Raises Unauthorised when it is gone."""
        kind, _, rest = key.partition(":")
        if kind == "service" and rest in self._service_tokens:
            return _service_principal(rest)
        if kind not in _KINDS or not rest:
            raise Unauthorised("Sign in again: the session belongs to nobody who is known here.")
        if kind == "x509":
            return self._principal(key, "x509", None)
        return self._known(key, _KINDS[kind], "Sign in again: the credential of this session was withdrawn.")

    def for_subject(self, subject: Subject, name: str = "", email: str | None = None) -> Principal:
        """Whom a provider vouches for, known here or not; `name` and `email` are what it says of a stranger."""
        found = self._principal(subject.key, "oidc", None)
        said = name or subject.subject
        return replace(
            found,
            oidc=subject,
            name=said if found.name in ("", found.key) else found.name,
            email=found.email or email,
        )

    def certificate_revoked(self, issuer_der: bytes, serial: int) -> bool:
        """Whether the certificate of a session was revoked since. Raises TrustError without a readable trust folder."""
        return self._trust is not None and self._trust.names_revoked(issuer_der, serial)

    def _for_lent_token(self, lent: CertificateTokens, token: str) -> Principal:
        """The machine whose certificate was shown for the token, with what it may now; no other rights of its owner."""
        bearer = lent.read(token, datetime.now(UTC))
        try:
            if self.certificate_revoked(bearer.issuer_der, bearer.serial):
                raise Unauthorised("The certificate that this token stands for was revoked.")
        except TrustError as error:
            raise Unavailable(str(error)) from error
        owner = self._principal(bearer.key, "x509", None)
        machine = frozenset(grant for grant in owner.grants if grant.role == "site_machine")
        # under a key of its own, which no session opens with: `for_key` would give all rights of the owner
        return replace(
            owner,
            key=f"lent:{bearer.key}",
            keys=frozenset({bearer.key}),
            grants=machine,
            person=None,
            certificate_not_after=bearer.not_after,
        )

    def _service_of(self, token: str) -> str | None:
        """Compares with every token, whether or not one matched, so that time tells nothing."""
        found = None
        for name, expected in self._service_tokens.items():
            if expected and same_token(token, expected):
                found = name
        return found

    def _known(self, key: str, kind: PrincipalKind, otherwise: str) -> Principal:
        found = self._look_up(key)
        if not found.known:
            raise Unauthorised(otherwise)
        return _as_principal(key, kind, found, None)

    def _principal(self, key: str, kind: PrincipalKind, identity: X509Identity | None) -> Principal:
        return _as_principal(key, kind, self._look_up(key), identity)

    def _look_up(self, key: str) -> _Found:
        with self._db.transaction() as session:
            said = self._ask(session, key)
        found = _Found({key})
        _expand(said, key, found)
        _collect_grants(said, found, datetime.now(UTC))
        return found

    def _ask(self, session: Session, key: str) -> _Said:
        if not self._has_history:  # a table that is there stays there
            self._has_history = bool(session.scalar(text("select to_regclass('history') is not null")))
        person = key.removeprefix("person:") if key.startswith("person:") else None
        said = _Said()
        rows = session.execute(_OF_ALL if self._has_history else _OF_OTHERS, {"key": key, "person": person})
        parts = {"own": said.own, "linked": said.linked, "grant": said.grants}
        for part, body in rows:
            if isinstance(body, dict):
                parts[part].append(body)
        return said


@dataclass(frozen=True)
class _Said:
    """What the followed feeds and this service's revision log say of a key, of whom it belongs to, of their grants."""

    own: list[Body] = field(default_factory=list)
    linked: list[Body] = field(default_factory=list)
    grants: list[Body] = field(default_factory=list)

    def of(self, people: Collection[str]) -> list[Body]:
        """The identities of these people."""
        return [body for body in self.linked if str(body.get("person")) in people]

    def granted(self, keys: Collection[str]) -> list[Body]:
        """The grants of these keys."""
        return [body for body in self.grants if str(body.get("principal")) in keys]


def _expand(said: _Said, key: str, found: _Found) -> None:
    """Fill in the person behind the key and the person's other keys."""
    now = datetime.now(UTC)
    own = [] if key.startswith("person:") else those_valid(said.own, now)
    people = {str(body["person"]) for body in own if body.get("person")}
    if key.startswith("person:"):
        people = {key.removeprefix("person:")}
    linked = those_valid(said.of(people), now)
    if len(people) > 1:  # two registers claim the same credential: neither may lend it the other's rights
        people, linked = set(), []
    for body in linked:
        found.keys.add(str(body["key"]))
    for person in people:
        found.person = person
        found.keys.add(f"person:{person}")
    found.known = bool(own or linked)
    for body in [*linked, *own]:  # what is said of the key itself comes last and so wins
        found.name = str(body.get("name") or found.name)
        found.site = body.get("site") or (None if people else found.site)
        found.email = body.get("email") or found.email
    for body in own:
        found.x509 = _identity_of(body) or found.x509


def _collect_grants(said: _Said, found: _Found, now: datetime) -> None:
    for body in those_valid(said.granted(found.keys), now):
        role, scope = body.get("role"), body.get("scope")
        if role and scope:
            found.grants.add(Grant(str(role), str(scope), str(body.get("name") or "")))
            found.known = True


def _identity_of(body: Mapping[str, Any]) -> X509Identity | None:
    subject, issuer = body.get("subject_der"), body.get("issuer_der")
    if not isinstance(subject, str) or not isinstance(issuer, str):
        return None
    try:
        return X509Identity(base64.b64decode(subject, validate=True), base64.b64decode(issuer, validate=True))
    except binascii.Error:
        return None


def _as_principal(key: str, kind: PrincipalKind, found: _Found, identity: X509Identity | None) -> Principal:
    identity = identity or found.x509
    fallback = (
        identity.name if identity else next((g.name for g in sorted(found.grants, key=str) if g.name), key)
    )
    return Principal(
        key=key,
        kind=kind,
        name=found.name or fallback,
        keys=frozenset(found.keys),
        grants=frozenset(found.grants),
        person=found.person,
        x509=identity,
        site=found.site,
        email=found.email,
    )


def _service_principal(name: str) -> Principal:
    key = f"service:{name}"
    return Principal(
        key=key,
        kind="service",
        name=name,
        keys=frozenset({key}),
        grants=frozenset({Grant("service", FEDERATION, name)}),
    )
