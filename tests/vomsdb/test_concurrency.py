"""Many at once: nobody deadlocks, no number is given twice, and no certificate is signed after a suspension."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from hanse.errors import Conflict
from hanse.identity.trust import TrustStore
from vomsdb import (
    acknowledging,
    attributes,
    aups,
    decisions,
    groups,
    members,
    publishing,
    replication,
    suspensions,
)
from vomsdb.acknowledging import Report
from vomsdb.attributes import Ask, Fault, Wanted
from vomsdb.models import Member, Replica, Snapshot
from vomsdb.protocols import voms_keys
from vomsdb.standing import Looks, looks_of

VO = "training.egi.eu"
CAP = timedelta(hours=12)


def _all_at_once(seconds: float, *acts: Callable[[], None]) -> list[BaseException]:
    """Repeats every act in a thread of its own for a while; what went wrong."""
    ends, faults = time.monotonic() + seconds, []

    def repeat(act: Callable[[], None]) -> None:
        try:
            while time.monotonic() < ends:
                act()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=repeat, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


def test_writers_and_sites_never_hold_one_another_up(house: Any) -> None:
    house.register("ALPHA", "chipster")
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    other, paavo = house.join("Tomás Vidal", "chipster", "Paavo Salo"), house.principal("Paavo Salo")
    with house.db.transaction() as session:
        publishing.follow_the_registry(session)

    def change(who: Member, by: Any) -> Callable[[], None]:
        def act() -> None:
            with house.db.transaction() as session:
                suspensions.suspend(session, who.id, "OTHER", "a test", by)
            with house.db.transaction() as session:
                suspensions.restore(session, who.id, "over", by)

        return act

    def publish() -> None:
        with house.db.transaction() as session:
            publishing.follow_the_registry(session)
            publishing.publish_changed(session, house.press)

    def run() -> None:
        with house.db.transaction() as session:
            replication.tell_all(session, house.press, None, timedelta(0))

    def site(name: str) -> Callable[[], None]:
        def act() -> None:
            with house.db.transaction() as session:
                replication.current_manifests(session, name, house.press)
            with house.db.transaction() as session:
                held = session.scalars(
                    select(Replica).where(Replica.site == name, Replica.sha256.is_not(None))
                ).first()
            if held is not None:
                report = Report(held.vo, held.seq, held.sha256, datetime.now(UTC), {}, [], "1")
                with house.db.transaction() as session:
                    acknowledging.acknowledge(session, name, report)

        return act

    acts = [
        change(member, marta),
        change(other, paavo),
        publish,
        run,
        site("CESNET"),
        site("BIFI"),
        site("ALPHA"),
    ]
    assert _all_at_once(4, *acts) == []
    publish()
    with house.db.transaction() as session:
        for vo in (VO, "chipster"):
            numbers = list(
                session.scalars(select(Snapshot.seq).where(Snapshot.vo == vo).order_by(Snapshot.seq))
            )
            assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("first", [True, False])
def test_no_certificate_is_handed_out_after_a_suspension(house: Any, first: bool) -> None:
    """What is committed before the first look or before the second one counts: what was signed is thrown away."""
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    authority = voms_keys.keys_of(house.settings)[0].authority()
    chain = TrustStore(house.settings.trust_dir).verify([house.cast["Anna Lindqvist"].cert])
    looked = []

    def query(statement: str, given: dict[str, str]) -> list[tuple[object, ...]]:
        if len(looked) == (0 if first else 1):
            with house.db.transaction() as session:
                suspensions.suspend(session, member.id, "SECURITY_INCIDENT", "key lost", marta)
        looked.append(statement)
        with house.db.transaction() as session:
            return looks_of(session).query(statement, given)

    with pytest.raises(Fault, match="key lost"):
        attributes.issue(Looks(query), authority, Ask((Wanted(f"/{VO}"),)), chain, CAP)
    assert len(looked) == (1 if first else 2)


def test_a_role_that_is_given_meanwhile_is_signed_for_anew(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as session:
        groups.create_group(session, VO, f"/{VO}/students", "", marta)
    authority = voms_keys.keys_of(house.settings)[0].authority()
    chain = TrustStore(house.settings.trust_dir).verify([house.cast["Anna Lindqvist"].cert])
    looked = []

    def query(statement: str, given: dict[str, str]) -> list[tuple[object, ...]]:
        if len(looked) == 1:
            with house.db.transaction() as session:
                groups.give(session, member.id, f"/{VO}/students", marta)
        looked.append(statement)
        with house.db.transaction() as session:
            return looks_of(session).query(statement, given)

    issued = attributes.issue(Looks(query), authority, Ask((Wanted(f"/{VO}"),)), chain, CAP)
    assert issued.fqans == (f"/{VO}", f"/{VO}/students")
    assert len(looked) == 3


def test_two_groups_for_one_member_at_once_are_both_there(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    for name in ("a", "b"):
        with house.db.transaction() as session:
            groups.create_group(session, VO, f"/{VO}/{name}", "", marta)
    start, faults = threading.Barrier(2), []

    def give(name: str) -> None:
        start.wait()
        try:
            with house.db.transaction() as session:
                groups.give(session, member.id, f"/{VO}/{name}", marta)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=give, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with house.db.transaction() as session:
        assert members.profile(session, member.id).fqans == (f"/{VO}", f"/{VO}/a", f"/{VO}/b")


def test_who_signs_or_is_admitted_while_an_aup_is_published_has_it_to_sign(house: Any) -> None:
    house.join("Anna Lindqvist")
    waiting = house.confirm(house.apply("Tomás Vidal"))
    marta, anna = house.principal("Marta Kowalska"), house.principal("Anna Lindqvist")
    start, faults = threading.Barrier(3), []
    acts: list[Callable[[Any], object]] = [
        lambda session: aups.sign(session, VO, 1, anna),
        lambda session: decisions.approve(session, VO, waiting.id, "", marta),
    ]

    def at_once(act: Callable[[Any], object]) -> None:
        start.wait()
        try:
            with house.db.transaction() as session:
                act(session)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=at_once, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    with house.db.transaction() as session:
        aups.publish(session, VO, "Be kinder.", 15, marta)
        start.wait()
        time.sleep(0.5)  # both have looked, and wait
    for thread in threads:
        thread.join()
    assert [type(fault) for fault in faults] == [Conflict]
    with house.db.transaction() as session:
        rows = session.scalars(select(Member)).all()
    assert [(row.aup_version, row.aup_due is not None) for row in rows] == [(1, True), (1, True)]


def test_of_two_who_suspend_the_second_is_told_also_when_both_looked_first(house: Any) -> None:
    member, marta = house.join("Anna Lindqvist"), house.principal("Marta Kowalska")
    with house.db.transaction() as slow:
        members.profile(slow, member.id)
        with house.db.transaction() as quick:
            suspensions.suspend(quick, member.id, "OTHER", "first", marta)
        with pytest.raises(Conflict, match="already"):
            suspensions.suspend(slow, member.id, "OTHER", "second", marta)
