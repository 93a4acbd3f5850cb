"""Signing in and out, forged requests, and what a cookie may and may not do."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from werkzeug.http import parse_cookie

from hanse.settings import ServiceSettings
from hanse.web.sessions import local_return, safe_return
from hanse.web.signin import TRIES_PER_MINUTE, Throttle
from tests.hanse.web_service import WebHouse, build, token_of


def form_secret(page: str) -> str:
    found = re.search(r'<meta name="csrf-token" content="([^"]+)"', page)
    assert found is not None
    return found[1]


def test_a_token_signs_in_and_leads_to_the_page_that_was_wanted(web_house: WebHouse) -> None:
    client = web_house.app.test_client()
    refused = client.get("/sites/CESNET/close")
    assert refused.status_code == 401
    assert "a site administrator of site CESNET or a federation operator may close this site" in refused.text
    assert 'href="/signin?next=%2Fsites%2FCESNET%2Fclose"' in refused.text
    form = client.get("/signin?next=/sites/CESNET/close")
    assert 'name="next" value="/sites/CESNET/close"' in form.text
    answer = client.post("/signin", data={"token": token_of("Eliška Malá"), "next": "/sites/CESNET/close"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sites/CESNET/close")
    page = client.get("/sites/CESNET/close")
    assert page.status_code == 200
    assert "Eliška Malá" in page.text
    assert "site administrator, CESNET" in page.text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(web_house: WebHouse) -> None:
    answer = web_house.app.test_client().post("/signin", data={"token": token_of("Anna Lindqvist")})
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("hanse_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert token_of("Anna Lindqvist") not in cookie


def test_the_cookie_goes_over_https_only_where_cookies_are_secure(
    web_house: WebHouse, settings_for: Any
) -> None:
    secure = build(web_house.db, settings_for(ServiceSettings, "registry", web_house.db, secure_cookies=True))
    answer = secure.app.test_client().post("/signin", data={"token": token_of("Anna Lindqvist")})
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_wrong_token_keeps_the_form_and_says_so(web_house: WebHouse) -> None:
    answer = web_house.app.test_client().post("/signin", data={"token": "wrong", "next": "/sites"})
    assert answer.status_code == 422
    assert "Set-Cookie" not in answer.headers
    assert 'aria-invalid="true"' in answer.text
    assert 'value="/sites"' in answer.text
    assert 'value="wrong"' not in answer.text


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/a\nb", ""],
)
def test_sign_in_by_token_leads_to_local_paths_only(web_house: WebHouse, target: str) -> None:
    answer = web_house.app.test_client().post(
        "/signin", data={"token": token_of("Anna Lindqvist"), "next": target}
    )
    assert answer.headers["Location"] == "/"
    assert local_return(target) == "/"


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("http://localhost:7020/usage?by=vo", True),
        ("https://localhost:7011/sites", True),
        ("/sites", True),
        ("http://localhost:7021/usage", False),
        ("https://localhost:7020/usage", False),
        ("http://localhost:7020@evil.example/", False),
        ("http://user@localhost:7020/", False),
        ("https://evil.example/", False),
        ("//localhost:7020/", False),
        ("http:/\\evil.example", False),
        ("javascript://localhost:7010/%0aalert(1)", False),
    ],
)
def test_certificate_sign_in_leads_to_our_services_only(
    web_house: WebHouse, target: str, allowed: bool
) -> None:
    assert safe_return(target, web_house.settings) == (target if allowed else "/")


def test_many_tries_are_held_up(web_house: WebHouse) -> None:
    client = web_house.app.test_client()
    answers = [client.post("/signin", data={"token": "wrong"}) for _ in range(TRIES_PER_MINUTE + 1)]
    assert [answer.status_code for answer in answers] == [422] * TRIES_PER_MINUTE + [429]
    assert answers[-1].headers["Retry-After"] == "60"


def test_a_throttle_counts_each_key_for_itself_and_forgets() -> None:
    throttle = Throttle(2, 0.05)
    assert [throttle.admit("a"), throttle.admit("a"), throttle.admit("a"), throttle.admit("b")] == [
        True,
        True,
        False,
        True,
    ]

    time.sleep(0.06)
    assert throttle.admit("a")


def test_a_withdrawn_token_ends_the_session_at_once(web_house: WebHouse) -> None:
    browser = web_house.browser("Eliška Malá")
    assert browser.get("/sites/CESNET/close").status_code == 200
    web_house.withdraw("Eliška Malá")
    assert browser.get("/sites/CESNET/close").status_code == 401
    assert browser.get("/sites").status_code == 200


def test_a_session_ends_after_8_hours(web_house: WebHouse) -> None:
    now = datetime.now(UTC)
    browser = web_house.browser("Eliška Malá")
    with time_machine.travel(now + timedelta(hours=7, minutes=59), tick=True):
        assert browser.get("/api/v1/me").status_code == 200
    with time_machine.travel(now + timedelta(hours=8, minutes=1), tick=True):
        assert browser.get("/api/v1/me").status_code == 401


def test_a_cookie_signed_with_another_key_is_nobodys(web_house: WebHouse) -> None:
    forger = Flask("forger")
    forger.secret_key = "guessed by somebody else"
    signer = SecureCookieSessionInterface().get_signing_serializer(forger)
    assert signer is not None
    forged = signer.dumps({"key": "service:monitoring", "csrf": "x", "how": "token"})
    client = web_house.app.test_client()
    client.set_cookie("hanse_session", str(forged))
    assert client.get("/api/v1/me").status_code == 401


def test_a_service_of_the_federation_takes_the_session_of_another(
    web_house: WebHouse, settings_for: Any
) -> None:
    cookie = web_house.app.test_client().post("/signin", data={"token": token_of("Ingrid Holm")})
    value = parse_cookie(cookie.headers["Set-Cookie"].partition(";")[0])["hanse_session"]
    other = build(web_house.db, settings_for(ServiceSettings, "accounting", web_house.db))
    client = other.app.test_client()
    client.set_cookie("hanse_session", value)
    answer = client.get("/api/v1/me")
    assert answer.json is not None
    assert answer.json["name"] == "Ingrid Holm"


def test_a_form_without_its_secret_is_refused(web_house: WebHouse) -> None:
    browser = web_house.browser("Eliška Malá")
    for data in ({}, {"csrf_token": ""}, {"csrf_token": "guessed"}, {"csrf_token": "Ü"}):
        answer = browser.post("/sites/CESNET/close", data=data, headers={"Origin": "http://localhost"})
        assert answer.status_code == 403
        assert "older sign-in or from elsewhere" in answer.text


def test_a_form_with_its_secret_is_taken(web_house: WebHouse) -> None:
    browser = web_house.browser("Eliška Malá")
    secret = form_secret(browser.get("/sites/CESNET/close").text)
    assert browser.post("/sites/CESNET/close", data={"csrf_token": secret}).status_code == 303
    by_script = browser.post("/sites/CESNET/close", headers={"X-CSRF-Token": secret})
    assert by_script.status_code == 303


def test_the_secret_of_another_session_does_not_help(web_house: WebHouse) -> None:
    others = form_secret(web_house.browser("Anna Lindqvist").get("/sites").text)
    answer = web_house.browser("Eliška Malá").post("/sites/CESNET/close", data={"csrf_token": others})
    assert answer.status_code == 403


def test_the_api_asks_a_session_for_the_secret_too(web_house: WebHouse) -> None:
    browser = web_house.browser("Ingrid Holm")
    secret = form_secret(browser.get("/sites").text)
    body = {"name": "NEW", "vcpu": 1}
    assert browser.post("/api/v1/sites", json=body).status_code == 403
    assert browser.delete("/api/v1/sites/CESNET").status_code == 403
    taken = browser.post("/api/v1/sites", json=body, headers={"X-CSRF-Token": secret})
    assert taken.status_code == 201


def test_a_program_with_a_token_needs_no_secret(web_house: WebHouse) -> None:
    assert web_house.client("Eliška Malá").post("/sites/CESNET/close").status_code == 303


def test_another_web_site_cannot_send_an_open_form(web_house: WebHouse) -> None:
    client = web_house.app.test_client()
    assert client.post("/hello", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post("/hello", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post("/hello", headers={"Origin": "null"}).status_code == 403
    assert client.post("/hello", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert client.post("/hello", headers={"Origin": "http://localhost"}).status_code == 200
    assert client.post("/hello").status_code == 200


def test_another_web_site_cannot_sign_somebody_in(web_house: WebHouse) -> None:
    answer = web_house.app.test_client().post(
        "/signin", data={"token": token_of("Anna Lindqvist")}, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_signing_out_takes_the_form_secret_and_drops_the_cookie(web_house: WebHouse) -> None:
    browser = web_house.browser("Anna Lindqvist")
    assert browser.post("/signout").status_code == 403
    secret = form_secret(browser.get("/sites").text)
    assert browser.post("/signout", data={"csrf_token": secret}).status_code == 303
    assert browser.get("/api/v1/me").status_code == 401


def test_a_protocol_does_not_see_the_cookie(web_house: WebHouse) -> None:
    browser = web_house.browser("Ingrid Holm")
    assert browser.get("/old/whoami").text == "anonymous"
    assert "<error>" in browser.get("/old/sites").text
    assert browser.post("/old/whoami").text == "anonymous"


def test_a_protocol_takes_a_token_and_says_errors_its_own_way(web_house: WebHouse) -> None:
    client = web_house.app.test_client()
    assert client.get(f"/old/whoami?key={token_of('Ingrid Holm')}").text == "Ingrid Holm"
    assert web_house.client("Ingrid Holm").get("/old/sites").text == "<sites/>"
    refused = client.get("/old/sites")
    assert (refused.status_code, refused.content_type) == (200, "application/xml")
    assert refused.text.startswith("<error>Sign in")


def test_a_token_in_the_address_counts_where_the_protocol_says_so_only(web_house: WebHouse) -> None:
    answer = web_house.app.test_client().get(f"/api/v1/me?key={token_of('Ingrid Holm')}")
    assert answer.status_code == 401


INGRID = "/C=EU/O=Hanse Demo/OU=People/CN=Ingrid Holm"


@pytest.mark.parametrize(
    "header",
    [
        {"SSL-CLIENT-S-DN": INGRID, "SSL-CLIENT-VERIFY": "SUCCESS"},
        {"SSL_CLIENT_S_DN": INGRID, "SSL_CLIENT_VERIFY": "SUCCESS"},
        {"X-SSL-Client-Cert": "-----BEGIN CERTIFICATE-----", "X-SSL-Client-S-DN": INGRID},
        {"X-Forwarded-User": "Ingrid Holm", "X-Forwarded-Email": "ingrid@example.org"},
        {"Remote-User": "Ingrid Holm", "X-Remote-User": "Ingrid Holm"},
        {"X-Client-Cert": INGRID, "X-Forwarded-Client-Cert": f'Subject="{INGRID}"'},
        {"Hanse-Principal": "service:monitoring", "X-Auth-Request-User": "Ingrid Holm"},
        {"Gunicorn.Socket": "x", "X-Hanse-Test-Chain": INGRID},
    ],
)
@pytest.mark.parametrize("address", ["/api/v1/me", "/sites/CESNET/close", "/signin/certificate"])
def test_headers_that_claim_an_identity_are_not_read(
    web_house: WebHouse, header: dict[str, str], address: str
) -> None:
    answer = web_house.app.test_client().get(address, headers=header)
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert web_house.app.test_client().get("/old/whoami", headers=header).text == "anonymous"


def test_basic_authentication_is_no_way_in(web_house: WebHouse) -> None:
    answer = web_house.app.test_client().get("/api/v1/me", auth=("Ingrid Holm", token_of("Ingrid Holm")))
    assert answer.status_code == 401
