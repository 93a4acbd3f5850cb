"""What the simulated clouds say of themselves is taken by the registry, and its command starts a machine on them."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.ca import Issued
from demo.cast import SITES, Site
from demo.cloud.configuration import CloudConfiguration
from demo.cloud.dialects import DIALECTS
from demo.cloud.information import document
from demo.cloud.machines import Machines
from hanse.occi.model import COMPUTE
from registry.cloudinfo_reading import read
from registry.observed import facts_of
from registry.places import Place, Room

from .conftest import CAPACITIES, VO, Cloud, mapped

NOWHERE = Path("/nonexistent")


def configuration(site: Site) -> CloudConfiguration:
    paths = ("folder", "trust_dir", "cert", "key", "tls_cert", "tls_key", "expired_cert", "expired_key")
    return CloudConfiguration(
        site=site.name,
        dialect=site.dialect,
        cloud_type=site.middleware,
        port=11443,
        path=site.path,
        capacity=site.capacity,
        network=site.network,
        ams_url="",
        vos=tuple(site.vos),
        registry_url="https://127.0.0.1:7011",
        quotas=site.quotas or site.vos,
        **dict.fromkeys((*paths, "vomsdir", "mapping", "ams_token", "ca"), NOWHERE),
    )


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_the_registry_takes_what_each_cloud_says(site: Site, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    machines = Machines(tmp_path / "machines.jsonl", site.capacity, site.network, lambda: now.timestamp())
    made = document(configuration(site), DIALECTS[site.dialect](site.name), machines.all(), now)
    reading = read(json.dumps(made).encode(), now)
    assert (reading.site, reading.format) == (site.name, "glue21json")
    facts = facts_of(reading.document)
    assert facts["vcpu"] == site.capacity.vcpu
    assert {share["vo"]: share["cores"] for share in facts["shares"]} == (site.quotas or site.vos)
    assert all(share["used_cores"] == 0 for share in facts["shares"])


@pytest.mark.peer("curl")
def test_the_command_that_the_registry_shows_starts_a_machine(
    cloud: Cloud, cast: dict[str, Issued], request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["cloud"]
    dialect = DIALECTS[CAPACITIES[name][0]](name)
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    place = Place(
        site=name,
        country="",
        middleware="",
        endpoint=cloud.url,
        interface="eu.egi.cloud.vm-management.occi",
        vo=VO,
        project=None,
        room=Room(),
        sizes=[{"id": f"{dialect.size_scheme}medium", "name": "medium", "vcpu": 4, "ram_mb": 8192}],
        images=[{"id": f"{dialect.image_scheme}debian13", "name": "Debian 13"}],
    )
    commands = dict(place.commands)
    assert "--mixin 'os_tpl#debian13'" in commands["occi"]
    assert "--mixin 'resource_tpl#medium'" in commands["occi"]
    pasted = commands["curl"].replace(
        "--capath /etc/grid-security/certificates", f"--cacert {cloud.ca.bundle}"
    )
    proxy, _ = cloud.proxy(anna, cloud.attributes(anna))
    done = subprocess.run(
        ["sh", "-c", pasted],
        env={"PATH": os.environ["PATH"], "X509_USER_PROXY": str(proxy)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{cloud.url}compute/" in done.stdout
    with cloud.member(anna) as client:
        (where,) = client.list(COMPUTE)
        machine = client.describe(where)
    assert machine.attributes["occi.compute.cores"] == 4
    assert machine.attributes["occi.core.title"] == "my-first-machine"
