"""The TLS side: certificates in the handshake say who is calling, and start a session that the plain side knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from demo.ca import CertificateAuthority, Issued
from hanse.database import Database
from hanse.identity.principals import X509Identity
from hanse.identity.proxies import create_proxy
from hanse.settings import ServiceSettings
from tests.hanse.web_service import WebHouse, build
from tests.tls import serving


@dataclass
class TwoSides:
    """The same application on a plain and on a TLS port."""

    house: WebHouse
    plain: str
    tls: str
    bundle: str

    def session(self, issued: Issued | None = None) -> requests.Session:
        """A client that trusts the test CA and shows a certificate, if any."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.bundle
        if issued:
            session.cert = (str(issued.cert_path), str(issued.key_path))
        return session


@pytest.fixture
def sides(
    ground: Database, settings_for: Callable[..., Any], ca: CertificateAuthority, cast: Any
) -> Iterator[TwoSides]:
    settings = settings_for(ServiceSettings, "registry", ground)
    probe = build(ground, settings)
    with serving(probe.app) as plain, serving(probe.app, settings) as tls:
        # the addresses are known now; the application that is served learns them
        held = probe.app.extensions["hanse"]
        known = settings.model_copy(update={"url": plain, "tls_url": tls})
        object.__setattr__(held, "settings", known)
        yield TwoSides(probe, plain, tls, str(ca.bundle))


def test_a_certificate_is_known_by_its_names(sides: TwoSides, cast: Any) -> None:
    anna = cast["Anna Lindqvist"]
    who = sides.session(anna).get(f"{sides.tls}/api/v1/me").json()
    assert who["kind"] == "x509"
    assert who["key"] == X509Identity.from_certificate(anna.cert).key
    assert who["subject"] == "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"


def test_a_certificate_brings_its_roles(sides: TwoSides, cast: Any) -> None:
    laura = cast["Laura Gil"]
    key = X509Identity.from_certificate(laura.cert).key
    client = sides.session(laura)
    assert client.delete(f"{sides.tls}/api/v1/sites/BIFI").status_code == 403
    sides.house.grant(key, "site_administrator", "site:BIFI")
    assert client.delete(f"{sides.tls}/api/v1/sites/BIFI").status_code == 204
    assert client.delete(f"{sides.tls}/api/v1/sites/CESNET").status_code == 403


def test_without_a_certificate_the_tls_side_serves_everybody(sides: TwoSides) -> None:
    client = sides.session()
    assert client.get(f"{sides.tls}/sites").status_code == 200
    assert client.get(f"{sides.tls}/api/v1/me").status_code == 401
    page = client.get(f"{sides.tls}/signin/certificate")
    assert page.status_code == 401
    assert "showed no client certificate" in page.text


def test_a_revoked_certificate_gets_nowhere(
    sides: TwoSides, ca: CertificateAuthority, settings_for: Any
) -> None:
    mallory = ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Mallory of the web tests")
    assert sides.session(mallory).get(f"{sides.tls}/api/v1/me").status_code == 200
    ca.revoke(mallory.cert)
    for crl in ca.trust_dir.glob("*.r0"):
        (sides.house.settings.trust_dir / crl.name).write_bytes(crl.read_bytes())
    # the context of this server was built before; the check of the chain at each request sees the new list
    answer = sides.session(mallory).get(f"{sides.tls}/api/v1/me")
    assert answer.status_code == 401
    assert "revoked" in answer.json()["detail"]


def test_signing_in_with_a_certificate_counts_on_the_plain_side(sides: TwoSides, cast: Any) -> None:
    anna = cast["Anna Lindqvist"]
    browser = sides.session(anna)
    form = browser.get(f"{sides.plain}/signin?next=/sites")
    assert f"{sides.tls}/signin/certificate?next=" in form.text
    answer = browser.get(
        f"{sides.tls}/signin/certificate", params={"next": f"{sides.plain}/sites"}, allow_redirects=False
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{sides.plain}/sites")
    who = browser.get(f"{sides.plain}/api/v1/me").json()
    assert who["key"] == X509Identity.from_certificate(anna.cert).key
    assert who["subject"] == "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"
    assert "Anna Lindqvist" in browser.get(f"{sides.plain}/sites").text


def test_revoking_a_certificate_ends_its_session_on_the_plain_side_too(
    sides: TwoSides, ca: CertificateAuthority
) -> None:
    mallory = ca.issue("/C=EU/O=Hanse Demo/OU=People/CN=Mallory of the sessions")
    browser = sides.session(mallory)
    browser.get(f"{sides.tls}/signin/certificate", params={"next": f"{sides.plain}/sites"})
    assert browser.get(f"{sides.plain}/api/v1/me").status_code == 200
    ca.revoke(mallory.cert)
    for crl in ca.trust_dir.glob("*.r0"):
        (sides.house.settings.trust_dir / crl.name).write_bytes(crl.read_bytes())
    assert browser.get(f"{sides.plain}/api/v1/me").status_code == 401
    assert browser.get(f"{sides.plain}/sites").status_code == 200


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_certificate_sign_in_sends_nobody_elsewhere(sides: TwoSides, cast: Any, target: str) -> None:
    answer = sides.session(cast["Anna Lindqvist"]).get(
        f"{sides.tls}/signin/certificate", params={"next": target}, allow_redirects=False
    )
    assert answer.headers["Location"] == "/"


def test_a_proxy_signs_in_as_its_owner(sides: TwoSides, cast: Any, tmp_path: Any) -> None:
    anna = cast["Anna Lindqvist"]
    proxy = tmp_path / "proxy.pem"
    proxy.write_bytes(create_proxy(anna.cert, anna.key, [], 3600))
    client = sides.session()
    client.cert = str(proxy)
    who = client.get(f"{sides.tls}/api/v1/me").json()
    assert who["key"] == X509Identity.from_certificate(anna.cert).key


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
def test_another_web_site_cannot_use_the_certificate_in_the_browser(
    sides: TwoSides, cast: Any, headers: dict[str, str]
) -> None:
    laura = cast["Laura Gil"]
    sides.house.grant(X509Identity.from_certificate(laura.cert).key, "site_administrator", "site:BIFI")
    browser = sides.session(laura)
    by_form = browser.post(f"{sides.tls}/sites/BIFI/close", headers=headers, allow_redirects=False)
    by_script = browser.delete(f"{sides.tls}/api/v1/sites/BIFI", headers=headers)
    assert (by_form.status_code, by_script.status_code) == (403, 403)


def test_our_own_page_can_use_the_certificate_in_the_browser(sides: TwoSides, cast: Any) -> None:
    laura = cast["Laura Gil"]
    sides.house.grant(X509Identity.from_certificate(laura.cert).key, "site_administrator", "site:BIFI")
    browser = sides.session(laura)
    answer = browser.post(
        f"{sides.tls}/sites/BIFI/close", headers={"Origin": sides.tls}, allow_redirects=False
    )
    assert answer.status_code == 303
    # a browser always says where a form comes from; one that does not is none
    assert browser.post(f"{sides.tls}/sites/BIFI/close", allow_redirects=False).status_code == 403


def test_headers_that_claim_an_identity_are_not_read_on_the_tls_side_either(
    sides: TwoSides, cast: Any
) -> None:
    claim = {"SSL-CLIENT-S-DN": "/C=EU/O=Hanse Demo/OU=People/CN=Ingrid Holm", "X-Forwarded-User": "ingrid"}
    who = sides.session(cast["Anna Lindqvist"]).get(f"{sides.tls}/api/v1/me", headers=claim).json()
    assert who["name"] == "Anna Lindqvist"


def test_hsts_is_said_over_tls_where_all_is_https(
    sides: TwoSides, settings_for: Any, ground: Database
) -> None:
    assert "Strict-Transport-Security" not in sides.session().get(f"{sides.tls}/sites").headers
    secure = build(ground, settings_for(ServiceSettings, "registry", ground, secure_cookies=True))
    with serving(secure.app, secure.settings) as tls:
        assert "max-age" in sides.session().get(f"{tls}/sites").headers["Strict-Transport-Security"]
    plain = secure.app.test_client().get("/sites")
    assert "Strict-Transport-Security" not in plain.headers
