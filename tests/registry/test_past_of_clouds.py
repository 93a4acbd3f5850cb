"""The past of what clouds publish: which document stood, what is kept, and what drift and the search made of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from registry import cloud_history
from registry.cloud_history import ALL_KEPT, Kept, thinned
from registry.models import CloudDocument, Site

from .clouds import cloud_document, encoded
from .conftest import Registry

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def newest(registry: Registry) -> int:
    return int(registry.get("/api/v1/history?limit=1")["items"][0]["revision"])


def publish(registry: Registry, site: str = "CESNET", **changes: Any) -> None:
    answer = registry.ask("PUT", f"/v1/sites/{site}/cloudinfo", data=encoded(cloud_document(site, **changes)))
    assert answer.status_code == 202, answer.text


def aged(registry: Registry, by: timedelta) -> None:
    """As if everything that was published had come that much earlier."""
    with registry.db.transaction() as session:
        session.execute(
            update(CloudDocument).values(
                received_at=CloudDocument.received_at - by,
                created_at=CloudDocument.created_at - by,
                valid_until=CloudDocument.valid_until - by,
            )
        )


def at(ago: timedelta) -> str:
    return (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_search_finds_what_was_published_then(registry: Registry) -> None:
    with registry.db.transaction() as session:
        session.execute(text("update revision set at = at - interval '30 days'"))
    publish(registry, cores=16)
    aged(registry, 2 * DAY)
    publish(registry, cores=20)

    def quota(as_of: str) -> tuple[int | None, bool]:
        cesnet = next(
            one
            for one in registry.get(f"/api/v1/clouds?vo=training.egi.eu&as_of={as_of}")["items"]
            if one["site"] == "CESNET"
        )
        return cesnet["quota_vcpu"], bool(cesnet["sizes"])

    assert quota(str(newest(registry))) == (20, True)
    assert quota(at(2 * DAY - HOUR)) == (16, True)
    assert quota(at(DAY)) == (None, False), "too old by then: only what is declared"
    assert quota(at(3 * DAY)) == (None, False), "nothing had been published"
    for path in ("/clouds", "/sites/CESNET/drift", "/drift"):
        assert registry.ask("GET", f"{path}?as_of={at(2 * DAY - HOUR)}").status_code == 200


def test_a_search_in_a_revision_to_come_does_not_stand_for_it(registry: Registry) -> None:
    publish(registry)
    to_come = newest(registry) + 1
    path = f"/api/v1/clouds?as_of={to_come}"
    assert "CESNET" in {one["site"] for one in registry.get(path)["items"]}
    registry.send("PATCH", "/api/v1/sites/CESNET", {"name": "CESNET-MCC"})
    assert newest(registry) == to_come
    found = {one["site"] for one in registry.get(path)["items"]}
    assert "CESNET-MCC" in found
    assert "CESNET" not in found


def test_glue_of_then_holds_the_sizes_of_then_and_the_key_of_the_service(registry: Registry) -> None:
    with registry.db.transaction() as session:
        session.execute(text("update revision set at = at - interval '30 days'"))
    publish(registry)
    aged(registry, 2 * DAY)
    then = registry.get(f"/api/v1/sites/CESNET/glue21.json?as_of={at(2 * DAY - HOUR)}")
    now = registry.get("/api/v1/sites/CESNET/glue21.json")
    assert len(then["CloudComputingInstanceType"]) == 3
    assert now.get("CloudComputingInstanceType", []) == []
    (service,) = registry.get("/api/v1/services?site=CESNET")["items"]
    assert then["CloudComputingService"][0]["OtherInfo"]["gocdb_id"] == service["primary_key"]
    ldif = registry.ask("GET", f"/api/v1/glue2.ldif?as_of={at(2 * DAY - HOUR)}").text
    assert ldif.count("objectClass: GLUE2ExecutionEnvironment") == 3
    assert (
        "<ExecutionEnvironment"
        in registry.ask("GET", f"/api/v1/sites/CESNET/glue2.xml?as_of={at(2 * DAY - HOUR)}").text
    )


def test_drift_of_then_with_the_decision_of_then(registry: Registry) -> None:
    publish(registry, cores=18)
    fact = "vo training.egi.eu vcpu"
    found = registry.get("/api/v1/sites/CESNET/drift")
    assert fact in {one["fact"] for one in found["items"]}
    before = newest(registry)
    ignored = {"fact": fact, "reason": "a pledge", "until": (datetime.now(UTC) + DAY).isoformat()}
    registry.send("POST", "/api/v1/sites/CESNET/drift/ignore", ignored, status=200)
    while_ignored = newest(registry)
    registry.send("POST", "/api/v1/sites/CESNET/drift/accept", {"fact": fact}, status=200)

    def decided(as_of: int) -> dict[str, tuple[bool, str | None]]:
        items = registry.get(f"/api/v1/sites/CESNET/drift?as_of={as_of}")["items"]
        return {one["fact"]: (one["ignored"], one["ignored_reason"]) for one in items}

    with (
        registry.db.transaction() as session
    ):  # the documents are there from before the first of these revisions on
        session.execute(text("update cloud_document set received_at = received_at - interval '1 hour'"))
        session.execute(text("update cloud_document set created_at = created_at - interval '1 hour'"))
    assert decided(before)[fact] == (False, None)
    assert decided(while_ignored)[fact] == (True, "a pledge")
    assert fact not in decided(newest(registry))
    (site, *_) = registry.get(f"/api/v1/drift?as_of={while_ignored}")["items"]
    assert (site["site"], site["ignored"]) == ("CESNET", 1)
    page = registry.ask("GET", f"/sites/CESNET/drift?as_of={while_ignored}").text
    assert "a pledge" in page
    assert 'method="post"' not in page.partition("<main")[2].partition("</main")[0]


def test_of_old_documents_one_a_day_stays_and_answers_for_the_others(registry: Registry) -> None:
    publish(registry)
    begin = datetime.now(UTC).replace(hour=0, minute=30, second=0, microsecond=0) - 5 * DAY
    with registry.db.transaction() as session:
        (kept,) = session.scalars(select(CloudDocument))
        for number in range(40):  # every three hours over five days, each good for twelve
            came = begin + number * 3 * HOUR
            columns = {column.name: getattr(kept, column.name) for column in CloudDocument.__table__.columns}
            session.add(
                CloudDocument(
                    **{
                        **columns,
                        "id": None,
                        "sha256": f"{number:064}",
                        "received_at": came,
                        "created_at": came,
                        "heard_at": came,
                        "valid_until": came + 12 * HOUR,
                        "current": False,
                    }
                )
            )
        session.flush()
        cloud_history.forget_old(session, kept, 400, datetime.now(UTC))
        left = len(cloud_history.of_site(session, session.get_one(Site, kept.site_id)))
        assert ALL_KEPT < left < 41
        for number in range(8, 40):  # the first day's are gone but for its last
            moment = begin + number * 3 * HOUR + HOUR
            assert len(cloud_history.then(session, moment, site_ids=[kept.site_id])) == 1, moment
        cloud_history.forget_old(session, kept, 1, datetime.now(UTC))
        assert len(cloud_history.of_site(session, session.get_one(Site, kept.site_id))) <= ALL_KEPT + 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=120), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_thinning_loses_no_moment_after_the_first_document_that_stays(hours: list[int], days: int) -> None:
    """Whenever a document held before, one that is kept says that it stood; what held nothing stays empty."""
    came = datetime(2026, 1, 1, tzinfo=UTC)
    held = []
    for number, gap in enumerate(hours):
        came += gap * HOUR
        held.append(Kept(number, came, came + 12 * HOUR, current=number == len(hours) - 1))
    gone, stood = thinned(held, came - days * DAY)
    stays = [one for one in held if one.id not in gone]
    assert stays[-1] == held[-1]
    for one in held:
        if one.received_at < stays[0].received_at:
            continue
        for moment in (one.received_at, one.held_until - timedelta(minutes=1)):
            last = [each for each in held if each.received_at <= moment][-1]
            answering = [each for each in stays if each.received_at <= moment][-1]
            holds = last.held_until > moment
            assert (stood.get(answering.id, answering.held_until) > moment) or not holds
