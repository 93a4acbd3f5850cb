"""The stored records of a site over the API: paged without gaps, as CSV, for those who keep its books alone."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient

from accounting import apel_view
from hanse.web.listing import cursor_of
from tests.accounting.conftest import House
from tests.accounting.other_records import (
    MONTH,
    accelerator,
    accelerators,
    address,
    addresses,
    cloud_summaries,
    cloud_summary,
    job,
    job_summaries,
    job_summary,
    jobs,
    storage,
    text_message,
    volume,
)
from tests.accounting.records import epoch, message, months_ago, record

HEAD = "/api/v1/sites/BIFI"
Header = dict[str, str]


def items(client: FlaskClient, path: str, header: Header) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(50):
        answer = client.get(f"{path}{'&' if '?' in path else '?'}limit=2{cursor}", headers=header)
        assert answer.status_code == 200, answer.text
        body = answer.get_json()
        found += body["items"]
        if body["next"] is None:
            return found
        cursor = f"&cursor={body['next']}"
    pytest.fail("the list does not end")


def filled(house: House) -> None:
    """Five records of each kind at BIFI, one at CESNET."""
    house.load(message(*[record(vm=f"vm-{n}") for n in range(5)], record("CESNET")))
    house.load(jobs(*[job(job_id=f"job-{n}") for n in range(5)], job("CESNET")))
    house.load(job_summaries(*[job_summary(SubmitHost=f"host-{n}") for n in range(5)], job_summary("CESNET")))
    house.load(cloud_summaries(*[cloud_summary(CloudComputeService=f"s-{n}") for n in range(5)]))
    sync = [
        {"Site": "BIFI", "SubmitHost": f"host-{n}", "NumberOfJobs": 7, "Month": 10, "Year": 2025}
        for n in range(5)
    ]
    house.load(text_message("APEL-sync-message: v0.1", *sync))
    house.load(storage([volume(MONTH, MONTH, 5, record=f"vol-{n}") for n in range(5)]))
    house.load(accelerators(*[accelerator(vm=f"vm-{n}") for n in range(5)], accelerator("CESNET")))
    house.load(addresses(*[address(LocalGroup=f"g-{n}") for n in range(5)], address("CESNET")))


KINDS = {
    "vm": "vmuuid", "job": "local_job_id", "job_summary": "submit_host", "cloud_summary": "service",
    "sync": "submit_host", "storage": "record_id", "accelerator": "vmuuid", "ip": "local_group",
}  # fmt: skip


def test_pages_of_every_kind_give_each_record_once(house: House, client: FlaskClient, laura: Header) -> None:
    filled(house)
    for kind, name in KINDS.items():
        found = items(client, f"{HEAD}/records?kind={kind}", laura)
        assert sorted(row["fields"][name][-1] for row in found) == list("01234"), kind
        assert {row["kind"] for row in found} == {kind}
        subject = found[0]["fields"][name]
        assert len(items(client, f"{HEAD}/records?kind={kind}&subject={subject}", laura)) == 1, kind


def test_every_kind_as_csv(house: House, client: FlaskClient, laura: Header) -> None:
    filled(house)
    for kind, name in KINDS.items():
        answer = client.get(f"{HEAD}/records.csv?kind={kind}", headers=laura)
        assert answer.mimetype == "text/csv"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == 5, kind
        assert all(row[name] for row in rows), kind


def test_months_and_vo_narrow_the_list(house: House, client: FlaskClient, laura: Header) -> None:
    old = epoch(months_ago(3))
    house.load(
        jobs(job(), job(job_id="old", StartTime=old - 9, EndTime=old, WallDuration=9, FQAN="chipster"))
    )
    house.load(job_summaries(job_summary(), job_summary(month=months_ago(3), VO="chipster")))
    month = f"{MONTH:%Y-%m}"
    for kind in ("job", "job_summary"):
        assert len(items(client, f"{HEAD}/records?kind={kind}", laura)) == 2
        assert len(items(client, f"{HEAD}/records?kind={kind}&from={month}&to={month}", laura)) == 1
        assert len(items(client, f"{HEAD}/records?kind={kind}&vo=chipster", laura)) == 1
    assert items(client, f"{HEAD}/records?kind=ip", laura) == []


def test_records_are_shown_to_the_site_and_the_operator_only(
    house: House, client: FlaskClient, laura: Header, eliska: Header, operator: Header, marta: Header
) -> None:
    house.load(jobs(job()))
    for path in (
        "records?kind=job",
        "records.csv?kind=job",
        "apel-summaries",
        "apel-summaries.csv",
        "overlaps",
    ):
        given = {"laura": laura, "operator": operator, "eliska": eliska, "marta": marta, "nobody": {}}
        codes = {
            name: client.get(f"{HEAD}/{path}", headers=header).status_code for name, header in given.items()
        }
        assert codes == {"laura": 200, "operator": 200, "eliska": 403, "marta": 403, "nobody": 401}, path


@pytest.mark.parametrize(
    "query",
    [
        "kind=moon", "kind=job&from=2026-13", "kind=job&from=0000-01", "kind=job&from=2026-02&to=2026-01",
        "kind=sync&vo=x", "kind=job&cursor=W10", "kind=job&cursor=WzEsMl0", "kind=vm&cursor=WyJhIiwgImIiXQ",
        "kind=ip&cursor=WzEsICJ6eiJd", "kind=sync&cursor=WyJ4IiwgInkiXQ", "kind=job&cursor=!!", "limit=0",
        "kind=job&cursor=WyJhXHUwMDAwIiwgMV0",
    ],
)  # fmt: skip
def test_questions_that_cannot_be_are_answered_with_a_sentence(
    client: FlaskClient, laura: Header, query: str
) -> None:
    answer = client.get(f"{HEAD}/records?{query}", headers=laura)
    assert answer.status_code in (400, 422), answer.text
    assert answer.mimetype == "application/problem+json"


def test_any_period_up_to_the_end_of_time_is_answered(client: FlaskClient, laura: Header) -> None:
    for path in ("records?", "apel-summaries?"):
        assert client.get(f"{HEAD}/{path}from=9980-01&to=9999-12", headers=laura).status_code == 200


def test_apel_summaries_are_shown_beside_the_portals_figures(
    house: House, client: FlaskClient, laura: Header
) -> None:
    begin = epoch(months_ago(3, 1))
    reports = [
        record(
            vm="a",
            RecordCreateTime=epoch(months_ago(n, 20)),
            StartTime=begin,
            WallDuration=wall,
            CpuDuration=4 * wall,
        )
        for n, wall in ((2, 5000), (1, 2000))
    ]
    house.load(
        message(*reports, record(vm="b", RecordCreateTime=epoch(MONTH), StartTime=begin, FQAN="chipster"))
    )
    found = items(client, f"{HEAD}/apel-summaries", laura)
    assert [(row["month"], row["vo"], row["wall_s"], row["began_anew"]) for row in found] == [
        (f"{months_ago(2):%Y-%m}", "training.egi.eu", 5000, False),
        (f"{MONTH:%Y-%m}", "chipster", 86400, False),
        (f"{MONTH:%Y-%m}", "training.egi.eu", -3000, True),
    ]
    lines = client.get(f"{HEAD}/apel-summaries.csv", headers=laura).text.split("\r\n")
    assert len(lines) == 5
    assert lines[0].startswith("month,service,user_name,vo,")
    month = f"{MONTH:%Y-%m}"
    assert len(items(client, f"{HEAD}/apel-summaries?from={month}&to={month}", laura)) == 2
    assert client.get(f"{HEAD}/apel-summaries?cursor=WyJhIl0", headers=laura).status_code == 422


def test_a_page_of_apels_figures_sums_only_the_months_that_it_needs(
    house: House, client: FlaskClient, laura: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    for months in (3, 2, 1):
        house.load(message(*[_report(months, vm) for vm in ("a", "b")]))
    whole = items(client, f"{HEAD}/apel-summaries", laura)
    assert [row["month"] for row in whole] == [f"{months_ago(n):%Y-%m}" for n in (3, 3, 2, 2, 1, 1)]
    summed: list[date] = []
    rows = apel_view._rows

    def noted(session: Any, site: str, first: date, last: date) -> Any:
        summed.append(first)
        assert first == last
        return rows(session, site, first, last)

    monkeypatch.setattr(apel_view, "_rows", noted)
    place = cursor_of((months_ago(2).year * 12 + months_ago(2).month - 1, 1))
    page = client.get(f"{HEAD}/apel-summaries?limit=1&cursor={place}", headers=laura).json
    assert page is not None
    assert page["items"] == [whole[3]]
    assert summed == [months_ago(n).date().replace(day=1) for n in (2, 1)]


def _report(months: int, vm: str) -> dict[str, Any]:
    at = epoch(months_ago(months))
    return record("BIFI", vm, RecordCreateTime=at, StartTime=epoch(months_ago(4)), FQAN=vm)


@pytest.mark.parametrize(
    "path",
    [
        "forwarded-messages", "cross-checks", "usage-events", "sites/BIFI/messages", "sites/BIFI/refused-records",
        "sites/BIFI/remarks", "sites/BIFI/records", "sites/BIFI/apel-summaries",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", [(0,), ("a",), (1, 2, 3, 4), (2**63, "a", "b")])
def test_a_cursor_of_another_list_is_refused(
    client: FlaskClient, operator: Header, path: str, key: tuple[str | int, ...]
) -> None:
    answer = client.get(f"/api/v1/{path}?cursor={cursor_of(key)}", headers=operator)
    assert (answer.status_code, "cursor" in answer.text) == (422, True)


def test_months_told_twice_are_listed(house: House, client: FlaskClient, laura: Header) -> None:
    house.load(job_summaries(job_summary()))
    house.load(jobs(job()))
    assert items(client, f"{HEAD}/overlaps", laura) == [
        {
            "month": f"{MONTH:%Y-%m}", "kind": "job", "origin": "summaries", "counted": "jobs", "records": 200,
            "wall_seconds": 720000, "cpu_seconds": 5400000,
        }
    ]  # fmt: skip
