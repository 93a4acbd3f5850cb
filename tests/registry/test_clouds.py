"""Finding a cloud, and the read paths that cloud-info-api's clients use."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from registry.app import create_app

from .clouds import Document, cloud_document, encoded
from .conftest import Registry

NOVA = "org.openstack.nova"


def publish(registry: Registry, document: Document, site: str = "CESNET") -> None:
    answer = registry.ask("PUT", f"/v1/sites/{site}/cloudinfo", data=encoded(document))
    assert answer.status_code == 202, answer.text


@pytest.fixture
def clouds(registry: Registry) -> Registry:
    """CESNET (OCCI) with much room, BIFI (OpenStack) with less; UKIM publishes nothing."""
    cesnet = cloud_document()
    cesnet["Share"][0]["OtherInfo"]["used"] = {"cores": 4}
    publish(registry, cesnet)
    bifi = cloud_document(
        "BIFI",
        url="https://keystone.bifi.example:5000/v3",
        interface=NOVA,
        vos=("chipster", "training.egi.eu"),
    )
    bifi["CloudComputingManager"][0]["ProductName"] = "OpenStack"
    bifi["CloudComputingInstanceType"] = bifi["CloudComputingInstanceType"][:1]
    del bifi["CloudComputingVirtualAccelerator"]
    for share in bifi["Share"]:
        share["OtherInfo"]["used"] = {"cores": 10}
    publish(registry, bifi, "BIFI")
    registry.register_service(
        "BIFI",
        service_type="org.openstack.nova",
        hostname="keystone.bifi.example",
        url="https://keystone.bifi.example:5000/v3",
    )
    return registry


def found(registry: Registry, query: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = registry.get(f"/api/v1/clouds?{query}", None)["items"]
    return items


def test_the_places_of_a_vo_those_with_room_first(clouds: Registry) -> None:
    items = found(clouds, "vo=training.egi.eu")
    assert [(one["site"], one["free_vcpu"]) for one in items] == [
        ("CESNET", 12),
        ("BIFI", 6),
        ("BIFI", None),
        ("UKIM", None),
    ]
    assert items[0]["project_id"] == "p1"
    assert items[0]["free_source"].startswith("quota less what is used")
    assert [size["id"] for size in items[0]["sizes"]] == ["small", "medium", "gpu.large"]
    assert items[-1]["declared_vcpu"] == 16
    assert items[-1]["commands"] == []


@pytest.mark.parametrize(
    ("query", "sites"),
    [
        ("vo=chipster", ["BIFI"]),
        ("cores=4", ["CESNET"]),
        ("memory_mb=2048&cores=1", ["CESNET", "BIFI", "BIFI"]),
        ("gpu=true", ["CESNET"]),
        ("image=ubuntu+24.04&vo=training.egi.eu", ["CESNET"]),
        ("image=debian&vo=training.egi.eu", ["CESNET", "BIFI"]),
        ("middleware=openstack&vo=training.egi.eu", ["BIFI", "BIFI"]),
        ("free=7", ["CESNET"]),
        ("free=1000", []),
        ("vo=nobody", []),
    ],
)
def test_what_the_machine_must_have(clouds: Registry, query: str, sites: list[str]) -> None:
    assert [one["site"] for one in found(clouds, query)] == sites


def test_what_is_not_told_is_not_guessed(registry: Registry) -> None:
    publish(registry, cloud_document())
    (place,) = found(registry, "vo=training.egi.eu&cores=1")
    assert (place["quota_vcpu"], place["free_vcpu"], place["free_machines"]) == (16, None, 7)
    assert "not published" in place["free_source"]


def test_an_old_document_shows_only_when_asked(registry: Registry) -> None:
    publish(registry, cloud_document(age=timedelta(seconds=58), validity_s=60))
    with registry.db.transaction() as session:
        session.execute(text("update cloud_document set valid_until = now() - interval '1 s'"))
    assert found(registry, "cores=1") == []
    (place,) = found(registry, "cores=1&stale=true")
    assert place["stale"]


def test_commands_name_what_is_there(clouds: Registry) -> None:
    items = found(clouds, "vo=training.egi.eu&cores=1")
    occi = {one["client"]: shlex.split(one["text"].replace("\\\n", "")) for one in items[0]["commands"]}
    assert occi["occi"][:3] == ["occi", "--endpoint", "https://occi.cesnet.example:11443/"]
    assert "os_tpl#debian13" in occi["occi"]
    assert occi["curl"][-1] == "https://occi.cesnet.example:11443/compute/"
    openstack = {one["client"]: shlex.split(one["text"].replace("\\\n", "")) for one in items[1]["commands"]}
    assert openstack["fedcloud"][:6] == ["fedcloud", "openstack", "--site", "BIFI", "--vo", "training.egi.eu"]
    flavor = openstack["openstack"].index("--flavor")
    assert openstack["openstack"][flavor + 1] == "small"
    assert "https://keystone.bifi.example:5000/v3" in openstack["openstack"]


def test_pages_and_csv(clouds: Registry) -> None:
    first = clouds.get("/api/v1/clouds?vo=training.egi.eu&limit=3", None)
    rest = clouds.get(f"/api/v1/clouds?vo=training.egi.eu&limit=3&cursor={first['next']}", None)
    assert (first["total"], len(first["items"]), len(rest["items"]), rest["next"]) == (4, 3, 1, None)
    lines = clouds.ask("GET", "/api/v1/clouds.csv?vo=training.egi.eu", None).text.splitlines()
    assert lines[0].startswith("site,country,middleware,endpoint")
    assert len(lines) == 1 + 3 + 1 + 1 + 1


# --- cloud-info-api ---


def key(registry: Registry, site: str) -> str:
    services = registry.get(f"/api/v1/services?site={site}")["items"]
    return str(services[-1]["primary_key"])


def test_sites_vos_and_projects(clouds: Registry) -> None:
    assert clouds.get("/vos/", None) == ["chipster", "training.egi.eu"]
    bifi = {
        "id": key(clouds, "BIFI"),
        "name": "BIFI",
        "url": "https://keystone.bifi.example:5000/v3",
        "state": "",
        "hostname": "keystone.bifi.example",
    }
    projects = [{"id": "p1", "name": "chipster"}, {"id": "p2", "name": "training.egi.eu"}]
    assert [one["name"] for one in clouds.get("/sites/", None)] == ["BIFI", "CESNET"]
    assert clouds.get("/sites/?vo_name=chipster", None) == [bifi]
    assert clouds.get("/sites/?site_name=BIFI&include_projects=true", None) == [
        {**bifi, "projects": projects}
    ]
    assert clouds.get("/site/BIFI/", None) == bifi
    assert clouds.get("/site/BIFI/projects", None) == projects
    assert clouds.get("/site/BIFI/chipster/project", None) == projects[0]


def test_images(clouds: Registry) -> None:
    egi = {
        "egi_id": "egi_vm_images/ubuntu:24.04",
        "id": "bbbb0000-0000-4000-8000-000000000001",
        "endpoint": "https://occi.cesnet.example:11443/",
        "mpuri": "registry.egi.eu/egi_vm_images/ubuntu:24.04",
        "name": "Image for Ubuntu 24.04 [Ubuntu/24.04/KVM]",
        "version": "2026-09-04",
        "vo": "training.egi.eu",
    }
    own = {
        "egi_id": "",
        "id": "http://schemas.cesnet.example/os_tpl#debian13",
        "endpoint": "https://occi.cesnet.example:11443/",
        "mpuri": "",
        "name": "Debian 13",
        "version": "",
        "vo": "training.egi.eu",
    }
    assert clouds.get("/site/CESNET/images", None) == [egi]
    assert clouds.get("/site/CESNET/training.egi.eu/images?only_egi_images=false", None) == [own, egi]
    assert {one["vo"] for one in clouds.get("/images/", None)} == {"chipster", "training.egi.eu"}
    assert clouds.get("/images/?vo_name=training.egi.eu", None) == [egi]


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/site/UKIM/", "Site UKIM not found"),
        ("/site/CESNET/chipster/project", "VO chipster not supported by Site CESNET"),
        ("/site/CESNET/chipster/images", "VO chipster not supported by Site CESNET"),
        ("/site/NOWHERE/images", "Site NOWHERE not found"),
        ("/fedcloudclient/NOWHERE/", "Site NOWHERE not found"),
    ],
)
def test_what_is_not_there_is_told_in_its_words(clouds: Registry, path: str, detail: str) -> None:
    answer = clouds.ask("GET", path, None)
    assert (answer.status_code, answer.get_json()) == (404, {"detail": detail})


def test_fedcloudclient_reads_its_site_files(clouds: Registry) -> None:
    listed = clouds.get("/fedcloudclient/", None)
    assert listed == [f"http://127.0.0.1:7010/fedcloudclient/{name}/" for name in ("BIFI", "CESNET")]
    answer = clouds.ask("GET", "/fedcloudclient/BIFI/", None)
    assert answer.content_type == "application/yaml"
    assert yaml.safe_load(answer.text) == {
        "gocdb": "BIFI",
        "endpoint": "https://keystone.bifi.example:5000/v3",
        "vos": [
            {"name": "chipster", "auth": {"project_id": "p1"}},
            {"name": "training.egi.eu", "auth": {"project_id": "p2"}},
        ],
    }


def test_the_page_of_sites_and_the_list_of_cloud_info_api_live_beside_each_other(clouds: Registry) -> None:
    assert clouds.ask("GET", "/sites", None).content_type.startswith("text/html")
    assert clouds.ask("GET", "/sites/", None).content_type == "application/json"


def test_a_document_without_a_known_service_is_not_shown(registry: Registry) -> None:
    publish(registry, cloud_document(url="https://unknown.example/"))
    assert registry.get("/sites/", None) == []


def test_disciplines_come_from_the_operators_file(registry: Registry, tmp_path: Path) -> None:
    assert registry.get("/disciplines/", None) == []
    known = [{"id": "2", "name": "Mathematics", "parent": None, "order": 1}]
    (tmp_path / "disciplines.json").write_text(json.dumps(known))
    app = create_app(registry.settings.model_copy(update={"disciplines_file": tmp_path / "disciplines.json"}))
    assert app.test_client().get("/disciplines/").get_json() == known
    (tmp_path / "disciplines.json").write_text("{")
    assert app.test_client().get("/disciplines/").status_code == 503
    app.extensions["hanse"].db.close()
