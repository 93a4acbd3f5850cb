"""Programs of others at GOCDB's interfaces, over TLS with certificates: curl, and cloud-info-provider's look-up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.ca import CertificateAuthority, Issued
from registry import api_credentials
from registry.schemas.api_credentials import ApiCredentialIn
from tests.tls import serving

from .conftest import Registry

PYTHON = Path(__file__).resolve().parents[2] / ".peers" / "venv" / "bin" / "python"
KEYSTONE = "https://keystone.bifi.example:5000/v3"
ROBOT = "/C=EU/O=Hanse Demo/OU=Robots/CN=Robot: curl of BIFI"


@dataclass
class Client:
    """A registry on its TLS side, and a robot with a certificate."""

    registry: Registry
    url: str
    bundle: Path
    robot: Issued

    def curl(self, path: str, *more: str, certificate: bool = True) -> tuple[int, str]:
        """The status and the body."""
        pair = ["--cert", str(self.robot.cert_path), "--key", str(self.robot.key_path)]
        options = ["--silent", "--show-error", "--globoff", "--cacert", str(self.bundle)]
        command = ["curl", *options, *(pair if certificate else []), *more, "--write-out", "\n%{http_code}"]
        done = subprocess.run(
            [*command, f"{self.url}{path}"], capture_output=True, text=True, check=True, timeout=60
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body


@pytest.fixture
def client(registry: Registry, ca: CertificateAuthority) -> Iterator[Client]:
    registry.register_service(
        "BIFI", service_type="org.openstack.nova", hostname="keystone.bifi.example", url=KEYSTONE
    )
    with serving(registry.app, registry.settings) as url:
        # the address is known now; the application that is served learns it
        known = registry.settings.model_copy(update={"tls_url": url})
        object.__setattr__(registry.app.extensions["hanse"], "settings", known)
        yield Client(registry, url, ca.bundle, ca.issue(ROBOT))


@pytest.mark.peer("curl")
def test_curl_reads_and_writes_with_a_certificate(client: Client) -> None:
    private = "/gocdbpi/private/?method="
    assert client.curl(f"{private}get_site", certificate=False)[1].startswith("No valid identifier found.")
    assert "<SITE " in client.curl(f"{private}get_site&scope=")[1]
    assert client.curl(f"{private}access_test")[1].startswith("Authorisation required to read personal data")
    site = client.registry.get("/api/v1/sites/BIFI")["id"]
    write = [
        f"/gocdbpi/v5/site/{site}/extensionproperties/VO",
        "--request",
        "PUT",
        "--data",
        '{"value": "vo.a"}',
    ]
    status, body = client.curl(*write)
    assert (status, json.loads(body)["Error"]["Code"]) == (403, 403)
    form = ApiCredentialIn(kind="x509", identifier=ROBOT, allow_write=True)
    laura = client.registry.principal("Laura Gil")
    api_credentials.add(client.registry.db, laura, client.registry.settings, "BIFI", form)
    assert client.curl(*write) == (204, "")
    assert f'<results identifier="{ROBOT}">' in client.curl(f"{private}access_test")[1]
    told = client.curl(f"{private}get_site&extensions=(VO=vo.a)&next_cursor=0")[1]
    assert "<VALUE>vo.a</VALUE>" in told
    assert f'href="{client.url}/gocdbpi/private/?method=get_site&amp;' in told  # where the caller came in


@pytest.mark.peer("cloud-info-provider")
def test_cloud_info_provider_finds_the_key_of_its_service(client: Client, tmp_path: Path) -> None:
    """Its own code and its own address, whose host is led to ours."""
    program = f"""
import sys, json, requests
real = requests.get
def led(url, *given, **named):
    host = "https://goc.egi.eu"
    assert url.startswith(host + "/"), url
    named["verify"] = {str(client.bundle)!r}
    return real({client.url!r} + url.removeprefix(host), *given, **named)
requests.get = led
from cloud_info_provider.providers import utils
print(json.dumps([utils.find_in_gocdb(url, "org.openstack.nova") for url in sys.argv[1:]]))
"""
    asked = [
        KEYSTONE,
        f"{KEYSTONE}/",
        "https://keystone.bifi.example:5000/v2",
        "https://elsewhere.example/v3",
    ]
    done = subprocess.run(
        [str(PYTHON), "-c", program, *asked],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    key = client.registry.get("/api/v1/services?service_type=org.openstack.nova")["items"][0]["primary_key"]
    assert found[:2] == [found[0]] * 2
    assert key in found[0].values()
    assert found[2:] == [{}, {}]
