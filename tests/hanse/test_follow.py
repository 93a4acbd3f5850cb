"""Following a real feed over HTTP: bootstrap, cursor, resync, and a source that is away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.serving import make_server

from hanse import revisions
from hanse.database import Database, FollowCursor, Followed
from hanse.errors import Unavailable
from hanse.follow import Follower, follow_jobs, followed, lag
from hanse.identity.authority import Authority
from hanse.revisions import Actor, change, new_epoch
from hanse.settings import ServiceSettings
from hanse.web import make_app
from hanse.web.feed import feed_room

INGRID = Actor("person:1", "Ingrid Holm")
TOKEN = "the token of accounting"


class Source:
    """A registry with nothing but its feed, on a port of its own."""

    def __init__(self, db: Database, settings: ServiceSettings) -> None:
        self.db = db
        self._app = make_app(
            "registry",
            settings,
            db,
            import_name="hanse",
            rooms=[feed_room()],
            authority=Authority(db, {"accounting": TOKEN}),
        )
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = make_server("127.0.0.1", self.port, self._app, threaded=True)
        self.port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def put(self, **sites: str) -> None:
        with self.db.transaction() as session, change(session, INGRID, "a test") as changes:
            for id_, name in sites.items():
                changes.put("site", id_, {"name": name})

    def delete(self, id_: str) -> None:
        with self.db.transaction() as session, change(session, INGRID, "a test") as changes:
            changes.delete("site", id_)


@pytest.fixture
def source(database_for: Callable[[str], Database], settings_for: Callable[..., Any]) -> Iterator[Source]:
    db = database_for("hanse")
    made = Source(db, settings_for(ServiceSettings, "registry", db))
    yield made
    made.stop()


@pytest.fixture
def follower(source: Source, ground: Database) -> Follower:
    return Follower(ground, "registry", source.url, TOKEN)


def names(db: Database) -> dict[str, str]:
    with db.transaction() as session:
        return {id_: body["name"] for id_, body in followed(session, "registry", "site").items()}


def test_the_first_pull_brings_what_is_current(source: Source, follower: Follower, ground: Database) -> None:
    source.put(a="CESNET", b="BIFI")
    source.put(a="CESNET-MCC")
    source.delete("b")
    assert follower.pull() == 1
    assert names(ground) == {"a": "CESNET-MCC"}
    with ground.transaction() as session:
        assert lag(session)["registry"].behind == 0


def test_later_pulls_bring_only_what_is_new(source: Source, follower: Follower, ground: Database) -> None:
    source.put(a="CESNET", b="BIFI")
    follower.pull()
    assert follower.pull() == 0
    source.put(c="UKIM", a="CESNET-MCC")
    source.delete("b")
    assert follower.pull() == 3
    assert names(ground) == {"a": "CESNET-MCC", "c": "UKIM"}
    with ground.transaction() as session:
        assert session.get_one(Followed, ("registry", "site", "c")).revision == 2


def test_an_empty_feed_can_be_followed(source: Source, follower: Follower, ground: Database) -> None:
    assert follower.pull() == 0
    source.put(a="CESNET")
    assert follower.pull() == 1


def test_many_small_pages_come_to_the_same(source: Source, ground: Database) -> None:
    follower = Follower(ground, "registry", source.url, TOKEN, page=2)
    for number in range(9):
        source.put(**{f"s{number}": str(number)})
    assert follower.pull() == 9
    for number in range(4):
        source.put(**{f"s{number}": "changed"})
        source.delete(f"s{number + 4}")
    assert follower.pull() == 8
    assert names(ground) == {**{f"s{number}": "changed" for number in range(4)}, "s8": "8"}


def test_a_new_epoch_makes_the_copy_anew(source: Source, follower: Follower, ground: Database) -> None:
    source.put(a="CESNET", b="BIFI")
    follower.pull()
    with source.db.transaction() as session:  # as after a restore in which b was not yet there
        new_epoch(session)
        session.execute(text("delete from history where entity_id = 'b'"))
    follower.pull()
    assert names(ground) == {"a": "CESNET"}


def test_a_head_behind_the_cursor_makes_the_copy_anew(
    source: Source, follower: Follower, ground: Database
) -> None:
    source.put(a="CESNET")
    source.put(b="BIFI")
    follower.pull()
    with source.db.transaction() as session:  # the epoch was forgotten in the restore
        session.execute(text("delete from history where from_revision = 2"))
        session.execute(text("delete from revision where number = 2"))
    follower.pull()
    assert names(ground) == {"a": "CESNET"}
    source.put(c="UKIM")
    assert follower.pull() == 1


def test_resync_leaves_other_sources_and_local_rows_alone(
    source: Source, follower: Follower, ground: Database
) -> None:
    with ground.transaction() as session:
        for other in ("local", "vomsdb"):
            session.add(Followed(source=other, kind="grant", id="1", body={"role": "operator"}, revision=0))
    source.put(a="CESNET")
    follower.pull()
    with source.db.transaction() as session:
        new_epoch(session)
    follower.pull()
    with ground.transaction() as session:
        assert followed(session, "local", "grant") == {"1": {"role": "operator"}}
        assert followed(session, "vomsdb", "grant") == {"1": {"role": "operator"}}


def test_readers_never_see_half_of_a_bootstrap(
    source: Source, ground: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(ground, "registry", source.url, TOKEN, page=3)
    source.put(**{f"s{number}": "old" for number in range(3)})
    source.put(**{f"t{number}": "old" for number in range(3)})
    follower.pull()
    with source.db.transaction() as session:
        new_epoch(session)
    seen: list[int] = []
    fetch = follower._fetch

    def watched(since: int, wait_s: float) -> Any:
        seen.append(len(names(ground)))
        return fetch(since, wait_s)

    monkeypatch.setattr(follower, "_fetch", watched)
    follower.pull()
    assert len(seen) >= 3
    assert set(seen) == {6}


def test_a_source_that_is_away_leaves_the_copy_its_age_and_the_error(
    source: Source, follower: Follower, ground: Database
) -> None:
    source.put(a="CESNET")
    follower.pull()
    source.stop()
    try:
        with pytest.raises(Unavailable, match="feed of registry cannot be read"):
            follower.pull()
        with ground.transaction() as session:
            session.get_one(FollowCursor, "registry").pulled_at = datetime.now(UTC) - timedelta(hours=2)
        with ground.transaction() as session:
            old = lag(session)["registry"]
        assert names(ground) == {"a": "CESNET"}
        assert old.age_s == pytest.approx(7200, abs=60)
        assert old.error is not None
        assert "cannot be read" in old.error
    finally:
        source.start()
    assert follower.pull() == 0
    with ground.transaction() as session:
        fresh = lag(session)["registry"]
    assert fresh.error is None
    assert fresh.age_s is not None
    assert fresh.age_s < 60


def test_a_source_that_never_answered_has_no_age(ground: Database) -> None:
    with pytest.raises(Unavailable):
        Follower(ground, "registry", "http://127.0.0.1:9", TOKEN).pull()
    with ground.transaction() as session:
        assert lag(session)["registry"].age_s is None


def test_a_wrong_token_is_told(source: Source, ground: Database) -> None:
    with pytest.raises(Unavailable, match="answered 401; check its address and our token"):
        Follower(ground, "registry", source.url, "no token of ours").pull()
    with ground.transaction() as session:
        assert "401" in str(lag(session)["registry"].error)


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """A server that answers everything with `body`."""

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]

    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "does not answer like a feed"),
        (b'{"epoch": "e", "head": 5}', "does not answer like a feed"),
        (b'{"epoch": "e", "head": 5, "next": 0, "changes": []}', "does not move on"),
    ],
)
def test_something_else_at_the_address_is_told(ground: Database, body: bytes, said: str) -> None:
    with answering(body) as url, pytest.raises(Unavailable, match=said):
        Follower(ground, "registry", url, TOKEN).pull()
    assert names(ground) == {}


def test_a_waiting_pull_is_answered_by_the_change(
    source: Source, follower: Follower, ground: Database
) -> None:
    source.put(a="CESNET")
    follower.pull()
    timer = threading.Timer(0.5, source.put, kwargs={"b": "BIFI"})
    timer.start()
    began = datetime.now(UTC)
    assert follower.pull(wait_s=20) == 1
    assert datetime.now(UTC) - began < timedelta(seconds=10)
    timer.join()


def test_two_followers_of_one_database_do_not_apply_a_page_twice(source: Source, ground: Database) -> None:
    one, other = (Follower(ground, "registry", source.url, TOKEN, page=1) for _ in range(2))
    for number in range(10):
        source.put(a=str(number), **{f"s{number}": "x"})
    threads = [threading.Thread(target=each.pull) for each in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    one.pull()
    assert names(ground) == {"a": "9", **{f"s{number}": "x" for number in range(10)}}
    with source.db.transaction() as session:
        at_head = revisions.head(session)
    with ground.transaction() as session:
        assert session.get_one(FollowCursor, "registry").cursor == at_head


def test_a_service_follows_those_it_has_an_address_of(
    source: Source, ground: Database, settings_for: Callable[..., Any]
) -> None:
    settings = settings_for(
        ServiceSettings,
        "accounting",
        ground,
        registry_url=source.url,
        service_token=TOKEN,
        follow_interval_s=7,
    )
    source.put(a="CESNET")
    (job,) = follow_jobs(settings, ground, "registry", "vomsdb")
    assert (job.name, job.every_s) == ("follow registry", 7)
    assert job.run() == "1 change from registry."
    assert job.run() == "Nothing new from registry."
    source.put(a="CESNET-MCC", b="BIFI")
    assert job.run() == "2 changes from registry."
