"""Every method of GOCDB's read interface: who may ask, its parameters, and that hostile questions stay harmless."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from lxml import etree
from sqlalchemy import select

from demo.ca import CertificateAuthority
from registry import api_credentials
from registry.models import ApiCredential, Person, PersonalRead
from registry.protocols.gocdb_methods import METHODS
from registry.schemas.api_credentials import ApiCredentialIn

from .conftest import Registry

# as GOCDB 5.12 has them (reference: level, parameters, paging)
SITE = "sitename roc country certification_status exclude_certification_status production_status scope scope_match"
SERVICE = "hostname sitename roc country service_type monitored scope scope_match extensions"
DOWNTIME = (
    "topentity ongoing_only startdate enddate windowstart windowend scope scope_match all_lastmonth site_extensions"
    " service_extensions id sitelist ngilist service_type_list severity classification production monitored"
    " certification_status servicelist"
)
GROUP = "service_group_name scope scope_match extensions"
GOCDB = {
    "get_service": (1, SERVICE, True),
    "get_service_endpoint": (1, SERVICE, True),
    "get_service_types": (1, "", False),
    "get_site_list": (1, f"{SITE} extensions", True),
    "get_roc_list": (1, "roc", False),
    "get_subgrid_list": (1, "subgrid", False),
    "get_downtime": (1, DOWNTIME, True),
    "get_downtime_nested_services": (1, DOWNTIME, True),
    "get_downtime_to_broadcast": (1, "interval scope scope_match id", True),
    "get_site_count_per_country": (1, "production_status certification_status scope", False),
    "get_cert_status_date": (2, "certification_status roc", True),
    "get_site": (3, f"{SITE} extensions", True),
    "get_site_contacts": (3, "sitename roc country roletype scope scope_match", True),
    "get_site_security_info": (3, SITE, True),
    "get_roc_contacts": (3, "roc roletype", True),
    "get_project_contacts": (3, "project", True),
    "get_ngi": (3, "roc scope scope_match", True),
    "get_service_group": (3, GROUP, True),
    "get_service_group_role": (3, GROUP, True),
    "get_user": (3, "dn dnlike forename surname roletype", True),
    "get_cert_status_changes": (3, "site startdate enddate", True),
    "access_test": (3, "", False),
}
NO_CREDENTIAL = "No valid identifier found. Try accessing the resource through the private interface."
NOT_AUTHORISED = "Authorisation required to read personal data ("


def ask(registry: Registry, query: str, who: str | None = None) -> str:
    answer = registry.ask("GET", f"/gocdbpi/private/?{query}", who)
    assert answer.status_code == 200, (query, answer.text)
    return answer.text


def test_the_methods_are_those_of_gocdb_with_their_parameters() -> None:
    ours = {
        name: (method.level, " ".join(sorted(method.parameters)), method.paged)
        for name, method in METHODS.items()
    }
    assert ours == {
        name: (level, " ".join(sorted(words.split())), paged) for name, (level, words, paged) in GOCDB.items()
    }


def test_every_method_answers_readable_xml_to_whoever_may_ask(gocdb: Registry) -> None:
    for name, (_, _, paged) in GOCDB.items():
        for query in ("", *(["&next_cursor=0", "&prev_cursor=9"] if paged else [])):
            text = ask(gocdb, f"method={name}{query}", "Ingrid Holm")
            assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<results'), (name, text)
            assert etree.fromstring(text.encode()).tag == "results"
            assert text.endswith(("</results>\n", "<results/>\n"))
        assert (
            ask(gocdb, f"method={name}&foo=1", "Ingrid Holm") == "<error>Unsupported parameter: foo</error>"
        )


def test_who_may_ask_which_method(registry: Registry) -> None:
    for name, (level, _, _) in GOCDB.items():
        stranger, signed_in = (
            ask(registry, f"method={name}"),
            ask(registry, f"method={name}", "Anna Lindqvist"),
        )
        assert (stranger == NO_CREDENTIAL) == (level > 1), name
        if name == "access_test":  # always strict
            assert signed_in.startswith(NOT_AUTHORISED)
        else:
            assert signed_in.startswith("<?xml"), name


def test_personal_data_can_be_kept_for_those_with_a_role(registry: Registry) -> None:
    strict = registry.settings.model_copy(update={"restrict_personal_data": True})
    registry.app.extensions["hanse"] = _with_settings(registry, strict)
    for name, (level, _, _) in GOCDB.items():
        answer = ask(registry, f"method={name}", "Anna Lindqvist")
        assert answer.startswith(NOT_AUTHORISED) == (level == 3), name
        assert ask(registry, f"method={name}", "Laura Gil").startswith("<?xml"), name


def _with_settings(registry: Registry, settings: object) -> object:
    return replace(registry.app.extensions["hanse"], settings=settings)


def test_access_test_names_the_caller(registry: Registry) -> None:
    root = etree.fromstring(ask(registry, "method=access_test", "Laura Gil").encode())
    assert root.get("identifier") == "Laura Gil"  # by a token; a certificate shows its subject
    assert root.findtext("authorized") == "true"


def test_an_api_credential_reads_personal_data_and_its_use_is_noted(
    registry: Registry, ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = "/C=EU/O=Hanse Demo/OU=Robots/CN=argo"
    robot = ca.issue(subject)
    monkeypatch.setattr("hanse.web.callers.peer_chain", lambda: [robot.cert])
    assert ask(registry, "method=access_test").startswith(NOT_AUTHORISED)
    assert ask(registry, "method=get_user").startswith("<?xml")  # any trusted credential, as GOCDB is shipped
    form = ApiCredentialIn(kind="x509", identifier=subject)
    number = api_credentials.add(
        registry.db, registry.principal("Laura Gil"), registry.settings, "BIFI", form
    )
    assert f'<results identifier="{subject}">' in ask(registry, "method=access_test")
    with registry.db.transaction() as session:
        credential = session.get(ApiCredential, number)
        assert credential is not None
        assert credential.last_used_at is not None


def test_who_read_about_people_is_noted(registry: Registry) -> None:
    ask(registry, "method=get_site_contacts&sitename=BIFI", "Goran Petrov")
    ask(registry, "method=get_site&sitename=BIFI", "Goran Petrov")
    with registry.db.transaction() as session:
        noted = list(session.scalars(select(PersonalRead).where(PersonalRead.reader_name == "Goran Petrov")))
        people = set(session.scalars(select(Person.id).where(Person.name == "Laura Gil")))
    assert [(set(one.people), one.what) for one in noted] == [(people, "GOCDB interface, get_site_contacts")]


def test_nothing_is_noted_on_a_copy_that_cannot_write(registry: Registry) -> None:
    copy = registry.settings.model_copy(update={"read_only": True})
    registry.app.extensions["hanse"] = _with_settings(registry, copy)
    assert "<FORENAME>Laura</FORENAME>" in ask(registry, "method=get_user", "Ingrid Holm")
    with registry.db.transaction() as session:
        assert session.scalars(select(PersonalRead)).all() == []


def test_hostile_scopes_and_lists_are_refused_at_once(gocdb: Registry) -> None:
    began = time.perf_counter()
    for query, wrong in (
        ("method=get_service&scope=" + "a," * 60 + "a", "scope"),
        ("method=get_downtime&sitelist=" + "," * 10 + "a," * 2000, "sitelist"),
        ("method=get_user&roletype=" + "Site Administrator," * 60, "roletype"),
        ("method=get_service&scope=" + "(" * 15_000, ""),
        ("method=get_service&scope=" + "a" * 20_000, "scope"),
        ("method=get_service&hostname=" + "%25a" * 5_000, ""),
        ("method=get_user&dnlike=" + "%25a" * 5_000, ""),
        ("method=get_downtime&site_extensions=" + "(a=b)" * 3_000, None),
        ("method=get_downtime&service_extensions=" + "(" * 10_000, None),
    ):
        text = ask(gocdb, query, "Ingrid Holm")
        if wrong is None:
            assert text == "Invalid query expression"
        elif wrong:
            assert text.startswith(f"<error>Invalid '{wrong}' parameter - must ")
        else:
            assert text.endswith("<results/>\n") or text.startswith("<error>Invalid"), text[:300]
    assert time.perf_counter() - began < 10


def test_a_change_shows_in_the_next_answer_whatever_was_kept(registry: Registry) -> None:
    """The kept answers are large ones, so the site gets a long description first."""
    long = {"description": "x" * 1900, "reason": ""}
    for site in ("BIFI", "CESNET", "UKIM"):
        registry.send("PATCH", f"/api/v1/sites/{site}", long)
        for number in range(9):
            registry.register_service(site, hostname=f"h{number}.{site.lower()}.example", url=None)
    query = "/gocdbpi/public/?method=get_service_endpoint&scope="
    first = registry.ask("GET", query, None)
    folder = registry.settings.data_dir / "gocdb-answers"
    assert len(list(folder.iterdir())) == 1
    same = registry.ask("GET", query, None)
    assert (same.data, same.headers["ETag"]) == (first.data, first.headers["ETag"])
    unchanged = registry.ask("GET", query, None, headers={"If-None-Match": first.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    registry.register_service("BIFI", hostname="brand-new.bifi.example", url=None)
    changed = registry.ask("GET", query, None, headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert "brand-new.bifi.example" in changed.text
    registry.send("PATCH", "/api/v1/sites/BIFI", {"country": "Portugal", "country_code": "PT"})
    assert "<COUNTRY_NAME>Portugal</COUNTRY_NAME>" in registry.ask("GET", query, None).text


def test_help_names_every_method(gocdb: Registry) -> None:
    page = gocdb.ask("GET", "/gocdbpi/help", None)
    assert page.content_type == "text/plain; charset=utf-8"
    for name, (_, words, _) in GOCDB.items():
        assert f"\n  {name}\n" in page.text
        assert " ".join(sorted(words.split())) in page.text
