"""The tables of docs/gocdb.md: each method as each kind of caller over TLS, each question of each consumer.

They are walked, not written: what the chapter says is what a served registry answered. `HANSE_WRITE_GOCDB=1` writes the
tables of the chapter anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from lxml import etree

from demo.ca import CertificateAuthority
from registry import api_credentials
from registry.protocols.gocdb_methods import METHODS
from registry.protocols.gocdb_pi import NO_CREDENTIAL, NOT_AUTHORISED
from registry.schemas.api_credentials import ApiCredentialIn
from tests.tls import serving

from .conftest import Cast, Registry

CHAPTER = Path(__file__).resolve().parents[2] / "docs" / "gocdb.md"
BEGIN, END = "<!-- walked -->\n", "<!-- /walked -->\n"
ROBOTS = "/C=EU/O=Hanse Demo/OU=Robots/CN="
NOVA = "org.openstack.nova"
KEYSTONE = "keystone.bifi.example"
TODAY = datetime.now(UTC).date()
WINDOW = f"windowstart={TODAY}&windowend={TODAY + timedelta(days=10)}"
CALLERS = ("no credential", "any trusted certificate", "API credential", "person with a role")


@dataclass(frozen=True)
class Question:
    """What a program asks, and the elements it cannot do without: `each` element of that name has all of `needs`."""

    program: str
    method: str
    parameters: str
    each: str
    needs: tuple[str, ...]
    caller: str = "no credential"
    notes: str = ""


_DOWNTIME = ("SEVERITY", "DESCRIPTION", "FORMATED_START_DATE", "FORMATED_END_DATE", "GOCDB_PORTAL_URL")
_ARGO = "API credential"
QUESTIONS = (
    Question(
        "argo-connectors",
        "get_service_endpoint",
        "scope=&next_cursor=0",
        "SERVICE_ENDPOINT",
        ("HOSTNAME", "SERVICE_TYPE", "SITENAME", "URL", "ENDPOINTS", "EXTENSIONS", "NOTIFICATIONS"),
        _ARGO,
    ),
    Question(
        "argo-connectors",
        "get_service_group",
        "scope=&next_cursor=0",
        "SERVICE_GROUP",
        ("NAME", "SERVICE_ENDPOINT/HOSTNAME", "EXTENSIONS"),
        _ARGO,
    ),
    Question(
        "argo-connectors",
        "get_site",
        "scope=&next_cursor=0",
        "SITE",
        ("SHORT_NAME", "ROC", "PRODUCTION_INFRASTRUCTURE", "CERTIFICATION_STATUS", "NOTIFICATIONS", "SCOPES"),
        _ARGO,
    ),
    Question(
        "argo-connectors",
        "get_service_types",
        "",
        "SERVICE_TYPE",
        ("SERVICE_TYPE_NAME", "SERVICE_TYPE_DESC"),
        _ARGO,
    ),
    Question(
        "argo-connectors",
        "get_downtime",
        f"scope=&{WINDOW}",
        "DOWNTIME",
        ("HOSTNAME", "SERVICE_TYPE", "HOSTED_BY", *_DOWNTIME),
        _ARGO,
    ),
    Question(
        "APEL",
        "get_service_endpoint",
        "scope=&service_type=gLite-APEL&next_cursor=0",
        "SERVICE_ENDPOINT",
        ("HOSTDN",),
    ),
    Question(
        "cloud-info-provider",
        "get_service",
        f"service_type={NOVA}",
        "SERVICE_ENDPOINT",
        ("URL", "ENDPOINTS", "SITENAME", "@PRIMARY_KEY"),
        notes="when its fixed host name is pointed here",
    ),
    Question(
        "cloud-info-api",
        "get_service",
        f"service_type={NOVA}",
        "SERVICE_ENDPOINT",
        ("HOSTNAME", "@PRIMARY_KEY"),
    ),
    Question(
        "fedcloud-catchall",
        "get_service_endpoint",
        f"sitename=BIFI&service_type={NOVA}",
        "SERVICE_ENDPOINT",
        ("SITENAME", "URL"),
    ),
    Question(
        "DIRAC",
        "get_downtime",
        f"startdate={TODAY - timedelta(days=1)}&scope=",
        "DOWNTIME",
        (
            "@PRIMARY_KEY",
            "HOSTNAME",
            "ENDPOINT",
            "HOSTED_BY",
            "SERVICE_TYPE",
            "AFFECTED_ENDPOINTS",
            *_DOWNTIME,
        ),
    ),
    Question(
        "DIRAC",
        "get_service_endpoint",
        f"hostname={KEYSTONE}",
        "SERVICE_ENDPOINT",
        ("HOSTNAME", "SCOPES", "EXTENSIONS"),
    ),
    Question(
        "AppDB",
        "get_site_contacts",
        "scope=",
        "SITE",
        ("PRIMARY_KEY", "CONTACT/FORENAME", "CONTACT/SURNAME", "CONTACT/CERTDN", "CONTACT/ROLE_NAME"),
        "API credential",
    ),
    Question(
        "AppDB",
        "get_downtime_nested_services",
        "ongoing_only=yes",
        "DOWNTIME",
        ("START_DATE", "END_DATE", "SERVICES/SERVICE/PRIMARY_KEY"),
    ),
    Question("ScienceMesh reva", "get_service_types", "", "SERVICE_TYPE", ("SERVICE_TYPE_NAME",)),
    Question("ScienceMesh reva", "get_ngi", "", "NGI", ("NAME", "EMAIL"), "API credential"),
    Question("ScienceMesh reva", "get_site", "", "SITE", ("SHORT_NAME", "EXTENSIONS"), "API credential"),
    Question("ScienceMesh reva", "get_service", "", "SERVICE_ENDPOINT", ("HOSTNAME", "EXTENSIONS")),
    Question(
        "ScienceMesh reva",
        "get_downtime_nested_services",
        "topentity=BIFI&ongoing_only=yes",
        "DOWNTIME",
        ("SERVICES/SERVICE/HOSTNAME", *_DOWNTIME),
    ),
    Question(
        "scripts of operators",
        "get_cert_status_date",
        "",
        "site",
        ("name", "cert_status", "cert_date"),
        "any trusted certificate",
    ),
    Question(
        "scripts of operators",
        "get_cert_status_changes",
        f"startdate={TODAY - timedelta(days=2)}&enddate={TODAY + timedelta(days=2)}",
        "result",
        ("TIME", "UNIX_TIME", "SITE", "OLD_STATUS", "NEW_STATUS", "CHANGED_BY", "COMMENT"),
        "person with a role",
    ),
    Question(
        "scripts of operators",
        "get_user",
        "roletype=Site Administrator",
        "EGEE_USER",
        ("FORENAME", "SURNAME", "CERTDN", "USER_ROLE/USER_ROLE"),
        "person with a role",
    ),
)


@dataclass
class Walk:
    """A served registry, and how each kind of caller asks it."""

    registry: Registry
    url: str
    callers: dict[str, requests.Session] = field(default_factory=dict)

    def ask(self, caller: str, method: str, parameters: str = "") -> str:
        side = "public" if caller == "no credential" else "private"
        address = f"{self.url}/gocdbpi/{side}/?method={method}" + (f"&{parameters}" if parameters else "")
        answer = self.callers[caller].get(address, timeout=60)
        assert answer.status_code == 200, address
        return answer.text

    def restrict(self, restricted: bool) -> None:
        """Personal data for those with a right alone, or, as delivered, for every trusted credential."""
        kept = self.registry.app.extensions["hanse"]
        settings = kept.settings.model_copy(update={"restrict_personal_data": restricted})
        self.registry.app.extensions["hanse"] = replace(kept, settings=settings)


def furnish(registry: Registry) -> None:
    """What the programs ask for: a cloud, an accounting host, a group, downtimes now and to come, a step."""
    openstack = registry.register_service(
        "BIFI", service_type=NOVA, hostname=KEYSTONE, url=f"https://{KEYSTONE}:5000/v3"
    )
    registry.register_service(
        "CESNET",
        service_type="gLite-APEL",
        hostname="apel.cesnet.example",
        url="https://apel.cesnet.example/",
        host_dn="/C=CZ/O=CESNET/CN=apel.cesnet.example",
    )
    registry.send("POST", "/api/v1/service-groups", {"name": "CLOUDS", "services": [openstack["id"]]})
    registry.declare("BIFI", timedelta(minutes=-5), timedelta(hours=3))
    registry.declare("BIFI", timedelta(days=2), timedelta(hours=3))
    step = {"status": "Suspended", "reason": "a drill"}
    registry.send("POST", "/api/v1/sites/UKIM/certification", step, status=200)


@pytest.fixture
def walk(registry: Registry, ca: CertificateAuthority, cast: Cast) -> Iterator[Walk]:
    furnish(registry)
    robot, stranger = ca.issue(f"{ROBOTS}reader of BIFI"), ca.issue(f"{ROBOTS}nobody's")
    form = ApiCredentialIn(kind="x509", identifier=f"{ROBOTS}reader of BIFI")
    api_credentials.add(registry.db, registry.principal("Laura Gil"), registry.settings, "BIFI", form)
    pairs = dict(zip(CALLERS, (None, stranger, robot, cast["Laura Gil"]), strict=True))
    with serving(registry.app, registry.settings) as url:
        made = Walk(registry, url)
        for caller, issued in pairs.items():
            session = made.callers[caller] = requests.Session()
            session.trust_env = False
            session.verify = str(ca.bundle)
            if issued is not None:
                session.cert = (str(issued.cert_path), str(issued.key_path))
        yield made
        for session in made.callers.values():
            session.close()


def cell(text: str) -> str:
    """What a caller was given, as the table says it."""
    if text == NO_CREDENTIAL:
        return "no"
    if text == NOT_AUTHORISED:
        return "no"
    assert etree.fromstring(text.encode()).tag == "results", text[:200]
    return "yes"


def asked_by(method: str) -> str:
    return ", ".join(dict.fromkeys(one.program for one in QUESTIONS if one.method == method)) or "–"


def methods_table(walk: Walk) -> list[str]:
    """Each method as each kind of caller, as delivered and with personal data restricted."""
    found: dict[str, dict[tuple[str, bool], str]] = {name: {} for name in METHODS}
    for restricted in (False, True):
        walk.restrict(restricted)
        for name in METHODS:
            for caller in CALLERS:
                found[name][caller, restricted] = cell(walk.ask(caller, name))
    walk.restrict(False)
    lines = [
        "| method | level | pages | no credential | any trusted certificate"
        " | API credential or person with a role | asked by |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, method in sorted(METHODS.items(), key=lambda one: (one[1].level, one[0])):
        of = found[name]
        for caller in ("API credential", "person with a role"):
            assert {of[caller, False], of[caller, True]} == {"yes"}, (name, caller)
        assert of["no credential", False] == of["no credential", True]
        trusted = (of["any trusted certificate", False], of["any trusted certificate", True])
        words = {("yes", "yes"): "yes", ("yes", "no"): "yes; no when restricted", ("no", "no"): "no"}[trusted]
        pages = "yes" if method.paged else "no"
        if name == "get_site_list":  # as GOCDB does
            pages = "cursors are taken and not heeded"
        lines.append(
            f"| `{name}` | {method.level} | {pages} | {of['no credential', False]} | {words} | yes | {asked_by(name)} |"
        )
    return lines


def fault(question: Question, text: str) -> str:
    """What the program would miss in an answer; "" when it has all that it reads."""
    if not text.startswith("<?xml"):
        return f"it is told: {text}"
    found = etree.fromstring(text.encode()).findall(question.each)
    if not found:
        return f"there is no {question.each}"
    for need in question.needs:
        has: Callable[[etree._Element], bool] = (
            (lambda node, name=need[1:]: name in node.attrib)
            if need.startswith("@")
            else (lambda node, path=need: node.find(path) is not None)
        )
        # contacts and members are asked for where there are any; everything else everywhere
        if not (any if "/" in need else all)(has(node) for node in found):
            return f"{question.each} without {need}"
    return ""


def consumers_table(walk: Walk) -> list[str]:
    """Each question of each program, asked as it asks."""
    lines = ["| program | asks | as | works |", "|---|---|---|---|"]
    for one in QUESTIONS:
        missing = fault(one, walk.ask(one.caller, one.method, one.parameters))
        names = [pair.partition("=")[0] for pair in one.parameters.split("&") if pair]
        asks = f"`{one.method}`" + (f" with {', '.join(f'`{name}`' for name in names)}" if names else "")
        works = f"no: {missing}" if missing else f"yes, {one.notes}" if one.notes else "yes"
        lines.append(f"| {one.program} | {asks} | {one.caller} | {works} |")
    return lines


def test_the_chapter_says_what_was_walked(walk: Walk) -> None:
    methods, consumers = methods_table(walk), consumers_table(walk)
    assert not [line for line in consumers if "| no: " in line]
    made = "\n".join([*methods, "", *consumers]) + "\n"
    chapter = CHAPTER.read_text()
    before, _, rest = chapter.partition(BEGIN)
    written, _, after = rest.partition(END)
    if os.environ.get("HANSE_WRITE_GOCDB"):
        CHAPTER.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}")
        return
    assert written.strip() == made.strip(), (
        "docs/gocdb.md is not as walked: HANSE_WRITE_GOCDB=1 writes it anew"
    )
