"""Programs of others: cloud-info-provider publishes to us, fedcloudclient and the OpenStack client read from us."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from demo.ca import CertificateAuthority, Issued
from registry.places import Place, Room
from tests.tls import serving

from .conftest import Registry

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".peers" / "venv"
KEYSTONE = "https://keystone.cesnet.example:5000/v3"
# A provider for cloud-info-provider: what its OpenStack provider asks of an OpenStack, said here instead.
PROVIDER = """
from cloud_info_provider import glue
from cloud_info_provider.providers.base import BaseProvider


class OfTheTests(BaseProvider):
    goc_service_type = interface_name = "org.openstack.nova"

    @staticmethod
    def populate_parser(parser):
        pass  # the provider for OpenStack has said the arguments already

    def _get_goc_info(self, url):
        return {}  # the look-up is for one registry alone; ours finds the service by its address

    def _get_ca_info(self, url):
        return {"issuer": "/C=EU/O=Hanse Demo/CN=Hanse Demo CA", "trusted_cas": ["/C=EU/CN=A"]}

    def get_service_id(self):
        return self.site_config["endpoint"] + "_cloud.compute"

    def get_manager_id(self):
        return self.get_service_id() + "_manager"

    def get_endpoint_id(self):
        return self.site_config["endpoint"] + "_OpenStack_v3_oidc"

    def build_shares(self):
        for vo in self.site_config["vos"]:
            project = vo["auth"]["project_id"]
            share = glue.Share(
                id=f"{self.get_endpoint_id()}_share_{vo['name']}_{project}",
                project_id=project,
                total_vm=1,
                running_vm=1,
                max_vm=10,
                other_info={"quotas": {"cores": 40, "ram": 81920, "instances": 10}},
            )
            share.add_associated_object(self.endpoint)
            share.add_associated_object(self.service)
            self.add_glue(share)
            policy = glue.MappingPolicy(id=share.id + "_Policy", rule=["VO:" + vo["name"]])
            policy.add_associated_object(share)
            policy.add_association("PolicyUserDomain", vo["name"])
            self.add_glue(policy)
            size = glue.CloudComputingInstanceType(id="flavor-1", name="m1.small", cpu=2, ram=4096, disk=20)
            size.add_associated_object(share)
            self.add_glue(size)
            image = glue.CloudComputingImage(
                id="bbbb-1", name="Ubuntu", osName="ubuntu", osVersion="24.04",
                marketplace_url="registry.egi.eu/egi_vm_images/ubuntu:24.04",
                other_info={"eu.egi.cloud.image_ref": "egi_vm_images/ubuntu:24.04", "eu.egi.cloud.tag": "2026-09"},
            )
            image.add_associated_object(share)
            self.add_glue(image)
"""


@dataclass
class Served:
    """The registry on its TLS side, with CESNET's OpenStack registered, and what a client is told."""

    registry: Registry
    url: str
    bundle: Path
    home: Path

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A program of the peers with a home of its own that trusts the demo's CA."""
        return subprocess.run(
            command,
            input=stdin,
            env={
                "PATH": f"{VENV}/bin:{os.environ['PATH']}",
                "HOME": str(self.home),
                "PYTHONPATH": str(self.home / "plugins"),
                "SSL_CERT_FILE": str(self.bundle),
                "PYTHONWARNINGS": "ignore",
            },
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture
def served(registry: Registry, ca: CertificateAuthority, tmp_path: Path) -> Iterator[Served]:
    registry.register_service(
        "CESNET", service_type="org.openstack.nova", hostname="keystone.cesnet.example", url=KEYSTONE
    )
    with serving(registry.app, registry.settings) as url:
        # the address is known now; the application that is served learns it
        known = registry.settings.model_copy(update={"tls_url": url})
        object.__setattr__(registry.app.extensions["hanse"], "settings", known)
        yield Served(registry, url, ca.bundle, tmp_path)


def publish(served: Served, cast: dict[str, Issued]) -> None:
    """What cloud-info-provider prints, sent as its cron job does: with curl and the site's host certificate."""
    plugins = served.home / "plugins"
    (plugins / "of_the_tests-1.dist-info").mkdir(parents=True)
    (plugins / "of_the_tests.py").write_text(PROVIDER)
    (plugins / "of_the_tests-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: of-the-tests\nVersion: 1\n"
    )
    (plugins / "of_the_tests-1.dist-info" / "entry_points.txt").write_text(
        "[cip.providers]\nof-the-tests = of_the_tests:OfTheTests\n"
    )
    site = {
        "gocdb": "CESNET",
        "endpoint": KEYSTONE,
        "vos": [{"name": "training.egi.eu", "auth": {"project_id": "038db3"}}],
    }
    (served.home / "site.yaml").write_text(yaml.safe_dump(site))
    printed = served.run("cloud-info-provider-service", "--middleware", "of-the-tests", "site.yaml")
    assert printed.returncode == 0, printed.stderr
    host = cast.host("CESNET")  # type: ignore[attr-defined]
    pem = {"pem": host.cert_path.read_text()}
    served.registry.send("POST", "/api/v1/sites/CESNET/host-certificates", pem, "Eliška Malá")
    sent = served.run(
        *["curl", "--silent", "--show-error", "--fail-with-body", "--upload-file", "-"],
        *["--cacert", str(served.bundle), "--cert", str(host.cert_path), "--key", str(host.key_path)],
        f"{served.url}/v1/sites/CESNET/cloudinfo",
        stdin=printed.stdout,
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert '"state":"current"' in sent.stdout


@pytest.mark.peer("cloud-info-provider", "curl")
def test_the_provider_s_document_is_taken_and_read_back(served: Served, cast: dict[str, Issued]) -> None:
    publish(served, cast)
    registry = served.registry
    services = registry.get("/api/v1/services?site=CESNET&service_type=org.openstack.nova")["items"]
    # the provider could not say the service's key; its address did
    assert registry.get("/site/CESNET/?include_projects=1", None) == {
        "id": services[0]["primary_key"],
        "name": "CESNET",
        "url": KEYSTONE,
        "state": "",
        "hostname": "keystone.cesnet.example",
        "projects": [{"id": "038db3", "name": "training.egi.eu"}],
    }
    (image,) = registry.get("/site/CESNET/training.egi.eu/images", None)
    assert (image["egi_id"], image["version"]) == ("egi_vm_images/ubuntu:24.04", "2026-09")
    places = registry.get("/api/v1/clouds?vo=training.egi.eu&cores=2", None)["items"]
    assert [(place["site"], place["free_machines"]) for place in places] == [("CESNET", 9)]


@pytest.mark.peer("fedcloudclient", "cloud-info-provider", "curl")
def test_fedcloudclient_finds_the_site_and_its_project(served: Served, cast: dict[str, Issued]) -> None:
    publish(served, cast)
    # its list of sites is at one address in the program; here it is ours, everything else is as it comes
    driver = (
        "import sys; from fedcloudclient import sites; from fedcloudclient.cli import cli;"
        f"vars(sites)['__REMOTE_CONFIG_FILE'] = '{served.url}/fedcloudclient/';"
        "sys.argv[0] = 'fedcloud'; cli()"
    )
    python = str(VENV / "bin" / "python")
    listed = served.run(python, "-c", driver, "site", "list")
    assert listed.stdout.split() == ["CESNET"], listed.stderr
    project = served.run(
        python, "-c", driver, "site", "show-project-id", "--site", "CESNET", "--vo", "training.egi.eu"
    )
    assert "038db3" in project.stdout, project.stderr
    assert KEYSTONE in project.stdout


@pytest.mark.peer("fedcloudclient")
def test_the_openstack_command_that_we_show_is_understood(served: Served) -> None:
    place = Place(
        site="CESNET",
        country="",
        middleware="OpenStack",
        endpoint="https://127.0.0.1:9/v3",
        interface="org.openstack.nova",
        vo="training.egi.eu",
        project="038db3",
        room=Room(),
        sizes=[{"id": "flavor-1", "name": "m1.small", "vcpu": 2, "ram_mb": 4096}],
        images=[{"id": "bbbb-1", "name": "Ubuntu"}],
    )
    commands = dict(place.commands)
    pasted = commands["openstack"].replace('"$OIDC_ACCESS_TOKEN"', "token")
    done = served.run(*shlex.split(pasted.replace("\\\n", "")))
    # all words were understood: the only thing that is wrong is that nobody listens at port 9
    assert "Unable to establish connection to https://127.0.0.1:9" in done.stderr, done.stderr
    words = shlex.split(commands["fedcloud"].replace("\\\n", ""))
    told = served.run(*words[:6], "--help")
    assert told.returncode == 0, told.stderr
