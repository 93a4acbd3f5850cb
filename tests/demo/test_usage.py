"""Usage: the generated past, messages as two kinds of cloud write them, and an outbox that neither loses
nor doubles.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from accounting.formats.cloud import read
from accounting.formats.records import Judging
from demo.cloud.configuration import CloudConfiguration
from demo.cloud.dialects import SIZES
from demo.cloud.history import generated_messages, generated_past
from demo.cloud.machines import Machines
from demo.cloud.outbox import STORAGE_TOPIC, Outbox, Sender
from demo.cloud.reporting import Reporter
from demo.cloud.things import Capacity, Machine, Volume
from demo.cloud.usage import message

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
VOS = ("training.egi.eu", "chipster")


VCPU = {"CESNET": 64, "BIFI": 50, "UKIM": 48}


def past(site: str = "CESNET", seed: int = 1) -> list[Any]:
    batches = generated_past(site, VCPU[site], VOS, seed, NOW)
    return [record for batch in batches for record in batch]


@pytest.fixture(scope="module")
def cesnet() -> list[Any]:
    return past()


def test_the_past_is_the_same_for_the_same_seed(cesnet: list[Any]) -> None:
    assert past() == cesnet
    assert past(seed=2) != cesnet


def test_the_three_pasts_have_20_000_records_of_machines(cesnet: list[Any]) -> None:
    assert len(cesnet) + len(past("BIFI", 2)) + len(past("UKIM", 3)) >= 20_000


def test_the_past_covers_twelve_months_and_this_one_and_ends_now(cesnet: list[Any]) -> None:
    months = {datetime.fromtimestamp(record.taken, UTC).strftime("%Y-%m") for record in cesnet}
    assert len(months) == 13
    assert (min(months), max(months)) == ("2025-11", "2026-11")
    assert all(record.taken <= NOW.timestamp() for record in cesnet)


def test_a_machines_counters_never_go_back(cesnet: list[Any]) -> None:
    seen: dict[str, tuple[int, int]] = {}
    for record in cesnet:
        wall, idle = seen.get(record.uuid, (0, 0))
        assert record.wall_s >= wall
        assert record.idle_s >= idle
        seen[record.uuid] = (record.wall_s, record.idle_s)


@pytest.mark.parametrize("site", list(VCPU))
def test_no_site_runs_more_at_any_moment_than_it_has(site: str) -> None:
    last = {record.uuid: record for record in past(site)}.values()
    steps = sorted(step for one in last for step in ((one.created, one.vcpu), (one.taken, -one.vcpu)))
    running = most = 0
    for _, change in steps:
        running += change
        most = max(most, running)
    assert VCPU[site] // 2 < most <= VCPU[site]


@pytest.mark.parametrize("cloud_type", ["OpenNebula", "OpenStack"])
def test_accounting_reads_every_record_as_it_was_meant(cloud_type: str, cesnet: list[Any]) -> None:
    records = cesnet[:300]
    text = message("CESNET", cloud_type, records)
    readings = list(read(text, Judging(received_at=int(NOW.timestamp()))))
    assert [note for one in readings for note in one.faults] == []
    rows = [one.row for one in readings if one.row]
    assert [row.vmuuid for row in rows] == [record.uuid for record in records]
    assert [row.vo for row in rows] == [record.vo for record in records]
    assert [row.wall_s for row in rows] == [record.wall_s for record in records]
    assert [row.cpu_s for row in rows] == [record.wall_s * record.vcpu for record in records]


def test_gpus_are_reported_by_month_and_never_longer_than_it(cesnet: list[Any]) -> None:
    texts = [text for text, _ in generated_messages("CESNET", "OpenNebula", 64, VOS, 1, NOW)]
    kinds = {json.loads(text)["Type"] for text in texts if text.startswith("{")}
    assert kinds == {"APEL-accelerator-message", "APEL Public IP message"}
    gpus = [
        record
        for text in texts
        if text.startswith('{"Type": "APEL-accelerator-message"')
        for record in json.loads(text)["UsageRecords"]
    ]
    machines = {record.uuid: record for record in cesnet if record.gpus}
    assert {record["AssociatedRecord"] for record in gpus} <= set(machines)
    lived = {
        uuid: sum(r["AvailableDuration"] for r in gpus if r["AssociatedRecord"] == uuid) for uuid in machines
    }
    for uuid, seconds in lived.items():
        record = max((one for one in cesnet if one.uuid == uuid), key=lambda one: one.taken)
        assert abs(seconds - (record.taken - record.created)) <= 2, "months add up to the machine's life"


def test_volumes_are_star_that_any_reader_of_xml_reads() -> None:
    texts = [text for text, _ in generated_messages("CESNET", "OpenNebula", 64, VOS, 1, NOW)]
    stored = [text for text in texts if text.startswith("<")]
    star = "{http://eu-emi.eu/namespaces/2011/02/storagerecord}"
    records = ElementTree.fromstring(stored[0]).findall(f"{star}StorageUsageRecord")
    assert records
    assert all(int(one.findtext(f"{star}ResourceCapacityUsed", "")) >= 10 * 2**30 for one in records)
    assert all(one.findtext(f"{star}Site") == "CESNET" for one in records)


def test_a_running_machine_is_reported_with_its_gpu_address_and_volume(tmp_path: Path, cast: Any) -> None:
    host, nowhere = cast.host("CESNET"), Path("/nowhere")
    known = CloudConfiguration(
        site="CESNET", dialect="rocci", cloud_type="OpenNebula", port=1, path="/", folder=tmp_path,
        capacity=Capacity(64, 110), network="192.0.2", trust_dir=nowhere, cert=host.cert_path, key=host.key_path,
        tls_cert=nowhere, tls_key=nowhere, expired_cert=nowhere, expired_key=nowhere, vomsdir=nowhere,
        mapping=nowhere, ams_url="", ams_token=nowhere, ca=nowhere, vos=VOS,
    )  # fmt: skip
    machines = Machines(tmp_path / "m.jsonl", known.capacity, known.network, time.time)
    size = next(size for size in SIZES if size.gpus)
    wanted = Machine("m1", "t", "h", "u1", "/CN=x", "chipster", "/chipster", "debian13", size, "", 0.0, 0.0)
    outbox = Outbox(tmp_path)
    machines.create(wanted, public_ips=1)
    machines.create_volume(Volume("v1", "data", "u1", "/CN=x", "chipster", 7))
    reporter = Reporter(known, machines, outbox)
    assert reporter.report_machines() == 2
    sent = [json.loads(path.read_text()) for path in outbox.waiting()]
    kinds = ["APEL-cloud-message", "APEL-accelerator-message", "APEL Public IP message", "StorageUsageRecord"]
    assert [
        kind for one, kind in zip(sent, kinds, strict=True) if kind.encode() in base64.b64decode(one["data"])
    ] == kinds
    assert [one["topic"] for one in sent] == [*3 * ["eu-egi-cloud-accounting"], "eu-egi-storage-accounting"]
    sizes = re.findall(rb"ResourceCapacityUsed>(\d+)<", base64.b64decode(sent[-1]["data"]))
    assert [int(one) // 2**30 for one in sizes] == [size.disk_gb, 7]
    machines.delete_volume("v1")
    machines.delete("m1")
    assert reporter.report_machines() == 2
    assert reporter.report_machines() == 0


class Publisher(ThreadingHTTPServer):
    """An AMS that answers as it is told and keeps what it got."""

    def __init__(self, answers: list[tuple[int, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Publish)
        self.answers = answers
        self.got: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.paths: list[str] = []


class _Publish(BaseHTTPRequestHandler):
    server: Publisher

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append(body["messages"][0])
        self.server.tokens.append(self.headers["x-api-key"])
        self.server.paths.append(self.path)
        status, content = (
            self.server.answers.pop(0) if self.server.answers else (200, b'{"messageIds": ["9"]}')
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


@pytest.fixture
def publisher() -> Any:
    with Publisher([]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def sender(outbox: Outbox, publisher: Publisher, tmp_path: Path) -> Sender:
    (tmp_path / "token").write_text("hst_secret\n")
    url = f"http://127.0.0.1:{publisher.server_port}"
    return Sender(outbox, url, tmp_path / "token", tmp_path / "ca.pem", "CESNET")


def journal(tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / "sent.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_messages_go_in_order_and_are_counted(tmp_path: Path, publisher: Publisher) -> None:
    outbox = Outbox(tmp_path)
    ids = [outbox.put(b"first", 3), outbox.put(b"second", 4)]
    assert sender(outbox, publisher, tmp_path).send_all(threading.Event())
    assert [one["attributes"]["empaid"] for one in publisher.got] == ids
    assert publisher.tokens == ["hst_secret", "hst_secret"]
    assert [(one["empaid"], one["records"]) for one in journal(tmp_path)] == list(
        zip(ids, (3, 4), strict=True)
    )
    assert outbox.waiting() == []


@pytest.mark.parametrize(
    "answer",
    [(503, b"{}"), (401, b"{}"), (200, b"{}"), (200, b"not json"), (201, b'{"messageIds": ["1"]}')],
)
def test_anything_but_200_with_an_id_is_tried_again_with_the_same_empaid(
    tmp_path: Path, publisher: Publisher, answer: tuple[int, bytes]
) -> None:
    outbox = Outbox(tmp_path)
    empaid = outbox.put(b"usage", 1)
    publisher.answers.append(answer)
    sending = sender(outbox, publisher, tmp_path)
    assert not sending.send_all(threading.Event())
    assert journal(tmp_path) == []
    assert sending.send_all(threading.Event())
    assert [one["attributes"]["empaid"] for one in publisher.got] == [empaid, empaid]


def test_each_message_goes_to_its_topic(tmp_path: Path, publisher: Publisher) -> None:
    outbox = Outbox(tmp_path)
    outbox.put(b"machines", 1)
    outbox.put(b"volumes", 1, STORAGE_TOPIC)
    assert sender(outbox, publisher, tmp_path).send_all(threading.Event())
    assert [path.rpartition("/")[2] for path in publisher.paths] == [
        "eu-egi-cloud-accounting:publish",
        "eu-egi-storage-accounting:publish",
    ]


def test_what_waits_survives_a_restart(tmp_path: Path, publisher: Publisher) -> None:
    empaid = Outbox(tmp_path).put(b"usage", 1)
    assert sender(Outbox(tmp_path), publisher, tmp_path).send_all(threading.Event())
    assert [one["empaid"] for one in journal(tmp_path)] == [empaid]


def test_without_a_token_yet_it_waits(tmp_path: Path, publisher: Publisher) -> None:
    outbox = Outbox(tmp_path)
    outbox.put(b"usage", 1)
    sending = sender(outbox, publisher, tmp_path)
    (tmp_path / "token").unlink()
    assert not sending.send_all(threading.Event())
    assert len(outbox.waiting()) == 1
