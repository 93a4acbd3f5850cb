"""Answers as files: what stands in them, who gets them, and that a long one is refused rather than cut."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flask.testing import FlaskClient

from accounting import asking, exports
from hanse.errors import Refused
from hanse.identity.principals import ANONYMOUS
from tests.accounting.conftest import House
from tests.accounting.records import NOW, message, months_ago
from tests.accounting.test_usage_api import ANNA, TOMAS, ran


@pytest.fixture
def used(house: House) -> House:
    house.load(
        message(ran("BIFI", "a", 10), ran("BIFI", "b", 20, vo="chipster", user=TOMAS), ran("UKIM", "c", 5))
    )
    return house


def table_of(client: FlaskClient, query: str, headers: dict[str, str] | None = None) -> Any:
    answer = client.get(f"/api/v1/usage.parquet?{query}", headers=headers or {})
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/vnd.apache.parquet"
    assert "attachment" in answer.headers["Content-Disposition"]
    return pq.read_table(io.BytesIO(answer.data))


def test_parquet_holds_the_rows_of_the_json(used: House, client: FlaskClient) -> None:
    table = table_of(client, "by=site,vo,month&measure=core_hours")
    told = client.get("/api/v1/usage?by=site,vo,month&measure=core_hours").get_json()["rows"]
    assert table.column_names == ["site", "vo", "month", "cpu_hours", "wall_hours", "vms", "core_hours"]
    assert table.schema.field("month").type == pa.date32()
    assert table.schema.field("core_hours").type == pa.float64()
    rows = table.to_pylist()
    last = months_ago(1)
    assert {row["month"] for row in rows} == {date(last.year, last.month, 1)}
    assert [(row["site"], row["vo"], row["core_hours"]) for row in rows] == [
        (row["site"], row["vo"], row["value"]) for row in told
    ]


def test_an_answer_without_rows_is_a_file_with_columns(client: FlaskClient) -> None:
    assert table_of(client, "by=site").num_rows == 0
    assert client.get("/api/v1/usage.csv?by=site").text == "site,cpu_hours,wall_hours,vms\r\n"


@pytest.mark.parametrize("suffix", ["", ".csv", ".parquet"])
def test_no_form_names_a_person_to_a_stranger(
    used: House, client: FlaskClient, anna: dict[str, str], suffix: str
) -> None:
    for query in ("by=user", "by=site&user=" + ANNA, "by=user,image&vo=chipster"):
        answer = client.get(f"/api/v1/usage{suffix}?{query}")
        assert answer.status_code == 401
        assert b"CN=Tom" not in answer.data
    own = client.get(f"/api/v1/usage{suffix}?by=user", headers=anna)
    assert own.status_code == 200
    if suffix != ".parquet":  # which is compressed
        assert "CN=Anna Lindqvist" in own.text
        assert "CN=Tom" not in own.text


def test_a_long_answer_is_refused_and_never_cut(used: House) -> None:
    question = asking.asked("", "", None, None, "site,vo", {}, NOW.date())
    assert len(list(exports.rows(used.db, question, ANONYMOUS, 3))) == 3
    with pytest.raises(Refused, match="more than 2 rows"):
        exports.rows(used.db, question, ANONYMOUS, 2)
    with used.db.transaction() as session, pytest.raises(Refused, match="more than 2 rows"):
        exports.held(session, question, ANONYMOUS, 2)


def test_an_answer_that_fails_half_way_is_an_error_and_no_half_file(
    used: House, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Iterator[dict[str, Any]]:
        yield {"site": "BIFI"}
        raise Refused("The second row cannot be read.")

    monkeypatch.setattr(exports, "_rows", failing)
    for suffix in (".csv", ".parquet"):
        assert client.get(f"/api/v1/usage{suffix}?by=site").status_code == 422


def test_a_long_answer_says_how_long_it_is(used: House, client: FlaskClient) -> None:
    answer = client.get("/csv")
    assert int(answer.headers["Content-Length"]) == len(answer.data)


def test_parquet_is_written_a_row_group_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "ROW_GROUP", 10)
    parts = list(
        exports.parquet(["site", "cpu_hours"], ({"site": f"S{n}", "cpu_hours": n} for n in range(25)))
    )
    assert len(parts) == 4  # three row groups and the foot
    assert pq.ParquetFile(io.BytesIO(b"".join(parts))).num_row_groups == 3


def test_a_name_that_begins_like_a_formula_is_text_in_csv(house: House, client: FlaskClient) -> None:
    house.load(message(ran("BIFI", "a", 10, vo="=HYPERLINK(1)")))
    assert "'=HYPERLINK(1)" in client.get("/api/v1/usage.csv?by=vo").text


def test_what_can_be_asked_is_told(client: FlaskClient) -> None:
    kinds = {kind["kind"]: kind for kind in client.get("/api/v1/usage/measures").get_json()["kinds"]}
    assert set(kinds) == set(asking.KINDS)
    assert {"measure": "cpu_hours", "label": "CPU hours", "unit": "CPU hours"} in kinds["cloud"]["measures"]
    assert "model" in kinds["gpu"]["dimensions"]
