"""A writer killed at any moment, by signal 9 and not by a mock: no half change, no row without its revision, and no
revision without its row. A real process, a real PostgreSQL.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from multiprocessing.synchronize import Event
from typing import Any

import pytest
from sqlalchemy import event, text

from hanse.database import Database
from hanse.errors import HanseError
from hanse.identity.authority import Authority
from hanse.revisions import head
from registry import consistency, services, sites, undo
from registry.schemas.services import EndpointFields, ServiceIn
from registry.schemas.sites import SiteEdit, SiteIn

from .conftest import OCCI, Registry, site_document

KILLS = 4


def _write(url: str, token: str, begun: Event, seed: int) -> None:
    """Changes of many rows each, one after another, until somebody ends it."""
    db = Database(url)
    principal = Authority(db, {}).for_token(token)
    begun.set()
    number = 0
    while True:
        number += 1
        name = f"S{seed}-{number}"
        try:
            form = SiteIn(**site_document("BIFI", name=name, usage_site_names=[name]))
            sites.register(db, principal, form)
            ends = [
                EndpointFields(name=f"e{one}", url=f"https://{name}.example.org/{one}") for one in range(5)
            ]
            for one in range(3):
                host = f"h{one}.{name.lower()}.example.org"
                services.register(
                    db, principal, name, ServiceIn(service_type=OCCI, hostname=host, endpoints=ends)
                )
            sites.edit(db, principal, name, SiteEdit(name=f"{name}-moved", extensions={"n": str(number)}))
            sites.remove(db, principal, f"{name}-moved", "")
            with db.transaction() as session:
                last = head(session)
            undo.undo(db, principal, last)
        except HanseError:
            continue


def _wait_for_nobody(db: Database) -> None:
    """Until PostgreSQL has noticed that its client is gone: no other transaction is open."""
    open_ones = text(
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        " and (xact_start is not null or state = 'active')"
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with db.transaction() as session:
            if not session.scalar(open_ones):
                return
        time.sleep(0.05)
    pytest.fail("The killed writer's transaction is still open.")


def _wait_for_revisions(db: Database, many: int) -> None:
    """Until so many more were written: a busy machine starts a process slowly."""
    deadline, first = time.monotonic() + 60, None
    while time.monotonic() < deadline:
        with db.transaction() as session:
            newest = head(session)
        first = newest if first is None else first
        if newest >= first + many:
            return
        time.sleep(0.01)
    pytest.fail("The writer wrote nothing.")


def test_writers_killed_at_any_moment_leave_rows_and_log_in_step(registry: Registry) -> None:
    chance = random.Random(20261125)
    context = multiprocessing.get_context("spawn")
    # without the application's own connections, which would look like a writer's
    registry.app.extensions["hanse"].db.close()
    for turn in range(KILLS):
        begun = context.Event()
        arguments = (registry.db.url, registry.tokens["Ingrid Holm"], begun, turn)
        writer = context.Process(target=_write, args=arguments)
        writer.start()
        assert begun.wait(60)
        _wait_for_revisions(registry.db, 1 + chance.randrange(4))
        time.sleep(chance.uniform(0, 0.15))
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(20)
        assert writer.exitcode == -signal.SIGKILL, "the writer ended by itself"
        _wait_for_nobody(registry.db)
        with registry.db.transaction() as session:
            assert consistency.check(session) == []


# --- the same at every single statement of one change ------------------------------------------------------------


def _die_at(url: str, token: str, statement: int) -> None:
    """One change of many rows; the process ends itself right before the given statement is sent."""
    db = Database(url)
    principal = Authority(db, {}).for_token(token)
    sent = 0

    @event.listens_for(db.engine, "before_cursor_execute")
    def count(*_: Any) -> None:
        nonlocal sent
        sent += 1
        if sent == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    @event.listens_for(db.engine, "commit")
    def committing(*_: Any) -> None:
        nonlocal sent
        sent += 1
        if sent == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    sites.edit(db, principal, "BIFI", SiteEdit(name="BIFI-CLOUD", extensions={"a": "1"}))
    os._exit(0)


def test_a_rename_is_whole_or_not_at_all_wherever_it_is_cut(registry: Registry) -> None:
    """Every statement of the change in turn is the one that is never sent."""
    registry.app.extensions["hanse"].db.close()
    context = multiprocessing.get_context("fork")
    registry.db.close()
    statement, outcomes = 0, []
    while not outcomes or outcomes[-1] == -signal.SIGKILL:
        statement += 3 if statement < 24 else 1
        assert statement < 120, "the change never came to its end"
        writer = context.Process(
            target=_die_at, args=(registry.db.url, registry.tokens["Ingrid Holm"], statement)
        )
        writer.start()
        writer.join(30)
        outcomes.append(writer.exitcode)
        _wait_for_nobody(registry.db)
        with registry.db.transaction() as session:
            assert consistency.check(session) == [], f"cut before statement {statement}"
            renamed = session.scalar(text("select count(*) from site where name = 'BIFI-CLOUD'"))
        registry.db.close()
        assert renamed == (writer.exitcode == 0), f"cut before statement {statement}"
    assert len(outcomes) > 5
