"""occi-categories: does the query interface answer, with the kinds and mixins that a user's client needs.

Options: kinds ("compute,network,storage") and mixins ("os_tpl,resource_tpl"), terms of the infrastructure
scheme or whole identifiers; token (sent as X-Auth-Token to this origin only). Rules: reference of EGI's
check_occi_compute_create 0.0.4 (missing kind or mixin is CRITICAL).
"""

from hanse.occi.client import QUERY, WELL_KNOWN
from hanse.occi.keystone import login_address
from hanse.occi.model import INFRASTRUCTURE, Document, duplicates
from hanse.occi.renderings import RenderingError, read
from hanse.occi.text import excerpt
from monitoring.findings import Fault, Figure, Finding, Status, Target
from monitoring.probes.http import refuse_busy
from monitoring.probes.options import words
from monitoring.wire.http1 import Reply
from monitoring.wire.line import Line

KINDS, MIXINS = ("compute", "network", "storage"), ("os_tpl", "resource_tpl")


async def probe(target: Target, line: Line) -> Finding:
    """OK with counts, or CRITICAL occi-missing; faults of the line, occi-invalid, auth-*, http-status."""
    wanted = [*_identifiers(words(target, "kinds", KINDS)), *_identifiers(words(target, "mixins", MIXINS))]
    model, reply = await queried(target, line)
    figures = (
        Figure("time", line.trace.elapsed_s(), "s"),
        Figure("kinds", len(model.kinds)),
        Figure("mixins", len(model.mixins)),
        Figure("size", len(reply.body), "B"),
    )
    missing = [identifier for identifier in wanted if not _offers(model, identifier)]
    if missing:
        names = ", ".join(identifier.rpartition("#")[2] for identifier in missing)
        return Finding(Status.CRITICAL, f"The OCCI server does not offer {names}", "occi-missing", figures)
    return Finding(Status.OK, f"{_counts(model)}: all required are there", figures=figures)


async def queried(target: Target, line: Line) -> tuple[Document, Reply]:
    """What the query interface offers, and its answer; faults of the line, occi-invalid, auth-*, http-status."""
    token = target.options.get("token", "")
    reply = await _query(line, target.url, token)
    _accept_status(reply, bool(token))
    with line.trace.phase("parse") as step:
        model = _model(reply)
        step.seen = _counts(model)
    return model, reply


def _counts(model: Document) -> str:
    return f"{len(model.kinds)} kinds, {len(model.mixins)} mixins, {len(model.actions)} actions"


async def _query(line: Line, url: str, token: str) -> Reply:
    base = url if url.endswith("/") else url + "/"
    accept = (("Accept", "text/plain"),)
    if token:  # never follow a redirect with a secret in hand
        return await line.ask("GET", base + QUERY, (*accept, ("X-Auth-Token", token)))
    reply = await line.follow(base + QUERY, accept)
    return await line.follow(base + WELL_KNOWN, accept) if reply.status == 404 else reply


def _accept_status(reply: Reply, with_token: bool) -> None:
    refuse_busy(reply)
    if reply.status == 401:
        raise _login_fault(reply, with_token)
    if reply.status == 403:
        raise Fault("auth-forbidden", f"The OCCI server forbids the query (403): {_said(reply)}")
    if reply.status == 204 or (reply.status == 200 and not reply.body.strip()):
        raise Fault("occi-invalid", f"The query interface answers {reply.status} without any content")
    if reply.status != 200:
        raise Fault("http-status", f"The query interface answers {reply.status} {reply.phrase}".rstrip())


def _login_fault(reply: Reply, with_token: bool) -> Fault:
    challenge = reply.header("www-authenticate")
    login = login_address(challenge)
    if with_token:
        return Fault("auth-refused", "The OCCI server refuses our token (401)")
    if login:
        said = f"The OCCI server asks for a login at {login[:80]}, and this check has no token"
        return Fault("auth-required", said, Status.UNKNOWN)
    if challenge:
        return Fault(
            "auth-challenge", f"The OCCI server asks for a login in a form we do not know: {challenge[:60]}"
        )
    return Fault("auth-challenge", "The OCCI server answers 401 and does not say where to log in")


def _model(reply: Reply) -> Document:
    try:
        model = read(reply.headers, reply.body)
    except RenderingError as fault:
        raise Fault("occi-invalid", f"The answer is not OCCI: {fault}") from None
    twice = duplicates(model.kinds)
    if twice:
        raise Fault("occi-invalid", f"The query interface defines {twice[0]} twice")
    if not model.kinds:
        raise Fault("occi-invalid", f"The query interface lists no kind: {_said(reply)}")
    return model


def _offers(model: Document, identifier: str) -> bool:
    """Defined, or named as a parent by what is: rOCCI leaves resource_tpl itself out and lists the sizes
    below it."""
    return model.find(identifier) is not None or bool(model.children_of(identifier))


def _identifiers(terms: tuple[str, ...]) -> list[str]:
    return [term if "#" in term else INFRASTRUCTURE + term for term in terms]


def _said(reply: Reply) -> str:
    return repr(excerpt(reply.body[:200].decode("utf-8", "replace").strip(), 80))
