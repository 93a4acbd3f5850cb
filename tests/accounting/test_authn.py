"""A certificate for a token: who gets one, what it is good for, and when it ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from demo.ca import CertificateAuthority, Issued
from hanse.http import Answer, fetch
from hanse.identity.principals import X509Identity
from hanse.identity.proxies import create_proxy
from tests.accounting.conftest import House
from tests.accounting.test_ams import PUBLISH, post, request_of
from tests.accounting.test_signatures import install
from tests.tls import serving

EXCHANGE = "/v1/service-types/ams/hosts/localhost:authx509"


@pytest.fixture
def tls(app: Flask, house: House) -> Iterator[str]:
    """The address of the TLS side."""
    with serving(app, house.settings) as address:
        yield address


@pytest.fixture
def bundle(ca: CertificateAuthority) -> Path:
    return ca.bundle


def exchange(tls: str, bundle: Path, host: Issued | None, path: str = EXCHANGE) -> Answer:
    cert = (host.cert_path, host.key_path) if host else None
    return fetch("GET", tls + path, cert=cert, ca=bundle, deadline_s=30)


def error_of(answer: Answer) -> tuple[int, str, str]:
    error = json.loads(answer.body)["error"]
    assert answer.status == error["code"]
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    return error["code"], error["message"], error["status"]


def test_a_registered_certificate_gets_a_token_that_publishes_for_its_site(
    house: House, client: FlaskClient, tls: str, bundle: Path, cast: Any
) -> None:
    answer = exchange(tls, bundle, cast.host("BIFI"))
    assert answer.status == 200
    token = answer.json()["token"]
    published = post(client, request_of(b"x"), {"x-api-key": token})
    assert published.status_code == 200
    stored = house.message(int(json.loads(published.data)["messageIds"][0]))
    key = X509Identity.from_certificate(cast.host("BIFI").cert).key
    assert (stored.sender_site, stored.sender) == ("BIFI", f"lent:{key}")
    assert post(client, request_of(b"y"), {}, f"{PUBLISH}?key={token}").status_code == 200


def test_asking_again_renews_and_the_older_token_holds_until_its_end(
    client: FlaskClient, tls: str, bundle: Path, cast: Any
) -> None:
    tokens = [exchange(tls, bundle, cast.host("BIFI")).json()["token"] for _ in range(2)]
    for token in tokens:
        assert post(client, request_of(b"x"), {"x-api-key": token}).status_code == 200


@pytest.mark.peer("curl")
def test_the_command_of_the_manual_gets_a_token(tls: str, bundle: Path, cast: Any, tmp_path: Path) -> None:
    host = cast.host("BIFI")
    given = ["--cert", host.cert_path, "--key", host.key_path, "--cacert", bundle]
    command = ["curl", "--silent", "--show-error", *given, tls + EXCHANGE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["token"].startswith("hanse_x509_")


def test_without_a_certificate_400_in_the_words_that_the_client_library_knows(
    client: FlaskClient, tls: str, bundle: Path, bifi_token: dict[str, str]
) -> None:
    assert error_of(exchange(tls, bundle, None)) == (400, "No certificate provided.", "BAD REQUEST")
    for headers in ({}, bifi_token, {"SSL-CLIENT-S-DN": "/C=EU/O=Hanse Demo/OU=BIFI/CN=acct.bifi.example"}):
        answer = client.get(EXCHANGE, headers=headers)  # the side without TLS: a token does not stand for one
        assert (answer.status_code, answer.json["error"]["status"]) == (400, "BAD REQUEST")  # type: ignore[index]


def test_a_certificate_that_speaks_for_no_site_is_404(tls: str, bundle: Path, cast: Any) -> None:
    code, message, status = error_of(exchange(tls, bundle, cast["Anna Lindqvist"]))
    assert (code, status) == (404, "NOT FOUND")
    assert "Binding was not found" in message


def test_another_type_of_service_is_404(tls: str, bundle: Path, cast: Any) -> None:
    path = "/v1/service-types/web-api/hosts/localhost:authx509"
    assert error_of(exchange(tls, bundle, cast.host("BIFI"), path))[0] == 404


def test_a_proxy_of_the_host_gets_no_token(tls: str, bundle: Path, cast: Any, tmp_path: Path) -> None:
    host = cast.host("BIFI")
    path = tmp_path / "proxy.pem"
    path.write_bytes(create_proxy(host.cert, host.key))
    code, message, _ = error_of(fetch("GET", tls + EXCHANGE, cert=(path, path), ca=bundle, deadline_s=30))
    assert code == 401
    assert "show the host certificate itself" in message


def test_an_operator_who_is_also_a_machine_lends_the_token_the_rights_of_the_machine_only(
    house: House, client: FlaskClient, tls: str, bundle: Path, cast: Any
) -> None:
    key = X509Identity.from_certificate(cast.host("BIFI").cert).key
    house.grant(key, "federation_operator", "federation", "Ingrid Holm")
    token = exchange(tls, bundle, cast.host("BIFI")).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/v1/overview", headers=headers).status_code == 403
    assert client.get("/api/v1/sites/BIFI/messages", headers=headers).status_code == 200


def test_nobody_signs_in_with_such_a_token(
    house: House, client: FlaskClient, tls: str, bundle: Path, cast: Any
) -> None:
    """A session knows its owner by key, and would have all rights of the certificate's owner."""
    key = X509Identity.from_certificate(cast.host("BIFI").cert).key
    house.grant(key, "federation_operator", "federation", "Ingrid Holm")
    token = exchange(tls, bundle, cast.host("BIFI")).json()["token"]
    answer = client.post("/signin", data={"token": token})
    assert answer.status_code == 422
    assert "sign in with the certificate itself" in answer.text
    assert client.get("/api/v1/overview").status_code == 401


def test_the_token_ends_with_the_registration_of_the_certificate(
    house: House, client: FlaskClient, tls: str, bundle: Path, cast: Any
) -> None:
    host = cast.host("BIFI")
    token = exchange(tls, bundle, host).json()["token"]
    key = X509Identity.from_certificate(host.cert).key
    house.forget("grant", f"{key} site_machine site:BIFI")
    assert post(client, request_of(b"x"), {"x-api-key": token}).status_code == 403
    assert exchange(tls, bundle, host).status == 404


def test_a_revoked_certificate_gets_no_token_and_its_token_ends(
    house: House, client: FlaskClient, app: Flask, bundle: Path, tmp_path: Path
) -> None:
    own = CertificateAuthority.create(tmp_path / "own", "/C=EU/O=Hanse Demo/CN=Own CA")
    install(own, house)
    host = own.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=own.bifi.example", host="own.bifi.example")
    house.register("BIFI", host)
    with serving(app, house.settings) as tls:
        token = exchange(tls, bundle, host).json()["token"]
        assert post(client, request_of(b"x"), {"x-api-key": token}).status_code == 200
        own.revoke(host.cert)
        install(own, house)
        assert post(client, request_of(b"y"), {"x-api-key": token}).status_code == 401
        assert error_of(exchange(tls, bundle, host))[0] == 401


def test_a_forged_token_is_401_in_the_envelope(client: FlaskClient) -> None:
    answer = post(client, request_of(b"x"), {"x-api-key": "hanse_x509_eyJrZXkiOiJ4NTA5OjEifQ.AAAA"})
    assert answer.status_code == 401
    assert answer.json == {"error": {"code": 401, "message": "Unauthorized", "status": "UNAUTHORIZED"}}
