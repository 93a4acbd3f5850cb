"""tcp: does the port take a connection. What every deeper check depends on."""

from monitoring.findings import Figure, Finding, Status, Target
from monitoring.wire.line import Line


async def probe(target: Target, line: Line) -> Finding:
    """OK with the time to connect; faults dns-* and tcp-*."""
    async with line.open(target.host, target.port, tls=False):
        took = next(phase.took_s for phase in reversed(line.trace.phases) if phase.name == "connect")
    return Finding(
        Status.OK,
        f"{target.host}:{target.port} takes connections, {took * 1000:.1f} ms",
        figures=(Figure("connect", took, "s"),),
    )
