"""Signing in with an OpenID Connect provider, and what a provider or a stranger may try meanwhile."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from joserfc import jwt
from pydantic import ValidationError
from werkzeug.test import TestResponse

from hanse.database import Database
from hanse.errors import Unavailable
from hanse.identity import oidc
from hanse.identity.oidc_tokens import TokenFault, keys_of, signed_claims
from hanse.identity.principals import oidc_key
from hanse.identity.providers import SignInProvider
from hanse.settings import ServiceSettings, SettingsError
from tests.hanse.oidc_provider import CLIENT, KEYS, SECRET, LyingProvider, lying_provider, public
from tests.hanse.web_service import WebHouse, build

AUDIENCE = "hanse-api"


@pytest.fixture
def idp() -> Iterator[LyingProvider]:
    with lying_provider() as provider:
        yield provider


def the_settings(idp: LyingProvider, **changes: Any) -> SignInProvider:
    given = {"issuer": idp.issuer, "client_id": CLIENT, "client_secret": SECRET, "nearby": True}
    return SignInProvider(**{**given, "button": "Sign in with Uni", **changes})


@pytest.fixture
def house(ground: Database, settings_for: Callable[..., Any], idp: LyingProvider) -> WebHouse:
    settings = settings_for(
        ServiceSettings,
        "registry",
        ground,
        url="http://localhost:7010",
        sign_in={"uni": the_settings(idp, audience=AUDIENCE)},
    )
    return build(ground, settings)


def begin(browser: FlaskClient, target: str = "/sites") -> str:
    answer = browser.get("/signin/with/uni", query_string={"next": target})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def come_back(browser: FlaskClient, brought: dict[str, str]) -> TestResponse:
    return browser.get("/signin/with/uni/answer", query_string=brought)


def refused(answer: TestResponse, words: str, status: int = 401) -> None:
    assert answer.status_code == status, answer.text
    assert words in answer.text
    assert "Sign in with the token" in answer.text, "other ways stay open"
    assert not any(cookie.startswith("hanse_session=e") for cookie in answer.headers.getlist("Set-Cookie"))


def who(browser: FlaskClient) -> dict[str, Any] | None:
    answer = browser.get("/api/v1/me")
    return answer.get_json() if answer.status_code == 200 else None


def test_a_sign_in_leads_back_to_the_page_that_was_wanted(house: WebHouse, idp: LyingProvider) -> None:
    browser = house.app.test_client()
    page = browser.get("/signin?next=/sites").text
    assert 'href="http://localhost:7010/signin/with/uni?next=%2Fsites">Sign in with Uni' in page
    address = begin(browser)
    asked = parse_qs(urlsplit(address).query)
    assert asked["redirect_uri"] == ["http://localhost:7010/signin/with/uni/answer"]
    assert asked["scope"] == ["openid email profile"]
    answer = come_back(browser, idp.agree(address))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sites")
    me = who(browser)
    assert me is not None
    key = oidc_key(idp.issuer, "anna-4711")
    assert (me["key"], me["kind"], me["name"]) == (key, "oidc", "Anna Lindqvist")
    assert "anna-4711" in browser.get("/sites").text


def test_what_is_granted_to_the_subject_counts_at_once(house: WebHouse, idp: LyingProvider) -> None:
    browser = house.app.test_client()
    come_back(browser, idp.agree(begin(browser)))
    assert browser.get("/sites/CESNET/close").status_code == 403
    house.grant(oidc_key(idp.issuer, "anna-4711"), "site_administrator", "site:CESNET")
    assert browser.get("/sites/CESNET/close").status_code == 200
    other = house.app.test_client()
    idp.person["sub"] = "anna-4712"
    come_back(other, idp.agree(begin(other)))
    assert other.get("/sites/CESNET/close").status_code == 403


def test_signing_out_ends_it(house: WebHouse, idp: LyingProvider) -> None:
    browser = house.app.test_client()
    come_back(browser, idp.agree(begin(browser)))
    page = browser.get("/sites").text
    secret = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    assert browser.post("/signout", data={"csrf_token": secret}).status_code == 303
    assert who(browser) is None


def test_name_and_address_are_asked_for_where_the_token_has_none(house: WebHouse, idp: LyingProvider) -> None:
    idp.person = {"sub": "x"}
    idp.userinfo = {"sub": "x", "given_name": "Anna", "family_name": "Lindqvist", "email": "a@b.example"}
    browser = house.app.test_client()
    come_back(browser, idp.agree(begin(browser)))
    assert (who(browser) or {})["name"] == "Anna Lindqvist"
    idp.userinfo = {"sub": "somebody else", "name": "Ingrid Holm"}
    come_back(browser, idp.agree(begin(browser)))
    assert (who(browser) or {})["name"] == "x"


def test_it_leads_to_pages_of_this_service_only(house: WebHouse, idp: LyingProvider) -> None:
    browser = house.app.test_client()
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example", "/a\nb"):
        answer = come_back(browser, idp.agree(begin(browser, target)))
        assert answer.headers["Location"] == "/"


# --- another browser, another time, another provider ---


def test_a_code_given_to_another_browser_signs_nobody_in(house: WebHouse, idp: LyingProvider) -> None:
    """Login CSRF: the victim is made to open the attacker's answer."""
    brought = idp.agree(begin(house.app.test_client()))
    victim = house.app.test_client()
    refused(come_back(victim, brought), "not begun in this browser")
    begin(victim)
    refused(come_back(victim, brought), "not begun in this browser")
    assert who(victim) is None


def test_an_answer_serves_once(house: WebHouse, idp: LyingProvider) -> None:
    browser = house.app.test_client()
    brought = idp.agree(begin(browser))
    assert come_back(browser, brought).status_code == 303
    refused(come_back(browser, brought), "was used already")


def test_a_kept_cookie_does_not_make_a_code_good_again(house: WebHouse, idp: LyingProvider) -> None:
    browser = house.app.test_client()
    brought = idp.agree(begin(browser))
    name = "hanse_signin_" + brought["state"][:8]
    kept = browser.get_cookie(name, path="/signin/with")
    assert kept is not None
    come_back(browser, brought)
    browser.set_cookie(name, kept.value, path="/signin/with")
    refused(come_back(browser, brought), "does not accept the code any more")


def test_an_answer_that_comes_too_late_is_refused(
    house: WebHouse, idp: LyingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = house.app.test_client()
    brought = idp.agree(begin(browser))
    later = time.time() + 601
    monkeypatch.setattr(time, "time", lambda: later)
    refused(come_back(browser, brought), "older than 10 minutes")


def test_who_answers_must_be_who_was_asked(house: WebHouse, idp: LyingProvider) -> None:
    """RFC 9207."""
    browser = house.app.test_client()
    brought = idp.agree(begin(browser))
    refused(come_back(browser, {**brought, "iss": "https://other.example"}), "another provider")
    assert come_back(browser, {**idp.agree(begin(browser)), "iss": idp.issuer}).status_code == 303


def test_a_provider_that_promises_to_name_itself_must(house: WebHouse, idp: LyingProvider) -> None:
    idp.configuration["authorization_response_iss_parameter_supported"] = True
    browser = house.app.test_client()
    refused(come_back(browser, idp.agree(begin(browser))), "another provider")


def test_a_refusal_there_is_told_here_in_our_words(house: WebHouse, idp: LyingProvider) -> None:
    browser = house.app.test_client()
    state = idp.agree(begin(browser))["state"]
    said = {"error": "access_denied", "error_description": "<script>call 555</script>", "state": state}
    answer = come_back(browser, said)
    refused(answer, "The sign-in was refused or called off there.")
    assert "555" not in answer.text
    assert state not in answer.text


def test_only_the_last_attempts_of_a_browser_are_kept(house: WebHouse, idp: LyingProvider) -> None:
    browser = house.app.test_client()
    attempts = [begin(browser, "/" + "x" * length) for length in (*range(394, 400), 4000, 399)]
    names = [
        cookie.key for cookie in (browser._cookies or {}).values() if cookie.key.startswith("hanse_signin_")
    ]
    assert len(names) <= 4
    cookies = browser.get("/signin/with/none").request.headers["Cookie"]
    assert len(cookies) < 6000, "they must fit into one line"
    assert come_back(browser, idp.agree(attempts[-1])).status_code == 303


# --- what a token may not be ---


def spoilt(**changes: Any) -> Callable[[LyingProvider], Callable[[dict[str, Any]], str]]:
    return lambda idp: (
        lambda claims: idp.signed(
            {name: value for name, value in {**claims, **changes}.items() if value is not None}
        )
    )


def by_mac(idp: LyingProvider) -> Callable[[dict[str, Any]], str]:
    """HS256 with the public key as the secret, as a confused verifier would take it."""
    text = KEYS[0].as_pem(private=False)

    def made(claims: dict[str, Any]) -> str:
        said = [json.dumps({"alg": "HS256", "kid": "first"}).encode(), json.dumps(claims).encode()]
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in said)
        mac = base64.urlsafe_b64encode(hmac.digest(text, signed, "sha256")).rstrip(b"=")
        return (signed + b"." + mac).decode()

    return made


def unsigned(idp: LyingProvider) -> Callable[[dict[str, Any]], str]:
    def made(claims: dict[str, Any]) -> str:
        parts = [json.dumps({"alg": "none"}).encode(), json.dumps(claims).encode(), b""]
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)

    return made


def by_another_key(idp: LyingProvider) -> Callable[[dict[str, Any]], str]:
    return lambda claims: jwt.encode({"alg": "RS256", "kid": "first"}, claims, KEYS[1])


def with_its_own_key(idp: LyingProvider) -> Callable[[dict[str, Any]], str]:
    header = {"alg": "RS256", "jwk": public(KEYS[1])}
    return lambda claims: jwt.encode(header, claims, KEYS[1])


Lie = Callable[[LyingProvider], Callable[[dict[str, Any]], str]]
LIES: dict[str, Lie] = {
    "another issuer": spoilt(iss="https://other.example"),
    "another client": spoilt(aud="another-client"),
    "another client too": spoilt(aud=[CLIENT, "another-client"]),
    "another party": spoilt(aud=[CLIENT, "another-client"], azp="another-client"),
    "no audience": spoilt(aud=None),
    "too old": spoilt(exp=int(time.time()) - 3600),
    "no end": spoilt(exp=None),
    "endless": spoilt(exp=float("inf")),
    "of the future": spoilt(iat=int(time.time()) + 3600),
    "not yet": spoilt(nbf=int(time.time()) + 3600),
    "another nonce": spoilt(nonce="of another sign-in"),
    "no nonce": spoilt(nonce=None),
    "no subject": spoilt(sub=None),
    "an empty subject": spoilt(sub=""),
    "a long subject": spoilt(sub="x" * 256),
    "a subject of two lines": spoilt(sub="two\nlines"),
    "a number as subject": spoilt(sub=17),
    "another access token": spoilt(at_hash="of another token"),
    "a MAC": by_mac,
    "no signature": unsigned,
    "another key": by_another_key,
    "a key of its own": with_its_own_key,
    "no token": lambda idp: lambda claims: "not.a.token",
    "an unknown key": lambda idp: lambda claims: idp.signed(claims, kid="nobody's"),
    "a long one": lambda idp: lambda claims: idp.signed({**claims, "padding": "x" * 40_000}),
}


def test_a_token_that_proves_nothing_signs_nobody_in(house: WebHouse, idp: LyingProvider) -> None:
    browser = house.app.test_client()
    for name, lie in LIES.items():
        idp.spoil = lie(idp)
        answer = come_back(browser, idp.agree(begin(browser)))
        assert answer.status_code == 401, name
        refused(answer, "gave a token that proves nothing")
        assert who(browser) is None, name


def test_clocks_may_differ_a_little(house: WebHouse, idp: LyingProvider) -> None:
    now = int(time.time())
    idp.spoil = lambda claims: idp.signed({**claims, "iat": now + 60, "nbf": now + 60, "exp": now - 60})
    browser = house.app.test_client()
    assert come_back(browser, idp.agree(begin(browser))).status_code == 303


def test_several_audiences_with_us_as_the_party_are_taken(house: WebHouse, idp: LyingProvider) -> None:
    idp.spoil = lambda claims: idp.signed({**claims, "aud": [CLIENT, "other"], "azp": CLIENT})
    browser = house.app.test_client()
    assert come_back(browser, idp.agree(begin(browser))).status_code == 303


def test_weak_and_private_keys_are_not_taken() -> None:
    octet = {"kty": "oct", "k": "c2VjcmV0", "kid": "mac"}
    encryption = {**public(KEYS[0]), "use": "enc"}
    small = {"kty": "RSA", "kid": "small", "e": "AQAB", "n": base64.urlsafe_b64encode(b"\x81" * 64).decode()}
    document = {"keys": [octet, encryption, small, {"kty": "RSA"}, {"kty": "new"}, 17, public(KEYS[1])]}
    assert [key.kid for key in keys_of(document)] == ["second"]
    with pytest.raises(TokenFault, match="no list"):
        keys_of({"keys": "x"})
    critical = jwt.encode({"alg": "RS256", "crit": ["b64"], "b64": True}, {}, KEYS[1])
    with pytest.raises(TokenFault):
        signed_claims(critical, keys_of(document))


# --- the provider changes, or is away ---


def test_new_keys_of_the_provider_are_fetched_and_not_at_every_token(
    house: WebHouse, idp: LyingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_KEYS_AGAIN_S", 0.0)
    browser = house.app.test_client()
    assert come_back(browser, idp.agree(begin(browser))).status_code == 303
    idp.key, idp.keys = KEYS[1], [public(KEYS[1])]
    assert come_back(browser, idp.agree(begin(browser))).status_code == 303
    assert idp.asked.count("/keys") == 2
    monkeypatch.setattr(oidc, "_KEYS_AGAIN_S", 3600.0)
    idp.spoil = lambda claims: idp.signed(claims, kid="made up")
    for _ in range(3):
        refused(come_back(browser, idp.agree(begin(browser))), "proves nothing")
    assert idp.asked.count("/keys") == 2


def test_a_provider_that_is_away_leaves_the_other_ways_open(house: WebHouse, idp: LyingProvider) -> None:
    idp.away = True
    browser = house.app.test_client()
    for _ in range(3):
        answer = browser.get("/signin/with/uni?next=/sites")
        refused(answer, "127.0.0.1", 503)
    assert len(idp.asked) == 1, "it is not asked again at once"


def test_what_was_known_serves_while_the_provider_is_away(idp: LyingProvider) -> None:
    now = [0.0]
    provider = oidc.Provider("uni", the_settings(idp), lambda: now[0])
    known = provider.metadata()
    idp.away, now[0] = True, 7200.0
    assert provider.metadata() == known
    idp.away, now[0] = False, 7300.0
    idp.configuration["token_endpoint"] = f"{idp.issuer}/elsewhere"
    assert provider.metadata()["token_endpoint"].endswith("/elsewhere")


def test_a_configuration_that_cannot_be_is_refused(idp: LyingProvider) -> None:
    for changed, words in (
        ({"issuer": "https://other.example"}, "calls itself by another issuer"),
        ({"token_endpoint": None}, "no usable address as token_endpoint"),
        ({"jwks_uri": "file:///etc/passwd"}, "no usable address as jwks_uri"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "no usable address as authorization_endpoint"),
    ):
        idp.configuration = changed
        with pytest.raises(Unavailable, match=words):
            oidc.Provider("uni", the_settings(idp)).metadata()


def test_a_provider_far_away_is_never_asked_in_this_network(idp: LyingProvider) -> None:
    far = SignInProvider(issuer="https://localhost:1", client_id=CLIENT)
    with pytest.raises(Unavailable, match="cannot be reached"):
        oidc.Provider("far", far).metadata()
    assert idp.asked == []


def test_there_is_no_other_way(house: WebHouse) -> None:
    answer = house.app.test_client().get("/signin/with/other")
    assert answer.status_code == 404
    assert "There is no such way to sign in" in answer.text


# --- access tokens ---


def access(idp: LyingProvider, **changes: Any) -> str:
    claims = {**idp.claims(""), "aud": AUDIENCE, "nonce": None, **changes}
    return idp.signed({k: v for k, v in claims.items() if v is not None}, typ="at+jwt")


def with_token(house: WebHouse, token: str) -> TestResponse:
    return house.app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})


def test_an_access_token_for_us_opens_the_apis(house: WebHouse, idp: LyingProvider) -> None:
    answer = with_token(house, access(idp))
    assert answer.get_json()["key"] == oidc_key(idp.issuer, "anna-4711")


def test_other_tokens_of_the_provider_do_not(house: WebHouse, idp: LyingProvider) -> None:
    now = int(time.time())
    lies = [
        access(idp, aud="other"),
        access(idp, exp=now - 3600),
        access(idp, exp=None),
        access(idp, iss="https://other.example"),
        access(idp, nonce="x"),
        access(idp)[:-8] + "AAAAAAAA",
        idp.signed(idp.claims("n")),
        "eyJ.eyJ.x",
        "eyJ" + "." * 2 + "x" * 50_000,
    ]
    assert {with_token(house, lie).status_code for lie in lies} == {401}


# --- the settings, and the log ---


@pytest.mark.parametrize(
    "given",
    [
        {"issuer": "http://idp.example"},
        {"issuer": "ftp://idp.example", "nearby": True},
        {"issuer": "https://idp.example?x=1"},
        {"issuer": "https://idp.example", "scopes": ["email"]},
        {"issuer": "https://idp.example", "audience": CLIENT},
        {"issuer": "https://idp.example", "client_secret_file": "/nowhere/secret"},
        {"issuer": "https://idp.example", "secret": "x"},
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SignInProvider(**{"client_id": CLIENT, **given})


def test_the_secret_comes_from_a_file_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "uni.secret").write_text("from a file\n")
    config = tmp_path / "hanse.toml"
    start = 'database_url = "postgresql://x/y"\nsecret_key = "0123456789abcdef"\n'
    table = '[common.sign_in.uni]\nissuer = "https://idp.example"\nclient_id = "c"\nclient_secret_file = "uni.secret"'
    config.write_text(f"[common]\n{start}{table}\n")
    settings = ServiceSettings.load("registry", config, {})
    assert settings.sign_in["uni"].client_secret.get_secret_value() == "from a file"
    assert "from a file" not in repr(settings)
    assert settings.sign_in["uni"].label == "Sign in with idp.example"
    config.write_text(f"[common]\n{start}{table}\n".replace("sign_in.uni", 'sign_in."Uni of X"'))
    with pytest.raises(SettingsError, match="small letters"):
        ServiceSettings.load("registry", config, {})


def test_no_code_token_or_secret_is_logged(
    house: WebHouse, idp: LyingProvider, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens: list[str] = []

    def kept(claims: dict[str, Any]) -> str:
        tokens.append(idp.signed(claims))
        return tokens[-1]

    idp.spoil = kept
    browser = house.app.test_client()
    brought = idp.agree(begin(browser))
    come_back(browser, brought)
    with_token(house, access(idp, aud="other"))
    idp.spoil = lambda claims: kept({**claims, "aud": "other"})
    come_back(browser, idp.agree(begin(browser)))
    captured = capsys.readouterr()
    written = caplog.text + captured.out + captured.err
    for secret in [brought["state"], brought["code"], *tokens, SECRET, "anna@uni.example"]:
        assert secret not in written
