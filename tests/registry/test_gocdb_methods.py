"""Every method of GOCDB's read interface: who may ask, its parameters, and that hostile questions stay harmless."""

from __future__ import annotations

from lxml import etree

from registry.protocols.gocdb_methods import METHODS

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


def test_every_method_answers_readable_xml_to_whoever_may_ask(registry: Registry) -> None:
    for name, (_, words, paged) in GOCDB.items():
        for query in ("", *(["&next_cursor=0", "&prev_cursor=9"] if paged else [])):
            text = ask(registry, f"method={name}{query}", "Ingrid Holm")
            assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<results'), (name, text)
            assert etree.fromstring(text.encode()).tag == "results"
            assert text.endswith("</results>\n") or text.endswith("<results/>\n")
        for word in words.split():
            wrong = ask(registry, f"method={name}&{word}=%25", "Ingrid Holm")
            assert (
                wrong.startswith("<?xml")
                or wrong.startswith("<error>Invalid")
                or wrong == "Invalid query expression"
            )
        assert (
            ask(registry, f"method={name}&foo=1", "Ingrid Holm")
            == "<error>Unsupported parameter: foo</error>"
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
    from dataclasses import replace

    return replace(registry.app.extensions["hanse"], settings=settings)


def test_access_test_names_the_caller(registry: Registry) -> None:
    root = etree.fromstring(ask(registry, "method=access_test", "Laura Gil").encode())
    assert root.get("identifier") == "Laura Gil"  # by a token; a certificate shows its subject
    assert root.findtext("authorized") == "true"
