"""Logging in at a cloud's Keystone: what is asked, in which order, of whom, and how each refusal is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hanse.occi.client import OcciClient, OcciError
from hanse.occi.keystone import (
    Ask,
    Login,
    LoginError,
    OidcLogin,
    PasswordLogin,
    ProxyLogin,
    Said,
    Token,
    TokenLogin,
    negotiate,
)

AT = "https://keystone.example:5000/"
LATER = "2031-01-01T00:00:00.000000Z"
V3 = {"id": "v3.14", "links": [{"rel": "self", "href": "http://inside.example:5000/v3/"}]}
V2 = {"id": "v2.0", "links": [{"rel": "self", "href": "https://keystone.example:5000/v2.0/"}]}
PROJECTS = [{"id": "p1", "name": "VO:training"}, {"id": "p2", "name": "VO:ops"}, {"id": "p3", "name": "x"}]
FEDERATED = "v3/OS-FEDERATION/identity_providers/egi.eu/protocols"
Answers = dict[tuple[str, str], Said | list[Said]]


def said(status: int, content: Any = None, **headers: str) -> Said:
    body = b"" if content is None else json.dumps(content).encode()
    return Said(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def versions(*those: dict[str, Any]) -> Said:
    return said(300, {"versions": {"values": list(those)}})


def scoped(token: str, expires: str = LATER) -> Said:
    return said(201, {"token": {"expires_at": expires}}, x_subject_token=token)


def v3(**more: Said) -> Answers:
    return {
        ("GET", ""): versions(V2, V3),
        ("POST", "v3/auth/tokens"): [scoped("unscoped"), scoped("for-ops")],
        ("GET", "v3/auth/projects"): said(200, {"projects": PROJECTS}),
    }


def play(login: Login, answers: Answers, project: str = "", at: str = AT) -> tuple[Token, list[Ask]]:
    """Drive a negotiation by answers by method and path; the last of a list is given again."""
    talk = negotiate(at, login, project)
    asked: list[Ask] = [next(talk)]
    try:
        while True:
            assert len(asked) < 30
            assert asked[-1].url.startswith(AT)
            answer = answers.get((asked[-1].method, asked[-1].url.removeprefix(AT)), said(404))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            asked.append(talk.send(answer))
    except StopIteration as end:
        return end.value, asked


def bodies(asked: list[Ask]) -> list[Any]:
    return [json.loads(one.body) for one in asked if one.body]


def test_a_password_becomes_a_token_for_the_project_of_ops() -> None:
    token, asked = play(PasswordLogin("anna", "a secret"), v3())
    assert (token.id, token.project, token.expires_at.year) == ("for-ops", "VO:ops", 2031)
    first, second = bodies(asked)
    assert first["auth"]["identity"]["password"]["user"]["password"] == "a secret"
    assert second["auth"]["scope"] == {"project": {"id": "p2"}}
    assert second["auth"]["identity"]["token"] == {"id": "unscoped"}
    assert "a secret" not in repr(PasswordLogin("anna", "a secret"))
    assert "for-ops" not in repr(token)


def test_a_project_that_refuses_is_followed_by_the_next() -> None:
    answers = v3()
    answers["POST", "v3/auth/tokens"] = [scoped("unscoped"), said(403, {"error": "no"}), scoped("second")]
    token, _ = play(PasswordLogin("anna", "x"), answers)
    assert (token.id, token.project) == ("second", "VO:training")


def test_a_project_can_be_chosen_and_must_be_there() -> None:
    token, _ = play(PasswordLogin("anna", "x"), v3(), "VO:training")
    assert token.project == "VO:training"
    with pytest.raises(LoginError, match="no project 'other' for us; there are: VO:training, VO:ops, x"):
        play(PasswordLogin("anna", "x"), v3(), "other")


def test_a_proxy_logs_in_by_federation_and_sends_no_secret() -> None:
    answers = v3()
    answers["POST", f"{FEDERATED}/mapped/auth"] = scoped("unscoped")
    answers["POST", "v3/auth/tokens"] = scoped("good")
    token, asked = play(ProxyLogin(), answers)
    assert token.id == "good"
    assert not any("Authorization" in one.headers for one in asked)


def test_an_access_token_tries_both_protocols() -> None:
    answers = v3()
    answers["POST", f"{FEDERATED}/oidc/auth"] = scoped("unscoped")
    answers["POST", "v3/auth/tokens"] = scoped("good")
    token, asked = play(OidcLogin("an access token"), answers)
    assert token.id == "good"
    tried = [one for one in asked if "protocols" in one.url]
    assert [one.url.rpartition("protocols/")[2] for one in tried] == ["openid/auth", "oidc/auth"]
    assert all(one.headers["Authorization"] == "Bearer an access token" for one in tried)


@pytest.mark.parametrize("login", [ProxyLogin(), PasswordLogin("anna", "x"), TokenLogin("unscoped")])
def test_the_older_version_is_spoken_where_there_is_no_other(login: Login) -> None:
    access = {"access": {"token": {"id": "good", "expires": "2031-01-01T00:00:00Z"}}}
    answers: Answers = {
        ("GET", ""): versions(V2),
        ("POST", "v2.0/tokens"): said(200, access),
        ("GET", "v2.0/tenants"): said(200, {"tenants": PROJECTS}),
    }
    token, asked = play(login, answers)
    assert (token.id, token.project) == ("good", "VO:ops")
    assert bodies(asked)[-1]["auth"]["tenantId"] == "p2"
    with pytest.raises(LoginError, match="takes no OpenID tokens"):
        play(OidcLogin("x"), answers)


def test_an_address_that_is_a_version_already_is_taken_as_it_is() -> None:
    answers = v3()
    answers["GET", "v3"] = said(200, {"version": {"id": "v3.14"}})
    token, _ = play(TokenLogin("unscoped"), answers, at=AT + "v3")
    assert token.project == "VO:ops"


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        (("GET", ""), said(503), "answered 503"),
        (("GET", ""), Said(300, {}, b"<html>Sign in</html>"), "not Keystone's JSON"),
        (("GET", ""), versions({"id": "v4"}), "offers neither version 3 nor version 2.0"),
        (("GET", ""), said(300, {"versions": {"values": "none"}}), "offers neither"),
        (("POST", "v3/auth/tokens"), said(401, {"error": "wrong password"}), "answered 401.*wrong password"),
        (("POST", "v3/auth/tokens"), said(201, {"token": {}}), "without a token"),
        (("GET", "v3/auth/projects"), said(200, {"projects": []}), "lists no project for us"),
        (("GET", "v3/auth/projects"), said(200, {"projects": "many"}), "lists no project for us"),
    ],
)
def test_each_refusal_is_a_sentence(path: tuple[str, str], answer: Said, sentence: str) -> None:
    with pytest.raises(LoginError, match=sentence):
        play(PasswordLogin("anna", "x"), {**v3(), path: answer})


def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    now = datetime.now(UTC)
    assert Token("x", "p", now + timedelta(minutes=5)).holds(now)
    assert not Token("x", "p", now + timedelta(seconds=30)).holds(now)


# --- over HTTP: a cloud that sends its users to a Keystone ---


class Cloud(ThreadingHTTPServer):
    """A cloud at /ooi/ and its Keystone at /keystone; `named` is where the challenge points."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.named = f"{self.url}/keystone"
        self.good = "for-ops"
        self.asked: list[tuple[str, str, str]] = []
        self.expires = LATER


class _Handler(BaseHTTPRequestHandler):
    server: Cloud

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        cloud, token = self.server, self.headers.get("X-Auth-Token", "")
        cloud.asked.append((self.command, self.path, token))
        if self.path == "/keystone":
            link = {"rel": "self", "href": "http://inside.example/keystone/v3"}
            self._say(300, {"versions": {"values": [{"id": "v3.9", "links": [link]}]}})
        elif self.path == "/keystone/v3/auth/projects":
            self._say(200, {"projects": PROJECTS})
        elif self.path == "/keystone/v3/auth/tokens" or "/protocols/oidc/" in self.path:
            self._say(201, {"token": {"expires_at": cloud.expires}}, {"X-Subject-Token": "for-ops"})
        elif "/OS-FEDERATION/" in self.path:
            self._say(404, {})
        elif token != cloud.good:
            self._say(401, {}, {"WWW-Authenticate": f'Keystone uri="{cloud.named}"'})
        else:
            kind = b'Category: compute; scheme="http://schemas.ogf.org/occi/infrastructure#"; class="kind"\n'
            self._say(200, kind, {"Content-Type": "text/plain"})

    do_GET = do_POST = _answer

    def _say(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def cloud() -> Iterator[Cloud]:
    with Cloud() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


LOGIN = PasswordLogin("anna", "x")


def test_a_client_logs_in_once_and_goes_on() -> None:
    with cloud() as server, OcciClient(f"{server.url}/ooi", login=LOGIN) as client:
        assert client.query().kinds
        client.list("compute")
        keystone = [path for _, path, _ in server.asked if path.startswith("/keystone")]
    assert keystone == [
        "/keystone",
        "/keystone/v3/auth/tokens",
        "/keystone/v3/auth/projects",
        "/keystone/v3/auth/tokens",
    ]


def test_a_token_that_is_refused_is_not_fetched_for_ever() -> None:
    with cloud() as server, OcciClient(f"{server.url}/ooi", login=LOGIN) as client:
        server.good = "another"
        with pytest.raises(OcciError) as refused:
            client.query()
        assert refused.value.status == 401
        assert sum(path == "/keystone" for _, path, _ in server.asked) == 1


def test_a_token_that_ends_is_fetched_anew() -> None:
    with cloud() as server, OcciClient(f"{server.url}/ooi", login=LOGIN) as client:
        server.expires = "2020-01-01T00:00:00Z"
        client.query()
        client.list("compute")
        assert sum(path == "/keystone" for _, path, _ in server.asked) == 2


def test_nobody_logs_in_elsewhere_than_at_the_cloud_or_the_named_keystone() -> None:
    with cloud() as server, cloud() as other:
        server.named = f"http://localhost:{other.server_address[1]}/keystone"
        with (
            OcciClient(f"{server.url}/ooi", login=LOGIN) as client,
            pytest.raises(OcciError, match="which is elsewhere"),
        ):
            client.query()
        assert other.asked == []
        with OcciClient(f"{server.url}/ooi", login=LOGIN, keystone=server.named) as client:
            assert client.query().kinds
        assert other.asked
        assert all(token in ("", "for-ops") for _, _, token in other.asked)


def test_without_a_way_to_log_in_the_address_is_told() -> None:
    with cloud() as server, OcciClient(f"{server.url}/ooi") as client, pytest.raises(OcciError) as refused:
        client.query()
    assert refused.value.login == server.named
