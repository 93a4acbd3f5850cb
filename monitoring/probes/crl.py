"""crl: is the revocation list at an address one that holds, and for how long.

Options: warning_hours (48), critical_hours (0: only what has ended is critical). Whether its CA made it is judged by
whoever loads it; here its form and its times are.
"""

from datetime import UTC, datetime

from cryptography import x509

from monitoring.findings import Fault, Figure, Finding, Status, Target
from monitoring.probes.http import refuse_busy
from monitoring.probes.options import number
from monitoring.wire.line import Line

MOST = 20_000_000


async def probe(target: Target, line: Line) -> Finding:
    """OK, WARNING or CRITICAL crl-ending by the hours left; CRITICAL crl-invalid, http-status."""
    warning, critical = number(target, "warning_hours", 48), number(target, "critical_hours", 0)
    reply = await line.follow(target.url, (("Accept", "*/*"),), MOST)
    refuse_busy(reply)
    if reply.status != 200:
        raise Fault(
            "http-status",
            f"The address of the revocation list answers {reply.status} {reply.phrase}".rstrip(),
        )
    read = _read(reply.body)
    ends = read.next_update_utc
    if ends is None:
        raise Fault("crl-invalid", "The revocation list does not say until when it holds")
    hours = (ends - datetime.now(UTC)).total_seconds() / 3600
    figures = (
        Figure("hours", round(hours, 2), "", f"{warning:g}:", f"{critical:g}:"),
        Figure("size", len(reply.body), "B"),
    )
    status = Status.CRITICAL if hours <= critical else Status.WARNING if hours <= warning else Status.OK
    held = (
        f"holds until {ends:%a %d %b %Y, %H:%M} UTC"
        if hours > 0
        else f"ended on {ends:%a %d %b %Y, %H:%M} UTC"
    )
    issuer = read.issuer.rfc4514_string()[:120]
    reason = "" if status is Status.OK else "crl-ending"
    return Finding(status, f"The revocation list of {issuer} {held}", reason, figures)


def _read(body: bytes) -> x509.CertificateRevocationList:
    load = x509.load_pem_x509_crl if body.lstrip().startswith(b"-----BEGIN") else x509.load_der_x509_crl
    try:
        return load(body)
    except ValueError:
        raise Fault("crl-invalid", "What is at the address is not a revocation list") from None
