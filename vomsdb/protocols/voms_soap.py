"""The gridmap call of VOMS-Admin, as edg-mkgridmap and others make it: a GET, or SOAP (RPC/encoded).

edg-mkgridmap looks for the prefix `soapenv` and for elements without one, takes the children of the first
`getGridmapUsersReturn`, and decodes ISO-8859-1 whatever the answer says: so nothing but ASCII is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from flask import Response, request
from lxml import etree
from werkzeug.exceptions import BadRequest, HTTPException

from hanse.errors import HanseError, Refused, TooLarge
from hanse.web import Protocol, current_principal, ground
from hanse.web.bodies import body_unpacked
from hanse.web.problems import status_of
from vomsdb import site_files
from vomsdb.api.answers import settings
from vomsdb.feeds.gridmap import old_email
from vomsdb.permissions import READ_FOR_SITES

protocol = Protocol("vomsdb_voms_soap", __name__)
LONGEST_BODY = 65_536
LONGEST_CONTAINER = 500
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    "<soapenv:Body>{}</soapenv:Body></soapenv:Envelope>"
)
_ANSWER = (
    '<getGridmapUsersResponse soapenv:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
    '<getGridmapUsersReturn soapenc:arrayType="soapenc:string[{count}]" xsi:type="soapenc:Array"{nil}'
    ' xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/">{items}</getGridmapUsersReturn>'
    "</getGridmapUsersResponse>"
)
_ITEM = '<getGridmapUsersReturn xsi:type="soapenc:string">{}</getGridmapUsersReturn>'
_FAULT = (
    "<soapenv:Fault><faultcode>soapenv:{}</faultcode><faultstring>{}</faultstring><detail/></soapenv:Fault>"
)
_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
PATH = "/voms/<vo>/services/VOMSCompatibility"


@protocol.errorhandler(HanseError)
def refused(fault: HanseError) -> Response:
    """A SOAP fault under the status that says what it is: clients that only look at the status know too."""
    words = " ".join([fault.detail, *(f"{one.field}: {one.reason}." for one in fault.fields)])
    return _fault(status_of(fault), words)


@protocol.errorhandler(HTTPException)
def refused_early(fault: HTTPException) -> Response:
    """What was refused before it was read: a body that is too long, a method that is not answered here."""
    return _fault(fault.code or 500, fault.description or fault.name)


def _fault(status: int, words: str) -> Response:
    code = "Server" if status >= 500 else "Client"
    return _xml(_FAULT.format(code, _ascii(words)), status)


@protocol.route(PATH, ["GET"], permission=READ_FOR_SITES)
def get(vo: str) -> Response:
    """`?method=getGridmapUsers[&container=/VO/group]`."""
    _check(vo)
    method = request.args.get("method", "")
    if method != "getGridmapUsers":
        raise Refused(f"Only method=getGridmapUsers is answered here, not {method[:100] or 'none'}.")
    return _answer(vo, request.args.get("container", ""))


@protocol.route(PATH, ["POST"], permission=READ_FOR_SITES)
def post(vo: str) -> Response:
    """The same as SOAP, the container as the first argument."""
    _check(vo)
    if (request.content_length or 0) > LONGEST_BODY:
        raise TooLarge(f"A call of getGridmapUsers has {LONGEST_BODY:,} bytes at most.")
    body = body_unpacked()
    if len(body) > LONGEST_BODY:
        raise TooLarge(f"A call of getGridmapUsers has {LONGEST_BODY:,} bytes at most.")
    return _answer(vo, container_in(body))


def _check(vo: str) -> None:
    with ground().db.transaction() as session:
        site_files.check_reader(session, vo, current_principal())


def container_in(body: bytes) -> str:
    """The container that a SOAP call names, "" for none. Raises Refused, also for anything but plain elements."""
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as fault:
        raise Refused("The call is not XML.") from fault
    if root.getroottree().docinfo.internalDTD is not None:
        raise Refused("The call declares a document type; entities are never read.")
    call = next(iter(root.findall(f"{_SOAP}Body/*")), None) if root.tag == f"{_SOAP}Envelope" else None
    if call is None:
        raise Refused("The call is no SOAP envelope with a call in its body.")
    method = etree.QName(call).localname
    if method != "getGridmapUsers":
        raise Refused(f"Only getGridmapUsers is answered here, not {method[:100]}.")
    argument = next(iter(call), None)
    return "" if argument is None else str(argument.text or "")


def _answer(vo: str, container: str) -> Response:
    if len(container) > LONGEST_CONTAINER:
        raise BadRequest(f"A container has {LONGEST_CONTAINER} characters at most.")
    with ground().db.transaction() as session:
        wanted = site_files.container_of(vo, container)
        there = site_files.has_container(session, vo, wanted)
        found = site_files.admitted(session, vo, wanted) if there else []
    names = [old_email(one.dn) if settings().gridmap_old_email else one.dn for one in found]
    return _xml(users(names, there=there))


def users(names: Sequence[str], *, there: bool = True) -> str:
    """The answer of the call; a group that is not there is a nil array."""
    items = "".join(_ITEM.format(_ascii(name)) for name in names)
    return _ANSWER.format(count=len(names), nil="" if there else ' xsi:nil="true"', items=items)


def _ascii(text: str) -> str:
    """Text of an element in ASCII alone."""
    kept = "".join(char for char in text if char.isprintable())
    return escape(kept).encode("ascii", "xmlcharrefreplace").decode("ascii")


def _xml(inner: str, status: int = 200) -> Response:
    content = _DECLARATION + _ENVELOPE.format(inner)
    return Response(content, status, content_type="text/xml;charset=utf-8")
