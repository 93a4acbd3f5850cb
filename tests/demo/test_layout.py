"""Folder, ports, settings and credentials of the demo."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from demo import credentials, ports, settings_file
from demo.cast import PEOPLE, SERVICES, SITES
from demo.layout import Layout, State
from demo.status import status
from demo.up import prepare
from hanse.identity.trust import TrustStore

SETTINGS = {
    "registry": "registry.service",
    "accounting": "accounting.service",
    "monitoring": "monitoring.service",
    "vomsdb": "vomsdb.service",
}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    made = prepare(tmp_path_factory.mktemp("demo") / "data", "free", lambda line: None)
    credentials.prepare(made)
    settings_file.write(made)
    return made


def test_free_ports_are_free_distinct_and_remembered(layout: Layout) -> None:
    assert len(set(layout.ports.values())) == len(ports.DEFAULT)
    assert all(20000 <= port < 32000 for port in layout.ports.values())
    again = prepare(layout.data, "default", lambda line: None)
    assert again.ports == layout.ports


def test_a_taken_default_port_is_replaced() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", ports.DEFAULT["smtp"]))
            taken.listen()
        except OSError:
            pass  # somebody else has it: as good
        chosen = ports.chosen("default")
    assert chosen["smtp"] != ports.DEFAULT["smtp"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_accepts_its_settings(layout: Layout, service: str) -> None:
    from importlib import import_module

    made = import_module(SETTINGS[service]).SERVICE.settings.load(service, layout.settings)
    assert made.port == layout.ports[service]
    assert made.tls_url == layout.tls_url(service)
    assert set(made.service_tokens) == set(SERVICES) - {service}


def test_secrets_stay_the_same_and_private(layout: Layout) -> None:
    before = layout.settings.read_text()
    settings_file.write(layout)
    assert layout.settings.read_text() == before
    private = [layout.settings, *layout.people.glob("*.key.pem"), *layout.people.glob("*.p12")]
    assert len(private) == 1 + 2 * len(PEOPLE)
    assert not [path for path in private if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]


def test_everybody_has_a_certificate_that_the_trust_folder_vouches_for(layout: Layout) -> None:
    store = TrustStore(layout.trust)
    for person in PEOPLE:
        chain = x509.load_pem_x509_certificates(layout.credential(person)[0].read_bytes())
        assert store.verify(chain).identity.subject_slash == person.dn
    for site in SITES:
        cert = layout.certificate(f"acct.{site.domain}")[0]
        assert store.verify(x509.load_pem_x509_certificates(cert.read_bytes())).identity.subject_slash == (
            site.accounting_host
        )


def test_certificates_are_made_once(layout: Layout) -> None:
    before = layout.credential(PEOPLE[0])[0].read_bytes()
    credentials.prepare(layout)
    assert layout.credential(PEOPLE[0])[0].read_bytes() == before


def test_a_browser_can_take_the_p12(layout: Layout) -> None:
    data = (layout.people / f"{PEOPLE[0].slug}.p12").read_bytes()
    key, cert, others = pkcs12.load_key_and_certificates(data, credentials.P12_PASSWORD.encode())
    assert key is not None
    assert cert is not None
    assert len(others) == 1


def test_status_has_every_key_that_scripts_rely_on(layout: Layout) -> None:
    told = status(layout)
    promised = ("services", "voms", "ams", "sites", "people", "ca", "databases", "mail", "webhooks")
    assert set(told) == {*promised, "up", "data"}
    assert set(told["services"]) == set(SERVICES)
    assert all(set(one) == {"url", "tls_url"} for one in told["services"].values())
    assert set(told["voms"]) == {"host", "port", "vo", "vomses", "vomsdir", "certificates"}
    assert set(told["ams"]) == {"host", "port", "project", "topics", "tokens"}
    assert set(told["ams"]["tokens"]) == {site.name for site in SITES}
    for one in told["sites"]:
        assert set(one) == {"name", "middleware", "occi", "host_cert", "host_key", "gridmap", "mapping"}
        assert Path(one["host_cert"]).exists()
    for one in told["people"]:
        assert set(one) == {"name", "roles", "cert", "key", "p12", "token", "token_file"}
        assert Path(one["key"]).exists()
    assert set(told["ca"]) == {"cert", "bundle"}
    assert set(told["databases"]) == set(SERVICES)
    assert told["up"] is False


def test_state_is_none_where_no_demo_is(tmp_path: Path) -> None:
    assert State.read(tmp_path) is None
