"""The administrator's commands: republish, put-back, replay, archive, restore, pseudonymise; and the nightly job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from accounting.jobs import jobs, keep_less
from accounting.keeping_commands import commands
from tests.accounting.conftest import House
from tests.accounting.records import epoch, message, months_ago, record

Run = Callable[..., Result]
MONTH = f"{months_ago(5):%Y-%m}"


@pytest.fixture
def old(make_house: Any, database_for: Any, tmp_path: Path) -> House:
    """A house with a machine that ended five months ago, and a record that is refused."""
    key = "a-key-of-the-tests-that-is-long"
    made: House = make_house(
        database_for("accounting"), data_dir=tmp_path, pseudonym_key=key, keep_raw_months=3
    )
    start = epoch(months_ago(5))
    ended = {
        "RecordCreateTime": start + 3600,
        "StartTime": start,
        "EndTime": start + 3600,
        "WallDuration": 3600,
    }
    made.load(message(record("BIFI", "old", Status="completed", **ended), record("NOWHERE", "lost")))
    return made


@pytest.fixture
def run(old: House) -> Run:
    """`run("archive", "--before", "2026-01")`: what the command answers."""
    by_name = {command.name: command for command in commands(lambda: old.settings)}

    def call(name: str, *words: str) -> Result:
        return CliRunner().invoke(by_name[name], list(words))

    return call


def hours(house: House) -> float:
    return sum(wall for wall, _, _ in house.months().values()) / 3600


def test_a_month_is_taken_out_and_put_back(old: House, run: Run) -> None:
    out = run("republish", "BIFI", MONTH, "--reason", "a test")
    assert out.exit_code == 0, out.output
    assert "1 records of machines taken out" in out.output
    assert hours(old) == 0
    event = out.output.rpartition(" ")[2].strip()
    assert "records count again" in run("put-back", event).output
    assert hours(old) == 1


def test_republishing_needs_a_reason(run: Run) -> None:
    assert "--reason" in run("republish", "BIFI", MONTH).output


def test_refused_records_are_replayed_and_the_rest_is_explained(old: House, run: Run) -> None:
    out = run("replay", "-", "--code", "unknown_site")
    assert "0 of 1 records counted, 1 refused still" in out.output
    assert "is not a site of the registry" in out.output
    old.site("NOWHERE")
    assert "1 of 1 records counted, 0 refused still" in run("replay", "-").output


def test_old_months_are_archived_and_restored(old: House, run: Run, tmp_path: Path) -> None:
    out = run("archive")
    assert out.output == f"vm_snapshot/{MONTH}/part-1.parquet: 1 records of machines\n"
    assert (tmp_path / "archive" / "vm_snapshot" / MONTH / "part-1.parquet").exists()
    assert run("archive").output == "Nothing is old enough to go.\n"
    assert hours(old) == 1
    assert "1 records of machines" in run("restore", MONTH).output
    assert run("restore", MONTH).exit_code == 1


def test_without_a_setting_archiving_asks_for_a_month(old: House) -> None:
    keeps_all = old.settings.model_copy(update={"keep_raw_months": 0})
    command = next(each for each in commands(lambda: keeps_all) if each.name == "archive")
    assert "Say --before" in CliRunner().invoke(command, []).output


def test_the_nightly_job_archives_where_months_are_set(old: House) -> None:
    assert "archive" in {job.name for job in jobs(old.settings, old.db)}
    assert keep_less(old.settings, old.db) == "1 rows went into 1 archive files."
    assert keep_less(old.settings, old.db) == "Nothing is old enough to go."
    keeps_all = old.settings.model_copy(update={"keep_raw_months": 0})
    assert "archive" not in {job.name for job in jobs(keeps_all, old.db)}


def test_a_name_becomes_a_pseudonym(run: Run) -> None:
    out = run("pseudonymise", "--user", "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist")
    assert out.output.startswith("pseudonym-")
    assert out.exit_code == 0
