"""How a researcher becomes a member, and how the sites come to know."""

from __future__ import annotations

import base64
import email
import email.policy
import re
from functools import partial
from typing import Any

from demo.calls import until
from demo.cast import SITES, Site
from demo.story.scene import Scene, once, require
from hanse.identity import names
from hanse.identity.principals import X509Identity

_LINK = re.compile(r"https?://\S+/confirm/(?P<token>[\w.~-]+)")


def apply(scene: Scene) -> int:
    """The researcher applies; returns the request's id."""
    scene.step(f"{scene.researcher.name} applies to {scene.vo} with a new certificate")
    scene.issue()
    aup = scene.public("vomsdb").get(f"/api/v1/vos/{scene.vo}")["aup_version"]
    body = {
        "name": scene.researcher.name,
        "email": scene.researcher.email,
        "institution": "University of the Demo",
        "motivation": "I follow the course on federated clouds.",
        "aup_version": aup,
        "aup_accepted": True,
    }
    me = scene.me("vomsdb")
    path = f"/api/v1/vos/{scene.vo}/requests"
    made = once(me, "POST", path, body, lambda: _request(scene))
    require(made["state"] == "submitted", f"the new request is {made['state']}, not submitted")
    scene.saw(f"request {made['id']} is {made['state']}; AUP version {aup} accepted")
    return int(made["id"])


def _request(scene: Scene) -> dict[str, Any] | None:
    found = scene.me("vomsdb").get("/api/v1/me/requests")
    items = found["items"] if isinstance(found, dict) else found
    return next((dict(one) for one in items if one["vo"] == scene.vo), None)


def confirm(scene: Scene) -> None:
    """The link of the mail shows a page; only its POST confirms the address."""
    scene.step("The mail with the link arrives; looking at the link changes nothing, sending the form does")
    token = until("the mail with the confirmation link", lambda: _token(scene))
    page = scene.public("vomsdb").ask("GET", f"/confirm/{token}")
    require(page.status == 200, f"the page of the link was answered {page.status}")
    seen = _state(scene)
    require(seen == "submitted", f"after looking at the link the request is {seen}")
    answer = scene.public("vomsdb").ask("POST", "/api/v1/confirmations", {"token": token})
    seen = _state(scene)
    require(seen == "pending", f"confirming was answered {answer.status}, and the request is {seen}")
    scene.saw("after GET still submitted, after POST pending")


def _state(scene: Scene) -> str:
    request = _request(scene)
    return str(request["state"]) if request else "gone"


def _token(scene: Scene) -> str | None:
    for path in sorted(scene.layout.mail.glob("*.eml"), reverse=True):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if scene.researcher.email not in str(message["X-Envelope-To"]):
            continue
        body = message.get_body(("plain", "html"))
        match = _LINK.search(body.get_content() if body else "")
        if match:
            return match["token"]
    return None


def approve(scene: Scene, request: int) -> None:
    """The VO's manager finds the request in the queue and approves it."""
    scene.step("Marta Kowalska, manager of the VO, approves")
    manager = scene.manager("vomsdb")
    queue = manager.get(f"/api/v1/vos/{scene.vo}/requests?state=pending")["items"]
    require(any(int(one["id"]) == request for one in queue), f"request {request} is not in the queue")
    path = f"/api/v1/vos/{scene.vo}/requests/{request}/decision"
    answer = manager.ask("POST", path, {"decision": "approve", "reason": "on the list of the course"})
    seen = _state(scene)
    require(seen == "approved", f"the decision was answered {answer.status}, and the request is {seen}")
    scene.saw(f"request {request} is approved")


def in_the_feed(scene: Scene, head: int) -> None:
    """The change feed, which other services follow, tells of the membership."""
    scene.step("The change feed of the membership service tells of it")
    key = identity(scene).key

    def membership() -> dict[str, Any] | None:
        since = head
        while True:
            page = scene.operator("vomsdb").get(f"/api/v1/changes?since={since}&limit=500")
            for change in page["changes"]:
                if change["kind"] == "membership" and key in (change["body"] or {}).get("keys", ()):
                    return dict(change)
            if page["next"] == since or page["next"] >= page["head"]:
                return None
            since = page["next"]

    seen = until("the membership in the feed", membership)
    scene.saw(f"revision {seen['revision']} by {seen['actor']}: membership is {seen['body']['state']}")


def head_of_feed(scene: Scene) -> int:
    """The present end of the membership service's feed."""
    return int(scene.operator("vomsdb").get("/api/v1/changes?since=0&limit=1")["head"])


def identity(scene: Scene) -> X509Identity:
    """The researcher as services see her."""
    from cryptography import x509

    return X509Identity.from_certificate(x509.load_pem_x509_certificate(scene.credential[0].read_bytes()))


def at_the_sites(scene: Scene) -> None:
    """Every site holds the identity, and has proved it by the hash of what its files hold."""
    scene.step("The identity stands at all sites, each acknowledged by hash")
    for site in SITES:
        pair = until(f"{site.name} holds {scene.researcher.name}", partial(_held, scene, site, True))
        scene.saw(
            f"{site.name}: grid-mapfile and mapping hold it; acknowledged {pair['held']['sha256'][:16]}"
        )


def gone_from_the_sites(scene: Scene) -> None:
    """No site holds the identity, and each has proved that."""
    for site in SITES:
        pair = until(f"{site.name} dropped it", partial(_held, scene, site, False))
        scene.saw(f"{site.name}: the identity is gone; acknowledged {pair['held']['sha256'][:16]}")


def _held(scene: Scene, site: Site, wanted: bool) -> dict[str, Any] | None:
    """The pair of site and VO when files and acknowledgement agree on what is wanted."""
    if _in_files(scene, site) != {wanted}:
        return None
    pairs = scene.admin(site, "vomsdb").get("/api/v1/replication")["pairs"]
    pair = next((one for one in pairs if (one["site"], one["vo"]) == (site.name, scene.vo)), None)
    if pair is None or pair["state"] != "in_step" or not pair["held"]:
        return None
    return dict(pair) if pair["held"]["sha256"] == pair["expected"]["sha256"] else None


def _in_files(scene: Scene, site: Site) -> set[bool]:
    """Whether grid-mapfile and mapping hold the identity; one value when they agree."""
    who = identity(scene)
    # Grid software prints names as OpenSSL does, in ASCII.
    line = f'"{names.slash(who.subject_der, ascii=True)}" '
    der = base64.b64encode(who.subject_der).decode()
    folder = scene.layout.agent(site)
    found = set()
    for file, text in (("grid-mapfile", line), ("mapping.json", der)):
        path = folder / file
        found.add(path.exists() and text in path.read_text())
    return found
