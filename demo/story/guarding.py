"""What must not work: a message signed by the wrong site, and a suspended member."""

from __future__ import annotations

import base64
import secrets
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from demo.calls import Caller, until
from demo.cast import Site
from demo.cloud.outbox import TOPIC
from demo.cloud.usage import UsageRecord, message
from demo.story import joining
from demo.story.computing import patient
from demo.story.credential import Refusal, ask_authority
from demo.story.scene import Scene, require
from hanse.cms import sign
from hanse.http import HttpError
from hanse.occi.client import OcciClient, OcciError
from hanse.occi.model import COMPUTE


def wrong_signer(scene: Scene, signer: Site, other: Site) -> None:
    """A site signs a record about another site; it is answered 200, and quarantined with the reason."""
    scene.step(f"{signer.name} signs a message about {other.name}: quarantined, with the reason")
    uuid_, text = _record(scene, other)
    cert_path, key_path = scene.layout.certificate(f"acct.{signer.domain}")
    key = load_pem_private_key(key_path.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    signed = sign(text.encode(), x509.load_pem_x509_certificate(cert_path.read_bytes()), key)
    published = _publish(scene, signer, signed)
    refused = until("the quarantined record", lambda: _refused(scene, signer, published))
    scene.saw(f"{signer.name} sees: record {refused['record']}, {refused['field']}: {refused['reason']}")
    raw = scene.admin(signer, "accounting").get(
        f"/api/v1/sites/{signer.name}/refused-records/{refused['id']}"
    )
    require(uuid_ in raw["raw"], "the quarantined record is not the one that was sent")


def _record(scene: Scene, site: Site) -> tuple[str, str]:
    now = int(datetime.now(UTC).timestamp())
    number = str(uuid.uuid4())
    record = UsageRecord(
        uuid=number,
        name="not-ours",
        account="training999",
        dn=joining.identity(scene).subject_slash,
        vo=scene.vo,
        fqan=f"/{scene.vo}",
        image="debian13",
        created=now - 3600,
        end=now,
        running=True,
        wall_s=3600,
        idle_s=0,
        vcpu=16,
        memory_mb=2048,
        disk_gb=10,
        taken=now,
    )
    return number, message(site.name, site.middleware, [record])


def _publish(scene: Scene, site: Site, signed: bytes) -> int:
    """Publish as a stock sender does, with the site's token; returns the message's number."""
    layout = scene.layout
    token = layout.site_token(site).read_text().strip()
    machine = Caller(f"the cloud of {site.name}", layout.tls_url("accounting"), layout.bundle)
    empaid = f"{int(time.time()):08x}/{secrets.token_hex(7)}"
    body = {"messages": [{"attributes": {"empaid": empaid}, "data": base64.b64encode(signed).decode()}]}
    path = f"/v1/projects/accounting/topics/{TOPIC}:publish"
    answer = machine.ask("POST", path, body, headers={"x-api-key": token})
    require(answer.status == 200, f"publishing was answered {answer.status}: {answer.text[:200]}")
    return int(answer.json()["messageIds"][0])


def _refused(scene: Scene, site: Site, number: int) -> dict[str, Any] | None:
    admin = scene.admin(site, "accounting")
    items = admin.get(f"/api/v1/sites/{site.name}/refused-records?limit=100")["items"]
    return next((dict(one) for one in items if int(one["message"]) == number), None)


def suspend(scene: Scene, site: Site, proxy: Path) -> None:
    """The manager suspends the member; sites drop the identity, no proxy is made, the old one opens
    nothing.
    """
    scene.step("Marta Kowalska suspends the member: the identity leaves all sites")
    manager = scene.manager("vomsdb")
    member = _member(scene)
    body = {"code": "SECURITY_INCIDENT", "reason": "the key was found in a public place"}
    answer = manager.ask("POST", f"/api/v1/members/{member['id']}/suspension", body)
    seen = _member(scene)["state"]
    require(seen == "suspended", f"the suspension was answered {answer.status}, and the member is {seen}")
    joining.gone_from_the_sites(scene)
    scene.step("The attribute authority and the clouds refuse the suspended member")
    reason = until("the authority's refusal", lambda: _authority_refuses(scene))
    scene.saw(f"attribute authority: {' '.join(reason.split())}")
    with OcciClient(scene.layout.cloud_url(site), cert=(proxy, proxy), ca=scene.layout.bundle) as cloud:
        try:
            patient(lambda: cloud.list(COMPUTE), "the list of machines")
        except OcciError as error:
            require(error.status == 403, f"{site.name} answered {error.status} instead of 403: {error}")
            scene.saw(f"{site.name}: {error}")
        else:
            require(False, f"{site.name} still lets the suspended member in")


def _member(scene: Scene) -> dict[str, Any]:
    key = joining.identity(scene).subject_slash
    found = scene.manager("vomsdb").get(f"/api/v1/vos/{scene.vo}/members?q={scene.researcher.email}")["items"]
    require(len(found) == 1, f"{len(found)} members have the address of {key}")
    return dict(found[0])


def _authority_refuses(scene: Scene) -> str | None:
    try:
        ask_authority(scene)
    except Refusal as refusal:
        return str(refusal)
    except HttpError:
        return None
    require(False, "the attribute authority still signs for the suspended member")
    return None
