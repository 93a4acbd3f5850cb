"""The JSON side: strict bodies, problems with sentences, permissions, ETags, paging, CSV, a database that is away."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from hanse.database import Database
from hanse.errors import Refused
from hanse.identity.permissions import PUBLIC
from hanse.web import Api, csv_response, make_app, problem
from hanse.web.listing import after, cursor_of
from tests.hanse.web_service import SITES, WebHouse, build


def problem_of(answer: TestResponse) -> dict[str, Any]:
    assert answer.content_type == "application/problem+json"
    body = json.loads(answer.data)
    assert body["status"] == answer.status_code
    assert body["detail"].endswith(".")
    assert body["request_id"] == answer.headers["X-Request-Id"]
    return dict(body)


def test_who_shows_nothing_is_told_how_to_sign_in_and_who_may(web_house: WebHouse) -> None:
    answer = web_house.client().get("/api/v1/sites")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "a site administrator or a federation operator may list sites" in problem_of(answer)["detail"]


def test_who_lacks_the_role_is_told_who_may(web_house: WebHouse) -> None:
    answer = web_house.client("Anna Lindqvist").get("/api/v1/sites")
    assert answer.status_code == 403
    detail = problem_of(answer)["detail"]
    assert "Only a site administrator or a federation operator may list sites" in detail
    assert "you are signed in as Anna Lindqvist" in detail


def test_a_role_counts_in_its_own_scope_only(web_house: WebHouse) -> None:
    eliska = web_house.client("Eliška Malá")
    assert eliska.delete("/api/v1/sites/CESNET").status_code == 204
    answer = eliska.delete("/api/v1/sites/BIFI")
    assert answer.status_code == 403
    assert "a site administrator of site BIFI" in problem_of(answer)["detail"]
    assert web_house.client("Ingrid Holm").delete("/api/v1/sites/BIFI").status_code == 204


def test_permission_comes_before_the_look_at_the_request(web_house: WebHouse) -> None:
    answer = web_house.client("Anna Lindqvist").post("/api/v1/sites", json={"nonsense": True})
    assert answer.status_code == 403


def test_an_unknown_token_is_refused_and_not_taken_for_nobody(web_house: WebHouse) -> None:
    answer = web_house.client().get("/api/v1/me", headers={"Authorization": "Bearer of-nobody"})
    assert answer.status_code == 401
    assert "not known here" in problem_of(answer)["detail"]


def test_the_token_may_come_as_x_api_key(web_house: WebHouse) -> None:
    answer = web_house.client().get("/api/v1/me", headers={"x-api-key": "the token of monitoring"})
    assert answer.json is not None
    assert answer.json["key"] == "service:monitoring"


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"name": "X", "vcpu": "7"}, "vcpu", "should be a valid integer"),
        ({"name": "X"}, "vcpu", "is missing"),
        ({"name": "X", "vcpu": 7, "ram": 1}, "ram", "is not a field of this request"),
        ({"name": "", "vcpu": 7}, "name", "is too short or empty"),
        ({"name": "X", "vcpu": 7, "since": "yesterday"}, "since", "should be a valid datetime"),
    ],
)
def test_each_fault_of_a_body_is_named(
    web_house: WebHouse, body: dict[str, Any], field: str, reason: str
) -> None:
    answer = web_house.client("Ingrid Holm").post("/api/v1/sites", json=body)
    assert answer.status_code == 422
    (fault,) = problem_of(answer)["errors"]
    assert fault["field"] == field
    assert reason in fault["reason"]


def test_a_strict_body_still_takes_iso_times(web_house: WebHouse) -> None:
    body = {"name": "NEW", "vcpu": 7, "since": "2026-11-24T14:32:00Z"}
    answer = web_house.client("Ingrid Holm").post("/api/v1/sites", json=body)
    assert answer.status_code == 201
    assert answer.json == {"name": "NEW", "vcpu": 7}


@pytest.mark.parametrize("raw", [b"", b"{", b'{"name": "\xff"}', b'{"name": "\\u0000", "vcpu": 1}', b"[]"])
def test_a_body_that_is_no_such_json_is_refused(web_house: WebHouse, raw: bytes) -> None:
    answer = web_house.client("Ingrid Holm").post("/api/v1/sites", data=raw, content_type="application/json")
    assert answer.status_code == 422
    problem_of(answer)


def test_a_body_of_another_kind_is_415(web_house: WebHouse) -> None:
    answer = web_house.client("Ingrid Holm").post("/api/v1/sites", data={"name": "X"})
    assert answer.status_code == 415
    assert "application/json" in problem_of(answer)["detail"]


def test_a_body_over_the_limit_is_413(web_house: WebHouse) -> None:
    body = {"name": "X" * 5000, "vcpu": 1}
    answer = web_house.client("Ingrid Holm").post("/api/v1/sites", json=body)
    assert answer.status_code == 413
    assert "4,096 bytes" in problem_of(answer)["detail"]


def test_a_body_over_the_limit_without_a_length_is_413(web_house: WebHouse) -> None:
    answer = web_house.client("Ingrid Holm").post(
        "/api/v1/sites",
        input_stream=io.BytesIO(b'{"name": "' + b"X" * 9000),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert answer.status_code == 413


def test_a_body_that_breaks_off_is_not_taken_for_whole(web_house: WebHouse) -> None:
    answer = web_house.client("Ingrid Holm").post(
        "/api/v1/sites",
        input_stream=io.BytesIO(b'{"name": "X", "vcpu": 1}'),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": "400"},
    )
    assert answer.status_code == 400
    assert "after 24 of 400 bytes" in problem_of(answer)["detail"]


@pytest.mark.parametrize("address", ["/api/v1/sites?limit=0", "/api/v1/sites?limit=x", "/api/v1/sites?no=1"])
def test_query_parameters_are_checked(web_house: WebHouse, address: str) -> None:
    answer = web_house.client("Ingrid Holm").get(address)
    assert answer.status_code == 422
    assert problem_of(answer)["errors"]


def test_a_nul_in_the_address_is_refused(web_house: WebHouse) -> None:
    assert web_house.client().get("/api/v1/sites/a%00b").status_code == 422
    assert web_house.client("Ingrid Holm").get("/api/v1/sites?vo=%00").status_code == 422


def test_errors_of_use_cases_keep_their_sentence(web_house: WebHouse) -> None:
    ingrid = web_house.client("Ingrid Holm")
    missing = problem_of(ingrid.get("/api/v1/sites/NOWHERE"))
    assert (missing["status"], missing["detail"]) == (404, "There is no site NOWHERE.")
    there = problem_of(ingrid.post("/api/v1/sites", json={"name": "BIFI", "vcpu": 1}))
    assert (there["status"], there["detail"]) == (409, "There is a site BIFI already.")


def test_unknown_addresses_and_methods_are_problems_too(web_house: WebHouse) -> None:
    assert problem_of(web_house.client().get("/api/v1/nothing"))["status"] == 404
    answer = web_house.client().put("/api/v1/sites/BIFI")
    assert problem_of(answer)["status"] == 405
    assert "DELETE" in answer.headers["Allow"]


def test_a_fault_of_ours_tells_a_number_and_nothing_else(web_house: WebHouse) -> None:
    answer = web_house.client().get("/api/v1/broken")
    assert answer.status_code == 500
    body = problem_of(answer)
    assert body["request_id"] in body["detail"]
    assert "secret" not in answer.text


def test_a_read_that_did_not_change_is_304(web_house: WebHouse) -> None:
    client = web_house.client()
    first = client.get("/api/v1/sites/BIFI")
    again = client.get("/api/v1/sites/BIFI", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = client.get("/api/v1/sites/UKIM", headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200


def test_pages_of_a_list_follow_each_other_without_gap_or_repeat(web_house: WebHouse) -> None:
    client, seen, cursor = web_house.client("Ingrid Holm"), [], ""
    for _ in range(9):
        asked = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        answer = client.get("/api/v1/sites", query_string=asked)
        assert answer.json is not None
        seen += [site["name"] for site in answer.json["items"]]
        cursor = answer.json["next"]
        if cursor is None:
            break
    assert seen == SITES


@pytest.mark.parametrize("cursor", ["x", "bnVsbA", "W10%", "eyJhIjoxfQ", cursor_of([1]) + "!", "Ü"])
def test_a_cursor_of_somebody_elses_making_is_refused(cursor: str) -> None:
    with pytest.raises(Refused):
        after(cursor)


def test_a_cursor_brings_its_key_back() -> None:
    assert after(cursor_of(["Košice", 7])) == ["Košice", 7]
    assert after(None) is None


def test_csv_keeps_a_spreadsheet_from_running_cells(web_house: WebHouse) -> None:
    rows = [
        {"site": "=1+1", "hours": -2.5},
        {"site": 'a "b", c', "hours": None},
        {"site": "-cmd", "hours": 1},
    ]
    with web_house.app.test_request_context("/api/v1/x.csv"):
        answer = csv_response(rows, ["site", "hours"], "a b.csv")
    told = list(csv.reader(io.StringIO(answer.get_data(as_text=True))))
    assert told == [["site", "hours"], ["'=1+1", "-2.5"], ['a "b", c', ""], ["'-cmd", "1"]]
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a_b.csv"'


def test_a_database_that_is_away_is_503_with_a_time_to_come_back(
    web_house: WebHouse, settings_for: Any
) -> None:
    nowhere = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    healthy_db, web_house.db = web_house.db, nowhere
    held = web_house.app.extensions["hanse"]
    object.__setattr__(held, "db", nowhere)
    answer = web_house.client().get("/api/v1/slow")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "database" in problem_of(answer)["detail"]
    object.__setattr__(held, "db", healthy_db)
    assert web_house.client().get("/api/v1/slow").json == {"one": 1}


def test_a_route_without_a_permission_stops_the_start(web_house: WebHouse) -> None:
    api = Api("bare", __name__, "Bare")
    api.api_blueprint.add_url_rule("/bare", "bare", lambda: "")
    with pytest.raises(TypeError, match="names no permission"):
        build_with(web_house, api)


def build_with(web_house: WebHouse, api: Api) -> None:
    held = web_house.app.extensions["hanse"]
    make_app("x", held.settings, held.db, import_name=__name__, rooms=[api], authority=held.authority)


def test_a_path_argument_must_be_in_the_path_model() -> None:
    api = Api("odd", __name__, "Odd")
    with pytest.raises(TypeError, match="must take `path`"):

        @api.get("/odd/<site>", permission=PUBLIC, summary="Odd")
        def odd() -> None: ...


def test_a_problem_can_be_made_by_hand(web_house: WebHouse) -> None:
    with web_house.app.test_request_context("/x"):
        answer = problem(409, "It is there already.", title="Twice")
    assert json.loads(answer.data)["title"] == "Twice"


def test_two_applications_can_be_built_from_the_same_settings(web_house: WebHouse) -> None:
    again = build(web_house.db, web_house.settings)
    assert again.client().get("/api/v1/sites/BIFI").status_code == 200
