"""Declared against observed: what differs is listed, accepted into the registry, or ignored until it changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from .clouds import Document, cloud_document, encoded
from .conftest import OCCI, Registry

CESNET = "/api/v1/sites/CESNET/drift"


def publish(registry: Registry, document: Document, site: str = "CESNET") -> None:
    answer = registry.ask("PUT", f"/v1/sites/{site}/cloudinfo", data=encoded(document))
    assert answer.status_code == 202, answer.text


def drift(registry: Registry, who: str = "Eliška Malá") -> dict[str, dict[str, Any]]:
    return {one["fact"]: one for one in registry.get(CESNET, who)["items"]}


def accept(registry: Registry, fact: str, status: int = 200, who: str = "Eliška Malá") -> Any:
    return registry.send("POST", f"{CESNET}/accept", {"fact": fact}, who, status)


def in_step(**changes: Any) -> Document:
    """A document that says what the registry says of CESNET."""
    document = cloud_document(**changes)
    del document["CloudComputingManager"][0]["TotalRAM"]
    return document


def test_a_site_in_step_differs_in_nothing(registry: Registry) -> None:
    publish(registry, in_step())
    assert registry.get(CESNET, "Eliška Malá") == {"items": [], "open": 0}


def test_capacity_and_quota_are_accepted_as_revisions_of_the_person(registry: Registry) -> None:
    document = cloud_document(cores=20)
    document["CloudComputingManager"][0]["TotalCPUs"] = 80
    publish(registry, document)
    found = drift(registry)
    assert set(found) == {"capacity vcpu", "capacity ram_gb", "vo training.egi.eu vcpu"}
    assert found["capacity vcpu"]["sentence"] == "64 vCPU declared, 80 published."
    assert found["vo training.egi.eu vcpu"]["accepting"] == "Declare 20 vCPU for training.egi.eu"
    for fact in found:
        accept(registry, fact)
    site = registry.get("/api/v1/sites/CESNET")
    assert (site["capacity"]["vcpu"], site["capacity"]["ram_gb"]) == (80, 110)
    assert [(one["vo"], one["vcpu"]) for one in site["supports"]] == [("training.egi.eu", 20)]
    assert drift(registry) == {}
    log = registry.ask("GET", "/history?site=CESNET").text
    assert "As CESNET publishes it" in log


def test_vos_that_only_one_side_knows(registry: Registry) -> None:
    publish(registry, in_step(vos=("chipster",)))
    found = drift(registry)
    assert set(found) == {"vo chipster", "vo training.egi.eu unpublished"}
    accept(registry, "vo chipster")
    accept(registry, "vo training.egi.eu unpublished")
    (share,) = registry.get("/api/v1/sites/CESNET")["supports"]
    assert (share["vo"], share["vcpu"], share["project_id"]) == ("chipster", 16, "p1")


def test_an_endpoint_that_moved_is_one_difference(registry: Registry) -> None:
    publish(registry, in_step(url="https://occi.cesnet.example:443/rocci"))
    (one,) = drift(registry).values()
    assert (one["declared"], one["observed"]) == (
        "https://occi.cesnet.example:11443/",
        "https://occi.cesnet.example:443/rocci",
    )
    accept(registry, one["fact"])
    (endpoint,) = registry.get("/api/v1/endpoints?site=CESNET")["items"]
    assert endpoint["url"] == "https://occi.cesnet.example:443/rocci"


def test_a_second_cloud_is_registered_and_then_serves_cloud_info_api(registry: Registry) -> None:
    publish(registry, in_step())
    publish(registry, in_step(url="https://second.cesnet.example:11443/"))
    fact = "endpoint https://second.cesnet.example:11443/"
    assert fact in drift(registry)
    assert len(registry.get("/sites/", None)) == 1
    accept(registry, fact)
    services = registry.get("/api/v1/services?site=CESNET")["items"]
    assert [one["hostname"] for one in services] == ["occi.cesnet.example", "second.cesnet.example"]
    names = [one["name"] for one in registry.get("/sites/", None)]
    assert names == ["CESNET", f"CESNET-{services[0]['primary_key']}"] or names == [
        "CESNET",
        f"CESNET-{services[1]['primary_key']}",
    ]


def test_interface_quality_and_serving(registry: Registry) -> None:
    document = in_step(interface="org.opennebula.compute")
    document["CloudComputingEndpoint"][0].update(QualityLevel="testing", ServingState="draining")
    publish(registry, document)
    found = drift(registry)
    number = registry.get("/api/v1/endpoints?site=CESNET")["items"][0]["id"]
    assert set(found) == {f"endpoint {number} {what}" for what in ("interface", "quality", "serving")}
    assert not found[f"endpoint {number} serving"]["can_accept"]
    refused = accept(registry, f"endpoint {number} serving", 422)
    assert "Declare one" in refused["detail"]
    accept(registry, f"endpoint {number} interface")
    accept(registry, f"endpoint {number} quality")
    (service,) = registry.get("/api/v1/services?site=CESNET")["items"]
    assert (service["production"], service["endpoints"][0]["interface"]) == (False, "org.opennebula.compute")


def test_images_and_age_can_only_be_mended_by_the_site(registry: Registry) -> None:
    document = in_step()
    document["CloudComputingImage"] = []
    publish(registry, document)
    (one,) = drift(registry).values()
    assert (one["kind"], one["can_accept"]) == ("images", False)
    with registry.db.transaction() as session:
        session.execute(text("update cloud_document set valid_until = now() - interval '1 minute'"))
    (late,) = drift(registry).values()
    assert late["kind"] == "document"


def test_an_ignored_difference_comes_back_when_it_changes(registry: Registry) -> None:
    publish(registry, in_step(cores=20, age=timedelta(minutes=9)))
    fact = "vo training.egi.eu vcpu"
    body = {"fact": fact, "reason": "the quota grows on Monday"}
    answer = registry.send("POST", f"{CESNET}/ignore", body, "Eliška Malá", 200)
    assert answer["open"] == 0
    (one,) = answer["items"]
    assert (one["ignored"], one["ignored_by"], one["ignored_reason"]) == (
        True,
        registry.principal("Eliška Malá").name,
        "the quota grows on Monday",
    )
    publish(registry, in_step(cores=20, age=timedelta(minutes=8)))
    assert registry.get(CESNET, "Eliška Malá")["open"] == 0
    publish(registry, in_step(cores=24, age=timedelta(minutes=7)))
    assert registry.get(CESNET, "Eliška Malá")["open"] == 1
    publish(registry, in_step(cores=20, age=timedelta(minutes=6)))
    assert registry.ask("DELETE", f"{CESNET}/ignore?fact={fact}", "Eliška Malá").status_code == 204
    assert registry.get(CESNET, "Eliška Malá")["open"] == 1
    assert registry.ask("DELETE", f"{CESNET}/ignore?fact={fact}", "Eliška Malá").status_code == 404


def test_ignoring_ends_when_its_time_is_over(registry: Registry) -> None:
    publish(registry, in_step(cores=20))
    fact = "vo training.egi.eu vcpu"
    past = {"fact": fact, "reason": "x", "until": (datetime.now(UTC) - timedelta(days=1)).isoformat()}
    assert registry.ask("POST", f"{CESNET}/ignore", "Eliška Malá", json=past).status_code == 422
    ahead = {**past, "until": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    registry.send("POST", f"{CESNET}/ignore", ahead, "Eliška Malá", 200)
    assert registry.get(CESNET, "Eliška Malá")["open"] == 0
    with registry.db.transaction() as session:
        session.execute(text("update drift_decision set until = now() - interval '1 s'"))
    assert registry.get(CESNET, "Eliška Malá")["open"] == 1


def test_what_is_gone_cannot_be_accepted_and_others_cannot_act(registry: Registry) -> None:
    publish(registry, in_step(cores=20))
    fact = "vo training.egi.eu vcpu"
    assert registry.ask("GET", CESNET, "Goran Petrov").status_code == 403
    assert registry.ask("GET", CESNET, None).status_code == 401
    accept(registry, fact, 403, "Goran Petrov")
    accept(registry, fact)
    gone = accept(registry, fact, 409)
    assert "does not differ in this any more" in gone["detail"]


@pytest.mark.parametrize("address", ["https://exa mple/", "https://x.example/<script>", "ftp:"])
def test_what_no_person_may_register_is_not_accepted_either(registry: Registry, address: str) -> None:
    document = in_step()
    document["CloudComputingEndpoint"].append(
        {**document["CloudComputingEndpoint"][0], "ID": "odd", "URL": address, "InterfaceName": OCCI}
    )
    publish(registry, document)
    fact = f"endpoint {address}"
    assert fact in drift(registry)
    accept(registry, fact, 422)


def test_the_operator_sees_which_site_differs_most(registry: Registry) -> None:
    publish(registry, in_step(cores=20))
    publish(registry, cloud_document("BIFI", vos=("chipster",), cores=3), "BIFI")
    found = registry.get("/api/v1/drift")["items"]
    assert [one["site"] for one in found] == ["BIFI", "CESNET"]
    assert found[1]["open"] == 1
    assert registry.ask("GET", "/api/v1/drift", "Anna Lindqvist").status_code == 403
    own = registry.get("/api/v1/drift", "Laura Gil")["items"]
    assert [one["site"] for one in own] == ["BIFI"]


def test_decisions_go_with_their_site(registry: Registry) -> None:
    publish(registry, in_step(cores=20))
    body = {"fact": "vo training.egi.eu vcpu", "reason": "x"}
    registry.send("POST", f"{CESNET}/ignore", body, "Eliška Malá", 200)
    assert registry.ask("DELETE", "/api/v1/sites/CESNET").status_code == 204
    with registry.db.transaction() as session:
        left = session.scalar(
            text("select count(*) from history where kind = 'drift' and to_revision is null")
        )
        put = session.scalar(text("select count(*) from history where kind = 'drift' and op = 'put'"))
    assert (left, put) == (1, 1)  # the row that says it was deleted
