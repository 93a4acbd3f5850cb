"""`/csv` and `/json` in the shape of EGI's portal: whole, streamed, in parts that say that more follows."""

from __future__ import annotations

import csv
import io
import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert

from accounting.models import JobSummary
from accounting.protocols.egi_portal import as_series
from accounting.protocols.kept_answers import KEPT_S, KeptAnswer
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


def test_both_are_made_once_for_all_readers_and_say_when_nothing_changed(
    house: House, client: FlaskClient
) -> None:
    house.load(message(ran("CESNET", "c", 5)))
    for path in ("/json", "/csv"):
        first = client.get(path)
        house.load(message(ran("CESNET", path, 5)))
        assert client.get(path).data == first.data, "for some minutes it stays as it is"
        assert first.headers["Cache-Control"].startswith("public, max-age=")
        held = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (held.status_code, held.data, held.headers["ETag"]) == (304, b"", first.headers["ETag"])


def test_a_kept_answer_is_made_anew_after_a_while_and_readers_finish_the_one_they_have(app: Flask) -> None:
    now, made = [0.0], itertools.count(1)
    kept = KeptAnswer(lambda: [b"x" * 100_000, b"%d" % next(made)], "text/plain", lambda: now[0])
    with app.test_request_context():
        slow = iter(kept.answer().response)
        begin = next(slow)
        now[0] = KEPT_S + 1
        assert kept.answer().get_data().endswith(b"2")
        now[0] = KEPT_S * 1.5
        assert kept.answer().get_data().endswith(b"2")
        assert (begin + b"".join(slow)).endswith(b"1")  # type: ignore[operator, arg-type]


def test_while_an_answer_is_made_anew_others_get_the_one_before(app: Flask) -> None:
    now, going, go = [0.0], threading.Event(), threading.Event()

    def make() -> Iterator[bytes]:
        if now[0]:
            going.set()
            assert go.wait(60)
        yield b"%d" % now[0]

    kept = KeptAnswer(make, "text/plain", lambda: now[0])

    def read() -> bytes:
        with app.test_request_context():
            return kept.answer().get_data()

    assert read() == b"0"
    now[0] = KEPT_S + 1
    with ThreadPoolExecutor(1) as other:
        anew = other.submit(read)
        assert going.wait(60)
        assert read() == b"0"
        go.set()
        assert anew.result(60) == b"%d" % now[0]


def test_every_part_but_the_last_says_that_more_follows() -> None:
    told = json.loads(b"".join(as_series(((n,) for n in range(25)), size=10)))
    parts = [result["series"][0] for result in told["results"]]
    assert [part.get("partial") for part in parts] == [True, True, None]
    assert [row for part in parts for row in part["values"]] == [[n] for n in range(25)]
    exactly = json.loads(b"".join(as_series(((n,) for n in range(20)), size=10)))
    assert [result["series"][0].get("partial") for result in exactly["results"]] == [True, None]
