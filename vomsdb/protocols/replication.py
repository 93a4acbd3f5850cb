"""What the agents of sites call: join, fetch manifests and snapshots, acknowledge. Certificates only, no cookies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import Response, request
from pydantic import BaseModel, ValidationError

from hanse.errors import FieldFault, HanseError, Refused
from hanse.identity.permissions import SIGNED_IN
from hanse.web import Protocol, current_principal, ground, problem
from hanse.web.problems import status_of
from vomsdb import acknowledging, replication
from vomsdb.acknowledging import Report
from vomsdb.api.answers import settings
from vomsdb.jobs import press_of
from vomsdb.models import Replica
from vomsdb.permissions import ANY_SITE_AGENT, SITE_AGENT
from vomsdb.schemas.replication import AckIn, AcksIn, JoinIn

protocol = Protocol("vomsdb_agents", __name__)
M = TypeVar("M", bound=BaseModel)


@protocol.errorhandler(HanseError)
def refused(fault: HanseError) -> Response:
    """Problems as JSON, as the API gives them."""
    return problem(status_of(fault), fault.detail, fields=fault.fields)


@protocol.route("/replication/join", ["POST"], permission=SIGNED_IN)
def join() -> Response:
    """A one-time code lets the agent in, shown over the site's host certificate."""
    body = _read(JoinIn)
    here = settings()
    press = press_of(here)
    with ground().db.transaction() as session:
        joined = replication.join(
            session, body.site, body.code, body.agent_version, body.agent_url, current_principal(), press
        )
    until = datetime.now(UTC) + press.keys_for
    keys = [key.described(until) for key in press.keys]
    return _json({"federation": here.federation, "site": joined.site, "keys": keys, "vos": joined.vos})


@protocol.route("/replication/sites/<site>/manifests", ["GET"], permission=SITE_AGENT)
def manifests(site: str) -> Response:
    """What the site should hold, and which keys sign; 304 while that has not changed."""
    with ground().db.transaction() as session:
        offer = replication.offer(session, site, press_of(settings()))
    body = json.dumps(offer.as_json(), sort_keys=True).encode()
    return _tagged(body, hashlib.sha256(body).hexdigest())


@protocol.route("/replication/vos/<vo>/snapshots/<sha256>", ["GET"], permission=ANY_SITE_AGENT)
def snapshot(vo: str, sha256: str) -> Response:
    """A state of a VO by its hash, for sites that support the VO; a part of it with Range."""
    press = press_of(settings())
    with ground().db.transaction() as session:
        envelope = replication.snapshot_for(session, vo, sha256, _sites(), press)
    return _tagged(json.dumps(envelope.as_json()).encode(), sha256)


@protocol.route("/replication/vos/<vo>/deltas/<before>/<after>", ["GET"], permission=ANY_SITE_AGENT)
def delta(vo: str, before: str, after: str) -> Response:
    """What leads from one state of a VO to a later one, both by their hashes; 404 = fetch the snapshot."""
    press = press_of(settings())
    with ground().db.transaction() as session:
        envelope = replication.delta_for(session, vo, before, after, _sites(), press)
    return _tagged(json.dumps(envelope.as_json()).encode(), f"{before}-{after}")


def _sites() -> list[str]:
    """The sites for which the caller's machine speaks."""
    scopes = current_principal().scopes("site_machine")
    return [scope.removeprefix("site:") for scope in scopes if scope.startswith("site:")]


@protocol.route("/replication/sites/<site>/acks", ["POST"], permission=SITE_AGENT)
def acknowledge(site: str) -> Response:
    """What the site holds now, read back from its own files: of one VO, or of many at once."""
    body = _read(AcksIn) if b'"acks"' in request.get_data() else _read(AckIn)
    if isinstance(body, AckIn):
        with ground().db.transaction() as session:
            replica = acknowledging.acknowledge(session, site, Report(**body.model_dump()))
        return _json(_said(replica))
    reports = [Report(**one.model_dump()) for one in body.acks]
    with ground().db.transaction() as session:
        replicas = acknowledging.acknowledge_all(session, site, reports, body.sent_at)
    refused = [f"{site} does not support {one.vo}." for one in reports if one.vo not in replicas]
    return _json({"acks": [_said(replica) for replica in replicas.values()], "refused": refused})


def _said(replica: Replica) -> dict[str, Any]:
    in_step = replica.held_sha256 == replica.sha256
    return {"vo": replica.vo, "expected": replica.sha256, "in_step": in_step}


def _read(model: type[M]) -> M:
    try:
        return model.model_validate_json(request.get_data())
    except ValidationError as fault:
        faults = [
            FieldFault(".".join(map(str, found["loc"])) or "body", found["msg"])
            for found in fault.errors(include_url=False)
        ]
        raise Refused("The body cannot be read.", *faults) from None


def _json(answer: Mapping[str, Any]) -> Response:
    return Response(json.dumps(answer), content_type="application/json")


def _tagged(body: bytes, tag: str) -> Response:
    response = Response(body, content_type="application/json")
    response.set_etag(tag)
    response.make_conditional(request, accept_ranges=True, complete_length=len(body))
    return response
