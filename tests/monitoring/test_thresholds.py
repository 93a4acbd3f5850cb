"""Rules on perfdata as ARGO reads them: a range names the values to which its status applies."""

import pytest

from monitoring.algebra import State
from monitoring.profiles.thresholds import chosen, judged, read_range, read_rule


@pytest.mark.parametrize(
    ("text", "applies", "spares"),
    [
        ("10", [1, 9.9], [0, 10, -1, 11]),
        ("10:", [10.1, 1e9], [10, 9]),
        ("~:10", [9, -1e9], [10, 11]),
        ("10:20", [11, 19.5], [10, 20, 9, 21]),
        ("@10:20", [10, 20, 9, 21], [11, 19]),
    ],
)
def test_a_range_names_the_values_to_which_it_applies(
    text: str, applies: list[float], spares: list[float]
) -> None:
    found = read_range(text)
    assert all(found.applies(value) for value in applies)
    assert not any(found.applies(value) for value in spares)


@pytest.mark.parametrize("text", ["", "a", "10:5", "1:2:3", "ten:20"])
def test_what_is_no_range_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        read_range(text)


def test_a_rule_with_several_labels_as_the_reference_writes_it() -> None:
    freshness, entries = read_rule("freshness=10s;30;50:60;0;100 entries=1;3;2:0;10")
    assert (freshness.label, entries.label) == ("freshness", "entries")
    assert freshness.state_of(20) == State.WARNING
    assert freshness.state_of(55) == State.CRITICAL
    assert freshness.state_of(40) is None
    assert entries.state_of(2) == State.WARNING
    assert entries.state_of(5) is None  # 2:0 holds for no value


@pytest.mark.parametrize("unit", ["ms", "us", "KB", "MB", "TB", "%", "c", ""])
def test_all_units_are_read_and_none_is_converted(unit: str) -> None:
    assert judged(f"x=1{unit};100;200:300", {"x": 50.0}) is not None


@pytest.mark.parametrize("text", ["", "freshness", "freshness=;1;2", "a=1;x;2", "a=10furlongs;1;2"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_rule(text)


def test_warning_is_tried_before_critical_and_labels_combine() -> None:
    both = "a=1;0:100;0:100 b=1;~:0;10:20"
    found = judged(both, {"a": 50.0, "b": 50.0})
    assert found is not None
    assert found.state == State.WARNING
    worse = judged(both, {"a": 50.0, "b": 15.0})
    assert worse is not None
    assert worse.state == State.CRITICAL
    assert judged(both, {"a": 500.0, "b": None}) is None
    assert judged("'a b'=1;10;20", {"a b": 5.0}) is not None


def test_the_most_specific_rule_counts() -> None:
    rules = [
        ("m", "", "", "x=1;1;2"),
        ("m", "", "SITE", "x=1;2;3"),
        ("m", "host", "", "x=1;3;4"),
        ("m", "host", "SITE", "x=1;4;5"),
        ("other", "host", "SITE", "x=1;5;6"),
    ]
    assert chosen(rules, "m", "host", "SITE") == "x=1;4;5"
    assert chosen(rules, "m", "host", "ELSEWHERE") == "x=1;3;4"
    assert chosen(rules, "m", "elsewhere", "SITE") == "x=1;2;3"
    assert chosen(rules, "m", "elsewhere", "ELSEWHERE") == "x=1;1;2"
    assert chosen(rules, "absent", "host", "SITE") is None
