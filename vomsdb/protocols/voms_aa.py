"""What voms-proxy-init sends and wants to hear: the REST form, and the older form of bare XML.

The C++ client begins each connection with the byte `0`, ends its lines with LF alone, throws a good answer away
unless it says `HTTP/1.1 200`, and repeats a refused request in the older form: the reason must stand in both.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import unquote
from xml.sax.saxutils import escape

from lxml import etree

from hanse.identity.voms import VomsError, split_fqan
from vomsdb.attributes import (
    EVERYTHING,
    MOST_ASKED,
    Ask,
    Fault,
    Issued,
    Wanted,
    bad_request,
)

LONGEST_REQUEST = 65536
_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,254}")
_STATUS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(frozen=True)
class Call:
    """A request that was read whole: which form it has, and what it asks for."""

    legacy: bool
    text: str


def complete(received: bytes) -> Call | None:
    """The request in what was received so far, None while it is not all there. Raises Fault when it never will be."""
    body = received[1:] if received[:1] == b"0" else received
    if len(body) > LONGEST_REQUEST:
        raise bad_request(f"The request is longer than {LONGEST_REQUEST} bytes.")
    if body.lstrip()[:1] == b"<":
        ended = b"</voms>" in body
        return Call(True, body.decode("utf-8", "replace")) if ended else None
    head = re.split(rb"\r?\n\r?\n", body, maxsplit=1)
    return Call(False, head[0].decode("latin-1")) if len(head) == 2 else None


def read(call: Call) -> Ask:
    """What the call asks for; raises Fault with the reason when it cannot be understood."""
    return _read_legacy(call.text) if call.legacy else _read_rest(call.text)


# --- REST ---------------------------------------------------------------------------------------------------------


def _read_rest(head: str) -> Ask:
    method, _, rest = head.split("\n", 1)[0].strip().partition(" ")
    address = rest.rpartition(" ")[0] or rest
    path, _, query = address.partition("?")
    if path != "/generate-ac":
        raise Fault("BadRequest", 404, 1005, "This is an attribute authority; it answers GET /generate-ac.")
    if method != "GET":
        raise Fault("BadRequest", 405, 1005, "Only GET is answered here.")
    fields: dict[str, list[str]] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        fields.setdefault(name, []).append(_decoded(value))
    return Ask(
        wanted=_limited(
            [_wanted(part) for text in fields.get("fqans", []) for part in text.split(",") if part]
        ),
        order=_limited(
            [_ordered(part) for text in fields.get("order", []) for part in text.split(",") if part]
        ),
        targets=_targets(",".join(fields.get("targets", []))),
        lifetime_s=_lifetime(fields.get("lifetime", ["43200"])[0]),
    )


def _decoded(value: str) -> str:
    """Percent-decoded once: what is still encoded after that is no FQAN."""
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise bad_request("The request is not UTF-8.") from None


def _wanted(text: str) -> Wanted:
    if text == "all":
        return EVERYTHING
    if text.startswith("Role="):
        return Wanted(None, _role(text.removeprefix("Role=")))
    try:
        path, role = split_fqan(text)
    except VomsError as fault:
        raise bad_request(str(fault)) from fault
    return Wanted(path, role)


def _ordered(text: str) -> Wanted:
    """`/vo/g:role` as older clients write it, or an FQAN."""
    path, colon, role = text.partition(":")
    return Wanted(_wanted(path).path, _role(role)) if colon else _wanted(text)


def _role(name: str) -> str:
    if not re.fullmatch(r"[\w.-]{1,64}", name, re.ASCII):
        raise bad_request(f'"{name[:100]}" is not the name of a role.')
    return name


def _limited(wanted: list[Wanted]) -> tuple[Wanted, ...]:
    if len(wanted) > MOST_ASKED:
        raise bad_request(f"{len(wanted)} attributes are asked for; {MOST_ASKED} is the most.")
    return tuple(dict.fromkeys(wanted))


def _targets(text: str) -> tuple[str, ...]:
    hosts = [host for host in text.split(",") if host]
    if len(hosts) > MOST_ASKED or not all(_TARGET.fullmatch(host) for host in hosts):
        raise bad_request("The targets must be host names, parted by commas.")
    return tuple(hosts)


def _lifetime(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) == 0:
        raise bad_request(f'The lifetime "{text[:40]}" is not a number of seconds above 0.')
    return int(text)


# --- the older form -----------------------------------------------------------------------------------------------


def _read_legacy(text: str) -> Ask:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as fault:
        raise bad_request(f"The request is not XML: {fault.msg}.") from fault
    if root.tag != "voms":
        raise bad_request("The request must be a <voms> element.")
    commands = [(element.text or "").strip() for element in root.findall("command")]
    if not commands:
        raise bad_request("The request has no <command>.")
    order = ",".join(element.text or "" for element in root.findall("order"))
    lifetime = (root.findtext("lifetime") or "43200").strip()
    return Ask(
        wanted=_limited([_command(command) for command in commands if command != "N"]) or (EVERYTHING,),
        order=_limited([_ordered(part) for part in order.split(",") if part]),
        targets=_targets(root.findtext("targets") or ""),
        lifetime_s=_lifetime("86400" if lifetime == "-1" else lifetime),
        list_only="N" in commands,
    )


def _command(command: str) -> Wanted:
    letter, rest = command[:1], command[1:]
    if command == "A":
        return EVERYTHING
    if letter == "G":
        return Wanted(_wanted(rest).path)
    if letter == "B":
        return _ordered(rest)
    if letter == "R":
        return Wanted(None, _role(rest))
    raise bad_request(f'The command "{command[:100]}" is not known.')


# --- answers ------------------------------------------------------------------------------------------------------


def answer(call: Call, issued: Issued) -> bytes:
    """The whole answer with a certificate (or a list), as the call's form wants it."""
    # the C++ client reads base64 without line ends in an alphabet of its own
    encoded = base64.encodebytes(issued.der).decode("ascii")
    if not call.legacy:
        warnings = "".join(f"<warning>{escape(w.message)}</warning>" for w in issued.warnings)
        return _http(200, f"<voms><ac>{encoded}</ac>{warnings}</voms>")
    if not issued.der:
        listed = base64.encodebytes("\n".join(issued.fqans).encode()).decode("ascii")
        return _legacy(f"<bitstr>{listed}</bitstr>")
    items = "".join(_item(w.number, w.message) for w in issued.warnings)
    return _legacy((f"<error>{items}</error>" if items else "") + f"<ac>{encoded}</ac>")


def refusal(legacy: bool, fault: Fault) -> bytes:
    """The whole answer to a request that is refused, the reason in the words both clients show."""
    if legacy:
        # without an <ac> to decode the C++ client hides the reason
        return _legacy(f"<error>{_item(fault.number, fault.message)}</error><ac>QQ==\n</ac>")
    body = f"<code>{fault.code}</code><message>{escape(fault.message)}</message>"
    return _http(fault.status, f"<voms><error>{body}</error></voms>")


def _item(number: int, message: str) -> str:
    return f"<item><number>{number}</number><message>{escape(message)}</message></item>"


def _legacy(content: str) -> bytes:
    head = '<?xml version="1.0" encoding="US-ASCII"?>'
    text = f"{head}<vomsans><version>3</version>{content}</vomsans>"
    return text.encode("ascii", "xmlcharrefreplace")


def _http(status: int, content: str) -> bytes:
    body = f'<?xml version="1.0" encoding="UTF-8"?>{content}'.encode()
    head = (
        f"HTTP/1.1 {status} {_STATUS.get(status, 'Internal Server Error')}\r\n"
        f"Content-Type: text/xml\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
