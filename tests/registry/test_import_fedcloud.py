"""Moving in with site files of the federated cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hanse.errors import Conflict, Refused, TooLarge
from registry.importing import fedcloud
from registry.importing.fedcloud import Options
from registry.importing.merging import Report
from registry.renderings.fedcloud_yaml import parse

from .conftest import Registry

SAMPLES = Path(__file__).with_name("samples") / "fedcloud"
FILES = {file.name: file.read_text() for file in sorted(SAMPLES.glob("*.yaml"))}


def imported(registry: Registry, files: dict[str, str], **options: Any) -> Report:
    return fedcloud.take_over(registry.db, registry.principal("Ingrid Holm"), files, Options(**options))


def site(registry: Registry, name: str) -> dict[str, Any]:
    found: dict[str, Any] = registry.get(f"/api/v1/sites/{name}")
    return found


def test_a_site_that_is_here_gets_its_vos_projects_and_keystone(registry: Registry) -> None:
    report = imported(registry, FILES)
    skipped = {one.name for one in report.findings if one.action == "skip"}
    assert skipped == {"CESNET-MCCG2", "GRNET-OPENSTACK", "IFCA-LCG2", "NCG-INGRID-PT", "TR-FC1-ULAKBIM"}
    bifi = site(registry, "BIFI")
    assert bifi["supports"] == [
        {"vo": "ops", "vcpu": None, "project_id": "038db3eeca5c4960a443a89b92373cd2"},
        {"vo": "training.egi.eu", "vcpu": 16, "project_id": None},
    ]
    assert bifi["extensions"]["fedcloud.images.formats"] == "qcow2,raw"
    (nova,) = registry.get("/api/v1/services?site=BIFI&service_type=org.openstack.nova")["items"]
    assert nova["url"] == "https://colossus.cesar.unizar.es:5000/v3"
    assert nova["endpoints"][0]["url"] == nova["url"]


def test_sites_that_are_not_here_are_registered_when_asked_for(registry: Registry) -> None:
    report = imported(registry, FILES, create_in="NGI_IBERGRID")
    assert report.counts["skip"] == 0
    made = site(registry, "CESNET-MCCG2")
    assert (made["certification"], made["ngi"], made["country_code"]) == ("Candidate", "NGI_IBERGRID", "ZZ")
    assert len(made["supports"]) == 22
    again = imported(registry, FILES, create_in="NGI_IBERGRID")
    assert (again.counts["add"], again.counts["change"], again.revisions) == (0, 0, [])


def test_a_vo_that_leaves_the_file_leaves_the_site_and_ours_stay(registry: Registry) -> None:
    imported(registry, {"BIFI.yaml": FILES["BIFI.yaml"]})
    without = FILES["BIFI.yaml"].replace("name: ops", "name: dteam")
    report = imported(registry, {"BIFI.yaml": without})
    (found,) = [one for one in report.findings if one.kind == "site"]
    assert found.notes == ("ops is not in the file any more",)
    assert [one["vo"] for one in site(registry, "BIFI")["supports"]] == ["dteam", "training.egi.eu"]
    assert site(registry, "BIFI")["supports"][1]["vcpu"] == 16


def test_a_keystone_that_a_service_has_is_not_registered_twice(registry: Registry) -> None:
    registry.register_service(
        "BIFI",
        service_type="org.openstack.nova",
        hostname="colossus.cesar.unizar.es",
        url="https://Colossus.cesar.unizar.es:5000/v3/",
    )
    imported(registry, {"BIFI.yaml": FILES["BIFI.yaml"]})
    assert len(registry.get("/api/v1/services?site=BIFI&service_type=org.openstack.nova")["items"]) == 1


def test_a_file_that_cannot_be_read_is_skipped_and_the_others_go_in(registry: Registry) -> None:
    report = imported(
        registry, {"A.yaml": "gocdb: [", "BIFI.yaml": FILES["BIFI.yaml"], "C.yaml": "gocdb: CESNET"}
    )
    told = {one.name: one.notes[0] for one in report.findings if one.action == "skip"}
    assert "line 2" in told["A.yaml"]
    assert "endpoint: Field required" in told["C.yaml"]
    assert len(site(registry, "BIFI")["supports"]) == 2


def test_a_plan_keeps_nothing_and_an_old_one_is_not_carried_out(registry: Registry) -> None:
    operator = registry.principal("Ingrid Holm")
    planned = fedcloud.plan(registry.db, operator, FILES, Options())
    assert len(site(registry, "BIFI")["supports"]) == 1
    registry.send("PATCH", "/api/v1/sites/BIFI", {"supports": []})
    with pytest.raises(Conflict, match="plan again"):
        fedcloud.take_over(registry.db, operator, FILES, Options(), expected=planned.fingerprint)


TWICE = """gocdb: X
endpoint: https://a.example/
vos: [{name: v, auth: {project_id: p}}, {name: v, auth: {project_id: q}}]
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &a [x, x]\nb: [*a, *a]", "anchors"),
        ("[" * 40 + "]" * 40, "deep"),
        ("gocdb: !!python/object/apply:os.system [id]", "tags"),
        ("gocdb: X\nendpoint: https://a.example/\ncolour: red", "no such key"),
        ("gocdb: X\nendpoint: file:///etc/passwd", "address"),
        (TWICE, "twice"),
    ],
)
def test_hostile_files_are_refused(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        parse(text)


def test_a_huge_file_is_not_even_read() -> None:
    with pytest.raises(TooLarge):
        parse("#" * 100_001)


def test_a_project_of_digits_alone_stays_as_it_is() -> None:
    found = parse("gocdb: X\nendpoint: https://a.example/\nvos: [{name: v, auth: {project_id: 12345}}]")
    assert found.vos[0].auth.project_id == "12345"
