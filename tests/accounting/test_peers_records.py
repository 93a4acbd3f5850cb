"""Addresses, GPUs and volumes as the real cASO writes them: read whole, without a remark, and counted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from accounting.models import AcceleratorSummary, IpSummary, StorageSummary
from tests.accounting.conftest import House
from tests.accounting.records import epoch, months_ago
from tests.accounting.test_peers import run

# What a site's cASO does after it has asked neutron, nova and cinder: records through its own messenger into a dirq.
WRITE = """
import datetime, json, sys
from oslo_config import cfg
import caso.messenger.ssm, caso.record
given = json.load(sys.stdin)
cfg.CONF([], project="caso")
cfg.CONF.set_override("output_path", given["folder"], group="ssm")
def when(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
common = {"site_name": "BIFI", "compute_service": "BIFI-CLOUD", "fqan": "training.egi.eu"}
uuid = "11111111-1111-4111-8111-%012d"
records = []
for number, (measured, count) in enumerate(given["addresses"]):
    records.append(caso.record.IPRecord(
        when(measured), uuid=uuid % number, user_id=None, user_dn=None, group_id="aaaa0001", ip_version=4,
        public_ip_count=count, **common))
for number, (year, month, seconds) in enumerate(given["accelerators"]):
    records.append(caso.record.AcceleratorRecord(
        uuid=uuid % number, user_dn="/CN=Anna", count=2, available_duration=seconds, measurement_month=month,
        measurement_year=year, accelerator_type="GPU", model="NVIDIA A100", **common))
for start, measured, size in given["volumes"]:
    records.append(caso.record.StorageRecord(
        when(start), when(measured) + datetime.timedelta(microseconds=123456), when(start), uuid=uuid % 7,
        name="data", user_id="user-0001", group_id="aaaa0001", active_duration=measured - start, status="available",
        capacity=size, **common))
caso.messenger.ssm.SSMMessenger().push(records)
"""


@pytest.mark.peer("caso")
def test_addresses_gpus_and_volumes_of_caso_count_without_a_remark(house: House, tmp_path: Path) -> None:
    """The second report of the volume begins a minute before the first ended, as cASO's do."""
    noon, month = months_ago(1), months_ago(1).date().replace(day=1)
    later = noon + timedelta(days=1)
    volumes = [
        (epoch(noon) - 86_400, epoch(noon), 10), (epoch(noon) - 60, epoch(later), 20),
    ]  # fmt: skip
    given = {
        "folder": str(tmp_path / "out"),
        "addresses": [(epoch(noon), 7), (epoch(later), 5)],
        "accelerators": [(noon.year, noon.month, 3600)],
        "volumes": volumes,
    }
    run(WRITE, given)
    bodies = [path.read_bytes() for path in sorted((tmp_path / "out").glob("*/*")) if path.is_file()]
    assert len(bodies) == 3
    outcomes = [house.load(body) for body in bodies]
    assert [(each.loaded, each.refused, each.remarked) for each in outcomes] == [
        (2, 0, 0),
        (1, 0, 0),
        (2, 0, 0),
    ]
    with house.db.transaction() as session:
        ip = session.scalars(select(IpSummary).where(IpSummary.month == month)).one()
        gpu = session.scalars(select(AcceleratorSummary).where(AcceleratorSummary.month == month)).one()
        byte_s = session.scalar(select(func.sum(StorageSummary.byte_s)))
    assert (ip.last_count, ip.most, ip.vo) == (5, 7, "training.egi.eu")
    assert (gpu.available_s, gpu.type, gpu.user_name) == (7200, "GPU", "/CN=Anna")
    assert byte_s == (10 + 20) * 2**30 * 86_400
