"""What is printed when the demo is up: where to look, and how to sign in as each person."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

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
    rows = [(name, layout.url(name), layout.tls_url(name), _ABOUT[name]) for name in SERVICES]
    rows += [
        (site.name, "", layout.cloud_url(site), f"simulated OCCI cloud ({site.middleware})") for site in SITES
    ]
    people = [(one.name, ", ".join(one.roles) or "researcher", one.slug) for one in PEOPLE]
    paragraphs = [
        f"{FEDERATION} is up. Its clouds are simulated; everything around them is real.",
        _columns(("", "pages", "with a certificate", ""), rows),
        _columns(("sign in as", "who is", "NAME below"), people),
        f"Tokens (paste one at {layout.url('registry')}/signin): {layout.people}/NAME.token\n"
        f"Certificates: {layout.people}/NAME.cert.pem and NAME.key.pem; for a browser NAME.p12, password"
        f" {P12_PASSWORD!r}; CA: {layout.bundle}",
        f"VOMS: voms-proxy-init --voms {STORY_VO} --vomses {layout.vomses} --certdir {layout.trust}"
        f" --vomsdir {layout.vomsdir}",
        f"Mails: {layout.mail}   Alerts: {layout.webhooks}   Logs: {layout.logs}",
        "Next: hanse demo story, hanse demo break BIFI, hanse demo mend BIFI, hanse demo status --json;"
        " Ctrl-C or hanse demo down ends it.",
    ]
    for paragraph in paragraphs:
        console.print("\n" + paragraph, markup=False, highlight=False, soft_wrap=True)


def _columns(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Text in columns; never folded, so that an address can be copied whole."""
    table = [headings, *rows]
    widths = [max(len(row[number]) for row in table) for number in range(len(headings))]
    lines = ("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)
