"""certificate: is the host certificate trusted, for this host, not revoked, and for how many days still.

Options: warning_days (30), critical_days (0: only what has ended is critical).
"""

from monitoring.findings import Figure, Finding, Status, Target
from monitoring.probes.options import number
from monitoring.wire.certificates import presented
from monitoring.wire.line import Line


async def probe(target: Target, line: Line) -> Finding:
    """OK, or WARNING/CRITICAL certificate-ending by the days left of the whole chain; faults tls-*."""
    warning, critical = number(target, "warning_days", 30), number(target, "critical_days", 0)
    async with line.open(target.host, target.port, tls=True) as streams:
        assert streams.tls is not None
        seen = presented(streams.tls)
    days = seen.days_left()
    figure = Figure("days", round(days, 2), "", f"{warning:g}:", f"{critical:g}:")
    ends = min(certificate.not_valid_after_utc for certificate in seen.chain)
    said = f"ends on {ends:%a %d %b %Y, %H:%M} UTC"
    if days <= warning:
        status = Status.CRITICAL if days <= critical else Status.WARNING
        summary = f"The host certificate {said}, in {_age(days)}"
        return Finding(status, summary, "certificate-ending", (figure,))
    return Finding(Status.OK, f"{days:.0f} days left; {said}", figures=(figure,))


def _age(days: float) -> str:
    hours = round(days * 24)
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours} h"
