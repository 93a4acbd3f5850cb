"""Signing in with a provider that is not ours, by the pages that a person sees."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from hanse.database import Database
from hanse.identity.principals import oidc_key
from hanse.identity.providers import SignInProvider
from hanse.settings import ServiceSettings
from tests.conftest import ROOT
from tests.hanse.web_service import WebHouse, build
from tests.peers.occi import free_port

PERSON = {"sub": "anna", "name": "Anna Lindqvist", "email": "anna@uni.example", "email_verified": True}


@pytest.fixture
def issuer() -> Iterator[str]:
    """oidc-provider-mock on a free port."""
    port = free_port()
    command = [ROOT / ".peers/venv/bin/python", "-m", "oidc_provider_mock", "-p", str(port)]
    options = ["--require-nonce", "true", "--user-claims", json.dumps(PERSON)]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _until_it_answers(process, f"{address}/.well-known/openid-configuration")
            yield requests.get(f"{address}/.well-known/openid-configuration", timeout=30).json()["issuer"]
        finally:
            process.terminate()
            process.wait(60)


def _until_it_answers(process: subprocess.Popen[bytes], address: str) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends and process.poll() is None:
        try:
            if requests.get(address, timeout=30).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError("the provider did not start")


def house_with(issuer: str, db: Database, settings_for: Callable[..., Any]) -> WebHouse:
    provider = SignInProvider(issuer=issuer, client_id="hanse", client_secret="any", nearby=True)
    settings = settings_for(
        ServiceSettings, "registry", db, url="http://localhost:7010", sign_in={"mock": provider}
    )
    return build(db, settings)


@pytest.mark.peer("oidc-provider-mock")
def test_a_provider_that_is_not_ours_signs_people_in(
    issuer: str, ground: Database, settings_for: Callable[..., Any]
) -> None:
    browser = house_with(issuer, ground, settings_for).app.test_client()
    out = browser.get("/signin/with/mock?next=/sites").headers["Location"]
    assert "Authorize Client" in requests.get(out, timeout=60).text
    agreed = requests.post(out, data={"sub": "anna"}, allow_redirects=False, timeout=60)
    back = urlsplit(agreed.headers["Location"])
    assert back.path == "/signin/with/mock/answer"
    answer = browser.get(f"{back.path}?{back.query}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sites"), answer.text
    me = browser.get("/api/v1/me").get_json()
    assert (me["key"], me["name"]) == (oidc_key(issuer, "anna"), "Anna Lindqvist")


@pytest.mark.peer("oidc-provider-mock")
def test_a_refusal_at_a_provider_that_is_not_ours_is_told(
    issuer: str, ground: Database, settings_for: Callable[..., Any]
) -> None:
    browser = house_with(issuer, ground, settings_for).app.test_client()
    out = browser.get("/signin/with/mock").headers["Location"]
    denied = requests.post(out, data={"action": "deny"}, allow_redirects=False, timeout=60)
    said = {name: values[0] for name, values in parse_qs(urlsplit(denied.headers["Location"]).query).items()}
    said.setdefault("state", parse_qs(urlsplit(out).query)["state"][0])  # some forget to send it back
    answer = browser.get("/signin/with/mock/answer", query_string=said)
    assert answer.status_code == 401
    assert "refused or called off there" in answer.text
