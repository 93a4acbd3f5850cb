"""A BDII: a real slapd, fed from the registry, asked with ldapsearch as clients of the information system do."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry.bdii import BdiiError, Directory, prepare, refresh
from registry.bdii_commands import bdii
from registry.ldif import Entry, read
from tests.tls import serving

from .clouds import cloud_document, encoded
from .conftest import Registry

SLAPD = shutil.which("slapd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@dataclass
class Slapd:
    """A slapd in a folder of its own, and how to ask it."""

    url: str
    directory: Directory
    process: subprocess.Popen[bytes]

    def search(self, base: str, condition: str, *attributes: str) -> list[Entry]:
        """Anonymously, as every client does."""
        command = ["ldapsearch", "-x", "-LLL", "-H", self.url, "-b", base, condition, *attributes]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return read(done.stdout)


@pytest.fixture
def slapd() -> Iterator[Slapd]:
    """On a free port of the loopback, as `nobody` when root runs the tests."""
    assert SLAPD
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ldap://127.0.0.1:{free.getsockname()[1]}"
    folder = Path(tempfile.mkdtemp(prefix="hanse-bdii-"))
    made = prepare(folder, url)
    command = [SLAPD, *made.command[1:]]
    if getpass.getuser() == "root":
        subprocess.run(["chown", "-R", "nobody", str(folder)], check=True)
        command += ["-u", "nobody"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _until_it_listens(url, process, folder / "log")
        yield Slapd(url, Directory(url, made.password_file), process)
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _until_it_listens(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    port = int(url.rpartition(":")[2])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"slapd does not listen: {log.read_text()}")


def ldif(registry: Registry) -> str:
    return registry.ask("GET", "/api/v1/glue2.ldif", None).text


@pytest.mark.peer("slapd")
@pytest.mark.peer("glue-schema")
def test_ldap_clients_see_the_tree_and_each_change_of_the_registry(registry: Registry, slapd: Slapd) -> None:
    document = cloud_document()
    answer = registry.ask("PUT", "/v1/sites/CESNET/cloudinfo", "Eliška Malá", data=encoded(document))
    assert answer.status_code == 202, answer.text
    registry.send("PATCH", "/api/v1/sites/BIFI", {"official_name": "Zaragoza, “Ñ” + <x>; = #"})
    first = refresh(slapd.directory, ldif(registry))
    assert (first.changed, first.removed) == (0, 0)
    assert refresh(slapd.directory, ldif(registry)).none

    # AdminDomain > resource group > Service > Endpoint and Share > Policy
    domains = slapd.search("o=glue", "(objectClass=GLUE2AdminDomain)")
    assert {one.first("GLUE2DomainID") for one in domains} == {"CESNET", "BIFI", "UKIM"}
    assert "Zaragoza, “Ñ” + <x>; = #" in {one.first("GLUE2EntityName") for one in domains}
    resources = "GLUE2GroupID=resource,GLUE2DomainID=CESNET,o=glue"
    (service,) = slapd.search(
        resources, "(&(objectClass=GLUE2ComputingService)(GLUE2ServiceType=org.cloud.iaas))"
    )
    (endpoint,) = slapd.search(service.dn, "(GLUE2EndpointInterfaceName=eu.egi.cloud.vm-management.occi)")
    assert endpoint.first("GLUE2EndpointURL") == "https://occi.cesnet.example:11443/"
    (policy,) = slapd.search(endpoint.dn, "(objectClass=GLUE2AccessPolicy)")
    assert policy.first("GLUE2PolicyRule") == "VO:training.egi.eu"
    (mapping,) = slapd.search("o=glue", "(&(objectClass=GLUE2MappingPolicy)(GLUE2PolicyID=*p1_Policy))")
    assert mapping.first("GLUE2MappingPolicyShareForeignKey") == "share_training.egi.eu_p1"
    big = slapd.search(
        "o=glue", "(&(objectClass=GLUE2ExecutionEnvironment)(GLUE2ExecutionEnvironmentLogicalCPUs>=4))"
    )
    assert {one.first("GLUE2ResourceID") for one in big} == {"medium", "gpu.large"}

    # a change, an addition and a removal
    registry.send("PATCH", "/api/v1/sites/UKIM", {"description": "moved to the new hall"})
    registry.register_service(
        "UKIM",
        service_type="Site-BDII",
        hostname="bdii.ukim.example",
        url="ldap://bdii.ukim.example:2170/o=glue",
    )
    assert registry.ask("DELETE", "/api/v1/sites/BIFI").status_code == 204
    second = refresh(slapd.directory, ldif(registry))
    assert (second.added, second.changed) == (2, 1)
    assert second.removed > 3
    (ukim,) = slapd.search("GLUE2DomainID=UKIM,o=glue", "(objectClass=GLUE2AdminDomain)")
    assert ukim.first("GLUE2DomainDescription") == "moved to the new hall"
    assert slapd.search("o=glue", "(GLUE2ServiceType=Site-BDII)", "GLUE2ServiceID")
    assert slapd.search("o=glue", "(GLUE2DomainID=BIFI)") == []


@pytest.mark.peer("slapd")
@pytest.mark.peer("glue-schema")
def test_a_refresh_that_fails_is_told_and_the_next_one_mends_it(registry: Registry, slapd: Slapd) -> None:
    whole = ldif(registry)
    refresh(slapd.directory, whole)
    before = slapd.search("o=glue", "(objectClass=*)")
    broken = whole.replace("GLUE2DomainID: UKIM\n", "GLUE2DomainID: UKIM\nGLUE2DomainDescription: new\n", 1)
    broken += (
        "dn: GLUE2DomainID=ODD,o=glue\nobjectClass: GLUE2AdminDomain\nGLUE2DomainID: ODD\nnoSuchThing: 1\n"
    )
    with pytest.raises(BdiiError, match=r"ndefined attribute|noSuchThing"):
        refresh(slapd.directory, broken)
    assert not slapd.search("o=glue", "(GLUE2DomainID=ODD)")
    refresh(slapd.directory, whole)
    assert slapd.search("o=glue", "(objectClass=*)") == before


@pytest.mark.peer("slapd")
@pytest.mark.peer("glue-schema")
def test_half_a_federation_is_not_removed_unasked(registry: Registry, slapd: Slapd) -> None:
    refresh(slapd.directory, ldif(registry))
    empty = "dn: o=glue\nobjectClass: organization\no: glue\n"
    with pytest.raises(BdiiError, match="would go, more than 50%"):
        refresh(slapd.directory, empty)
    assert len(slapd.search("o=glue", "(objectClass=GLUE2AdminDomain)")) == 3
    assert refresh(slapd.directory, empty, most_removed=1).removed > 10
    assert len(slapd.search("o=glue", "(objectClass=*)")) == 1


@pytest.mark.peer("slapd")
@pytest.mark.peer("glue-schema")
def test_readers_cannot_write_and_the_password_is_asked(slapd: Slapd, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("guess")
    with pytest.raises(BdiiError, match="Invalid credentials"):
        Directory(slapd.url, wrong).read()
    entry = "dn: o=glue\nobjectClass: organization\no: glue\n"
    done = subprocess.run(
        ["ldapadd", "-x", "-H", slapd.url],
        input=entry,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode != 0


def test_prepare_writes_what_only_the_owner_reads(tmp_path: Path) -> None:
    schemas = tmp_path / "schema"
    schemas.mkdir()
    folder = tmp_path / "bdii"
    with pytest.raises(BdiiError, match="install Debian's packages slapd and glue-schema"):
        prepare(folder, "ldap://127.0.0.1:2170", schema_dir=schemas)
    for name in ("core", "cosine", "inetorgperson", "GLUE20"):
        (schemas / f"{name}.schema").touch()
    made = prepare(folder, "ldap://127.0.0.1:2170", schema_dir=schemas)
    assert made.password_file.stat().st_mode & 0o077 == 0
    assert made.configuration.stat().st_mode & 0o077 == 0
    password = made.password_file.read_text()
    assert password in made.configuration.read_text()
    assert prepare(folder, "ldap://127.0.0.1:2170", schema_dir=schemas).password_file.read_text() == password


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("x")
    words = ["refresh", "--url", "http://127.0.0.1:9", "--password-file", str(password)]
    done = CliRunner().invoke(bdii, words)
    assert done.exit_code == 1
    assert "127.0.0.1:9" in done.output


@pytest.mark.peer("slapd")
@pytest.mark.peer("glue-schema")
def test_the_command_refreshes_from_a_running_registry(registry: Registry, slapd: Slapd) -> None:
    with serving(registry.app) as url:
        words = ["refresh", "--url", url, "--ldap", slapd.url, "--password-file"]
        words.append(str(slapd.directory.password_file))
        first = CliRunner().invoke(bdii, words)
        second = CliRunner().invoke(bdii, words)
    assert first.exit_code == 0, first.output
    assert "entries added, 0 changed, 0 removed." in first.output
    assert second.output.endswith("In step already.\n")
    assert len(slapd.search("o=glue", "(objectClass=GLUE2AdminDomain)")) == 3


@pytest.mark.peer("slapd")
@pytest.mark.peer("glue-schema")
def test_one_odd_site_does_not_keep_the_others_out(registry: Registry, slapd: Slapd) -> None:
    """Long ids, ids that differ in case alone, lists where GLUE has one value, objects where it has none."""
    document = cloud_document()
    endpoint, image = document["CloudComputingEndpoint"][0], document["CloudComputingImage"][0]
    endpoint.update(
        Implementor=["a", "b"], Technology={"x": 1}, Capability=["A", "a", " a ", "b"], Semantics=" "
    )
    endpoint["TrustedCA"] = [f"/CN=CA {number}" for number in range(300)]
    document["CloudComputingImage"] += [
        {**image, "ID": "é" * 1000},
        {**image, "ID": "x," * 500},
        {**image, "ID": "CASE"},
        {**image, "ID": "case"},
        {**image, "ID": '#1 <odd>;=+\\"', "OSName": None, "Name": "q" * 9000},
    ]
    answer = registry.ask("PUT", "/v1/sites/CESNET/cloudinfo", data=encoded(document))
    assert answer.status_code == 202, answer.text
    refresh(slapd.directory, ldif(registry))
    assert refresh(slapd.directory, ldif(registry)).none
    assert len(slapd.search("o=glue", "(objectClass=GLUE2AdminDomain)")) == 3
    images = slapd.search("o=glue", "(objectClass=GLUE2ApplicationEnvironment)")
    assert len(images) == 2 + 4  # CASE and case are one
    (shown,) = slapd.search("GLUE2DomainID=CESNET,o=glue", "(objectClass=GLUE2ComputingEndpoint)")
    assert [*shown.attributes["GLUE2EndpointCapability"]] == ["A", "b"]
    assert shown.first("GLUE2EndpointImplementor") == "a"
