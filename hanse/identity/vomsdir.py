"""The files by which clients and sites know an attribute authority: `vomses` lines and `.lsc` chains of names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cryptography import x509

from hanse.identity.names import canonical, from_slash, issuer_der, slash, subject_der

#: Pairs (subject, issuer) in slash form, from the attribute authority's certificate up.
Chain = tuple[tuple[str, str], ...]
#: The C++ library writes it with blanks, the Java one without; both are read.
_NEXT_CHAIN = re.compile(r"-{6} ?NEXT CHAIN ?-{6}")


class LscError(ValueError):
    """The .lsc text cannot be used; the sentence says what is wrong with it."""


def read_lsc(text: str) -> tuple[Chain, ...]:
    """The chains of an .lsc file: lines of subject and issuer in turn, chains parted by a NEXT CHAIN line."""
    chains: list[list[str]] = [[]]
    for line in (raw.strip() for raw in text.splitlines()):
        if _NEXT_CHAIN.fullmatch(line):
            chains.append([])
        elif line and not line.startswith("#"):
            chains[-1].append(line)
    if any(not lines or len(lines) % 2 for lines in chains):
        raise LscError(
            "An .lsc file holds a subject and an issuer for each certificate, an even number of lines."
        )
    return tuple(tuple(zip(lines[::2], lines[1::2], strict=True)) for lines in chains)


def write_lsc(chain: Sequence[x509.Certificate]) -> str:
    """The .lsc text of an authority whose chain, without the root, is given from its own certificate up."""
    names = (f(c) for c in chain for f in (subject_der, issuer_der))
    return "".join(slash(name, ascii=True) + "\n" for name in names)


def matches(names: Chain, chain: Sequence[x509.Certificate]) -> bool:
    """Whether the chain has exactly these names, compared as names and not as text."""
    return len(names) == len(chain) and all(
        _same(subject, subject_der(c)) and _same(issuer, issuer_der(c))
        for (subject, issuer), c in zip(names, chain, strict=True)
    )


def _same(text: str, name: bytes) -> bool:
    if text in (slash(name), slash(name, ascii=True)):
        return True
    try:
        return canonical(from_slash(text)) == canonical(name)
    except ValueError:
        return False


def vomses_line(
    vo: str, host: str, port: int, certificate: x509.Certificate, alias: str | None = None
) -> str:
    """The line (with its line end) that tells `voms-proxy-init` where the authority of the VO is."""
    fields = (alias or vo, host, str(port), slash(subject_der(certificate), ascii=True), vo)
    return " ".join(f'"{field}"' for field in fields) + "\n"
