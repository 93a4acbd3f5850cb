"""Reads for programs: chosen fields, every list as CSV, answers that are known by the version alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import BaseModel, Field, model_validator

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, CursorQuery, Listing, after, cursor_page
from hanse.web import tables as web_tables

from .web_service import WebHouse, build


class CityOut(BaseModel):
    """A city."""

    name: str
    vcpu: int
    seen: datetime
    tags: list[str]
    place: dict[str, Any]


class CityQuery(CursorQuery):
    """Which cities."""

    limit: int = Field(2, ge=1, le=3)
    least: int = 0
    most: int = 99

    @model_validator(mode="after")
    def _in_order(self) -> CityQuery:
        if self.least > self.most:
            raise ValueError("least: is above most")
        return self


@dataclass
class Cities:
    """A list of cities with a version, and how often it was really read."""

    client: FlaskClient
    web_house: WebHouse
    rows: list[dict[str, Any]]
    version: list[int] = field(default_factory=lambda: [1])
    reads: list[int] = field(default_factory=list)


@pytest.fixture
def cities(web_house: WebHouse) -> Cities:
    room = Api("cities", __name__, "Cities", csv=True)
    names = ["Bergen", "Bruges", "=Danzig", "-2+3|x", "Visby", "Riga", "Stralsund"]
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "vcpu": at,
            "seen": "2026-11-25T00:00:00Z",
            "tags": ["kontor", "sea"],
            "place": {"lat": 1.5},
        }
        for at, name in enumerate(names)
    ]
    found = Cities(web_house.client(), web_house, rows)

    @room.get("/cities", permission=PUBLIC, summary="Cities", responses={200: Listing[CityOut]}, revised=True)
    def listed(query: CityQuery) -> dict[str, Any]:
        found.reads.append(1)
        last = after(query.cursor)
        left = [row for row in rows if query.least <= row["vcpu"] <= query.most]
        left = [row for row in left if last is None or row["vcpu"] > int(last[0])]
        return cursor_page(left[: query.limit + 1], query.limit, lambda row: (row["vcpu"],))

    @room.get("/city", permission=PUBLIC, summary="One city", responses={200: CityOut})
    def one() -> CityOut:
        return CityOut.model_validate(rows[0])

    version: Callable[[], str] = lambda: str(found.version[0])  # noqa: E731
    house = build(web_house.db, web_house.settings, extra=[room], version=version)
    found.client = house.client()
    found.web_house = house
    return found


def test_a_list_and_a_thing_can_be_cut_to_chosen_fields(cities: Cities) -> None:
    page = cities.client.get("/api/v1/cities?fields=vcpu,name&limit=1").get_json()
    assert page["items"] == [{"vcpu": 0, "name": "Bergen"}]
    assert page["next"]
    assert cities.client.get("/api/v1/city?fields=name").get_json() == {"name": "Bergen"}


@pytest.mark.parametrize("path", ["/api/v1/cities", "/api/v1/city", "/api/v1/cities.csv"])
@pytest.mark.parametrize(
    ("wanted", "named"), [("colour", "colour"), ("name,", "an empty name"), ("x" * 5000, "xxx")]
)
def test_a_field_that_is_not_there_is_named(cities: Cities, path: str, wanted: str, named: str) -> None:
    answer = cities.client.get(path, query_string={"fields": wanted})
    assert answer.status_code == 422
    (fault,) = answer.get_json()["errors"]
    assert fault["field"] == "fields"
    assert named in fault["reason"]
    assert "name, vcpu" in fault["reason"]
    assert len(answer.text) < 2000


def test_a_table_holds_every_page_and_runs_no_formula(cities: Cities) -> None:
    answer = cities.client.get("/api/v1/cities.csv")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert 'filename="cities.csv"' in answer.headers["Content-Disposition"]
    told = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["name"] for row in told] == [
        "Bergen",
        "Bruges",
        "'=Danzig",
        "'-2+3|x",
        "Visby",
        "Riga",
        "Stralsund",
    ]
    assert (told[0]["tags"], told[0]["place"]) == ("kontor sea", '{"lat": 1.5}')
    assert len(cities.reads) == 3


def test_a_table_has_the_filters_of_its_list_and_no_paging(cities: Cities) -> None:
    told = cities.client.get("/api/v1/cities.csv?least=5&fields=name").text
    assert told == "name\r\nRiga\r\nStralsund\r\n"
    assert cities.client.get("/api/v1/cities.csv?limit=1").status_code == 422
    answer = cities.client.get("/api/v1/cities.csv?least=9&most=3")
    assert answer.status_code == 422
    assert "is above most" in answer.text


def test_half_a_table_is_never_given(cities: Cities, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_tables, "MOST_ROWS", 3)
    answer = cities.client.get("/api/v1/cities.csv")
    assert answer.status_code == 422
    assert "narrow it down" in answer.text


def test_who_has_seen_this_version_is_answered_without_a_read(cities: Cities) -> None:
    first = cities.client.get("/api/v1/cities")
    seen = {"If-None-Match": first.headers["ETag"]}
    assert cities.client.get("/api/v1/cities", headers=seen).status_code == 304
    assert len(cities.reads) == 1
    cities.version[0] = 2
    same = cities.client.get("/api/v1/cities", headers=seen)
    assert (same.status_code, len(cities.reads)) == (304, 2)  # another version, the same list
    assert same.headers["ETag"] != first.headers["ETag"]
    cities.rows[0]["vcpu"] = 50
    newer = {"If-None-Match": same.headers["ETag"]}
    assert cities.client.get("/api/v1/cities", headers=newer).status_code == 304  # nobody told a new version
    cities.version[0] = 3
    assert cities.client.get("/api/v1/cities", headers=seen).status_code == 200


def test_another_reader_is_not_told_that_nothing_changed(cities: Cities) -> None:
    seen = {"If-None-Match": cities.client.get("/api/v1/cities").headers["ETag"]}
    cities.rows[0]["vcpu"] = 50
    operator = cities.web_house.client("Ingrid Holm")
    assert operator.get("/api/v1/cities", headers=seen).status_code == 200


def test_tables_keep_their_tag_too(cities: Cities) -> None:
    first = cities.client.get("/api/v1/cities.csv")
    again = cities.client.get("/api/v1/cities.csv", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_description_names_the_fields_and_the_tables(cities: Cities) -> None:
    document = cities.client.get("/openapi.json").get_json()
    listed = document["paths"]["/api/v1/cities"]["get"]
    (choice,) = [one for one in listed["parameters"] if one["name"] == "fields"]
    assert choice["schema"]["pattern"].startswith("^(name|vcpu|")
    table = document["paths"]["/api/v1/cities.csv"]["get"]
    assert "text/csv" in table["responses"]["200"]["content"]
    assert {one["name"] for one in table["parameters"]} == {"least", "most", "fields"}
