"""`/csv` and `/json` in the shape of EGI's portal: whole, streamed, in parts that say that more follows."""

from __future__ import annotations

import csv
import io
import json
from datetime import date

from flask.testing import FlaskClient
from sqlalchemy import insert

from accounting.models import JobSummary
from accounting.protocols.egi_portal import as_series
from tests.accounting.conftest import House
from tests.accounting.records import message, months_ago
from tests.accounting.test_usage_api import ran

# as EGI's portal writes them; `ngi` stands in its documentation and behind them here
EGI = [
    "time", "benchmark", "ce", "country", "federation", "infrastructure", "site", "tier", "vo", "number_of_jobs",
    "raw_cpu_eff", "raw_cpu_time", "raw_cpu_work", "raw_wc_time", "raw_wc_work",
]  # fmt: skip


def jobs_of(house: House, site: str, month: date, **changes: object) -> None:
    """A line of a job summary: 100 jobs, 1,600 h on one core at 10.5, 1,500 of them busy."""
    row = {
        "site": site, "month": month, "part": 1, "origin": "jobs", "vo": "chipster", "vo_group": "/chipster",
        "vo_role": "", "user_name": "", "submit_host": "ce1.bifi.example", "infrastructure_type": "grid",
        "service_level_type": "hepspec", "service_level": 10.5, "node_count": 1, "processors": 1,
        "wall_s": 1600 * 3600, "cpu_s": 1500 * 3600, "wall_core_s": 1600 * 3600, "norm_wall_s": 16800 * 3600,
        "norm_cpu_s": 15750 * 3600, "jobs": 100,
    }  # fmt: skip
    with house.db.transaction() as session:
        session.execute(insert(JobSummary).values(row | changes))


def test_json_has_machines_and_jobs_by_month_site_and_vo(house: House, client: FlaskClient) -> None:
    house.load(message(ran("CESNET", "c", 5)))
    month = months_ago(1).date().replace(day=1)
    jobs_of(house, "BIFI", month)
    jobs_of(
        house,
        "BIFI",
        month,
        part=2,
        infrastructure_type="local",
        service_level_type="si2k",
        service_level=2500,
    )
    told = json.loads(client.get("/json").data)
    (series,) = told["results"][0]["series"]
    assert series["name"] == "summary"
    assert series["columns"][: len(EGI)] == EGI
    assert "partial" not in series
    rows = [dict(zip(series["columns"], row, strict=True)) for row in series["values"]]
    assert rows[0] == {
        "time": f"{month:%Y-%m}-01T00:00:00Z", "benchmark": None, "ce": None, "country": "Czech Republic",
        "federation": house.settings.federation, "infrastructure": "Cloud", "site": "CESNET", "tier": None,
        "vo": "training.egi.eu", "number_of_jobs": 1, "raw_cpu_eff": 1.0, "raw_cpu_time": 10.0, "raw_cpu_work": None,
        "raw_wc_time": 10.0, "raw_wc_work": None, "ngi": "NGI_CZ",
    }  # fmt: skip
    grid = {row["infrastructure"]: row for row in rows[1:]}
    assert (grid["Grid"]["raw_cpu_time"], grid["Grid"]["raw_cpu_work"]) == (1500.0, 15750.0)
    assert (grid["Grid"]["raw_cpu_eff"], grid["Grid"]["ce"]) == (0.9375, "ce1.bifi.example")
    assert (grid["Grid"]["benchmark"], grid["Grid-Local"]["benchmark"]) == (10.5, 10.0)


def test_csv_has_the_same_rows_under_the_same_names(house: House, client: FlaskClient) -> None:
    house.load(message(ran("CESNET", "c", 5)))
    rows = list(csv.DictReader(io.StringIO(client.get("/csv").get_data(as_text=True))))
    assert list(rows[0])[: len(EGI)] == EGI
    assert [(row["site"], row["raw_cpu_time"], row["benchmark"]) for row in rows] == [("CESNET", "10.0", "")]


def test_an_empty_federation_is_one_series_without_values(client: FlaskClient) -> None:
    assert json.loads(client.get("/json").data)["results"][0]["series"][0]["values"] == []
    assert client.get("/csv").get_data(as_text=True).count("\r\n") == 1


def test_every_part_but_the_last_says_that_more_follows() -> None:
    told = json.loads(b"".join(as_series(((n,) for n in range(25)), size=10)))
    parts = [result["series"][0] for result in told["results"]]
    assert [part.get("partial") for part in parts] == [True, True, None]
    assert [row for part in parts for row in part["values"]] == [[n] for n in range(25)]
    exactly = json.loads(b"".join(as_series(((n,) for n in range(20)), size=10)))
    assert [result["series"][0].get("partial") for result in exactly["results"]] == [True, None]
