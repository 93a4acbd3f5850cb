"""Sites publish what their cloud offers: who may, what is taken, what is refused and why, what stands in the end."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from registry.cli import group
from tests.tls import serving

from .clouds import cloud_document, encoded
from .conftest import Registry

PATH = "/v1/sites/CESNET/cloudinfo"


@pytest.fixture
def machine(registry: Registry) -> str:
    """A token of CESNET's machines."""
    made = registry.send("POST", "/api/v1/sites/CESNET/tokens", {"name": "cloud-info"}, "Eliška Malá")
    registry.tokens["cloud of CESNET"] = made["token"]
    return "cloud of CESNET"


def publish(registry: Registry, document: Any, who: str | None, method: str = "PUT", query: str = "") -> Any:
    content = document if isinstance(document, bytes) else encoded(document)
    return registry.ask(method, PATH + query, who, data=content)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_machine_publishes_and_the_document_is_read_back(
    registry: Registry, machine: str, method: str
) -> None:
    document = cloud_document()
    answer = publish(registry, document, machine, method)
    assert answer.status_code == 202, answer.text
    told = answer.get_json()
    assert (told["state"], told["format"], told["site"]) == ("current", "glue21json", "CESNET")
    kept = registry.get(f"{PATH}/{told['id']}", who=None)
    assert kept == document
    listed = registry.get(PATH, who=None)
    assert [(one["id"], one["valid"]) for one in listed["items"]] == [(told["id"], True)]


def test_the_same_text_again_changes_nothing(registry: Registry, machine: str) -> None:
    content = encoded(cloud_document())
    assert publish(registry, content, machine).status_code == 202
    assert publish(registry, content, machine).status_code == 204
    assert len(registry.get(PATH)["items"]) == 1


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("Goran Petrov", 403), ("Anna Lindqvist", 403)])
def test_nobody_publishes_for_another_site(registry: Registry, who: str | None, status: int) -> None:
    assert publish(registry, cloud_document(), who).status_code == status
    assert registry.get(PATH)["items"] == []


def test_each_fault_names_its_object_and_field(registry: Registry, machine: str) -> None:
    document = cloud_document()
    document["CloudComputingService"][0]["CreationTime"] = "yesterday"
    document["CloudComputingInstanceType"][0]["CPU"] = "two"
    document["CloudComputingImage"][1]["Associations"]["Share"] = ["no-such-share"]
    document["MappingPolicy"] = []
    del document["CloudComputingVirtualAccelerator"]
    answer = publish(registry, document, machine)
    assert answer.status_code == 422
    faults = {one["field"]: one["reason"] for one in answer.get_json()["errors"]}
    service = document["CloudComputingService"][0]["ID"]
    share = document["Share"][0]["ID"]
    assert faults == {
        f"CloudComputingService {service}: CreationTime": "must be a time such as 2026-11-24T14:00:00Z",
        "CloudComputingInstanceType small: CPU": "should be a valid integer",
        f"Share {share}": "no MappingPolicy says for which VO; add one with PolicyUserDomain",
        "CloudComputingImage bbbb0000-0000-4000-8000-000000000001: Associations.Share": (
            "there is no share no-such-share"
        ),
        "CloudComputingInstanceType gpu.large: Associations.CloudComputingVirtualAccelerator": (
            "there is no accelerator gpu.large_gpu in the list CloudComputingVirtualAccelerator"
        ),
    }


def test_the_last_good_one_stands_and_the_bad_one_is_kept_for_repair(
    registry: Registry, machine: str
) -> None:
    good = publish(registry, cloud_document(), machine).get_json()
    bad = encoded({**cloud_document(), "Share": "none"})  # type: ignore[dict-item]
    for _ in range(2):
        assert publish(registry, bad, machine).status_code == 422
    listed = registry.get(PATH, who="Eliška Malá")
    assert [(one["id"], one["current"]) for one in listed["items"]] == [(good["id"], True)]
    (refused,) = listed["refused"]
    assert refused["times"] == 2
    assert {"field": "Share", "reason": "must be a list of objects"} in refused["faults"]
    assert registry.ask("GET", f"{PATH}/refused/{refused['id']}", "Eliška Malá").data == bad
    assert registry.ask("GET", f"{PATH}/refused/{refused['id']}", "Goran Petrov").status_code == 403
    assert registry.get(PATH, who=None)["refused"] == []


def test_an_older_document_that_comes_late_does_not_replace_a_newer(registry: Registry, machine: str) -> None:
    newer = publish(registry, cloud_document(age=timedelta(minutes=1)), machine).get_json()
    older = publish(registry, cloud_document(age=timedelta(minutes=9)), machine).get_json()
    assert (newer["state"], older["state"]) == ("current", "older")
    current = [one["id"] for one in registry.get(PATH)["items"] if one["current"]]
    assert current == [newer["id"]]


@pytest.mark.parametrize(
    ("age", "words"), [(timedelta(hours=13), "publish a fresh one"), (timedelta(hours=-3), "in the future")]
)
def test_a_document_out_of_its_time_is_refused(
    registry: Registry, machine: str, age: timedelta, words: str
) -> None:
    answer = publish(registry, cloud_document(age=age), machine)
    assert answer.status_code == 422
    assert words in answer.text


def test_a_document_of_another_site_is_refused(registry: Registry, machine: str) -> None:
    answer = publish(registry, cloud_document("BIFI"), machine)
    assert answer.status_code == 422
    assert "names BIFI, and this was sent for CESNET" in answer.text


def test_the_key_of_the_service_comes_from_the_document_the_address_or_the_query(
    registry: Registry, machine: str
) -> None:
    key = registry.get("/api/v1/services?site=CESNET")["items"][0]["primary_key"]
    publish(registry, cloud_document(), machine)
    assert registry.get("/sites/", who=None)[0]["id"] == key
    named = publish(registry, cloud_document(gocdb_id=key), machine).get_json()
    assert named["gocdb_id"] == key
    given = publish(
        registry, cloud_document(url="https://elsewhere.example/"), machine, query=f"?gocdb_id={key}"
    )
    assert given.get_json()["gocdb_id"] == key
    assert publish(registry, cloud_document(), machine, query="?gocdb_id=99G0").status_code == 422


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "neither a JSON object nor LDIF"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "neither a JSON object"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b'{"Share":' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper"),
        (b'{"a": 1e999}', "larger than any number"),
        (b'{"a": NaN}', "no number in JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5,000 digits"),
        (b'{"a": "\\u0000"}', "control character"),
        (b'{"a": "\\ud800"}', "control character"),
        (json.dumps({"Name": "x" * 4_000_000}).encode(), "4,000,000 characters"),
        (b'{"a": [' + b"1," * 400_000 + b"1]}", "more than 300,000 values"),
        (b"dn: o=glue\nobjectClass organization\n", "line 2"),
        (b"dn: o=glue\nobjectClass: organization\n", "no GLUE2CloudComputingService"),
    ],
)
def test_bombs_and_nonsense_are_refused_in_words(
    registry: Registry, machine: str, content: bytes, words: str
) -> None:
    answer = publish(registry, content, machine)
    assert answer.status_code == 422, answer.text
    assert words in answer.text


def test_what_is_too_large_is_refused_and_not_kept_whole(registry: Registry, machine: str) -> None:
    answer = publish(registry, b'{"a": "' + b"x" * (6 * 1024 * 1024) + b'"}', machine)
    assert answer.status_code == 413
    (refused,) = registry.get(PATH, who="Eliška Malá")["refused"]
    assert "at most" in refused["reason"]


def test_few_are_kept_of_each_cloud_and_a_cloud_can_be_withdrawn(registry: Registry, machine: str) -> None:
    for minutes in range(30, 0, -1):
        assert publish(registry, cloud_document(age=timedelta(minutes=minutes)), machine).status_code == 202
    items = registry.get(PATH)["items"]
    assert len(items) == 24
    assert [one["current"] for one in items] == [True, *[False] * 23]
    gone = registry.ask("DELETE", f"{PATH}/{items[0]['id']}", machine)
    assert gone.status_code == 204
    assert registry.get(PATH)["items"] == []


def ams(
    registry: Registry, content: bytes, query: str = "", project: str = "egi_cloud_info", **given: Any
) -> Any:
    body = {"messages": [{"attributes": {}, "data": base64.b64encode(content).decode()}]}
    return registry.client.post(
        f"/v1/projects/{project}/topics/SITE_CESNET:publish{query}", json=body, **given
    )


def test_an_old_provider_publishes_over_ams_with_its_key(registry: Registry, machine: str) -> None:
    token = registry.tokens[machine]
    answer = ams(registry, encoded(cloud_document()), f"?key={token}")
    assert answer.status_code == 200
    assert len(answer.get_json()["messageIds"]) == 1
    again = ams(registry, encoded(cloud_document()), headers={"x-api-key": token})
    assert again.status_code == 200
    assert {one["source"] for one in registry.get(PATH)["items"]} == {"ams"}


def test_over_ams_what_is_wrong_inside_is_kept_and_answered_200(registry: Registry, machine: str) -> None:
    answer = ams(registry, b'{"Share": []}', f"?key={registry.tokens[machine]}")
    assert answer.status_code == 200
    assert answer.get_json()["messageIds"]
    (refused,) = registry.get(PATH, who="Eliška Malá")["refused"]
    assert refused["source"] == "ams"


def test_ams_refuses_in_its_own_envelope(registry: Registry, machine: str) -> None:
    nobody = ams(registry, b"{}")
    assert (nobody.status_code, nobody.get_json()["error"]["status"]) == (401, "UNAUTHORIZED")
    person = ams(registry, b"{}", headers=registry.headers("Eliška Malá"))
    assert person.get_json()["error"]["code"] == 403
    elsewhere = ams(registry, b"{}", f"?key={registry.tokens[machine]}", "accounting")
    assert elsewhere.get_json() == {
        "error": {"code": 404, "message": "ProjectUUID doesn't exist", "status": "NOT_FOUND"}
    }
    empty = registry.client.post(
        f"/v1/projects/egi_cloud_info/topics/x:publish?key={registry.tokens[machine]}", data=b"[" * 100_000
    )
    assert (empty.status_code, empty.get_json()["error"]["message"]) == (400, "Invalid Message Arguments")


LDIF_21 = """\
dn: GLUE2ServiceID=s_cloud.compute,GLUE2GroupID=resource,GLUE2DomainID=CESNET,o=glue
objectClass: GLUE2Service
objectClass: GLUE2CloudComputingService
GLUE2ServiceID: s_cloud.compute
GLUE2EntityCreationTime: {now}
GLUE2EntityValidity: 3600
GLUE2ServiceAdminDomainForeignKey: CESNET
GLUE2ServiceQualityLevel: production

dn: GLUE2EndpointID=e,GLUE2ServiceID=s_cloud.compute,GLUE2GroupID=resource,GLUE2DomainID=CESNET,o=glue
objectClass: GLUE2CloudComputingEndpoint
GLUE2EndpointID: e
GLUE2EndpointURL: https://occi.cesnet.example:11443/
GLUE2EndpointServiceForeignKey: s_cloud.compute
GLUE2EndpointInterfaceName: eu.egi.cloud.vm-management.occi
GLUE2EndpointQualityLevel: production

dn: GLUE2ShareID=a,GLUE2ServiceID=s_cloud.compute,GLUE2GroupID=resource,GLUE2DomainID=CESNET,o=glue
objectClass: GLUE2CloudComputingShare
GLUE2ShareID: a
GLUE2ShareServiceForeignKey: s_cloud.compute
GLUE2ShareEndpointForeignKey: e
GLUE2CloudComputingShareMaxVM: 10
GLUE2CloudComputingShareProjectID: 77

dn: GLUE2ResourceID=small,GLUE2ShareID=a,GLUE2ServiceID=s_cloud.compute,GLUE2GroupID=resource,
 GLUE2DomainID=CESNET,o=glue
objectClass: GLUE2CloudComputingInstanceType
GLUE2ResourceID: small
GLUE2CloudComputingInstanceTypeCloudComputingShareForeignKey: a
GLUE2CloudComputingInstanceTypeCPU: 2
GLUE2CloudComputingInstanceTypeRAM: 4096
GLUE2CloudComputingInstanceTypeDisk: 20

dn: GLUE2CloudComputingImageID=i,GLUE2ShareID=a,GLUE2ServiceID=s_cloud.compute,GLUE2GroupID=resource,
 GLUE2DomainID=CESNET,o=glue
objectClass: GLUE2CloudComputingImage
GLUE2CloudComputingImageID: i
GLUE2CloudComputingImageCloudComputingShareForeignKey: a
GLUE2CloudComputingImageOSName: UNKNOWN
GLUE2EntityName:: RGViaWFuIDEz

dn: GLUE2PolicyID=a_Policy,GLUE2ShareID=a,GLUE2ServiceID=s_cloud.compute,GLUE2GroupID=resource,
 GLUE2DomainID=CESNET,o=glue
objectClass: GLUE2MappingPolicy
GLUE2PolicyID: a_Policy
GLUE2PolicyScheme: org.glite.standard
GLUE2MappingPolicyShareForeignKey: a
GLUE2PolicyRule: VO:training.egi.eu
GLUE2PolicyUserDomainForeignKey: training.egi.eu
"""


def test_ldif_of_an_old_provider_reads_like_the_json(registry: Registry, machine: str) -> None:
    content = LDIF_21.format(now=datetime.now(UTC).replace(tzinfo=None).isoformat()).encode()
    assert ams(registry, content, f"?key={registry.tokens[machine]}").status_code == 200
    (listed,) = registry.get(PATH)["items"]
    assert (listed["format"], listed["valid"]) == ("ldif2.1", True)
    kept = registry.get(f"{PATH}/{listed['id']}")
    assert kept["CloudComputingInstanceType"][0]["CPU"] == 2
    assert kept["CloudComputingImage"][0]["Name"] == "Debian 13"
    assert "OSName" not in kept["CloudComputingImage"][0]
    assert registry.get("/site/CESNET/training.egi.eu/project", who=None) == {
        "id": "77",
        "name": "training.egi.eu",
    }


def test_our_own_ldif_is_read_as_what_it_was_made_of(registry: Registry, machine: str) -> None:
    publish(registry, cloud_document(), machine)
    text = registry.ask("GET", "/api/v1/sites/CESNET/glue2.ldif", None).data
    assert ams(registry, text, f"?key={registry.tokens[machine]}").status_code == 200
    newest = registry.get(PATH)["items"][0]
    assert newest["format"] == "ldif2.0"
    kept = registry.get(f"{PATH}/{newest['id']}")
    original = cloud_document()
    for kind, fields in (
        ("CloudComputingEndpoint", ("URL", "InterfaceName", "InterfaceVersion", "HealthState")),
        ("Share", ("ProjectID", "MaxVM", "RunningVM")),
        ("CloudComputingInstanceType", ("CPU", "RAM", "Disk")),
        ("CloudComputingImage", ("ID", "Name", "OSVersion")),
    ):
        assert [{name: one[name] for name in fields} for one in kept[kind]] == [
            {name: one[name] for name in fields} for one in original[kind]
        ]


def test_the_command_publishes_files_and_says_what_was_wrong(
    registry: Registry, machine: str, tmp_path: Path
) -> None:
    token, good, bad = tmp_path / "token", tmp_path / "good.json", tmp_path / "bad.json"
    token.write_text(registry.tokens[machine] + "\n")
    good.write_bytes(encoded(cloud_document()))
    bad.write_bytes(encoded({**cloud_document(), "MappingPolicy": []}))
    with serving(registry.app) as url:
        who = ["--site", "CESNET", "--url", url, "--token-file", str(token)]
        done = CliRunner().invoke(group, ["publish", str(good), *who])
        again = CliRunner().invoke(group, ["publish", str(good), *who])
        refused = CliRunner().invoke(group, ["publish", str(bad), *who])
    assert (done.exit_code, again.exit_code, refused.exit_code) == (0, 0, 1), refused.output
    assert "current, holds until" in done.output
    assert "stood already" in again.output
    assert "no MappingPolicy says for which VO" in refused.output


def test_programs_are_told_in_their_form_that_nothing_is_there(registry: Registry) -> None:
    for path in ("/v1/sites/a%2Fb/cloudinfo", "/v1/sites/NOWHERE/cloudinfo", "/v1/nothing"):
        answer = registry.ask("GET", path, None)
        assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
