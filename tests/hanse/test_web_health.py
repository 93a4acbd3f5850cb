"""Whether a service lives, whether it can work, its figures, and the headers on everything it says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hanse.database import Database, FollowCursor, JobRun
from hanse.errors import Unavailable
from hanse.web import Gauge
from tests.hanse.web_service import WebHouse, build


def metrics(house: WebHouse) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(house.client().get("/metrics").text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_living_process_says_so_even_without_its_database(web_house: WebHouse) -> None:
    object.__setattr__(
        web_house.app.extensions["hanse"], "db", Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    )
    assert web_house.client().get("/healthz").status_code == 200
    answer = web_house.client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"]["database"] == "The database does not answer."


def test_ready_when_all_checks_pass(web_house: WebHouse) -> None:
    answer = web_house.client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {
        "status": "ready",
        "service": "registry",
        "checks": {"database": "ok", "migrations": "ok", "feeds": "ok"},
    }


def test_not_ready_while_a_feed_was_never_read(web_house: WebHouse) -> None:
    with web_house.db.transaction() as session:
        session.add(FollowCursor(source="vomsdb", cursor=0, head=0))
    answer = web_house.client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"]["feeds"] == "The feed of vomsdb has not been read yet."


def test_a_service_adds_its_own_checks(web_house: WebHouse) -> None:
    def no_disk() -> None:
        raise Unavailable("The inbox has no room.")

    house = build(web_house.db, web_house.settings, ready={"inbox": no_disk})
    answer = house.client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"]["inbox"] == "The inbox has no room."


def test_figures_come_from_the_database(web_house: WebHouse) -> None:
    then = datetime(2026, 11, 24, 14, 32, tzinfo=UTC)
    with web_house.db.transaction() as session:
        session.add(FollowCursor(source="registry", cursor=7, head=10, pulled_at=then))
        for outcome in ("ok", "failed"):
            run = JobRun(
                job="replicate", due_at=then.replace(hour=len(outcome)), started_at=then, finished_at=then
            )
            run.outcome = outcome
            session.add(run)
    web_house.gauges.append(Gauge("hanse_sites", "Sites.", 3, {"state": "down"}))
    found = metrics(web_house)
    assert found["hanse_follow_lag_revisions", (("source", "registry"),)] == 3
    assert found["hanse_follow_pulled_timestamp_seconds", (("source", "registry"),)] == then.timestamp()
    assert found["hanse_job_failed_runs", (("job", "replicate"),)] == 1
    assert found["hanse_job_last_success_timestamp_seconds", (("job", "replicate"),)] == then.timestamp()
    assert found["hanse_sites", (("state", "down"),)] == 3


ADDRESSES = [
    "/sites",
    "/signin",
    "/api/v1/sites/BIFI",
    "/api/v1/sites",
    "/healthz",
    "/nothing",
    "/assets/hanse.css",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_answer_carries_the_headers_that_keep_a_browser_safe(web_house: WebHouse, address: str) -> None:
    headers = web_house.client().get(address, buffered=True).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "http://localhost:7020" in policy.partition("form-action")[2]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_assets_are_kept_when_their_address_names_their_content(web_house: WebHouse) -> None:
    page = web_house.client().get("/sites").text
    address = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert address.startswith("/assets/hanse.css?v=")
    assert "max-age=31536000" in web_house.client().get(address, buffered=True).headers["Cache-Control"]
    assert "no-cache" in web_house.client().get("/assets/hanse.css", buffered=True).headers["Cache-Control"]
    assert web_house.client().get("/assets/../__init__.py").status_code == 404


def test_home_leads_to_the_registry(web_house: WebHouse, settings_for: Any) -> None:
    settings = web_house.settings.model_copy(
        update={"service": "accounting", "registry_url": "http://localhost:7010"}
    )
    answer = build(web_house.db, settings).client().get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://localhost:7010")


def test_requests_are_logged_without_what_is_secret(
    web_house: WebHouse, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    web_house.client("Ingrid Holm").get("/api/v1/sites?limit=3&cursor=&x=a-secret-in-the-query")
    told = capsys.readouterr()
    # Where a command was run in this process before, its logging is set up and pytest catches it.
    caught = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    line = told.out + told.err + " ".join(f"{key}={value}" for one in caught for key, value in one.items())
    assert "path=/api/v1/sites" in line
    assert "status=422" in line
    assert "a-secret-in-the-query" not in line
    assert "hanse_test_" not in line
