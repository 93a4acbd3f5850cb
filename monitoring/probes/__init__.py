"""The probes: one file each, one signature, one table.

    async def probe(target: Target, line: Line) -> Finding

A probe raises Fault for what ends it early; the runner turns that, and the deadline, into a Result.
To add one: write the file, add its row to `PROBES`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from monitoring.findings import Finding, Target
from monitoring.probes import (
    bdii,
    certificate,
    crl,
    http,
    keystone,
    occi_categories,
    occi_compute,
    occi_context,
    plugin,
    tcp,
    voms,
)
from monitoring.wire.line import Line


@dataclass(frozen=True, slots=True)
class Probe:
    """A row of the table: times in seconds; `needs` names the probes without whose success this one is not
    run."""

    name: str
    title: str
    run: Callable[[Target, Line], Awaitable[Finding]]
    period_s: int
    retry_s: int
    deadline_s: float
    needs: tuple[str, ...] = ()
    tls_only: bool = False
    options: tuple[str, ...] = ()


PROBES: dict[str, Probe] = {
    probe.name: probe
    for probe in (
        Probe("tcp", "TCP connection", tcp.probe, 60, 15, 10),
        Probe(
            "certificate",
            "Host certificate: trusted, for this host, days left",
            certificate.probe,
            3600,
            60,
            10,
            needs=("tcp",),
            tls_only=True,
            options=("warning_days", "critical_days"),
        ),
        Probe(
            "http", "HTTP answer", http.probe, 300, 60, 20, needs=("tcp",), options=("statuses", "contains")
        ),
        Probe(
            "occi-categories",
            "OCCI query interface: kinds and mixins",
            occi_categories.probe,
            300,
            60,
            30,
            needs=("tcp",),
            options=("kinds", "mixins", "token"),
        ),
        Probe(
            "occi-context",
            "OCCI contextualisation: mixins for user data and key",
            occi_context.probe,
            3600,
            300,
            30,
            needs=("tcp",),
            options=("token", "generation"),
        ),
        Probe(
            "occi-compute",
            "OCCI: a machine is started and deleted",
            occi_compute.probe,
            3600,
            900,
            420,
            needs=("tcp", "occi-categories"),
            options=(
                "image",
                "size",
                "active_s",
                "delete_s",
                "storage",
                "contextualise",
                "project",
                "keystone",
                "token",
            ),
        ),
        Probe(
            "bdii",
            "Information system: entries and their age",
            bdii.probe,
            600,
            120,
            30,
            needs=("tcp",),
            options=("base", "entries", "warning_s", "critical_s"),
        ),
        Probe(
            "voms",
            "Attribute authority: it answers VOMS clients",
            voms.probe,
            300,
            60,
            15,
            needs=("tcp",),
            options=("fqans",),
        ),
        Probe(
            "crl",
            "Revocation list: it holds, and for how long",
            crl.probe,
            3600,
            600,
            30,
            needs=("tcp",),
            options=("warning_hours", "critical_hours"),
        ),
        Probe(
            "keystone",
            "Keystone: a login gives a token for a project",
            keystone.probe,
            900,
            120,
            75,
            needs=("tcp",),
            options=("token", "identity_provider", "protocols", "project"),
        ),
        Probe("plugin", "A Nagios plugin", plugin.probe, 300, 60, 60, options=("command",)),
    )
}

DEFAULT_PROBES = ("tcp", "certificate")
# Which probes a service type gets; others get DEFAULT_PROBES. Settings may replace rows.
BY_SERVICE_TYPE: dict[str, tuple[str, ...]] = {
    "eu.egi.cloud.vm-management.occi": ("tcp", "certificate", "occi-categories"),
    "eu.egi.cloud.dashboard": ("tcp", "certificate", "http"),
    "egi.Portal": ("tcp", "certificate", "http"),
}


def in_order_of_need(names: set[str]) -> list[str]:
    """Names so that what another needs comes first; ties by the table's order."""
    return [name for name in PROBES if name in names]
