"""What a single field may hold. Wider than GOCDB where GOCDB was wrong (reference 3): accents, apostrophes, CIDR,
robot names with colons; narrower where it accepted nonsense (300.1.1.1 as an address).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

MAX_ID: Final = 2**53  # whole numbers that every JSON reader keeps exactly

# Characters that XML 1.0 cannot carry at all; PostgreSQL refuses the zero, our GOCDB answers must never hold the rest.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_EMAIL: Final = re.compile(
    r"[^\s@<>\"(),:;\[\]\\]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\Z"
)
_HOSTNAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))+\Z"
)
_URL_TEXT: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+\Z")


class Wire(BaseModel):
    """A JSON body: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """Parameters in an address: text, so numbers and booleans are read from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def printable(text: str) -> str:
    """Refuse control characters; line ends and tabs may stand in long text."""
    found = _UNPRINTABLE.search(text)
    if found:
        raise ValueError(f"holds a control character (code {ord(found[0])}); write it as plain text")
    return text


def one_line(text: str) -> str:
    """Printable, without line ends, not only spaces at its edges."""
    if "\n" in text or "\r" in text or "\t" in text:
        raise ValueError("must stand on one line, without tabs")
    stripped = printable(text).strip()
    if text and not stripped:
        raise ValueError("holds only spaces")
    return stripped


def _email(text: str) -> str:
    text = one_line(text)
    if not _EMAIL.match(text):
        raise ValueError("must be an e-mail address such as ops@site.example")
    return text


def _hostname(text: str) -> str:
    if not _HOSTNAME.match(text):
        raise ValueError("must be a full host name such as occi.site.example")
    return text.lower()


def _url(text: str) -> str:
    if not _URL_TEXT.match(text):
        raise ValueError("holds a character that an address cannot hold")
    try:
        parts = urlsplit(text)
        port_is_readable = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError("must be a complete address such as https://occi.site.example:11443/") from None
    if not parts.scheme or not parts.hostname or not port_is_readable:
        raise ValueError("must be a complete address such as https://occi.site.example:11443/")
    return text


def _web_url(text: str) -> str:
    text = _url(text)
    if urlsplit(text).scheme not in ("http", "https"):
        raise ValueError("must begin with https:// or http://")
    return text


def _ldap_url(text: str) -> str:
    text = _url(text)
    if urlsplit(text).scheme not in ("ldap", "ldaps"):
        raise ValueError("must begin with ldap:// or ldaps://")
    return text


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ValueError("must be an IPv4 address such as 192.0.2.10") from None


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise ValueError("must be an IPv6 address such as 2001:db8::1") from None


def _distinguished_name(text: str) -> str:
    text = one_line(text)
    if not re.match(r"/[A-Za-z][A-Za-z0-9.]*=", text):
        raise ValueError("must be a name in slash form such as /C=EU/O=Example/CN=host.site.example")
    return text


def parse_time(value: object) -> datetime:
    """An ISO 8601 time with its zone, as UTC. Numbers are refused: nobody can see whether they are seconds."""
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("must be a time such as 2026-11-24T14:00:00Z") from None
    else:
        raise ValueError("must be a time in text such as 2026-11-24T14:00:00Z")
    if moment.tzinfo is None:
        raise ValueError("needs its zone; write 2026-11-24T14:00:00Z for UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the calendar") from None


def iso(moment: datetime) -> str:
    """How times are written everywhere in Hanse: ISO 8601, UTC, with Z."""
    text = moment.astimezone(UTC).isoformat()
    return text.replace("+00:00", "Z")


def _entity_id(value: object) -> int:
    """Ids are text on the wire; a whole number is understood as well."""
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,15}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ID:
        raise ValueError('must be an id such as "17"')
    return value


def _not_an_address(name: str) -> str:
    """`/sites/new` is a form."""
    if name.lower() == "new":
        raise ValueError("is taken by a page; choose another name")
    return name


Line = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(one_line)]
Code = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
SiteName = Annotated[Code, AfterValidator(_not_an_address)]
NgiName = Code
VoName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
ServiceTypeName = Code
Scope = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
EndpointName = Annotated[
    str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._-](?:[A-Za-z0-9._ -]*[A-Za-z0-9._-])?$")
]
Description = Annotated[str, Field(max_length=2000), AfterValidator(printable)]
LongDescription = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(printable)]
Reason = Annotated[str, Field(max_length=300), AfterValidator(one_line)]
Email = Annotated[str, Field(max_length=255), AfterValidator(_email)]
Hostname = Annotated[str, Field(max_length=253), AfterValidator(_hostname)]
Url = Annotated[str, Field(max_length=2000), AfterValidator(_url)]
WebUrl = Annotated[str, Field(max_length=2000), AfterValidator(_web_url)]
LdapUrl = Annotated[str, Field(max_length=2000), AfterValidator(_ldap_url)]
Ipv4 = Annotated[str, Field(max_length=15), AfterValidator(_ipv4)]
Ipv6 = Annotated[str, Field(max_length=45), AfterValidator(_ipv6)]
DistinguishedName = Annotated[str, Field(max_length=2000), AfterValidator(_distinguished_name)]
Telephone = Annotated[str, Field(max_length=255, pattern=r"^\+?[0-9][0-9\-. )(/]*$")]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Amount = Annotated[int, Field(ge=0, le=10**12)]
Size = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
PropertyKey = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9@_\-\[\]+. ]+$")]
PropertyValue = Annotated[str, Field(max_length=255), AfterValidator(one_line)]
Pem = Annotated[str, Field(max_length=20_000)]
UtcTime = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(iso, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
EntityId = Annotated[
    int, BeforeValidator(_entity_id), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,15}$"})
]
PathId = Annotated[int, Field(ge=1, le=MAX_ID)]
AsOf = Annotated[
    str,
    Field(
        max_length=40,
        description="A time (2026-11-24T14:00:00Z) or a revision number: the answer as it was then.",
    ),
]
