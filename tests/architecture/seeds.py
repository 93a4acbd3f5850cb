"""Objects of each kind, so that every route of the matrix finds what its path names."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from sqlalchemy import select

from hanse.database import Database
from hanse.identity.principals import Principal, X509Identity
from registry import mails, people
from registry.models import (
    ApiCredential,
    CertificationProposal,
    ContactConfirmation,
    Person,
    Role,
    Site,
    Subscription,
    Webhook,
)
from registry.schemas.people import MeIn
from registry.schemas.sites import TokenIn
from tests.monitoring.federation import Federation
from tests.registry.clouds import cloud_document, encoded
from tests.vomsdb.conftest import House
from vomsdb import groups
from vomsdb.jobs import press_of
from vomsdb.scim.group_ids import id_of

Arguments = dict[str, str]
Seed = Callable[[Flask, Database, Any, str], Arguments]


def accounting(app: Flask, db: Database, cast: Any, operator: str) -> Arguments:
    names = {"site": "CESNET", "project": "accounting", "topic": "eu-egi-cloud-accounting"}
    return {**names, "service": "ams", "host": "localhost"}


def registry(app: Flask, db: Database, cast: Any, operator: str) -> Arguments:
    """Site CESNET with service, endpoint, downtime, token and host certificate; person 1 with a token and a role."""

    def post(path: str, body: dict[str, Any]) -> Any:
        answer = app.test_client().post(path, json=body, headers={"Authorization": f"Bearer {operator}"})
        assert answer.status_code in (200, 201), (path, answer.text)
        return answer.get_json()

    post("/api/v1/ngis", {"name": "NGI_CZ"})
    site = {"name": "CESNET", "ngi": "NGI_CZ", "country": "Czech Republic", "country_code": "CZ"}
    post("/api/v1/sites", {**site, "official_name": "CESNET", "middleware": "OpenNebula"})
    occi = {"service_type": "eu.egi.cloud.vm-management.occi", "hostname": "occi.cesnet.example"}
    post("/api/v1/sites/CESNET/services", {**occi, "url": "https://occi.cesnet.example:11443/"})
    for kind in ("ngis", "projects", "service-types", "scopes", "service-groups"):
        post(f"/api/v1/{kind}", {"name": "CESNET"})
    start = datetime.now(UTC) + timedelta(days=3)
    times = {"start": start.isoformat(), "end": (start + timedelta(hours=2)).isoformat()}
    post("/api/v1/downtimes", {"site": "CESNET", "severity": "OUTAGE", "description": "works", **times})
    identity = X509Identity.from_certificate(cast["Eliška Malá"].cert)
    newcomer = Principal(key=identity.key, kind="x509", name=identity.name, x509=identity)
    person = people.register_me(db, newcomer, MeIn())
    known = app.extensions["hanse"].authority.for_key(identity.key)
    people.make_token(db, known, TokenIn(name="tests"))
    post("/api/v1/roles", {"person": str(person), "role": "site_administrator", "scope": "site:CESNET"})
    with db.transaction() as session:
        owner = session.get_one(Person, person)
        here = session.scalars(select(Site).where(Site.name == "CESNET")).one()
        session.add(Role(person_id=person, role="site_security_officer", site_id=here.id, status="PENDING"))
        session.add(ApiCredential(site=here, kind="x509", identifier="/CN=robot", match="0", owner=owner))
        mails.queue(session, "laura@bifi.example", "A mail", "Text")
    headers = {"Authorization": f"Bearer {operator}"}
    for content, status in ((encoded(cloud_document("CESNET")), 202), (b"{}", 422)):
        answer = app.test_client().put("/v1/sites/CESNET/cloudinfo", data=content, headers=headers)
        assert answer.status_code == status, answer.text
    records = dict.fromkeys(("project", "kind", "scope", "group"), "CESNET")
    with db.transaction() as session:
        hook = Webhook(person_id=person, url="https://example.org/", secret="whsec_", cursor=0)
        session.add(hook)
        about = {"target": "federation", "subject": "all", "means": "mail"}
        session.add(Subscription(person_id=person, cursor=0, **about))
        number = session.scalar(select(Site.id).where(Site.name == "CESNET"))
        session.add(_proposal(number))
        session.add(_question(number))
    records["code"] = CODE
    # of GOCDB's write interface, at a site that no other route takes away
    post("/api/v1/sites", {**site, "name": "WRITTEN", "official_name": "WRITTEN"})
    with db.transaction() as session:
        number = session.scalar(select(Site.id).where(Site.name == "WRITTEN"))
    records["write"] = f"v5/site/{number}/extensionproperties"
    return {
        "site": "CESNET",
        "name": "CESNET",
        "ngi": "NGI_CZ",
        "number": "1",
        "key": "VO",
        "act": "renew",
        **records,
    }


CODE = "0" * 40


def _proposal(site: int | None) -> CertificationProposal:
    """Proposal 1: CESNET from Candidate to Uncertified."""
    later = datetime.now(UTC) + timedelta(days=9)
    step = {"old": "Candidate", "new": "Uncertified", "why": "all is met", "state": "open", "evidence": []}
    return CertificationProposal(site_id=site, made_by="the policy", expires_at=later, **step)


def _question(site: int | None) -> ContactConfirmation:
    """A mail to a contact of CESNET, with the code of the link in it."""
    return ContactConfirmation(
        site_id=site,
        email="admin@cesnet.example",
        code_hash=hashlib.sha256(CODE.encode()).hexdigest(),
        asked_by="the policy",
        expires_at=datetime.now(UTC) + timedelta(days=9),
    )


def vomsdb(app: Flask, db: Database, cast: Any, operator: str) -> Arguments:
    """training.egi.eu of Marta Kowalska with a member and a request that waits."""
    settings = app.extensions["hanse"].settings
    house = House(db, settings, cast, press_of(settings))
    house.grant("Ingrid Holm", "federation_operator", "federation")
    house.found_vo("training.egi.eu", "Marta Kowalska")
    house.found_vo("chipster", "Paavo Salo")
    house.register("CESNET", "training.egi.eu", "chipster")
    member = house.join("Anna Lindqvist")
    request = house.confirm(house.apply("Tomás Vidal"))
    with db.transaction() as session:
        marta = house.principal("Marta Kowalska")
        groups.create_group(session, "training.egi.eu", "/training.egi.eu/seeded", "", marta)
    house.join("Goran Petrov")
    vo = {"vo": "training.egi.eu", "name": "training.egi.eu", "site": "CESNET"}
    numbers = {"member": str(member.id), "member_id": str(member.id), "version": "1", "certificate": "1"}
    numbers |= {"attribute": "nickname", "value": "1", "person": "2", "subject": "1", "letter": "ended"}
    numbers |= {"action": "users"}
    numbers |= {"group_id": id_of("/training.egi.eu/seeded"), "described_as": "User"}
    return {**vo, **numbers, "request": str(request.id), "request_id": str(request.id), "sha256": "0" * 64}


def monitoring(app: Flask, db: Database, cast: Any, operator: str) -> Arguments:
    """CESNET, BIFI and UKIM; CESNET's endpoint is down, which is incident 1."""
    federation = Federation(db, app.extensions["hanse"].settings)
    for site in ("CESNET", "BIFI", "UKIM"):
        federation.endpoint(site)
    federation.adopt()
    federation.all_well()
    federation.outage("cesnet")
    argo = {"kind": "metric_profiles", "what": "endpoints", "level": "groups", "report": "Default"}
    return {"endpoint": "cesnet", "number": "1", "probe": "tcp", "site": "CESNET", **argo}


def _answers() -> str:
    """An empty answer of a GOCDB as the import takes it."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("get_site.xml", "<results/>")
    return base64.b64encode(held.getvalue()).decode()


_GOCDB = {"archive": _answers(), "source": "goc.example.org"}
_FEDCLOUD = {"files": {"CESNET.yaml": "gocdb: CESNET\nendpoint: https://keystone.cesnet.example:5000/v3"}}
_SOON = datetime.now(UTC) + timedelta(days=5)
_DOWNTIME = {
    "site": "CESNET",
    "severity": "OUTAGE",
    "description": "works",
    "start": _SOON.isoformat(),
    "end": (_SOON + timedelta(hours=2)).isoformat(),
}

# What a write is sent, by method and rule: whole bodies, so that an answer speaks of rights and not of the body. A
# `{name}` in a value is filled in from the seed's arguments. A route that is not listed is sent an empty object.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/v1/incidents/<int:number>/acknowledge"): {"comment": "looking at it"},
    ("POST", "/api/v1/incidents/<int:number>/comments"): {"text": "the switch is being replaced"},
    ("POST", "/api/v1/incidents/<int:number>/assign"): {"to": "Eliška Malá"},
    ("POST", "/api/v1/incidents/<int:number>/silence"): {"hours": 1},
    ("POST", "/scim/v2/Users"): {"userName": "laura", "displayName": "Laura Gil"},
    ("PUT", "/scim/v2/Users/<member>"): {"active": False},
    ("POST", "/scim/v2/Groups"): {"displayName": "/training.egi.eu/new"},
    ("PUT", "/scim/v2/Groups/<group_id>"): {"members": []},
    ("POST", "/api/v1/members/<member>/subjects"): {"issuer": "https://idp.example", "subject": "anna"},
    ("POST", "/api/v1/webhooks"): {"url": "https://example.org/hook"},
    ("POST", "/api/v1/subscriptions"): {"target": "site", "name": "{site}"},
    ("POST", "/api/v1/sites/<site>/certification"): {"status": "Uncertified", "reason": "looked at"},
    ("POST", "/api/v1/sites/<site>/certification/proposals"): {"status": "Uncertified", "reason": "good"},
    ("POST", "/api/v1/certification/proposals/<int:number>/accept"): {"reason": "all is well"},
    ("POST", "/api/v1/certification/proposals/<int:number>/decline"): {"reason": "not yet"},
    ("POST", "/api/v1/certification/policies"): {"document": "items: {{}}", "reason": "none yet"},
    ("POST", "/api/v1/import/gocdb/plan"): _GOCDB,
    ("POST", "/api/v1/import/gocdb/apply"): _GOCDB,
    ("POST", "/api/v1/import/fedcloud/plan"): _FEDCLOUD,
    ("POST", "/api/v1/import/fedcloud/apply"): _FEDCLOUD,
    ("POST", "/api/v1/federation/plan"): {"document": "ngis: []"},
    ("POST", "/api/v1/federation/apply"): {"document": "ngis: []"},
    ("POST", "/api/v1/roles"): {"person": "1", "role": "site_security_officer", "scope": "site:{site}"},
    ("POST", "/api/v1/roles/<int:number>/revoke"): {"reason": "left"},
    ("POST", "/api/v1/role-requests"): {"role": "site_security_officer", "scope": "site:{site}"},
    ("POST", "/api/v1/role-requests/<int:number>/grant"): {"reason": "welcome"},
    ("POST", "/api/v1/role-requests/<int:number>/reject"): {"reason": "not of this site"},
    ("POST", "/api/v1/people/<int:number>/identities/<int:identity>/suspend"): {"reason": "key lost"},
    ("POST", "/api/v1/people/<int:number>/identities/<int:identity>/let-in"): {"reason": "new key"},
    ("POST", "/api/v1/sites/<site>/api-credentials"): {"kind": "x509", "identifier": "/CN=nightly"},
    ("PATCH", "/api/v1/sites/<site>/api-credentials/<int:number>"): {"renew": True},
    ("POST", "/api/v1/ngis"): {"name": "NGI_NEW"},
    ("PUT", "/api/v1/ngis/<ngi>"): {"name": "NGI_CZ"},
    ("POST", "/api/v1/projects"): {"name": "NEW"},
    ("POST", "/api/v1/service-types"): {"name": "NEW"},
    ("POST", "/api/v1/scopes"): {"name": "NEW"},
    ("POST", "/api/v1/service-groups"): {"name": "NEW"},
    ("POST", "/api/v1/downtimes"): _DOWNTIME,
    ("POST", "/api/v1/downtimes/impact"): _DOWNTIME,
    ("POST", "/api/v1/downtimes/series"): {
        "downtime": _DOWNTIME,
        "repeat": {"every": "week", "times": 2},
    },
    ("POST", "/api/v1/downtimes/<int:number>/clone"): {"start": _SOON.isoformat()},
    ("POST", "/api/v1/downtimes/import"): {"calendar": "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"},
    ("PATCH", "/api/v1/downtimes/<int:number>"): {"description": "other works"},
    **{
        ("PUT", f"/api/v1/{owner}/extensions{rest}"): body
        for owner in (
            "sites/<site>",
            "services/<int:number>",
            "endpoints/<int:number>",
            "service-groups/<group>",
        )
        for rest, body in (("", {"extensions": {"VO": "x"}}), ("/<key>", {"value": "x"}))
    },
    ("PUT", "/api/v1/members/<member>/fqans"): {"fqan": "/training.egi.eu"},
    ("DELETE", "/api/v1/members/<member>/fqans"): {"fqan": "/training.egi.eu"},
    ("POST", "/api/v1/members/<member>/suspension"): {"code": "OTHER", "reason": "left the project"},
    ("POST", "/api/v1/vos/<vo>/requests/<request>/decision"): {"decision": "approve", "reason": ""},
    ("POST", "/api/v1/vos/<vo>/groups"): {"path": "/training.egi.eu/tutors"},
    ("POST", "/api/v1/vos/<vo>/roles"): {"name": "VO-Admin"},
    ("POST", "/api/v1/vos/<vo>/aups"): {"text": "You shall not share your key."},
    ("POST", "/api/v1/vos/<vo>/aup-signatures"): {"version": 1},
    ("POST", "/api/v1/vos/<vo>/aup-requests"): {"days": 15},
    ("POST", "/api/v1/members/<member>/aup-signature"): {"version": 1, "reason": "the owner is away"},
    ("POST", "/api/v1/members/<member>/end"): {},
    ("POST", "/api/v1/members/<member>/certificates"): {
        "subject": "/C=EU/O=Hanse Demo/CN=Another",
        "issuer": "/C=EU/O=Hanse Demo/CN=Hanse Demo CA",
    },
    ("POST", "/api/v1/members/<member>/links"): {
        "subject": "/C=EU/O=Hanse Demo/OU=People/CN=Goran Petrov",
        "issuer": "/C=EU/O=Hanse Demo/CN=Hanse Demo CA",
        "reason": "the same passport",
    },
    ("POST", "/api/v1/members/<member>/owner"): {"owner": 1, "reason": "the other one left"},
    ("DELETE", "/api/v1/members/<member>/certificates/<certificate>"): {"reason": "key lost"},
    ("PUT", "/api/v1/vos/<vo>/card"): {"discipline": "Training"},
    ("POST", "/api/v1/vos/<vo>/state"): {"state": "suspended", "reason": "under review"},
    ("POST", "/api/v1/vo-proposals"): {
        "name": "seeded.example.org",
        "description": "",
        "aup_text": "Be kind.",
        "email": "somebody@example.org",
    },
    ("POST", "/api/v1/people/<person>/erasure"): {"reason": "asked by letter"},
    ("POST", "/api/v1/vos/<vo>/attributes"): {"name": "nickname"},
    ("PUT", "/api/v1/vos/<vo>/letters/<letter>"): {"subject": "Bye", "body": "{{name}}"},
    ("PUT", "/api/v1/vos/<vo>/attribute-values"): {"attribute": "nickname", "value": "anna", "member": 1},
    ("POST", "/api/v1/vos/<vo>/prolongations"): {"members": [1]},
    ("POST", "/api/v1/vos/<vo>/robots"): {
        "kind": "robot",
        "name": "transfer",
        "owner": 1,
        "subject": "/C=EU/O=Hanse Demo/CN=Robot",
        "issuer": "/C=EU/O=Hanse Demo/CN=Hanse Demo CA",
    },
    ("POST", "/api/v1/vos/<vo>/member-requests"): {"kind": "removal"},
    ("POST", "/api/v1/vos/<vo>/member-requests/<request>/decision"): {"decision": "approve", "reason": ""},
    ("POST", "/api/v1/vos/<vo>/decisions"): {"decision": "approve", "requests": [1]},
    ("POST", "/api/v1/vos/<vo>/group-managers"): {
        "group": "/training.egi.eu/seeded",
        "name": "Laura Gil",
        "subject": "/C=EU/O=Hanse Demo/OU=People/CN=Laura Gil",
        "issuer": "/C=EU/O=Hanse Demo/CN=Hanse Demo CA",
    },
    ("DELETE", "/api/v1/vos/<vo>/group-managers"): {"group": "/training.egi.eu/seeded", "key": "x509:none"},
    ("POST", "/api/v1/sites/<site>/refused-records/discard"): {"ids": [1], "reason": "a test"},
    ("POST", "/api/v1/sites/<site>/refused-records/take-back"): {"ids": [1]},
    ("POST", "/api/v1/pseudonyms"): {"user": "/CN=Nobody"},
    ("POST", "/api/v1/sites/<site>/months/<month>/republish"): {"reason": "a test"},
    ("POST", "/api/v1/sites/<site>/replays"): {"code": "bad_value"},
    ("POST", "/api/v1/cross-checks/<int:id>/decision"): {"decision": "acknowledged", "reason": "a test"},
    ("POST", "/api/v1/sites/<site>/refused-records/replay"): {"ids": [1]},
    ("POST", "/api/v1/sites/<site>/drift/accept"): {"fact": "capacity vcpu"},
    ("POST", "/api/v1/sites/<site>/drift/ignore"): {"fact": "capacity ram_gb", "reason": "new memory"},
    ("DELETE", "/api/v1/sites/<site>/drift/ignore"): {"fact": "capacity ram_gb"},
    ("POST", "/gocdbpi/<path:write>"): {"VO": "x"},
    ("PUT", "/gocdbpi/<path:write>"): {"VO": "x"},
}

SEEDS: dict[str, Seed] = {
    "accounting": accounting,
    "registry": registry,
    "vomsdb": vomsdb,
    "monitoring": monitoring,
}
