"""Usage asked for: JSON, CSV, by whom it may be seen, and the figures of the other services' pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.accounting.conftest import House
from tests.accounting.records import DAY, NOW, epoch, message, months_ago, record

ANNA = "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"
TOMAS = "/C=EU/O=Hanse Demo/OU=People/CN=Tomás Vidal"


def ran(
    site: str,
    vm: str,
    hours: int,
    *,
    vo: str = "training.egi.eu",
    user: str = ANNA,
    ago: int = 1,
    cores: int = 2,
) -> dict[str, Any]:
    """A machine that ran some hours within the month that lies `ago` months back."""
    start = epoch(months_ago(ago, day=2))
    end = start + hours * 3600
    return record(
        site, vm, FQAN=f"/{vo}/Role=NULL", GlobalUserName=user, StartTime=start, Status="completed", EndTime=end,
        RecordCreateTime=end, WallDuration=hours * 3600, CpuDuration=hours * 3600 * cores, CpuCount=cores,
    )  # fmt: skip


@pytest.fixture
def used(house: House) -> House:
    """BIFI: Anna 10 h and Tomás 20 h of chipster; CESNET: Anna 5 h; UKIM: Tomás 7 h two months ago."""
    house.load(
        message(
            ran("BIFI", "a", 10),
            ran("BIFI", "b", 20, vo="chipster", user=TOMAS),
            ran("CESNET", "c", 5),
            ran("UKIM", "d", 7, user=TOMAS, ago=2),
        )
    )
    return house


def rows(client: FlaskClient, query: str, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/usage?{query}", headers=headers or {})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.json["rows"]  # type: ignore[no-any-return, index]


def test_cpu_hours_wall_hours_and_machines_by_site(used: House, client: FlaskClient) -> None:
    found = {
        row["site"]: (row["cpu_hours"], row["wall_hours"], row["vms"]) for row in rows(client, "by=site")
    }
    assert found == {"BIFI": (60, 30, 2), "CESNET": (10, 5, 1), "UKIM": (14, 7, 1)}


def test_by_vo_and_month(used: House, client: FlaskClient) -> None:
    last, before = f"{months_ago(1):%Y-%m}", f"{months_ago(2):%Y-%m}"
    found = {(row["vo"], row["month"]): row["cpu_hours"] for row in rows(client, "by=vo,month")}
    assert found == {("training.egi.eu", last): 30, ("chipster", last): 40, ("training.egi.eu", before): 14}


def test_a_period_and_filters_narrow_it_down(used: House, client: FlaskClient) -> None:
    last = f"{months_ago(1):%Y-%m}"
    assert sum(row["cpu_hours"] for row in rows(client, f"by=site&from={last}&to={last}")) == 70
    assert rows(client, "by=vo&site=BIFI&vo=chipster")[0]["cpu_hours"] == 40
    assert len(rows(client, "by=site&site=BIFI&site=UKIM")) == 2


def test_the_total_counts_each_machine_once_over_all_months(house: House, client: FlaskClient) -> None:
    start = epoch(months_ago(2, day=1))
    house.load(message(record("BIFI", "long", StartTime=start, WallDuration=epoch(NOW) - 7200 - start)))
    total = client.get("/api/v1/usage?by=month").json["total"]  # type: ignore[index]
    assert total["vms"] == 3
    assert total["distinct_vms"] == 1


def test_csv_has_the_dimensions_that_were_asked_for(used: House, client: FlaskClient) -> None:
    answer = client.get("/api/v1/usage.csv?by=site,vo")
    lines = answer.get_data(as_text=True).split("\r\n")
    assert lines[0] == "site,vo,cpu_hours,wall_hours,vms"
    assert "BIFI,chipster,40.0,20.0,1" in lines
    assert answer.content_type == "text/csv; charset=utf-8"


@pytest.mark.parametrize(
    "query",
    ["by=colour", "by=site,site", "from=2026", "to=2026-13", "from=2026-05&to=2026-04", "from=1900-01&to=2026-01",
     "x=1", "measure=cups"],
)  # fmt: skip
def test_a_question_that_cannot_be_read_names_the_parameter(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/api/v1/usage?{query}")
    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"


class TestUsersAreShownToThoseEntitledOnly:
    def test_nobody_who_is_not_signed_in(self, used: House, client: FlaskClient) -> None:
        for query in ("by=user", f"by=month&user={ANNA}"):
            answer = client.get(f"/api/v1/usage?{query}")
            assert answer.status_code == 401
            assert "Sign in to see usage by user" in answer.json["detail"]  # type: ignore[index]

    def test_the_operator_sees_all(self, used: House, client: FlaskClient, operator: dict[str, str]) -> None:
        assert {row["user"] for row in rows(client, "by=user", operator)} == {ANNA, TOMAS}

    def test_a_site_administrator_sees_the_site(
        self, used: House, client: FlaskClient, laura: dict[str, str]
    ) -> None:
        found = {(row["user"], row["site"]): row["cpu_hours"] for row in rows(client, "by=user,site", laura)}
        assert found == {(ANNA, "BIFI"): 20, (TOMAS, "BIFI"): 40}

    def test_a_vo_manager_sees_the_vo(self, used: House, client: FlaskClient, marta: dict[str, str]) -> None:
        found = {(row["user"], row["vo"]): row["cpu_hours"] for row in rows(client, "by=user,vo", marta)}
        assert found == {(ANNA, "training.egi.eu"): 30, (TOMAS, "training.egi.eu"): 14}

    def test_an_ngi_manager_sees_the_sites_of_the_ngi(self, used: House, client: FlaskClient) -> None:
        header = used.token("N. N.", "ngi_manager", "ngi:NGI_CZ")
        assert {row["site"] for row in rows(client, "by=user,site", header)} == {"CESNET"}

    def test_a_researcher_sees_oneself(self, used: House, client: FlaskClient, anna: dict[str, str]) -> None:
        assert {row["user"] for row in rows(client, "by=user", anna)} == {ANNA}

    def test_a_machine_of_a_site_sees_nobody(
        self, used: House, client: FlaskClient, bifi_token: dict[str, str]
    ) -> None:
        assert client.get("/api/v1/usage?by=user", headers=bifi_token).status_code == 403


def test_late_sites_are_named_beside_the_figures(used: House, client: FlaskClient) -> None:
    with used.db.transaction() as session:
        session.execute(
            text("update site_publishing set last_message_at = now() - interval '9 days' where site = 'UKIM'")
        )
    answer = client.get("/api/v1/usage").json
    assert answer is not None
    assert [(each["site"], each["state"]) for each in answer["late"]] == [("UKIM", "late")]
    assert answer["complete_until"] is not None


def test_publishing_tells_age_state_and_counts(used: House, client: FlaskClient) -> None:
    used.site("SILENT")
    used.load(message(record("BIFI", "bad", CpuCount=-1)))
    with used.db.transaction() as session:
        session.execute(
            text(
                "update site_publishing set last_message_at = now() - interval '40 days' where site = 'UKIM'"
            )
        )
    items = {each["site"]: each for each in client.get("/api/v1/publishing").json["items"]}  # type: ignore[index]
    assert {site: each["state"] for site, each in items.items()} == {
        "SILENT": "never", "UKIM": "missing", "BIFI": "in time", "CESNET": "in time",
    }  # fmt: skip
    assert items["UKIM"]["age_s"] >= 40 * DAY
    assert items["BIFI"]["refused_open"] == 1
    assert client.get("/api/v1/publishing.csv").status_code == 200


def test_an_older_message_does_not_make_a_site_look_silent(house: House) -> None:
    house.load(message(record("BIFI", "a")))
    number = house.receive(message(record("BIFI", "b")), source="load")
    with house.db.transaction() as session:
        session.execute(
            text("update message set received_at = now() - interval '60 days' where id = :id"), {"id": number}
        )
    house.loader.load(number)
    with house.db.transaction() as session:
        age = session.scalar(text("select now() - last_message_at from site_publishing"))
    assert age is not None
    assert age < timedelta(days=1)


def test_the_overview_holds_what_the_operators_page_shows(
    used: House, client: FlaskClient, operator: dict[str, str], laura: dict[str, str]
) -> None:
    used.load(message(record("BIFI", "now"), record("BIFI", "bad", CpuCount=-1)))
    used.receive("waits")
    answer = client.get("/api/v1/overview", headers=operator).json
    assert answer is not None
    assert answer["refused_7d"] == 1
    assert [(each["site"], each["records"]) for each in answer["refused_sites"]] == [("BIFI", 1)]
    assert answer["messages_waiting"] == 1
    assert answer["cpu_hours_month"] == pytest.approx(
        sum(cpu for m, (_, cpu, _) in used.months().items() if m == f"{NOW:%Y-%m}") / 3600
    )
    assert sum(each["cpu_hours"] for each in answer["by_day"]) == pytest.approx(96)
    assert len(answer["by_day"]) == 14
    assert client.get("/api/v1/overview", headers=laura).status_code == 403
    assert client.get("/api/v1/overview").status_code == 401


def test_a_service_reads_the_overview_with_its_token(house: House, settings_for: Any) -> None:
    from accounting.app import create_app

    settings = house.settings.model_copy(update={"service_tokens": {"registry": "a token of the registry"}})
    app = create_app(settings)
    with app.test_client() as client:
        header = {"Authorization": "Bearer a token of the registry"}
        assert client.get("/api/v1/overview", headers=header).status_code == 200
    app.extensions["hanse"].db.close()


def test_a_message_can_be_looked_up_by_the_number_that_publishing_gave(
    used: House, client: FlaskClient, laura: dict[str, str], eliska: dict[str, str]
) -> None:
    number = used.receive(message(record("BIFI")), site="BIFI")
    used.loader.load(number)
    answer = client.get(f"/api/v1/messages/{number}", headers=laura).json
    assert answer is not None
    assert (answer["state"], answer["reason"][:26]) == ("refused", "The message is not signed;")
    assert client.get(f"/api/v1/messages/{number}", headers=eliska).status_code == 403
    assert client.get("/api/v1/messages/999999", headers=laura).status_code == 404
    listed = client.get("/api/v1/sites/BIFI/messages", headers=laura).json
    assert listed is not None
    assert listed["items"][0]["id"] == number


def test_metrics_tell_what_waits_what_is_refused_and_who_is_silent(used: House, client: FlaskClient) -> None:
    used.load(message(record("BIFI", "bad", CpuCount=-1)))
    used.receive("waits")
    told = client.get("/metrics").get_data(as_text=True)
    assert "hanse_accounting_messages_waiting 1.0" in told
    assert 'hanse_accounting_refused_records{site="BIFI"} 1.0' in told
    assert 'hanse_accounting_last_message_age_seconds{site="UKIM"}' in told
    assert 'hanse_accounting_site_state{site="UKIM"} 0.0' in told


def test_readiness_names_a_registry_that_was_never_read(house: House) -> None:
    from accounting.app import create_app

    app = create_app(house.settings.model_copy(update={"registry_url": "http://127.0.0.1:1"}))
    with app.test_client() as client:
        answer = client.get("/readyz")
    app.extensions["hanse"].db.close()
    assert answer.status_code == 503
    assert "never read" in answer.json["checks"]["registry"]  # type: ignore[index]
