"""For other tools: Prometheus finds its targets, every list is a table, reads can be cut and are not repeated."""

from __future__ import annotations

import csv
import io
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from hanse.http import HttpError, fetch
from tests.peers.occi import free_port

from .conftest import OCCI, Registry


def targets(registry: Registry, query: str = "") -> list[dict[str, Any]]:
    answer = registry.ask("GET", f"/sd/prometheus{query}", None)
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/json"
    found: list[dict[str, Any]] = answer.get_json()
    return found


def test_prometheus_finds_every_endpoint_with_its_labels(registry: Registry) -> None:
    found = targets(registry)
    assert [one["targets"] for one in found] == [
        ["occi.bifi.example:11443"],
        ["occi.cesnet.example:11443"],
        ["occi.ukim.example:11443"],
    ]
    labels = found[0]["labels"]
    assert all(isinstance(value, str) for value in labels.values())
    assert {
        "__meta_hanse_site": "BIFI",
        "__meta_hanse_ngi": "NGI_IBERGRID",
        "__meta_hanse_service_type": OCCI,
        "__meta_hanse_scopes": ",EGI,",
        "__meta_hanse_vos": ",training.egi.eu,",
        "__meta_hanse_certification": "Certified",
        "__meta_hanse_url": "https://occi.bifi.example:11443/",
    }.items() <= labels.items()


@pytest.mark.parametrize(
    ("query", "sites"),
    [
        ("?scope=EGI", {"BIFI", "CESNET", "UKIM"}),
        ("?scope=Local", set()),
        ("?site=BIFI&site=UKIM", {"BIFI", "UKIM"}),
        ("?ngi=NGI_CZ&type=" + OCCI, {"CESNET"}),
        ("?type=VOMS", set()),
        ("?vo=training.egi.eu&certification=Certified", {"BIFI", "CESNET", "UKIM"}),
        ("?monitored=false", set()),
    ],
)
def test_targets_are_filtered(registry: Registry, query: str, sites: set[str]) -> None:
    assert {one["labels"]["__meta_hanse_site"] for one in targets(registry, query)} == sites


def test_a_blackbox_exporter_gets_whole_addresses(registry: Registry) -> None:
    assert targets(registry, "?site=BIFI&address=url")[0]["targets"] == ["https://occi.bifi.example:11443/"]


@pytest.mark.peer("prometheus")
def test_a_real_prometheus_finds_them(registry: Registry, tmp_path: Path) -> None:
    server = make_server("127.0.0.1", 0, registry.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    port = free_port()
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(
        f"""
global: {{scrape_interval: 1h}}
scrape_configs:
  - job_name: clouds
    http_sd_configs: [{{url: "http://127.0.0.1:{server.server_port}/sd/prometheus?scope=EGI", refresh_interval: 1s}}]
    relabel_configs:
      - {{source_labels: [__meta_hanse_site], regex: "BIFI|UKIM", action: keep}}
      - {{source_labels: [__meta_hanse_site], target_label: site}}
"""
    )
    command = ["prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    program = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert sites_of_prometheus(port) == {"BIFI", "UKIM"}
    finally:
        program.terminate()
        program.wait(20)
        server.shutdown()
        thread.join()
        server.server_close()


def sites_of_prometheus(port: int) -> set[str]:
    """The label `site` of its targets, when it has some; {} when it has none within 30 s."""
    for _ in range(150):
        try:
            told = fetch("GET", f"http://127.0.0.1:{port}/api/v1/targets?state=active", deadline_s=2).json()
            found = {one["labels"]["site"] for one in told["data"]["activeTargets"]}
        except HttpError:
            found = set()
        if found:
            return found
        time.sleep(0.2)
    return set()


def test_nothing_that_is_personal_is_told_to_prometheus(registry: Registry) -> None:
    text = registry.ask("GET", "/sd/prometheus", None).text
    assert "admin@" not in text
    assert registry.ask("GET", "/sd/prometheus?colour=red", None).status_code == 422


def test_an_unchanged_registry_answers_304_and_a_changed_one_anew(registry: Registry) -> None:
    for path in ("/sd/prometheus", "/api/v1/sites", "/api/v1/services", "/api/v1/services.csv"):
        first = registry.ask("GET", path, None)
        assert first.status_code == 200, path
        again = registry.ask("GET", path, None, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b""), path
    registry.register_service(
        "UKIM", service_type="VOMS", hostname="voms.ukim.example", url="https://voms.ukim.example/"
    )
    for path in ("/sd/prometheus", "/api/v1/services"):
        seen = {"If-None-Match": registry.ask("GET", path, None).headers["ETag"]}
        assert registry.ask("GET", path, None, headers=seen).status_code == 304
    changed = registry.ask("GET", "/sd/prometheus", None)
    assert "voms.ukim.example:443" in changed.text


def test_every_list_is_a_table(registry: Registry) -> None:
    document = registry.ask("GET", "/openapi.json", None).get_json()
    lists = []
    for path, operations in document["paths"].items():
        schema = (
            operations.get("get", {})
            .get("responses", {})
            .get("200", {})
            .get("content", {})
            .get("application/json", {})
        ).get("schema", {})
        reference = schema.get("$ref") or next((one.get("$ref", "") for one in schema.get("anyOf", ())), "")
        model = document["components"]["schemas"].get(reference.rpartition("/")[2], {})
        if path.startswith("/api/v1/") and "items" in model.get("properties", {}):
            lists.append(path)
    assert len(lists) > 10
    missing = [path for path in lists if f"{path}.csv" not in document["paths"]]
    assert missing == []


def test_a_table_has_the_filters_and_the_rights_of_its_list(registry: Registry) -> None:
    told = registry.ask("GET", "/api/v1/services.csv?site=BIFI", None).text
    rows = list(csv.DictReader(io.StringIO(told)))
    assert [(row["site"], row["hostname"]) for row in rows] == [("BIFI", "occi.bifi.example")]
    assert registry.ask("GET", "/api/v1/people.csv", None).status_code == 401
    assert registry.ask("GET", "/api/v1/people.csv", "Ingrid Holm").status_code == 200


def test_reads_can_be_cut_to_fields(registry: Registry) -> None:
    page = registry.get("/api/v1/sites?fields=name,certification")
    assert page["items"][0] == {"name": "BIFI", "certification": "Certified"}
    assert registry.get("/api/v1/sites/BIFI?fields=ngi") == {"ngi": "NGI_IBERGRID"}
    refused = registry.ask("GET", "/api/v1/sites?fields=colour")
    assert refused.status_code == 422
    assert "colour; choose of id, primary_key" in refused.get_json()["errors"][0]["reason"]
