"""A page for site administrators: the files by their old means, commands to paste, and the site's own rules."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Response, flash, redirect
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import FieldFault, Refused
from hanse.pages.words import count
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from vomsdb import site_files
from vomsdb.api.answers import settings
from vomsdb.feeds import FEEDS
from vomsdb.feeds.material import Rule
from vomsdb.models import SiteRule
from vomsdb.permissions import RULES_OF_SITE
from vomsdb.schemas.sites import RulesForm

pages = Pages("vomsdb_site_file_pages", __name__)
_FOLDER = "/etc/grid-security"
_TARGETS = {"voms.json": "/etc/keystone/voms.json", "vomsdir.tar.gz": "/root/vomsdir.tar.gz"}
_AFTER = {"vomsdir.tar.gz": f" \\\n  && tar xzf /root/vomsdir.tar.gz -C {_FOLDER}"}


@dataclass(frozen=True)
class Fetching:
    """A file with what it is, and the command that brings it."""

    name: str
    what: str
    command: str


def fetch_command(url: str, target: str, trust: str) -> str:
    """Brings a file over the host certificate; what is there stays when fetching fails."""
    shown = trust or f"{_FOLDER}/certificates"
    return (
        f"curl -fsS --cert {_FOLDER}/hostcert.pem --key {_FOLDER}/hostkey.pem \\\n"
        f"  --capath {shown} -o {target}.new \\\n"
        f"  '{url}' \\\n"
        f"  && mv {target}.new {target}"
    )


def fetching(site: str, tls_url: str, trust: str) -> list[Fetching]:
    """The files of the site, and the command that brings each to its place."""
    base = f"{tls_url.rstrip('/')}/sites/{site}/files"
    found = []
    for feed in FEEDS.values():
        target = _TARGETS.get(feed.name, f"{_FOLDER}/{feed.name}")
        command = fetch_command(f"{base}/{feed.name}", target, trust)
        found.append(Fetching(feed.name, feed.what, command + _AFTER.get(feed.name, "")))
    return found


def mkgridmap_lines(vos: list[str], rules: list[SiteRule]) -> str:
    """The lines of edg-mkgridmap.conf that say the same as the site's rules."""
    here = urlsplit(settings().tls_url)
    place = f"vomss://{here.hostname}:{here.port or 443}/voms"
    lines = [f"group {place}/{row.vo}?{row.fqan} {row.account}" for row in rules if row.account]
    ruled = {row.vo for row in rules if row.account}
    usual = [(vo, site_files.usual_rule(vo)) for vo in vos if vo not in ruled]
    return "\n".join([*lines, *(f"group {place}/{vo}?{rule.fqan} {rule.account}" for vo, rule in usual)])


def old_means_of(vo: str) -> dict[str, str]:
    """What an administrator of a site pastes to fetch one VO, by the rules that sites have who keep none."""
    here, rule = settings(), site_files.usual_rule(vo)
    base, trust = f"{here.tls_url.rstrip('/')}/vos/{vo}", here.client_certificates_dir
    gridmap = f"{base}/grid-mapfile?map={rule.fqan}={rule.account}"
    keystone = f"{base}/voms.json?map={rule.fqan}={rule.tenant}"
    return {
        "mkgridmap": mkgridmap_lines([vo], []),
        "gridmap": fetch_command(gridmap, f"{_FOLDER}/grid-mapfile", trust),
        "keystone": fetch_command(keystone, "/etc/keystone/voms.json", trust),
    }


@pages.get("/sites/<site>/old-means", permission=RULES_OF_SITE)
def old_means(site: str) -> Response:
    """What a site that runs no agent fetches, and how."""
    return _page(site, FormFaults())


@pages.post("/sites/<site>/old-means", permission=RULES_OF_SITE)
def save(site: str) -> AnyResponse:
    """Saves the rules; refused ones keep what was typed."""
    filled, form = read_form(RulesForm)
    if filled is None:
        return _page(site, form, 422)
    try:
        given = _rules(filled.rules)
        with ground().db.transaction() as session:
            saved = site_files.set_rules(session, site, given, current_principal())
    except Refused as fault:
        shown = Refused(fault.detail, *(FieldFault("rules", _by_line(one)) for one in fault.fields))
        return _page(site, FormFaults.of(shown, {"rules": filled.rules}), 422)
    flash(f"{count(len(saved), 'rule')} saved; the files follow them from now on.")
    return redirect(f"/sites/{site}/old-means", 303)


def _by_line(fault: FieldFault) -> str:
    """`rules.0.account` as `line 1`."""
    parts = fault.field.split(".")
    number = int(parts[1]) + 1 if len(parts) > 1 and parts[1].isdigit() else 0
    return f"line {number}: {fault.reason}" if number else fault.reason


def _rules(text: str) -> list[Rule]:
    """`/vo/group account tenant`, a line each; `-` for none. The tenant may have blanks."""
    found = []
    for number, line in enumerate(line.strip() for line in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        parts = line.split(None, 2)
        if len(parts) < 2:
            raise Refused(
                "The rules cannot be saved.", FieldFault(f"rules.{number}", "group, account and tenant")
            )
        given = [*parts, "-"][1:3]
        account, tenant = ("" if one == "-" else one for one in given)
        found.append(Rule(parts[0], account, tenant))
    return found


def _typed(rules: list[SiteRule]) -> str:
    return "\n".join(f"{row.fqan} {row.account or '-'} {row.tenant or '-'}" for row in rules)


def _page(site: str, form: FormFaults, status: int = 200) -> Response:
    here = settings()
    with ground().db.transaction() as session:
        supported = site_files.vos_of_site(session, site)
        rules = site_files.rules_of(session, site)
    return page(
        "vomsdb/old_means.html",
        title=f"{site}: by your old means",
        sentence=Markup("<b>{}</b> here, fetched over the site’s host certificate.").format(
            count(len(supported), "VO")
        ),
        crumbs=[("Replication", f"/replication?site={site}")],
        api=f"/api/v1/sites/{site}/rules",
        status=status,
        form=form if form else FormFaults(kept={"rules": _typed(rules)}),
        site=site,
        supported=supported,
        fetching=fetching(site, here.tls_url, here.client_certificates_dir),
        mkgridmap=mkgridmap_lines(supported, rules),
        usual=[site_files.usual_rule(vo) for vo in supported],
    )
