"""What is printed when the demo is up: where to look, and how to sign in as each person."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from demo.cast import FEDERATION, PEOPLE, SERVICES, SITES, STORY_VO
from demo.credentials import P12_PASSWORD
from demo.layout import Layout

_ABOUT = {
    "registry": "Home, sites, people, downtimes",
    "accounting": "usage",
    "monitoring": "status, incidents",
    "vomsdb": "VOs, members, replication",
}


def welcome(layout: Layout, console: Console) -> None:
    """Print addresses, people and commands."""
    console.print(
        f"\n[bold]{FEDERATION}[/bold] is up. Its clouds are simulated; everything around them is real.\n"
    )
    services = Table(box=None, pad_edge=False)
    for heading in ("", "pages", "with a certificate", "for"):
        services.add_column(heading, overflow="fold")
    for name in SERVICES:
        services.add_row(name, layout.url(name), layout.tls_url(name), _ABOUT[name])
    for site in SITES:
        services.add_row(site.name, "", layout.cloud_url(site), f"simulated OCCI cloud ({site.middleware})")
    console.print(services)
    people = Table(box=None, pad_edge=False, title=None)
    for heading in ("sign in as", "role", "token (paste it at /signin)"):
        people.add_column(heading, overflow="fold")
    for person in PEOPLE:
        role = ", ".join(person.roles) or "researcher"
        people.add_row(person.name, role, str(layout.token(person)))
    console.print()
    console.print(people)
    console.print(
        f"\nCertificates: {layout.people}/NAME.cert.pem with NAME.key.pem; for a browser NAME.p12, password"
        f" '{P12_PASSWORD}'. CA: {layout.bundle}\n"
        f"VOMS: voms-proxy-init --voms {STORY_VO} --vomses {layout.vomses} --certdir {layout.trust}\n"
        f"Mails: {layout.mail}   Alerts: {layout.webhooks}   Logs: {layout.logs}\n"
        "Next: hanse demo story, hanse demo break BIFI, hanse demo mend BIFI, hanse demo status --json;"
        " Ctrl-C or hanse demo down ends it.",
        highlight=False,
        soft_wrap=True,
    )
