"""The failure table of docs/accounting.md: what happens in each case is what it says there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.accounting.conftest import House
from tests.accounting.failure_cases import CASES, Case
from tests.accounting.records import epoch, months_ago

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "accounting.md"
TOO_LARGE = "message above the limit"


def table() -> dict[str, str]:
    """Case and result, as the manual has them."""
    rows = re.findall(
        r"^\| (?P<case>[^|]+?) \| [^|]* \| [^|]* \| (?P<result>[^|]+?) \|$", MANUAL.read_text(), re.M
    )
    return {case: result for case, result in rows if case != "Case" and not case.startswith("---")}


def result(house: House) -> str:
    """What became of everything that was sent, in the words of the table."""
    with house.db.transaction() as session:
        counted = session.scalar(text("select coalesce(sum(loaded), 0) from message"))
    codes = sorted(each.code for each in house.refused())
    parts = [f"accepted {counted}"] if counted else []
    if codes:
        parts.append(f"refused {len(codes)}: " + ", ".join(f"`{code}`" for code in dict.fromkeys(codes)))
    remarks = sorted(house.remarks())
    if remarks:
        parts.append("remark: " + ", ".join(f"`{code}`" for code in remarks))
    return "; ".join(parts)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_happens_is_what_the_manual_says(case: Case, house: House, cast: Any) -> None:
    case.send(house, cast)
    assert result(house) == table()[case.name]


def test_a_message_above_the_limit_is_answered_413(
    client: FlaskClient, house: House, bifi_token: dict[str, str]
) -> None:
    where = "/v1/projects/accounting/topics/eu-egi-cloud-accounting:publish"
    body = b" " * (house.settings.max_body_bytes + 1)
    answer = client.post(where, data=body, headers=bifi_token)
    assert answer.status_code == 413
    assert answer.json is not None
    assert (
        f"answered {answer.status_code} `{answer.json['error']['status']}`; nothing stored"
        == table()[TOO_LARGE]
    )


def test_the_manual_has_each_case_and_no_other() -> None:
    assert set(table()) == {case.name for case in CASES} | {TOO_LARGE}


# --- what the words of the table leave out ------------------------------------------------------------------------


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def walls(house: House, **where: str) -> dict[str, int]:
    return {month: wall for month, (wall, _, _) in house.months(**where).items()}


def test_a_gap_is_filled_in_proportion_to_time(house: House, cast: Any) -> None:
    named("gap of months").send(house, cast)
    between = months_ago(3)
    following = months_ago(2)
    seconds = epoch(following.replace(day=1, hour=0)) - epoch(between.replace(day=1, hour=0))
    assert walls(house)[f"{between:%Y-%m}"] == seconds


def test_a_reset_counts_from_zero_and_no_month_is_negative(house: House, cast: Any) -> None:
    named("counter reset").send(house, cast)
    assert sum(walls(house).values()) == epoch(months_ago(2, day=20)) - epoch(months_ago(5, day=2)) + 86_400
    assert min(walls(house).values()) >= 0


def test_order_and_repetition_do_not_change_the_sum(house: House, cast: Any) -> None:
    named("older snapshot after a newer one").send(house, cast)
    assert sum(walls(house).values()) == epoch(months_ago(1, day=20)) - epoch(months_ago(5, day=2))


def test_no_site_touches_anothers_machine(house: House, cast: Any) -> None:
    named("same VMUUID from another site").send(house, cast)
    assert sum(walls(house, site="BIFI").values()) == sum(walls(house, site="CESNET").values()) == 86_400
