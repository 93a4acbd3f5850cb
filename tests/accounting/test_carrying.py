"""What operators see of pulling and forwarding: lists, CSV and metrics."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient

from accounting.models import ForwardedMessage, PullState
from tests.accounting.conftest import House

SOURCE = "https://msg.example.org/v1/projects/accounting/subscriptions/hanse"
HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture(autouse=True)
def carried(house: House) -> None:
    """Three messages for above, one of them waiting, and a subscription whose last pull failed."""
    with house.db.transaction() as session:
        for number, (site, month, state) in enumerate(
            [("BIFI", 9, "sent"), ("CESNET", 9, "replaced"), ("BIFI", 10, "waiting")]
        ):
            session.add(
                ForwardedMessage(
                    destination="https://above.example/v1/projects/a/topics/t", kind="vm", site=site, records=7,
                    month=date(2026, month, 1), empaid=f"6b/{number}", sha256=b"x", state=state, written_at=HOUR_AGO,
                    body=b"signed" if state == "waiting" else None, number="41" if state == "sent" else "",
                    sent_at=HOUR_AGO if state == "sent" else None,
                )
            )  # fmt: skip
        session.add(PullState(source=SOURCE, pulled_at=HOUR_AGO, messages=12, error="it answered 503"))


def test_the_operator_sees_what_was_told_upward_newest_first(
    client: FlaskClient, operator: dict[str, str]
) -> None:
    items = client.get("/api/v1/forwarded-messages", headers=operator).get_json()["items"]
    assert [(each["site"], each["month"], each["state"]) for each in items] == [
        ("BIFI", "2026-10", "waiting"), ("CESNET", "2026-09", "replaced"), ("BIFI", "2026-09", "sent"),
    ]  # fmt: skip
    assert items[2]["number"] == "41"
    assert "body" not in items[0]


@pytest.mark.parametrize(
    ("asked", "count"), [("site=BIFI", 2), ("month=2026-09", 2), ("state=waiting", 1), ("site=X", 0)]
)
def test_it_is_filtered(client: FlaskClient, operator: dict[str, str], asked: str, count: int) -> None:
    assert (
        len(client.get(f"/api/v1/forwarded-messages?{asked}", headers=operator).get_json()["items"]) == count
    )
    lines = client.get(f"/api/v1/forwarded-messages.csv?{asked}", headers=operator).text.strip().splitlines()
    assert len(lines) == 1 + count


def test_it_is_paged(client: FlaskClient, operator: dict[str, str]) -> None:
    seen, cursor = [], ""
    for _ in range(3):
        page = client.get(f"/api/v1/forwarded-messages?limit=1{cursor}", headers=operator).get_json()
        seen += [each["id"] for each in page["items"]]
        cursor = f"&cursor={page['next']}"
    assert page["next"] is None
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    "asked", ["cursor=nonsense", "cursor=WyJhIl0", "month=2026-13", "state=lost", "limit=0"]
)
def test_what_cannot_be_asked_is_refused(client: FlaskClient, operator: dict[str, str], asked: str) -> None:
    assert client.get(f"/api/v1/forwarded-messages?{asked}", headers=operator).status_code == 422


def test_how_pulling_goes(client: FlaskClient, operator: dict[str, str]) -> None:
    (pull,) = client.get("/api/v1/pulls", headers=operator).get_json()["items"]
    assert (pull["source"], pull["messages"], pull["error"]) == (SOURCE, 12, "it answered 503")


def test_it_is_for_operators(client: FlaskClient, eliska: dict[str, str], bifi_token: dict[str, str]) -> None:
    for path in ("/api/v1/forwarded-messages", "/api/v1/pulls"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=eliska).status_code == 403
        assert client.get(path, headers=bifi_token).status_code == 403


def test_prometheus_sees_what_waits_and_since_when(client: FlaskClient) -> None:
    told = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in client.get("/metrics").text.splitlines()
        if not line.startswith("#")
    }
    assert told["hanse_accounting_forward_messages_waiting"] == 1
    assert 3500 < told["hanse_accounting_forward_age_seconds"] < 5000
    assert 3500 < told[f'hanse_accounting_pull_age_seconds{{source="{SOURCE}"}}'] < 5000
