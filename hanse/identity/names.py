"""Distinguished names: DER is the truth, the printed forms are derived from it.

Two spellings are in use in the field. The slash form of OpenSSL (`/C=EU/O=Hanse Demo/CN=Ingrid Holm`) follows
the order of the certificate; RFC 2253 (`CN=Ingrid Holm,O=Hanse Demo,C=EU`) is reversed. Both are ambiguous in
old software, so they never serve as keys: compare `canonical(der)`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from cryptography import x509

from hanse.identity.nameparts import (
    UTF8,
    Attribute,
    NameFault,
    Rdn,
    elements,
    emit,
    encode,
    oid_of,
    one,
    pair,
    rdns,
    string_type,
)

__all__ = [
    "Attribute",
    "NameFault",
    "Rdn",
    "canonical",
    "common_name",
    "crl_issuer_der",
    "encode",
    "from_rfc2253",
    "from_slash",
    "issuer_der",
    "lookup_hash",
    "parse",
    "rdns",
    "rfc2253",
    "same",
    "slash",
    "subject_der",
]

_MOST_KEPT: Final = 16_384  # bytes of a certificate that is remembered; strangers choose how large theirs are
_MAX_NAME: Final = 8192  # no certificate authority of the field writes names near this long


@lru_cache(maxsize=2048)  # the same few authorities and people come again and again
def canonical(der: bytes) -> bytes:
    """The form in which names are compared: every readable string as UTF8String, sets sorted.

    PrintableString, IA5String and the rest carry the same text in another box: a CA that changes its string
    type does not change a person. Case and spaces stay: two names that differ in them are two names.
    Raises NameFault.
    """
    return encode([tuple(_canonical_attribute(a) for a in rdn) for rdn in rdns(der)])


def _canonical_attribute(attribute: Attribute) -> Attribute:
    text = attribute.text
    return attribute if text is None else Attribute(attribute.oid, emit(UTF8, text.encode()))


def same(one: bytes, other: bytes) -> bool:
    """True when two DER names are the same name, whatever string types they use."""
    return one == other or canonical(one) == canonical(other)


def lookup_hash(der: bytes) -> str:
    """How OpenSSL names the file of a CA in a hashed directory: eight digits, as `openssl x509 -hash`."""
    folded = b""
    for rdn in rdns(der):
        pairs = sorted(pair(_folded_attribute(a)) for a in rdn)
        folded += emit(17, b"".join(pairs), constructed=True)
    return f"{int.from_bytes(hashlib.sha1(folded, usedforsecurity=False).digest()[:4], 'little'):08x}"


def _folded_attribute(attribute: Attribute) -> Attribute:
    """OpenSSL's own canonical form, good for finding files: lower case (ASCII only), single spaces."""
    text = attribute.text
    if text is None:
        return attribute
    words = " ".join(part for part in re.split(r"[ \t\n\v\f\r]+", text) if part)
    lowered = "".join(c.lower() if c.isascii() else c for c in words)
    return Attribute(attribute.oid, emit(UTF8, lowered.encode()))


def subject_der(cert: x509.Certificate) -> bytes:
    """Subject of the certificate, byte for byte as it stands in it."""
    return _tbs_names(cert.tbs_certificate_bytes)[1]


def issuer_der(cert: x509.Certificate) -> bytes:
    """Issuer of the certificate, byte for byte as it stands in it."""
    return _tbs_names(cert.tbs_certificate_bytes)[0]


def crl_issuer_der(crl: x509.CertificateRevocationList) -> bytes:
    """Issuer of the revocation list, byte for byte as it stands in it."""
    fields = list(elements(one(crl.tbs_certlist_bytes).content))
    if fields[0].tag == 2:  # the version, absent in version 1
        fields = fields[1:]
    return fields[1].whole


def _tbs_names(tbs: bytes) -> tuple[bytes, bytes]:
    return _kept_names(tbs) if len(tbs) <= _MOST_KEPT else _read_names(tbs)


@lru_cache(maxsize=1024)
def _kept_names(tbs: bytes) -> tuple[bytes, bytes]:
    return _read_names(tbs)


def _read_names(tbs: bytes) -> tuple[bytes, bytes]:
    fields = list(elements(one(tbs).content))
    if fields and fields[0].class_ == 2:  # [0] version, absent in version 1
        fields = fields[1:]
    return fields[2].whole, fields[4].whole  # serial, algorithm, issuer, validity, subject


# --- printing -----------------------------------------------------------------------------------------------


def slash(der: bytes, *, ascii: bool = False) -> str:
    r"""Slash form as OpenSSL 3 prints it: order of the certificate, `/` and `+` inside values escaped.

    Letters outside ASCII are printed as text; `ascii=True` writes them `\xC3\xAB`, which is what OpenSSL and
    thus the readers of grid-mapfiles compare with. A value that is no string is written `#` and its DER in
    hexadecimal.
    """
    return "".join("/" + "+".join(_slash_attribute(a, ascii) for a in rdn) for rdn in rdns(der))


def _slash_attribute(attribute: Attribute, ascii_only: bool) -> str:
    text = attribute.text
    if text is None:
        return f"{attribute.label}=#{attribute.value_der.hex()}"
    written: list[str] = []
    for position in range(len(text) - 1, -1, -1):  # backwards, since a backslash depends on what follows it
        char, following = text[position], written[-1][0] if written else ""
        if char in "/+":
            written.append("\\" + char)
        elif char == "\\" and following in ("", "\\", "/", "+", "x"):
            written.append("\\x5C")  # OpenSSL leaves it bare, and then nobody can read it back
        elif (char == "#" and position == 0) or not char.isprintable() or (ascii_only and char > "~"):
            written.append("".join(f"\\x{byte:02X}" for byte in char.encode()))
        else:
            written.append(char)
    return f"{attribute.label}={''.join(reversed(written))}"


def rfc2253(der: bytes, *, ascii: bool = False) -> str:
    r"""RFC 2253 form: reversed order, commas; `ascii=True` writes letters outside ASCII as `\C3\AB`."""
    return ",".join(
        "+".join(_rfc2253_attribute(a, ascii) for a in reversed(rdn)) for rdn in reversed(rdns(der))
    )


def _rfc2253_attribute(attribute: Attribute, ascii_only: bool) -> str:
    text = attribute.text
    if text is None:
        return f"{attribute.label}=#{attribute.value_der.hex()}"
    written, last = [], len(text) - 1
    for position, char in enumerate(text):
        at_edge = (position == 0 and char in " #") or (position == last and char == " ")
        if char in ',+"\\<>;' or at_edge:
            written.append("\\" + char)
        elif not char.isprintable() or (ascii_only and char > "~"):
            written.append("".join(f"\\{byte:02X}" for byte in char.encode()))
        else:
            written.append(char)
    return f"{attribute.label}={''.join(written)}"


def common_name(der: bytes) -> str | None:
    """The last common name: what a person or host is called. None without one."""
    found = [a.text for rdn in rdns(der) for a in rdn if a.oid == "2.5.4.3" and a.text]
    return found[-1] if found else None


# --- reading ------------------------------------------------------------------------------------------------

_KEY = r"(?:[A-Za-z][A-Za-z0-9]*|(?:OID\.)?[0-2](?:\.[0-9]+)+)"


def parse(text: str) -> bytes:
    """DER of a name in slash form when it begins with `/`, in RFC 2253 form otherwise. Raises NameFault."""
    begun = text.lstrip()
    return from_slash(begun.rstrip()) if begun.startswith("/") else from_rfc2253(begun)


def from_slash(text: str) -> bytes:
    r"""DER of a name in slash form. Raises NameFault.

    A `/` that no known attribute name follows belongs to the value (`/CN=host/acct.cesnet.example`), as does
    an escaped `\/`; a `+` with a known attribute name after it joins a multi-valued RDN, `\+` is a plus sign.
    Letters outside ASCII may be text or `\xC3\xAB`. `Email=` and `E=` mean emailAddress.
    """
    _check_length(text)
    if not text.startswith("/"):
        raise NameFault(
            f"The distinguished name {text!r} must begin with a slash, as in /C=EU/O=Example/CN=Name."
        )
    cuts = [m for m in re.finditer(rf"(?P<sep>[/+])(?P<key>{_KEY})=", text) if _is_cut(text, m)]
    if not cuts or cuts[0].start() != 0:
        raise NameFault(
            f"The distinguished name {text!r} begins with no known attribute such as C=, O= or CN=."
        )
    names: list[list[Attribute]] = []
    for cut, following in zip(cuts, [*cuts[1:], None], strict=True):
        value = text[cut.end() : following.start() if following else len(text)]
        attribute = _attribute(oid_of(cut["key"]) or "", value, _unescape_slash)
        if cut["sep"] == "+":
            names[-1].append(attribute)
        else:
            names.append([attribute])
    return encode([tuple(rdn) for rdn in names])


def _is_cut(text: str, match: re.Match[str]) -> bool:
    """A separator that is not escaped, before an attribute name that exists."""
    return (match.start() == 0 or text[match.start() - 1] != "\\") and oid_of(match["key"]) is not None


def from_rfc2253(text: str) -> bytes:
    r"""DER of a name in RFC 2253 or 4514 form: `\,`, `\C3\AB`, quoted values, `#hex`, `, `."""
    _check_length(text)
    names: list[list[Attribute]] = []
    joined = False
    for value_text, separator in _split_rfc2253(text):
        key, found, value = value_text.partition("=")
        oid = oid_of(key.strip())
        if not found or oid is None:
            raise NameFault(
                f"The distinguished name {text!r} has the part {value_text!r}, which is no known attribute."
            )
        attribute = _attribute(oid, value, _unescape_rfc2253)
        if joined:
            names[-1].insert(0, attribute)
        else:
            names.append([attribute])
        joined = separator == "+"
    return encode([tuple(rdn) for rdn in reversed(names)])


def _split_rfc2253(text: str) -> Iterator[tuple[str, str]]:
    """Parts between unescaped, unquoted `,`, `;` and `+`, with the separator that ends each."""
    start, quoted, escaped = 0, False, False
    for position, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif not quoted and char in ",;+":
            yield text[start:position], char
            start = position + 1
    yield text[start:], ""


class _Unescape:
    """Turns the escapes of one spelling into the bytes of the value."""

    def __init__(self, pattern: str) -> None:
        self.pattern = re.compile(pattern, re.DOTALL)

    def __call__(self, value: str) -> bytes:
        written, position = bytearray(), 0
        for match in self.pattern.finditer(value):
            written += value[position : match.start()].encode()
            written += bytes.fromhex(match["hex"]) if match["hex"] else match["char"].encode()
            position = match.end()
        return bytes(written + value[position:].encode())


_unescape_slash = _Unescape(r"\\(?:x(?P<hex>[0-9A-Fa-f]{2})|(?P<char>[/+\\]))")
_unescape_pairs = _Unescape(r"\\(?:(?P<hex>[0-9A-Fa-f]{2})|(?P<char>.))")


def _unescape_rfc2253(value: str) -> bytes:
    value = value.lstrip(" ")
    kept = re.match(r"(?:[^\\]|\\.)*?(?= *\Z)", value, re.DOTALL)  # spaces at the end, unless escaped
    value = kept[0] if kept else value
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return _unescape_pairs(value)


def _attribute(oid: str, value: str, unescape: Callable[[str], bytes]) -> Attribute:
    if value.startswith("#") and re.fullmatch(r"#(?:[0-9A-Fa-f]{2})+", value):
        whole = bytes.fromhex(value[1:])
        one(whole)
        return Attribute(oid, whole)
    raw = unescape(value)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise NameFault(f"The value {value!r} of a distinguished name is not UTF-8.") from error
    return Attribute(oid, emit(string_type(oid, text), raw))


def _check_length(text: str) -> None:
    if len(text) > _MAX_NAME:
        raise NameFault(f"The distinguished name is longer than {_MAX_NAME} characters.")
    if "\x00" in text:
        raise NameFault("The distinguished name has a zero character in it.")
