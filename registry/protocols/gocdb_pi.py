"""GOCDB's programmatic interface, read side (5.12): `/gocdbpi/{public,private}/?method=..`.

Both addresses run the same program; only the method says who may ask. Every fault is answered with HTTP 200, because
that is what its consumers were written against.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from flask import Response, current_app, request

import registry
from hanse.errors import HanseError
from hanse.identity.permissions import PUBLIC
from hanse.identity.principals import ANONYMOUS, Principal
from hanse.revisions import feed_epoch, head
from hanse.web import Protocol, conditional, current_principal, ground
from registry import api_credentials, personal_data
from registry.gocdb import access, kept
from registry.gocdb.asking import Asked, BadValue, Page
from registry.gocdb.expressions import BadExpression
from registry.protocols.gocdb_methods import METHODS, Call, Method
from registry.renderings import gocdb_xml as xml
from registry.settings import RegistrySettings

NO_CREDENTIAL: Final = "No valid identifier found. Try accessing the resource through the private interface."
NOT_AUTHORISED: Final = (
    "Authorisation required to read personal data (register the credential as an API credential of a site, or hold a"
    " role). "
)
LONGEST_VALUE: Final = 16_000
_CURSORS: Final = ("next_cursor", "prev_cursor")
_IGNORED: Final = frozenset({"method", "output"})
# characters that GOCDB refuses in a value, and those that XML and the database cannot carry
_BAD_CHARACTER: Final = re.compile("[\"'`\x00-\x1f\x7f]")
# answers that other code found and wrote out are not given
_WRITTEN_BY: Final = kept.code_of(Path(registry.__file__).parent)

protocol = Protocol("gocdb_pi", __name__)


class Fault(Exception):
    """A fault in GOCDB's own words, as an `<error>` or as plain text."""

    def __init__(self, body: str, *, plain: bool = False) -> None:
        super().__init__(body)
        self.body = body if plain else f"<error>{xml.escape(body)}</error>"
        self.plain = plain


@protocol.route("/gocdbpi/public/", ["GET"], permission=PUBLIC)
def public() -> Response:
    """The open address."""
    return _call("public")


@protocol.route("/gocdbpi/private/", ["GET"], permission=PUBLIC)
def private() -> Response:
    """The address for callers with a credential; what needs one is decided by the method."""
    return _call("private")


@protocol.errorhandler(Fault)
def answer_fault(fault: Fault) -> Response:
    """GOCDB's faults, with 200."""
    return (
        _xml(fault.body) if not fault.plain else Response(fault.body, content_type="text/html; charset=utf-8")
    )


@protocol.errorhandler(HanseError)
def answer_error(error: HanseError) -> Response:
    """A credential that is no good is no credential."""
    return Response(NO_CREDENTIAL, content_type="text/html; charset=utf-8")


def _call(side: str) -> Response:
    given = {name: request.args.getlist(name)[-1] for name in request.args}
    name = given.get("method", "")
    method = METHODS.get(name)
    if method is None:
        raise Fault(f"Unable to find method: {xml.escape(name)}", plain=True)
    caller = current_principal() if method.level > 1 else ANONYMOUS
    _admit(method, caller)
    call = _read(side, given, method, caller)
    try:
        answer = _answer(method, call)
    except BadExpression:
        raise Fault("Invalid query expression", plain=True) from None
    except BadValue as error:
        raise Fault(str(error)) from None
    read_only = _settings().read_only
    personal_data.note_read(ground().db, caller, f"GOCDB interface, {name}", call.read, read_only=read_only)
    return answer


def _admit(method: Method, caller: Principal) -> None:
    if method.level == 1:
        return
    if not caller.signed_in:
        raise Fault(NO_CREDENTIAL, plain=True)
    settings = _settings()
    registered = method.level == 3 and bool(
        api_credentials.seen(ground().db, caller, read_only=settings.read_only)
    )
    strict = method.strict or settings.restrict_personal_data
    if method.level == 3 and strict and not registered and not access.may_read_people(caller):
        raise Fault(NOT_AUTHORISED, plain=True)


def _answer(method: Method, call: Call) -> Response:
    """What was kept, or a new answer from one look at the database: no half of it before a change, half after."""
    kinds = method.kept(call.asked)
    if kinds is None:
        return conditional(_xml(_made(method, call).body))
    key, answers = _key(call), _answers()

    def look(handed: kept.Made | None) -> kept.Kept | None:
        with ground().db.transaction() as session:
            return answers.find(session, key, kinds, handed)

    return _known(answers.have(key, look, lambda: _made(method, call)))


def _made(method: Method, call: Call) -> kept.Made:
    with ground().db.transaction() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        return kept.Made(feed_epoch(session), head(session), method.run(session, call).encode())


def _known(found: kept.Kept) -> Response:
    response = _xml(found.body)
    response.set_etag(found.etag)
    return conditional(response)


def _key(call: Call) -> str:
    """Everything that the answer depends on beside the registry itself."""
    asked = call.asked
    facts = [_WRITTEN_BY, call.base, call.portal, *asked.default_scopes, sorted(asked.parameters.items())]
    page = [asked.page.next, asked.page.prev]
    return hashlib.blake2b(json.dumps([facts, page]).encode(), digest_size=20).hexdigest()


def _answers() -> kept.KeptAnswers:
    held = current_app.extensions.get("gocdb_answers")
    if not isinstance(held, kept.KeptAnswers):
        settings = _settings()
        held = kept.KeptAnswers(settings.data_dir / "gocdb-answers", settings.gocdb_answers_mb * 1024**2)
        current_app.extensions["gocdb_answers"] = held
    return held


def _settings() -> RegistrySettings:
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    return settings


def _read(side: str, given: dict[str, str], method: Method, caller: Principal) -> Call:
    _check_parameters(given, method)
    settings = _settings()
    home = (settings.tls_url if request.is_secure else settings.url).rstrip("/")
    parameters = {name: value for name, value in given.items() if name not in _CURSORS}
    page = _page(given) if method.paged else Page()
    return Call(
        asked=Asked(parameters, page, settings.default_scopes, datetime.now(UTC)),
        base=f"{home}/gocdbpi/{side}/",
        portal=(settings.portal_url or home).rstrip("/"),
        all_realms=settings.gocdb_all_realms,
        identifier=access.identifier_of(caller),
    )


def _check_parameters(given: dict[str, str], method: Method) -> None:
    known = method.parameters | _IGNORED | (frozenset(_CURSORS) if method.paged else frozenset())
    for name, value in given.items():
        if name not in known:
            raise Fault(f"Unsupported parameter: {name}")
        if _BAD_CHARACTER.search(value):
            raise Fault(f"Unsuported chracter in value: {_printable(value)}")
        if len(value) > LONGEST_VALUE:
            raise Fault(f"Invalid '{name}' parameter - must be no longer than {LONGEST_VALUE} characters")


def _printable(value: str) -> str:
    return re.sub("[\x00-\x1f\x7f]", "?", value)


def _page(given: dict[str, str]) -> Page:
    if all(name in given for name in _CURSORS):
        raise Fault(
            "It is invalid to specify both 'next_cursor' and 'prev_cursor' parameters in the same query"
        )
    for name in _CURSORS:
        if name in given and not re.fullmatch(r"[0-9]{1,15}", given[name]):
            raise Fault(f"Invalid '{name}' parameter - must be a whole number greater than or equal to zero")
    numbers = {name: int(given[name]) for name in _CURSORS if name in given}
    return Page(next=numbers.get("next_cursor"), prev=numbers.get("prev_cursor"))


def _xml(body: str | bytes) -> Response:
    return Response(body, content_type="application/xml; charset=utf-8")
