"""A membership service with two VOs, managed by Marta Kowalska and Paavo Salo, and the sites CESNET and BIFI."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

import pytest
from cryptography import x509
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from hanse.database import Database, Followed
from hanse.identity.authority import Authority
from hanse.identity.principals import Principal
from vomsdb import applications, decisions, vos
from vomsdb.app import create_app
from vomsdb.applications import Form, Terms
from vomsdb.jobs import press_of
from vomsdb.models import Application, Mail, Member
from vomsdb.press import Press
from vomsdb.settings import VomsdbSettings
from vomsdb.vos import Card, Manager

VO = "training.egi.eu"
TERMS = Terms("https://hanse.example/confirm/", timedelta(hours=72), timedelta(days=30))


@dataclass
class Browser:
    """A client with a session; sends the form's secret along."""

    client: FlaskClient

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, /, **form: Any) -> TestResponse:
        return self.client.post(path, data={"csrf_token": "the form's secret", **form})

    def call(self, method: str, path: str, body: Any = None) -> TestResponse:
        headers = {"X-CSRF-Token": "the form's secret"}
        return self.client.open(path, method=method, json=body, headers=headers)


@dataclass
class House:
    """The service's database and settings, and the cast as principals."""

    db: Database
    settings: VomsdbSettings
    cast: Any
    press: Press
    _known: dict[str, Principal] = field(default_factory=dict)

    @cached_property
    def app(self) -> Flask:
        """The application."""
        return create_app(self.settings)

    def close(self) -> None:
        """Closes what the application opened."""
        if "app" in self.__dict__:
            self.app.extensions["hanse"].db.close()

    def principal(self, name: str) -> Principal:
        """Somebody of the cast as seen over TLS, with the grants of this moment."""
        return self.of(self.cast[name].cert)

    def machine(self, site: str) -> Principal:
        """The host certificate acct.<site>.example as seen over TLS."""
        return self.of(self.cast.host(site).cert)

    def of(self, certificate: x509.Certificate) -> Principal:
        """Whoever shows the certificate."""
        return Authority(self.db).for_certificate_chain([certificate])

    def apply(self, name: str, /, vo: str = VO, **changes: Any) -> Application:
        """Somebody's request, submitted."""
        form = Form(name, f"{name.split()[0].lower()}@example.org", "Example Institute", "to learn", 1, True)
        given = Form(**{**form.__dict__, **changes})
        with self.db.transaction() as session:
            return applications.submit(session, vo, given, self.principal(name), TERMS)

    def token(self, application: Application) -> str:
        """The token of the newest confirmation mail."""
        with self.db.transaction() as session:
            query = select(Mail.body).where(Mail.about == f"application:{application.id}").order_by(Mail.id)
            body = session.scalars(query).first() or ""
        return body.partition("/confirm/")[2].split()[0]

    def confirm(self, application: Application) -> Application:
        """The request, its address confirmed."""
        with self.db.transaction() as session:
            return applications.confirm(session, self.token(application), TERMS)

    def join(self, name: str, vo: str = VO, by: str = "Marta Kowalska") -> Member:
        """Somebody as a member, all the way from the request."""
        application = self.confirm(self.apply(name, vo))
        with self.db.transaction() as session:
            decided = decisions.approve(session, vo, application.id, "", self.principal(by))
            member = session.get(Member, decided.member_id)
        assert member is not None
        return member

    def found_vo(self, name: str, *managers: str) -> None:
        """A VO made by the operator."""
        card = Card(name, f"the VO {name}", "Training", "Global", "", "Be kind.", 365, 43200)
        chosen = [
            Manager(self.principal(who).x509, who, f"{who.split()[0].lower()}@example.org")  # type: ignore[arg-type]
            for who in managers
        ]
        with self.db.transaction() as session:
            vos.create(session, card, chosen, self.principal("Ingrid Holm"))

    def register(self, site: str, *supported: str, agent_url: str | None = None) -> None:
        """A site as the registry's feed tells it, with the host certificate acct.<site>.example."""
        key = self.machine(site).key
        shares = [{"vo": vo, "vcpu": 10} for vo in supported]
        site_body = {"id": site, "name": site, "supports": shares, "agent_url": agent_url}
        grant = {"principal": key, "role": "site_machine", "scope": f"site:{site}", "name": f"acct.{site}"}
        self.follow("site", site, site_body)
        self.follow("grant", f"{key} {site}", grant)

    def browser(self, name: str | None) -> Browser:
        """Somebody of the cast signed in with the certificate, or nobody."""
        client = self.app.test_client()
        if name is not None:
            who = self.principal(name)
            assert who.x509 is not None
            with client.session_transaction() as session:
                session["key"], session["csrf"], session["how"] = who.key, "the form's secret", "certificate"
                session["subject"] = base64.b64encode(who.x509.subject_der).decode()
                session["issuer"] = base64.b64encode(who.x509.issuer_der).decode()
        return Browser(client)

    def grant(self, name: str, role: str, scope: str) -> None:
        """A role as the registry's feed tells it."""
        body = {"principal": self.principal(name).key, "role": role, "scope": scope, "name": name}
        self.follow("grant", f"{name} {role} {scope}", body)

    def follow(self, kind: str, entity_id: str, body: dict[str, Any]) -> None:
        """An entity in the copy of the registry's feed."""
        with self.db.transaction() as session:
            session.merge(Followed(source="registry", kind=kind, id=entity_id, body=body, revision=1))


@pytest.fixture
def house(database_for: Any, settings_for: Callable[..., Any], cast: Any) -> Iterator[House]:
    """Ingrid Holm is operator; training.egi.eu belongs to Marta Kowalska, chipster to Paavo Salo."""
    db = database_for("vomsdb")
    aa = cast.local()
    settings = settings_for(
        VomsdbSettings, "vomsdb", db, aa_host="localhost", aa_cert=aa.cert_path, aa_key=aa.key_path
    )
    house = House(db, settings, cast, press_of(settings))
    house.grant("Ingrid Holm", "federation_operator", "federation")
    house.found_vo(VO, "Marta Kowalska")
    house.found_vo("chipster", "Paavo Salo")
    house.register("CESNET", VO, "chipster")
    house.register("BIFI", VO)
    yield house
    house.close()
