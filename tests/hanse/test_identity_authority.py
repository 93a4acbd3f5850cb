"""From a credential to a principal: whose it is, what it may, and that a revoked right is gone at once."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from demo.ca import CertificateAuthority, Issued
from hanse.database import Database, Followed
from hanse.errors import Unauthorised
from hanse.identity.authority import Authority
from hanse.identity.principals import Grant, X509Identity
from hanse.identity.proxies import certificates_of, create_proxy
from hanse.identity.tokens import new_token, same_token, token_key
from hanse.identity.trust import TrustStore
from hanse.revisions import Actor, change

OPERATOR = Grant("federation_operator", "federation", "Ingrid Holm")
ACTOR = Actor("person:1", "Ingrid Holm")


@dataclass
class House:
    """A database with the ground's tables, an authority over it, and the certificates of two people."""

    db: Database
    ca: CertificateAuthority
    ingrid: Issued
    anna: Issued

    @property
    def authority(self) -> Authority:
        return Authority(self.db, {"monitoring": SecretStr("m-token"), "empty": SecretStr("")})

    def follow(self, kind: str, entity_id: str, body: dict[str, Any], source: str = "registry") -> None:
        with self.db.transaction() as session:
            session.merge(Followed(source=source, kind=kind, id=entity_id, body=body, revision=1))

    def identity(self, key: str, person: str | None = None, **more: object) -> None:
        body = {"key": key, "person": person, "site": None, "name": "Ingrid Holm", "email": None, **more}
        self.follow("identity", key, body)

    def grant(
        self, principal: str, role: str = "federation_operator", scope: str = "federation", **more: object
    ) -> None:
        body = {"principal": principal, "role": role, "scope": scope, "name": "Ingrid Holm", **more}
        self.follow("grant", f"{principal} {role} {scope}", body)

    def forget(self, kind: str) -> None:
        with self.db.transaction() as session:
            session.execute(text("delete from followed where kind = :kind"), {"kind": kind})


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("ca"), "Hanse Demo CA")


@pytest.fixture(scope="module")
def people(ca: CertificateAuthority) -> tuple[Issued, Issued]:
    return (
        ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Ingrid Holm"),
        ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"),
    )


@pytest.fixture(scope="module")
def shared(module_database_for: Any) -> Database:
    db: Database = module_database_for("hanse")
    return db


@pytest.fixture
def house(shared: Database, ca: CertificateAuthority, people: tuple[Issued, Issued]) -> Iterator[House]:
    yield House(shared, ca, *people)
    with shared.transaction() as session:
        session.execute(text("truncate followed, history, revision cascade"))


def key_of(issued: Issued) -> str:
    return X509Identity.from_certificate(issued.cert).key


def test_a_certificate_that_nobody_registered_is_somebody_without_rights(house: House) -> None:
    principal = house.authority.for_certificate_chain([house.anna.cert])
    assert principal.kind == "x509"
    assert principal.key == key_of(house.anna)
    assert principal.name == "Anna Lindqvist"
    assert principal.grants == frozenset()
    assert principal.person is None
    assert principal.certificate_not_after == house.anna.cert.not_valid_after_utc
    assert principal.x509 is not None
    assert principal.x509.subject_slash == "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"


def test_a_persons_keys_and_their_grants_come_together(house: House) -> None:
    token = new_token("hanse_user")
    house.identity(key_of(house.ingrid), "7", email="ingrid@hanse.example")
    house.identity(token_key(token), "7")
    house.identity(key_of(house.anna), "8", name="Anna Lindqvist")
    house.grant("person:7")
    house.grant(token_key(token), "ngi_manager", "ngi:NGI_CZ")
    house.grant(key_of(house.ingrid), "vo_member", "vo:training.egi.eu")
    expected = {
        ("federation_operator", "federation"),
        ("ngi_manager", "ngi:NGI_CZ"),
        ("vo_member", "vo:training.egi.eu"),
    }
    for principal in (
        house.authority.for_certificate_chain([house.ingrid.cert]),
        house.authority.for_token(token),
        house.authority.for_key(key_of(house.ingrid)),
        house.authority.for_key(token_key(token)),
        house.authority.for_key("person:7"),
    ):
        assert {(g.role, g.scope) for g in principal.grants} == expected
        assert principal.person == "7"
        assert principal.keys == {key_of(house.ingrid), token_key(token), "person:7"}
        assert principal.name == "Ingrid Holm"
    assert house.authority.for_certificate_chain([house.anna.cert]).grants == frozenset()


def test_a_revoked_right_and_a_removed_credential_are_gone_at_the_next_call(house: House) -> None:
    token = new_token("hanse_user")
    authority = house.authority
    house.identity(token_key(token), "7")
    house.grant("person:7")
    assert authority.for_token(token).has("federation_operator", "federation")
    house.forget("grant")
    assert not authority.for_token(token).has("federation_operator", "federation")
    house.forget("identity")
    for call in (lambda: authority.for_token(token), lambda: authority.for_key(token_key(token))):
        with pytest.raises(Unauthorised):
            call()
    with pytest.raises(Unauthorised):
        authority.for_key("person:7")


def test_grants_and_identities_of_the_own_revision_log_count_while_they_are_current(house: House) -> None:
    key = key_of(house.ingrid)
    grant = {
        "principal": "person:7",
        "role": "federation_operator",
        "scope": "federation",
        "name": "Ingrid Holm",
    }
    with house.db.transaction() as session, change(session, ACTOR, "start") as c:
        c.put("identity", key, {"key": key, "person": "7", "site": None, "name": "Ingrid Holm"})
        c.put("grant", "1", grant)
    assert house.authority.for_certificate_chain([house.ingrid.cert]).grants == {OPERATOR}
    with house.db.transaction() as session, change(session, ACTOR, "other role") as c:
        c.put("grant", "1", {**grant, "role": "ngi_manager", "scope": "ngi:NGI_CZ"})
    assert house.authority.for_key(key).scopes("ngi_manager") == {"ngi:NGI_CZ"}
    assert not house.authority.for_key(key).scopes("federation_operator")
    with house.db.transaction() as session, change(session, ACTOR, "gone") as c:
        c.delete("grant", "1")
    assert house.authority.for_key(key).grants == frozenset()


def test_a_database_without_a_revision_log_serves(house: House, database_for: Any) -> None:
    db = database_for("hanse")
    with db.transaction() as session:
        session.execute(text("drop table history"))
    other = House(db, house.ca, house.ingrid, house.anna)
    other.grant(key_of(house.ingrid))
    assert other.authority.for_certificate_chain([house.ingrid.cert]).grants == {OPERATOR}


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("not_before", "not_after", "holds"),
    [
        (None, None, True),
        (NOW - timedelta(hours=1), NOW + timedelta(hours=1), True),
        (NOW + timedelta(hours=1), None, False),
        (None, NOW - timedelta(seconds=1), False),
        (NOW - timedelta(hours=2), NOW - timedelta(hours=1), False),
        ("next week", None, False),
        (None, "next week", False),
        ((NOW - timedelta(hours=1)).replace(tzinfo=None), None, True),
    ],
)
def test_the_validity_of_a_grant_is_honoured(
    house: House, not_before: datetime | str | None, not_after: datetime | str | None, holds: bool
) -> None:
    def written(moment: datetime | str | None) -> str | None:
        return moment.isoformat() if isinstance(moment, datetime) else moment

    house.grant(key_of(house.ingrid), not_before=written(not_before), not_after=written(not_after))
    principal = house.authority.for_certificate_chain([house.ingrid.cert])
    assert principal.has("federation_operator", "federation") is holds


def test_a_site_token_speaks_for_its_site(house: House) -> None:
    token = new_token("hanse_site")
    house.identity(token_key(token), None, site="CESNET", name="CESNET usage")
    house.grant(token_key(token), "site_machine", "site:CESNET")
    principal = house.authority.for_token(token)
    assert (principal.kind, principal.site, principal.person) == ("token", "CESNET", None)
    assert principal.has("site_machine", "site:CESNET")
    assert not principal.has("site_machine", "site:BIFI")
    assert principal.name == "CESNET usage"


def test_a_service_is_known_by_its_token(house: House) -> None:
    principal = house.authority.for_token("m-token")
    assert (principal.key, principal.kind) == ("service:monitoring", "service")
    assert principal.grants == {Grant("service", "federation", "monitoring")}
    assert house.authority.for_key("service:monitoring") == principal


@pytest.mark.parametrize("token", ["", "m-toke", "m-tokenx", "unknown", "token:x", "x509:y", "\x00", "ü"])
def test_an_unknown_token_is_refused(house: House, token: str) -> None:
    with pytest.raises(Unauthorised):
        house.authority.for_token(token)


@pytest.mark.parametrize(
    "key", ["", "x509:", "service:unknown", "service:", "nobody", "person:99", "token:00", "oidc:x"]
)
def test_a_session_of_nobody_is_refused(house: House, key: str) -> None:
    with pytest.raises(Unauthorised):
        house.authority.for_key(key)


def test_the_same_subject_of_another_ca_is_somebody_else(house: House, tmp_path: Path) -> None:
    other = CertificateAuthority.create(tmp_path, "Another CA").issue(
        "/C=EU/O=Hanse Demo/OU=People/CN=Ingrid Holm"
    )
    house.identity(key_of(house.ingrid), "7")
    house.grant("person:7")
    assert house.authority.for_certificate_chain([other.cert]).grants == frozenset()


def test_a_credential_that_two_people_claim_lends_nobodys_rights(house: House) -> None:
    key = key_of(house.anna)
    for source, person in (("registry", "7"), ("elsewhere", "8")):
        house.follow("identity", key, {"key": key, "person": person, "name": "?"}, source)
    house.grant("person:7")
    house.grant("person:8", "ngi_manager", "ngi:NGI_CZ")
    house.grant(key, "vo_member", "vo:chipster")
    principal = house.authority.for_certificate_chain([house.anna.cert])
    assert {g.role for g in principal.grants} == {"vo_member"}
    assert principal.person is None


def test_a_proxy_is_its_owner_for_as_long_as_the_proxy_lives(house: House) -> None:
    house.grant(key_of(house.ingrid))
    chain = certificates_of(create_proxy(house.ingrid.cert, house.ingrid.key, lifetime_s=600))
    principal = house.authority.for_certificate_chain(chain)
    assert principal.key == key_of(house.ingrid)
    assert principal.grants == {OPERATOR}
    assert principal.certificate_not_after == chain[0].not_valid_after_utc


def test_no_certificate_or_proxies_alone_are_refused(house: House) -> None:
    chain = certificates_of(create_proxy(house.ingrid.cert, house.ingrid.key))
    for bad in ([], chain[:1]):
        with pytest.raises(Unauthorised):
            house.authority.for_certificate_chain(bad)


def test_with_a_trust_store_a_chain_is_checked_again_at_every_call(house: House, tmp_path: Path) -> None:
    ca = CertificateAuthority.create(tmp_path, "Hanse Demo CA")
    owner = ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Laura Gil")
    authority = Authority(house.db, {}, TrustStore(ca.trust_dir))
    proxied = certificates_of(create_proxy(owner.cert, owner.key))
    assert authority.for_certificate_chain([owner.cert]).name == "Laura Gil"
    assert authority.for_certificate_chain(proxied).name == "Laura Gil"
    ca.revoke(owner.cert)
    for chain in ([owner.cert], proxied):
        with pytest.raises(Unauthorised, match="was revoked"):
            authority.for_certificate_chain(chain)
    with pytest.raises(Unauthorised, match="not signed by the trusted"):
        authority.for_certificate_chain([house.anna.cert])


def test_a_session_by_certificate_still_knows_the_certificate(house: House) -> None:
    identity = X509Identity.from_certificate(house.ingrid.cert)
    encoded = {
        "subject_der": base64.b64encode(identity.subject_der).decode(),
        "issuer_der": base64.b64encode(identity.issuer_der).decode(),
    }
    house.identity(identity.key, "7", **encoded)
    assert house.authority.for_key(identity.key).x509 == identity
    house.identity("token:aa", "7")
    assert house.authority.for_key("token:aa").x509 is None


def test_tokens_are_random_and_compared_whole() -> None:
    assert len({new_token("hanse_site") for _ in range(100)}) == 100
    assert new_token("hanse_site").startswith("hanse_site_")
    assert len(new_token("x")) > 40
    assert same_token("a", "a")
    assert not same_token("a", "ab")
    assert not same_token("ä", "a")
