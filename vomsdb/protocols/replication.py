"""What the agents of sites call: join, fetch manifests and snapshots, acknowledge. Certificates only, no cookies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from flask import Response, request
from pydantic import BaseModel, ValidationError

from hanse.errors import FieldFault, HanseError, Refused
from hanse.identity.permissions import SIGNED_IN
from hanse.web import Protocol, current_principal, ground, problem
from hanse.web.problems import status_of
from vomsdb import replication
from vomsdb.api.answers import settings
from vomsdb.jobs import press_of
from vomsdb.permissions import ANY_SITE_AGENT, SITE_AGENT
from vomsdb.replication import Report
from vomsdb.schemas.replication import AckIn, JoinIn
from vomsdb.snapshots import Envelope, SigningKey

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
    answer = {"federation": here.federation, "site": joined.site, "keys": _keys(), "vos": joined.vos}
    return _json(answer)


def _keys() -> list[dict[str, str]]:
    here = settings()
    until = datetime.now(UTC) + timedelta(days=here.signing_key_days)
    paths = [here.signing_key_path, *([here.signing_key_next] if here.signing_key_next else [])]
    return [SigningKey.at(path).described(until) for path in paths]


@protocol.route("/replication/sites/<site>/manifests", ["GET"], permission=SITE_AGENT)
def manifests(site: str) -> Response:
    """What the site should hold; 304 while that has not changed."""
    with ground().db.transaction() as session:
        envelopes = replication.manifests(session, site, press_of(settings()))
    body = json.dumps({"manifests": envelopes}).encode()
    return _tagged(body, hashlib.sha256(body).hexdigest())


@protocol.route("/replication/vos/<vo>/snapshots/<sha256>", ["GET"], permission=ANY_SITE_AGENT)
def snapshot(vo: str, sha256: str) -> Response:
    """A state of a VO by its hash, for sites that support the VO."""
    machine = current_principal().scopes("site_machine")
    sites = [scope.removeprefix("site:") for scope in machine if scope.startswith("site:")]
    with ground().db.transaction() as session:
        found = replication.snapshot_for(session, vo, sha256, sites)
    envelope = Envelope(found.payload, found.signature, found.key_id)
    return _tagged(json.dumps(envelope.as_json()).encode(), sha256)


@protocol.route("/replication/sites/<site>/acks", ["POST"], permission=SITE_AGENT)
def acknowledge(site: str) -> Response:
    """What the site holds now, read back from its own files."""
    report = Report(**_read(AckIn).model_dump())
    with ground().db.transaction() as session:
        replica = replication.acknowledge(session, site, report)
    return _json({"expected": replica.sha256, "in_step": replica.held_sha256 == replica.sha256})


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
    response.make_conditional(request)
    return response
