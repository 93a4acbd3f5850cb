"""Questions about usage: every dimension and measure, pivots that add up, machines counted once, who sees whom."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounting import asking, places, schemas
from accounting.api.usage import UsageQuery
from accounting.asking import KINDS, MEASURES, NOBODY, Line, Question, Sight, answer
from hanse.errors import Refused
from tests.accounting.conftest import House
from tests.accounting.records import NOW, epoch, message, months_ago, record
from tests.accounting.test_usage_api import ANNA, TOMAS, ran

TODAY = NOW.date()
EVERYBODY = Sight(everything=True)


@pytest.fixture
def used(house: House) -> House:
    """BIFI: Anna 10 h of 2 cores and Tomás 20 h of chipster, 4 cores; CESNET: Anna 5 h; UKIM: Tomás 7 h the month
    before.
    """
    house.load(
        message(
            ran("BIFI", "a", 10) | {"ImageId": "debian", "BenchmarkType": "HEPSPEC06", "Benchmark": 10},
            ran("BIFI", "b", 20, vo="chipster", user=TOMAS, cores=4),
            ran("CESNET", "c", 5),
            ran("UKIM", "d", 7, user=TOMAS, ago=2),
        )
    )
    house.follow("vo", "chipster", {"name": "chipster", "discipline": "Life sciences"})
    return house


def asked(measure: str = "cpu_hours", by: str = "", kind: str = "", **only: list[str]) -> Question:
    return asking.asked(kind, measure, None, None, by, only, TODAY)


def figures(house: House, question: Question, sight: Sight = EVERYBODY) -> dict[Any, float | None]:
    with house.db.transaction() as session:
        lines = answer(session, question, sight)
    return {
        line.values
        if len(line.values) > 1
        else line.values[0]
        if line.values
        else (): question.figures.figure(line.sums)
        for line in lines
    }


@pytest.mark.parametrize(
    ("by", "found"),
    [
        ("site", {"BIFI": 100, "CESNET": 10, "UKIM": 14}),
        ("ngi", {"NGI_IBERGRID": 100, "NGI_CZ": 10, "NGI_MK": 14}),
        ("country", {"Spain": 100, "Czech Republic": 10, "North Macedonia": 14}),
        ("vo", {"training.egi.eu": 44, "chipster": 80}),
        ("discipline", {"unknown": 44, "Life sciences": 80}),
        ("user", {ANNA: 30, TOMAS: 94}),
        ("image", {"debian": 20, "ubuntu-24.04": 104}),
        ("cores", {"2": 44, "4": 80}),
        ("status", {"completed": 124}),
        ("service", {"BIFI-CLOUD": 100, "CESNET-CLOUD": 10, "UKIM-CLOUD": 14}),
        ("group", {"/training.egi.eu": 44, "/chipster": 80}),
        ("month", {f"{months_ago(1):%Y-%m}": 110, f"{months_ago(2):%Y-%m}": 14}),
        ("", {(): 124}),
    ],
)
def test_cpu_hours_by(used: House, by: str, found: dict[str, float]) -> None:
    assert figures(used, asked(by=by)) == found


@pytest.mark.parametrize(
    ("measure", "found"),
    [
        ("wall_hours", {"BIFI": 30, "CESNET": 5, "UKIM": 7}),
        ("core_hours", {"BIFI": 100, "CESNET": 10, "UKIM": 14}),
        ("vms", {"BIFI": 2, "CESNET": 1, "UKIM": 1}),
        ("efficiency", {"BIFI": 100, "CESNET": 100, "UKIM": 100}),
        ("normalised_cpu_hours", {"BIFI": 200, "CESNET": 0, "UKIM": 0}),
        ("network", {"BIFI": 0, "CESNET": 0, "UKIM": 0}),
    ],
)
def test_measures_by_site(used: House, measure: str, found: dict[str, float]) -> None:
    assert figures(used, asked(measure, "site")) == found


@pytest.mark.parametrize("kind", KINDS)
def test_every_measure_by_every_dimension_has_an_answer(used: House, kind: str) -> None:
    for measure in KINDS[kind].measures:
        for by in KINDS[kind].dimensions:
            if by == "day" and not KINDS[kind].source(["day"], MEASURES[measure].sums):
                continue  # days keep less than months do
            first = f"{months_ago(2):%Y-%m}"
            question = asking.asked(
                kind, measure, first, None, "" if by == "day" and measure == "share" else by, {}, TODAY
            )
            figures(used, question)


def test_a_table_that_is_rolled_up_says_what_the_whole_one_says(used: House) -> None:
    whole = KINDS["cloud"].sources[-1]
    for by in ("site", "ngi", "vo", "month", "site,month"):
        question = asked("vms", by)
        rolled = KINDS["cloud"].source(question.by, question.figures.sums)
        assert rolled is not whole
        with used.db.transaction() as session:
            lines = {line.values: line.sums["vms"] for line in answer(session, question, NOBODY)}
            finer = answer(session, question.grouped(*question.by, "image"), NOBODY)
        added: dict[tuple[str, ...], float] = {}
        for line in finer:
            added[line.values[:-1]] = added.get(line.values[:-1], 0) + line.sums["vms"]
        assert lines == added


def test_what_is_packed_by_vo_says_what_the_whole_table_says(used: House) -> None:
    packed, whole = KINDS["cloud"].sources[-2:]
    only = {"vo": ["training.egi.eu"]}
    for by in ("user", "image", "status", "service", "cores", "user,month", "image,site,month", "user,image"):
        for measure in ("cpu_hours", "wall_hours", "core_hours", "vms", "efficiency"):
            question = asking.asked("cloud", measure, None, None, by, only, TODAY)
            assert KINDS["cloud"].source((*question.by, "vo"), question.figures.sums, ["vo"]) is packed
            rolled = figures(used, question)
            finer = figures(used, question.grouped(*question.by, "group"))  # which only the whole table keeps
            assert len(rolled) == len(finer)
            assert sorted(map(str, rolled.values())) == sorted(map(str, finer.values()))
    assert whole.within == frozenset()


def test_days_of_a_month_add_up_to_it(used: House) -> None:
    last = f"{months_ago(1):%Y-%m}"
    by_day = asking.asked("", "cpu_hours", last, last, "day", {}, TODAY)
    days = figures(used, by_day)
    assert sum(value or 0 for value in days.values()) == 110
    assert f"{last}-02" in days


def test_filters_of_every_dimension_narrow_it_down(used: House) -> None:
    assert figures(used, asked(by="site", ngi=["NGI_CZ", "NGI_MK"])) == {"CESNET": 10, "UKIM": 14}
    assert figures(used, asked(by="vo", country=["Spain"])) == {"training.egi.eu": 20, "chipster": 80}
    assert figures(used, asked(by="site", discipline=["Life sciences"])) == {"BIFI": 80}
    assert figures(used, asked(by="site", cores=["4.0"], vo=["chipster"])) == {"BIFI": 80}
    assert figures(used, asked(by="site", image=["nothing"])) == {}


def test_the_share_of_what_was_declared_divides_by_the_capacity_of_the_places(used: House) -> None:
    question = asked("share", "country,month")
    now = datetime.now(UTC)
    with used.db.transaction() as session:
        lines = answer(session, question, NOBODY)
        held = asking.capacity(places.places(session), question, now)
    table = asking.pivot(lines, ("country", "month"), question.figures, capacity=held)
    last = months_ago(1)
    month = f"{last:%Y-%m}"
    hours = held.seconds[month] / 3600
    spain = next(row for row in table.rows if row.name == "Spain")
    assert spain.cells[table.columns.index(month)] == pytest.approx(100 * 100 / (50 * hours))
    assert table.total == pytest.approx(124 * 100 / (162 * sum(held.seconds.values()) / 3600))


def test_usage_of_a_site_without_a_declared_capacity_is_no_share_of_one(used: House) -> None:
    used.site("BIFI", capacity={"vcpu": None})
    assert set(figures(used, asked("share", "site"))) == {"CESNET", "UKIM"}


def test_a_machine_of_three_months_is_one_machine(house: House) -> None:
    start = epoch(months_ago(2, day=1))
    house.load(message(record("BIFI", "long", StartTime=start, WallDuration=epoch(NOW) - 7200 - start)))
    with house.db.transaction() as session:
        assert asking.distinct_vms(session, asked()) == 1
        assert asking.distinct_vms(session, asked(vo=["training.egi.eu"])) == 1
        assert asking.distinct_vms(session, asked(vo=["chipster"])) == 0
        assert asking.distinct_vms(session, asked(image=["x"])) is None
    assert sum(value or 0 for value in figures(house, asked("vms", "month")).values()) == 3


def test_users_are_only_those_in_sight(used: House) -> None:
    by_user = asked(by="user")
    assert figures(used, by_user, Sight(sites=frozenset({"CESNET"}))) == {ANNA: 10}
    assert figures(used, by_user, Sight(vos=frozenset({"chipster"}))) == {TOMAS: 80}
    assert figures(used, by_user, Sight(names=frozenset({TOMAS}))) == {TOMAS: 94}
    assert figures(used, by_user, NOBODY) == {}
    assert figures(used, asked(by="site", user=[ANNA]), Sight(vos=frozenset({"chipster"}))) == {}


def test_known_vos_are_all_and_each_once(used: House) -> None:
    with used.db.transaction() as session:
        assert asking.known_vos(session, "cloud") == ["chipster", "training.egi.eu"]
        assert asking.known_vos(session, "jobs") == []


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"kind": "tape"}, "kind"),
        ({"measure": "cups"}, "measure"),
        ({"kind": "cloud", "measure": "jobs"}, "measure"),
        ({"by": "colour"}, "by"),
        ({"by": "vo,vo"}, "by"),
        ({"by": "day,image", "first": "2026-10", "last": "2026-11"}, "by"),
        ({"by": "day"}, "from"),
        ({"by": "day,site", "measure": "share", "first": "2026-10", "last": "2026-11"}, "by"),
        ({"first": "2026-13"}, "from"),
        ({"first": "0001-01"}, "from"),
        ({"last": "0001-01"}, "to"),
        ({"first": "26-1"}, "from"),
        ({"first": "2027-01", "last": "2026-01"}, "from"),
        ({"first": "1990-01", "last": "2026-01"}, "from"),
        ({"only": {"month": ["2026-01"]}}, "month"),
        ({"only": {"vo": ["x" * 256]}}, "vo"),
        ({"only": {"vo": [str(n) for n in range(101)]}}, "vo"),
        ({"only": {"vo": ["a\x00b"]}}, "vo"),
        ({"only": {"colour": ["red"]}}, "colour"),
    ],
)
def test_what_cannot_be_read_is_refused_by_field(words: dict[str, Any], field: str) -> None:
    given_ = {"kind": "", "measure": "", "first": None, "last": None, "by": "", "only": {}} | words
    with pytest.raises(Refused) as refused:
        asking.asked(today=TODAY, **given_)
    assert refused.value.fields[0].field == field


@pytest.mark.parametrize("value", ["four", "nan", "inf", "1e99", "-1e99", "4;drop"])
def test_a_number_of_cores_that_is_none_is_refused(house: House, value: str) -> None:
    with pytest.raises(Refused):
        figures(house, asked(by="site", cores=[value]))


LINES = st.lists(
    st.builds(
        lambda row, column, cpu, core: Line((row, column), {"cpu_s": cpu, "wall_core_s": core}),
        st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 10**12), st.integers(0, 10**12),
    ),
    max_size=30,
)  # fmt: skip


@given(LINES)
@settings(max_examples=60, deadline=None)
def test_cells_add_up_to_rows_columns_and_the_whole(lines: list[Line]) -> None:
    table = asking.pivot(lines, ("site", "vo"), MEASURES["cpu_hours"])
    whole = sum(line.sums["cpu_s"] for line in lines) / 3600
    for row in table.rows:
        assert sum(cell or 0 for cell in row.cells) == pytest.approx(row.total or 0)
    for number, total in enumerate(table.totals):
        assert sum(row.cells[number] or 0 for row in table.rows) == pytest.approx(total or 0)
    assert sum(row.total or 0 for row in table.rows) == pytest.approx(whole)
    assert (table.total or 0) == pytest.approx(whole)
    assert [row.total for row in table.rows] == sorted(
        (row.total for row in table.rows), key=lambda t: -(t or 0)
    )


@given(LINES)
@settings(max_examples=60, deadline=None)
def test_a_ratio_of_a_row_is_that_of_its_sums(lines: list[Line]) -> None:
    table = asking.pivot(lines, ("site", "vo"), MEASURES["efficiency"])
    for row in table.rows:
        mine = [line.sums for line in lines if line.values[0] == row.name]
        below = sum(sums["wall_core_s"] for sums in mine)
        above = sum(sums["cpu_s"] for sums in mine)
        assert row.total == (pytest.approx(above * 100 / below) if below else None)


def test_months_go_back_over_new_year() -> None:
    assert asking.months_back(date(2026, 1, 1), 2) == date(2025, 11, 1)
    assert len(asking.months_between(date(2025, 11, 1), date(2026, 1, 1))) == 3


def test_the_wire_knows_every_kind_measure_and_dimension() -> None:
    assert set(get_args(schemas.Kind)) == set(KINDS)
    assert set(get_args(schemas.Measure)) == set(MEASURES)
    kept = {name for kind in KINDS.values() for name in kind.dimensions}
    assert kept == set(asking.DIMENSIONS)
    assert set(schemas.UsageRow.model_fields) >= kept
    assert set(UsageQuery.model_fields) >= kept - set(asking.TIMES)


SAMPLES = Path(__file__).with_name("samples")


@pytest.fixture
def everything(house: House) -> House:
    """One message of each other kind, by sites of the registry that are called as in the samples."""
    for site in ("ALFA-GRID", "ALFA-CLOUD", "BETA-GRID", "ALFA-STORE"):
        house.site(site)
    for name in ("job-v0.3.msg", "gpu-v0.1.json", "ip-v0.2.json", "star-caso.xml", "star.xml"):
        outcome = house.load((SAMPLES / name).read_text())
        assert outcome.loaded, (name, house.refused())
    return house


@pytest.mark.parametrize(
    ("kind", "measure"),
    [("jobs", "normalised_cpu_hours"), ("gpu", "gpu_hours"), ("storage", "storage"), ("ip", "public_ips")],
)
def test_other_kinds_are_summed_alike_by_each_of_their_dimensions(
    everything: House, kind: str, measure: str
) -> None:
    whole = asking.asked(kind, measure, "2020-01", None, "", {}, TODAY)
    (total,) = figures(everything, whole).values()
    assert total
    for name in KINDS[kind].dimensions:
        assert sum(
            value or 0 for value in figures(everything, whole.grouped(name)).values()
        ) == pytest.approx(total)


def test_jobs_are_rolled_up_like_machines(everything: House) -> None:
    rolled = asking.asked("jobs", "jobs", "2020-01", None, "vo", {}, TODAY)
    finer = rolled.grouped("vo", "submit_host")
    by_vo = figures(everything, rolled)
    assert (
        sum(value or 0 for value in by_vo.values())
        == sum(value or 0 for value in figures(everything, finer).values())
        > 0
    )
