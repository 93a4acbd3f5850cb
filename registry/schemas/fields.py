"""What a single field may hold. Wider than GOCDB where GOCDB was wrong (reference 3): accents, apostrophes, CIDR,
robot names with colons; narrower where it accepted nonsense (300.1.1.1 as an address).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Final
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from hanse.identity import names

MAX_ID: Final = 2**53  # whole numbers that every JSON reader keeps exactly

# Characters that XML 1.0 cannot carry at all; PostgreSQL refuses the zero, our GOCDB answers must never hold the rest.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_LABEL: Final = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_EMAIL: Final = re.compile(rf"[^\s@<>\"(),:;\[\]\\]+@{_LABEL}(?:\.{_LABEL})*\Z")
_HOSTNAME: Final = re.compile(r"(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)+(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_URL_TEXT: Final = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+\Z")
_URL_HOST: Final = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?\.?\Z")
_TELEPHONE: Final = re.compile(r"\+?[0-9(][0-9 .()/-]*(?: ?(?:ext\.?|x) ?[0-9]{1,6})?\Z")
_SUBJECT: Final = re.compile(r"[!-~]+\Z")
_WHOLE_URL: Final = "must be a complete address such as https://occi.site.example:11443/"


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


def addresses(text: str) -> list[str]:
    """The e-mail addresses of a list that commas or semicolons separate; [] for an empty text."""
    return [part.strip() for part in re.split("[,;]", text) if part.strip()]


def _email_list(text: str) -> str:
    """Kept with semicolons: readers of GOCDB's answers split at these alone."""
    found = addresses(one_line(text))
    if not found:
        raise ValueError("must be e-mail addresses such as ops@site.example; security@site.example")
    return ";".join(dict.fromkeys(_email(part) for part in found))


def _telephone(text: str) -> str:
    """One number or several with commas between them."""
    found = [part.strip() for part in re.split("[,;]", one_line(text)) if part.strip()]
    if not found or not all(_TELEPHONE.match(part) and sum(c.isdigit() for c in part) >= 3 for part in found):
        raise ValueError("must be a telephone number such as +34 976 762 000")
    return ", ".join(found)


def _hostname(text: str) -> str:
    if not _HOSTNAME.match(text) or len(text) > 253:
        raise ValueError("must be a full host name such as occi.site.example")
    if text.rpartition(".")[2].isdigit():
        raise ValueError("is an address; write the host's name, and the address in its own field")
    return text.lower()


def _domain(text: str) -> str:
    try:
        return _hostname(text)
    except ValueError:
        raise ValueError("must be a domain such as site.example") from None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(text: str) -> str:
    if text not in _zones():
        raise ValueError("must be the name of a time zone such as Europe/Madrid or UTC")
    return text


def _url(text: str) -> str:
    if not _URL_TEXT.match(text):
        raise ValueError("holds a character that an address cannot hold")
    try:
        parts = urlsplit(text)
        sound = (
            bool(parts.scheme and parts.hostname)
            and parts.port != 0
            and _is_host(parts.netloc, parts.hostname)
        )
        secret = parts.password is not None or parts.username is not None
    except ValueError:
        sound, secret = False, False
    if not sound:
        raise ValueError(_WHOLE_URL)
    if secret:
        raise ValueError("must not hold a user name or password; everybody can read it here")
    return text


def _is_host(netloc: str, host: str | None) -> bool:
    if "[" in netloc:
        return IPv6Address(host or "").scope_id is None
    return _URL_HOST.match(host or "") is not None and ".." not in (host or "")


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
        address = IPv6Address(text)
    except ValueError:
        address = None
    if address is None or address.scope_id is not None:
        raise ValueError("must be an IPv6 address such as 2001:db8::1") from None
    return str(address)


def _ranges(text: str) -> list[str]:
    found = [part for part in re.split(r"[,;\s]+", text.strip()) if part]
    if not found:
        raise ValueError("must be a range such as 192.0.2.0/24 or 2001:db8::/32")
    return list(dict.fromkeys(found))


def _ipv4_range(text: str) -> str:
    """Networks as prefix or netmask, or single addresses; each stays as it was written."""
    return ", ".join(_ipv4_network(part) for part in _ranges(text))


def _ipv4_network(text: str) -> str:
    address, slash, mask = text.partition("/")
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text} must be a range such as 192.0.2.0/24 or 192.0.2.0/255.255.255.0") from None
    if "." in mask and mask != str(network.netmask):  # the library takes 0.0.0.255 as well
        raise ValueError(f"{text} must have a netmask such as 255.255.255.0")
    if slash and IPv4Address(address) != network.network_address:
        raise ValueError(f"{text} lies inside a network; the network is {network}")
    return text


def _ipv6_range(text: str) -> str:
    """Networks with their prefix, or single addresses, in the shortest spelling."""
    return ", ".join(_ipv6_network(part) for part in _ranges(text))


def _ipv6_network(text: str) -> str:
    try:
        network = IPv6Network(text, strict=False)
        address = IPv6Address(text.partition("/")[0])
    except ValueError:
        raise ValueError(f"{text} must be a range such as 2001:db8::/32") from None
    if address.scope_id is not None:
        raise ValueError(f"{text} must be without an interface (%)")
    if "/" not in text:
        return str(address)
    if address != network.network_address:
        raise ValueError(f"{text} lies inside a network; the network is {network}")
    return str(network)


def _distinguished_name(text: str) -> str:
    """In slash form, in which the readers of GOCDB compare host names; the other form is turned into it."""
    text = one_line(text)
    try:
        der = names.parse(text)
    except names.NameFault as fault:
        raise ValueError(f"must be a name such as /C=EU/O=Example/CN=host.site.example: {fault}") from None
    if text.startswith("/"):
        return text
    written = names.slash(der)
    plain = written.replace("\\/", "/")
    return plain if names.parse(plain) == der else written


def _provider_subject(text: str) -> str:
    """OpenID Connect core 1.0, section 2: at most 255 ASCII characters, case-sensitive."""
    if not _SUBJECT.match(text):
        raise ValueError("must be the subject as the identity provider writes it, such as 1a2b3c@egi.eu")
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
NgiName = Annotated[Code, AfterValidator(_not_an_address)]
VoName = Code
ServiceTypeName = Code
ServiceGroupName = Annotated[Code, AfterValidator(_not_an_address)]
ProjectName = Annotated[Code, AfterValidator(_not_an_address)]
Scope = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
EndpointName = Annotated[
    str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._-](?:[A-Za-z0-9._ -]*[A-Za-z0-9._-])?$")
]
Description = Annotated[str, Field(max_length=2000), AfterValidator(printable)]
LongDescription = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(printable)]
Reason = Annotated[str, Field(max_length=300), AfterValidator(one_line)]
Email = Annotated[str, Field(max_length=255), AfterValidator(_email)]
EmailList = Annotated[str, Field(max_length=2000), AfterValidator(_email_list)]
Hostname = Annotated[str, Field(max_length=253), AfterValidator(_hostname)]
Domain = Annotated[str, Field(max_length=253), AfterValidator(_domain)]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_timezone)]
Url = Annotated[str, Field(max_length=2000), AfterValidator(_url)]
WebUrl = Annotated[str, Field(max_length=2000), AfterValidator(_web_url)]
LdapUrl = Annotated[str, Field(max_length=2000), AfterValidator(_ldap_url)]
Ipv4 = Annotated[str, Field(max_length=15), AfterValidator(_ipv4)]
Ipv6 = Annotated[str, Field(max_length=45), AfterValidator(_ipv6)]
Ipv4Range = Annotated[str, Field(max_length=2000), AfterValidator(_ipv4_range)]
Ipv6Range = Annotated[str, Field(max_length=2000), AfterValidator(_ipv6_range)]
DistinguishedName = Annotated[str, Field(max_length=2000), AfterValidator(_distinguished_name)]
ProviderSubject = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_provider_subject)]
Telephone = Annotated[str, Field(max_length=255), AfterValidator(_telephone)]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Amount = Annotated[int, Field(ge=0, le=10**12)]
Size = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
PropertyKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        pattern=r"^[A-Za-z0-9@_\-\[\]+.](?:[A-Za-z0-9@_\-\[\]+. ]*[A-Za-z0-9@_\-\[\]+.])?$",
    ),
]
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
