"""The texts by which clients and sites find and know the attribute authority."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from hanse.errors import Unavailable
from hanse.identity.vomsdir import vomses_line, write_lsc


@dataclass(frozen=True)
class ClientFiles:
    """The vomses line and the .lsc text, each as its file wants it."""

    vomses: str
    lsc: str


def files(vo: str, certificate: Path, host: str, port: int) -> ClientFiles:
    """The texts for one VO, from the authority's certificate; raises Unavailable when it cannot be read.

    Only the certificate is read here: the key is the attribute authority's alone.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    except (OSError, ValueError) as fault:
        raise Unavailable(
            f"The attribute authority's certificate {certificate} cannot be read; its operator must mend aa_cert."
        ) from fault
    above = [c for c in chain if c.subject != c.issuer] or chain[:1]
    return ClientFiles(vomses_line(vo, host, port, chain[0]), write_lsc(above))
