"""Run one probe under its wall-clock deadline, and turn whatever happens into a Result."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from monitoring.findings import Fault, Result, Status, Target
from monitoring.probes import Probe
from monitoring.wire.certificates import Trust
from monitoring.wire.journals import Journal
from monitoring.wire.line import Line, address_parts
from monitoring.wire.sockets import Resolve, system_resolve
from monitoring.wire.trace import Trace

# What a deadline is blamed on, by the phase that was under way.
_TIMEOUTS = {
    "lookup": ("dns-timeout", "the name was not resolved"),
    "connect": ("tcp-timeout", "no TCP connection"),
    "tls": ("tls-timeout", "the TLS handshake was not finished"),
    "first byte": ("http-timeout", "no answer"),
    "body": ("http-timeout", "the answer did not end"),
}
# Failures that say nothing about the deeper service: the way to it is the cause, and `tcp` judges that.
NETWORK = frozenset(
    {"dns-unknown-name", "dns-failure", "dns-timeout", "tcp-refused", "tcp-timeout", "tcp-unreachable"}
)
DEFAULT_PORTS = {"http": 80, "https": 443, "ldap": 2170, "ldaps": 636, "amqps": 5671, "ssh": 22}


async def run(
    probe: Probe,
    target: Target,
    trust: Trust,
    *,
    credential: tuple[Path, Path] | None = None,
    deadline_s: float | None = None,
    resolve: Resolve = system_resolve,
    journal: Journal | None = None,
) -> Result:
    """The probe's result. The deadline counts everything, the name lookup included, and always holds."""
    line = Line(Trace(), trust, credential, resolve, journal)
    limit = deadline_s or probe.deadline_s
    try:
        async with asyncio.timeout(limit):
            finding = await probe.run(target, line)
    except Fault as fault:
        return _result(line, fault.status, fault.summary, fault.reason)
    except TimeoutError:
        reason, said = _TIMEOUTS.get(line.trace.current, ("timeout", "not finished"))
        return _result(line, Status.CRITICAL, f"Timeout: {said} within {limit:g} s", reason)
    return Result(
        finding.status,
        finding.summary,
        finding.reason,
        line.trace.elapsed_s(),
        finding.figures,
        tuple(line.trace.phases),
        line.trace.answer,
    )


def _result(line: Line, status: Status, summary: str, reason: str) -> Result:
    trace = line.trace
    return Result(status, summary, reason, trace.elapsed_s(), (), tuple(trace.phases), trace.answer)


def target_of(url: str, options: dict[str, str] | None = None) -> Target:
    """The target of an address; raises Fault bad-address (also for a scheme without a known port)."""
    if url.startswith(("http:", "https:")):
        host, port, _, _ = address_parts(url)
        return Target(url, host, port, options or {})
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        host, port = "", 0
    if not host or not port:
        raise Fault("bad-address", f"{url[:80]!r} has no host or no port")
    return Target(url, host, port, options or {})
