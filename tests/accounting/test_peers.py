"""Messages that are not of our making: written by cASO, signed by openssl, published with argo-ams-library."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hanse.http import HttpError, fetch
from tests.accounting.conftest import House
from tests.accounting.programs import ROOT, begin
from tests.accounting.records import DAY, NOW, epoch
from tests.accounting.test_signatures import openssl_signed

PEERS = ROOT / ".peers" / "venv" / "bin" / "python"
# What a site's cASO does after it has asked nova: records through its own messenger into a dirq.
WRITE = """
import datetime, json, sys, uuid
from oslo_config import cfg
import caso.messenger.ssm, caso.record
given = json.load(sys.stdin)
cfg.CONF([], project="caso")
cfg.CONF.set_override("output_path", given["folder"], group="ssm")
def when(seconds):
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
records = []
for each in given["records"]:
    wall, cpu = each.pop("wall"), each.pop("cpu")
    made = caso.record.CloudRecord(when(each.pop("start")), when(each.pop("end")), **each)
    made.wall_duration, made.cpu_duration = wall, cpu
    records.append(made)
caso.messenger.ssm.SSMMessenger().push(records)
"""
PUBLISH = """
import json, sys
from argo_ams_library import AmsMessage, ArgoMessagingService
given = json.load(sys.stdin)
ams = ArgoMessagingService(endpoint=given["endpoint"], token=given["token"], project="accounting")
answers = [ams.version(), ams.status()]
topic = "eu-egi-cloud-accounting"
message = AmsMessage(data=given["data"], attributes={"empaid": given["empaid"]}).dict()
answers.append(ams.publish(topic, message, retry=0))
answers.append(ams.has_topic(topic))
print(json.dumps(answers))
"""


def run(program: str, given: dict[str, Any], **environment: str) -> str:
    """A program of a peer, in the peers' own Python."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    done = subprocess.run(
        [PEERS, "-c", program], input=json.dumps(given), capture_output=True, text=True, timeout=120,
        env={**kept, **environment}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def machine(number: int, **changes: Any) -> dict[str, Any]:
    """A server as nova told cASO of it."""
    start = epoch(NOW) - 5 * DAY
    return {
        "uuid": f"11111111-1111-4111-8111-{number:012d}", "site_name": "BIFI", "compute_service": "BIFI-CLOUD",
        "name": f"vm-{number}", "user_id": "user-0001", "group_id": "aaaa0001", "fqan": "training.egi.eu",
        "status": "started", "image_id": "ubuntu-24.04", "cpu_count": 4, "memory": 8192, "disk": 80,
        "public_ip_count": 1, "start": start, "end": None, "wall": 4 * DAY, "cpu": 16 * DAY,
    } | changes  # fmt: skip


def written_by_caso(folder: Path, *records: dict[str, Any]) -> list[bytes]:
    """The messages that cASO's messenger left in its queue, in order."""
    run(WRITE, {"folder": str(folder), "records": list(records)})
    return [path.read_bytes() for path in sorted(folder.glob("*/*")) if path.is_file()]


@pytest.mark.peer("caso")
def test_what_caso_writes_is_read_whole_and_without_a_remark(house: House, tmp_path: Path) -> None:
    (body,) = written_by_caso(tmp_path / "out", machine(1), machine(2, name="vm ü 2"))
    outcome = house.load(body)
    assert (outcome.records, outcome.loaded, outcome.refused, outcome.remarked) == (2, 2, 0, 0)
    assert sum(wall for wall, _, _ in house.months(site="BIFI").values()) == 8 * DAY


@pytest.mark.peer("caso")
def test_caso_splits_at_a_hundred_records_and_every_one_counts(house: House, tmp_path: Path) -> None:
    bodies = written_by_caso(tmp_path / "out", *[machine(n) for n in range(250)])
    assert len(bodies) == 3
    assert sum(house.load(body).loaded for body in bodies) == 250


@pytest.mark.peer("caso")
def test_what_caso_reports_later_adds_only_what_is_new(house: House, tmp_path: Path) -> None:
    ended = epoch(NOW) - 3600
    for run_number, record in enumerate(
        (
            machine(1, wall=DAY, cpu=4 * DAY),
            machine(1, wall=2 * DAY, cpu=8 * DAY),
            machine(1, status="completed", end=ended, wall=None, cpu=None),
        )
    ):
        (body,) = written_by_caso(tmp_path / str(run_number), record)
        house.load(body)
    wall = ended - (epoch(NOW) - 5 * DAY)
    assert sum(wall_ for wall_, _, _ in house.months().values()) == wall
    assert sum(cpu for _, cpu, _ in house.months().values()) == 4 * wall


@pytest.mark.peer("caso")
def test_a_machine_that_has_just_started_and_one_with_anothers_cpu_time(house: House, tmp_path: Path) -> None:
    """Both occur in the field: durations of 0 become 1, and an ended server can carry another server's CPU
    time.
    """
    (body,) = written_by_caso(
        tmp_path / "out",
        machine(1, wall=0, cpu=0),
        machine(2, status="completed", end=epoch(NOW) - 4 * DAY, wall=DAY, cpu=99 * DAY),
    )
    outcome = house.load(body)
    assert (outcome.loaded, outcome.refused) == (2, 0)
    assert "cpu_beyond_wall" in house.remarks()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def tls_address(house: House, ca: Any) -> Iterator[str]:
    """`hanse accounting serve` with its TLS side, as a process of its own; host and port."""
    plain, tls = free_port(), free_port()
    settings = {"port": plain, "tls_port": tls, "workers": 1}
    process = begin(house, "serve", settings=settings, out=subprocess.DEVNULL)
    try:
        _wait_for(f"https://localhost:{tls}/v1/status", ca.bundle)
        yield f"localhost:{tls}"
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(url: str, bundle: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            assert fetch("GET", url, ca=bundle).status == 200
            return
        except HttpError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.peer("caso", "openssl", "argo-ams-library")
@pytest.mark.parametrize("options", [("-md", "sha256"), ("-nodetach",)], ids=["detached", "opaque"])
def test_from_caso_through_openssl_and_the_ams_library_to_cpu_hours(
    house: House,
    tls_address: str,
    cast: Any,
    ca: Any,
    bifi_token: dict[str, str],
    tmp_path: Path,
    options: tuple[str, ...],
) -> None:
    (body,) = written_by_caso(tmp_path / "out", machine(1), machine(2, site_name="CESNET"))
    signed = openssl_signed(body.decode(), cast.host("BIFI"), tmp_path, *options)
    given = {
        "endpoint": tls_address, "token": bifi_token["x-api-key"], "data": signed.decode(),
        "empaid": "6b029f5c/6b029f6ba9e721",
    }  # fmt: skip
    bundle = {"REQUESTS_CA_BUNDLE": str(ca.bundle)}
    first = json.loads(run(PUBLISH, given, **bundle))
    again = json.loads(run(PUBLISH, given, **bundle))
    assert first[0]["product"] == "hanse"
    assert first[1] == {"status": "ok"}
    assert first[2]["messageIds"] == again[2]["messageIds"]
    assert first[3] is True
    outcome = house.loader.load_next()
    assert outcome is not None
    assert (outcome.loaded, outcome.refused) == (1, 1)
    assert house.loader.load_next() is None
    assert house.refused()[0].code == "not_signers_site"
    assert {(site, wall) for site, _, _, wall, _ in house.vm_months()} == {
        ("BIFI", wall) for _, _, _, wall, _ in house.vm_months()
    }
    assert sum(cpu for _, _, _, _, cpu in house.vm_months()) == 16 * DAY


@pytest.mark.peer("argo-ams-library")
def test_the_ams_library_understands_our_refusals(
    house: House, tls_address: str, ca: Any, tmp_path: Path
) -> None:
    program = """
import json, sys
from argo_ams_library import AmsException, AmsMessage, ArgoMessagingService
given = json.load(sys.stdin)
said = []
for token, project, topic in given["tries"]:
    ams = ArgoMessagingService(endpoint=given["endpoint"], token=token, project=project)
    try:
        ams.publish(topic, AmsMessage(data="x").dict(), retry=0)
    except AmsException as error:
        said.append([type(error).__name__, error.code, error.msg])
print(json.dumps(said))
"""
    good = house.token("machine", "site_machine", "site:BIFI")["Authorization"].removeprefix("Bearer ")
    tries = [("wrong", "accounting", "eu-egi-cloud-accounting"), (good, "accounting", "nowhere")]
    said = json.loads(
        run(program, {"endpoint": tls_address, "tries": tries}, REQUESTS_CA_BUNDLE=str(ca.bundle))
    )
    assert [(kind, code) for kind, code, _ in said] == [
        ("AmsServiceException", 401),
        ("AmsServiceException", 404),
    ]
    assert "Unauthorized" in said[0][2]
    assert "Topic doesn't exist" in said[1][2]
