"""The revision log and the rows: no row without its revision, no revision without its row, whatever happens."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from hanse.database import Database
from hanse.errors import HanseError, NotFound
from hanse.identity.principals import Principal
from hanse.revisions import head
from registry import (
    consistency,
    credentials,
    downtimes,
    ngis,
    people,
    policy_contacts,
    recording,
    roles,
    services,
    sites,
)
from registry.consistency import rows_as_log
from registry.models import ContactConfirmation, Downtime, Endpoint, Service, Site
from registry.schemas.downtimes import DowntimeEdit, DowntimeIn, EndIn
from registry.schemas.people import RoleIn
from registry.schemas.services import EndpointIn, ServiceEdit, ServiceIn
from registry.schemas.sites import NgiIn, SiteEdit, SiteIn, TokenIn

from .conftest import OCCI, Registry, site_document


def assert_in_step(db: Database) -> None:
    with db.transaction() as session:
        assert consistency.check(session) == []


def test_what_the_cast_did_is_in_the_log(registry: Registry) -> None:
    assert_in_step(registry.db)
    with registry.db.transaction() as session:
        counted = consistency.states_counted(session)
    assert counted["site"] == counted["service"] == 3


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("update site set description = 'by hand' where name = 'BIFI'", "differs .* in description"),
        ("delete from service where hostname like '%ukim%'", "its table has no such row"),
        (
            "insert into ngi (id, name) values (999, 'NGI_XX')",
            "The ngi 999 is in its table and not in the log",
        ),
        (
            "update history set to_revision = from_revision + 1 where to_revision is null and kind = 'site'",
            "the log says|do not follow",
        ),
        (
            "insert into revision (number, at, actor, actor_name, reason) values"
            " (999999, now() + interval '1 h', 'x', 'x', 'x')",
            "Revision 999999 changed nothing",
        ),
    ],
)
def test_what_was_done_behind_the_log_is_found(registry: Registry, damage: str, sentence: str) -> None:
    with registry.db.transaction() as session:
        session.execute(text(damage))
    with registry.db.transaction() as session:
        found = consistency.check(session)
    assert any(re.search(sentence, one.sentence) for one in found), found


Act = Callable[[Database, Principal, int], object]


def _first(db: Database, model: type[Any], number: int) -> int:
    with db.transaction() as session:
        ids = sorted(session.scalars(select(model.id)))
    if not ids:
        raise NotFound("nothing there")
    return int(ids[number % len(ids)])


def _site(db: Database, number: int) -> str:
    with db.transaction() as session:
        names = sorted(session.scalars(select(Site.name)))
    if not names:
        raise NotFound("nothing there")
    return names[number % len(names)]


def _declare(db: Database, operator: Principal, number: int) -> object:
    start = datetime.now(UTC) + timedelta(hours=number - 3)
    return downtimes.declare(
        db,
        operator,
        DowntimeIn(
            sites=list({_site(db, number), _site(db, number + number % 2)}),
            services=[_first(db, Service, number)] if number == 5 else None,
            severity="OUTAGE",
            description="x",
            start=start,
            end=start + timedelta(hours=number),
        ),
    )


def _grant(db: Database, operator: Principal, number: int) -> object:
    form = RoleIn(
        person=int(operator.person or 0), role="site_administrator", scope=f"site:{_site(db, number)}"
    )
    return roles.grant(db, operator, form)


ACTS: dict[str, Act] = {
    "register a site": lambda db, who, n: sites.register(
        db, who, SiteIn(**site_document("BIFI", name=f"NEW{n}", usage_site_names=[f"NEW{n}"]))
    ),
    "rename a site": lambda db, who, n: sites.edit(db, who, _site(db, n), SiteEdit(name=f"OTHER{n}")),
    "change a site": lambda db, who, n: sites.edit(
        db, who, _site(db, n), SiteEdit(official_name=f"Official {n}", extensions={"n": str(n)})
    ),
    "remove a site": lambda db, who, n: sites.remove(db, who, _site(db, n), ""),
    "rename an NGI": lambda db, who, n: ngis.replace(
        db, who, "NGI_CZ", NgiIn(name="NGI_CZ", description=str(n))
    ),
    "register a service": lambda db, who, n: services.register(
        db,
        who,
        _site(db, n),
        ServiceIn(service_type=OCCI, hostname=f"h{n}.example.org", url="https://h.example.org/"),
    ),
    "change a service": lambda db, who, n: services.edit(
        db, who, _first(db, Service, n), ServiceEdit(description=f"d{n}", beta=n % 2 == 0)
    ),
    "remove a service": lambda db, who, n: services.remove(db, who, _first(db, Service, n), ""),
    "add an endpoint": lambda db, who, n: services.add_endpoint(
        db, who, _first(db, Service, n), EndpointIn(name=f"e{n}", url="https://e.example.org/")
    ),
    "remove an endpoint": lambda db, who, n: services.remove_endpoint(db, who, _first(db, Endpoint, n), ""),
    "declare a downtime": _declare,
    "change a downtime": lambda db, who, n: downtimes.edit(
        db, who, _first(db, Downtime, n), DowntimeEdit(severity="WARNING")
    ),
    "end a downtime": lambda db, who, n: downtimes.end_early(
        db, who, _first(db, Downtime, n), EndIn(services=None if n % 2 else [_first(db, Service, n)])
    ),
    "delete a downtime": lambda db, who, n: downtimes.remove(db, who, _first(db, Downtime, n), ""),
    "let the clock run": lambda db, who, n: downtimes.move_with_clock(db),
    "make a site token": lambda db, who, n: credentials.make_site_token(
        db, who, _site(db, n), TokenIn(name=f"t{n}")
    ),
    "make a token": lambda db, who, n: people.make_token(db, who, TokenIn(name=f"t{n}")),
    "grant a role": _grant,
}


@given(st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 6)), min_size=1, max_size=12))
@settings(
    max_examples=20,
    phases=(
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ),  # each example writes on: shrinking would see another world
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_course_of_events_leaves_rows_and_log_in_step(
    registry: Registry, course: list[tuple[str, int]]
) -> None:
    operator = registry.principal("Ingrid Holm")
    for act, number in course:
        try:
            ACTS[act](registry.db, operator, number)
        except HanseError:  # refused is fine, half done is not
            continue
    assert_in_step(registry.db)


class PowerCut(Exception):
    pass


@pytest.mark.parametrize("act", ["register a site", "rename a site", "remove a site", "declare a downtime"])
@pytest.mark.parametrize("when", ["before the log", "after the log"])
def test_a_write_that_is_cut_off_leaves_nothing(
    registry: Registry, act: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = registry.principal("Ingrid Holm")
    with registry.db.transaction() as session:
        before, was = rows_as_log(session), head(session)
    original = recording.change

    def cut_off(*arguments: Any) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def manager() -> Any:
            if when == "after the log":
                with original(*arguments) as recorded:
                    yield recorded
            else:
                with original(*arguments) as recorded:
                    yield recorded
                    raise PowerCut
            raise PowerCut

        return manager()

    monkeypatch.setattr(recording, "change", cut_off)
    with pytest.raises(PowerCut):
        ACTS[act](registry.db, operator, 5)
    monkeypatch.undo()
    with registry.db.transaction() as session:
        assert rows_as_log(session) == before
        assert head(session) == was
    assert_in_step(registry.db)


def test_writers_at_the_same_moment_lose_nothing(registry: Registry) -> None:
    """Eight people, one site and their own sites: every change that was answered is there, in one line of numbers."""
    operator = registry.principal("Ingrid Holm")
    faults: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(5):
                sites.edit(registry.db, operator, "BIFI", SiteEdit(extensions={f"w{number}": str(turn)}))
                services.register(
                    registry.db,
                    operator,
                    "BIFI" if number % 2 else "UKIM",
                    ServiceIn(service_type=OCCI, hostname=f"h{number}-{turn}.example.org"),
                )
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert_in_step(registry.db)
    with registry.db.transaction() as session:
        assert len(list(session.scalars(select(Service)))) == 3 + 40


def test_two_who_register_one_name_at_once_are_told(registry: Registry) -> None:
    operator = registry.principal("Ingrid Holm")
    answers: list[object] = []

    def register() -> None:
        form = SiteIn(**site_document("BIFI", name="TWIN", usage_site_names=["TWIN"]))
        try:
            answers.append(sites.register(registry.db, operator, form))
        except HanseError as error:
            answers.append(type(error).__name__)

    threads = [threading.Thread(target=register) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(str, answers)) == ["Conflict", "Conflict", "Conflict", "TWIN"]
    assert_in_step(registry.db)


def test_what_a_policy_and_people_said_of_a_site_goes_and_moves_with_it(registry: Registry) -> None:
    """Proposals and answers of contacts name the site: renamed with it, gone with it."""
    registry.send(
        "POST",
        "/api/v1/sites/BIFI/certification/proposals",
        {"status": "Suspended", "reason": "Silent for a month"},
    )
    with registry.db.transaction() as session:
        site = session.scalars(select(Site).where(Site.name == "BIFI")).one()
        question = ContactConfirmation(
            site_id=site.id,
            email="admin@bifi.example",
            code_hash=hashlib.sha256(b"a code").hexdigest(),
            asked_by="the policy",
            expires_at=datetime.now(UTC) + timedelta(days=9),
        )
        session.add(question)
    policy_contacts.confirm(registry.db, "a code")
    assert_in_step(registry.db)
    operator = registry.principal("Ingrid Holm")
    sites.edit(registry.db, operator, "BIFI", SiteEdit(name="BIFI-CLOUD"))
    assert_in_step(registry.db)
    with registry.db.transaction() as session:
        counted = consistency.states_counted(session)
    assert (counted["certification_proposal"], counted["contact_confirmation"]) == (1, 1)
    sites.remove(registry.db, operator, "BIFI-CLOUD", "")
    assert_in_step(registry.db)
