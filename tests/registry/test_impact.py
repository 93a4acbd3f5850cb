"""What a VO has at the affected sites, from what accounting and membership answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from registry import impact, neighbours
from registry.impact import Used
from registry.neighbours import Heard
from registry.views.downtime_impact import silence

from .conftest import Registry
from .test_downtime_pages import Way, words

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
USAGE = {
    "rows": [
        {"site": "BIFI", "vo": "training.egi.eu", "vms": 31, "cpu_hours": 14.5},
        {"site": "UKIM", "vo": "training.egi.eu", "vms": 9, "cpu_hours": 2},
        {"site": "BIFI", "vo": "chipster", "vms": 2, "cpu_hours": 1},
        {"site": "BIFI", "vo": "", "vms": 99, "cpu_hours": 99},
    ]
}
VOS = {"items": [{"name": "training.egi.eu", "members": 24}, {"name": "closed.example", "members": None}]}


def heard(usage: Heard | None = None, vos: Heard | None = None) -> dict[str, Heard]:
    return {
        "accounting": usage or Heard("accounting", USAGE, AT),
        "vomsdb": vos or Heard("vomsdb", VOS, AT),
    }


def test_use_is_of_the_affected_sites_alone() -> None:
    assert impact.used(heard(), {"BIFI"}) == {
        "training.egi.eu": Used(24, 31, 14.5),
        "chipster": Used(None, 2, 1.0),
    }
    assert impact.used(heard(), {"BIFI", "UKIM"})["training.egi.eu"] == Used(24, 40, 16.5)
    assert impact.used(heard(), {"CESNET"})["training.egi.eu"] == Used(24, 0, 0)


def test_a_service_that_never_answered_leaves_its_figures_open() -> None:
    silent = Heard("accounting", fault="Accounting does not answer")
    assert impact.used(heard(usage=silent), {"BIFI"}) == {"training.egi.eu": Used(24, None, None)}
    assert impact.used(heard(usage=silent, vos=Heard("vomsdb", absent=True)), {"BIFI"}) == {}


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (Heard("vomsdb", absent=True), "Membership is not connected; its figures are left out"),
        (
            Heard("vomsdb", fault="Membership answered 500"),
            "Membership answered 500; its figures are left out",
        ),
        (
            Heard("vomsdb", VOS, AT, "Membership does not answer"),
            "Membership does not answer; its figures are of 25 Nov, 12:00 UTC",
        ),
    ],
)
def test_silence_is_said_with_what_it_costs(one: Heard, said: str) -> None:
    assert silence(one) == said


def test_the_figures_stand_in_the_impact(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(db: Any, settings: Any, questions: Any) -> dict[str, Heard]:
        assert questions["vomsdb"] == ("vomsdb", "/api/v1/vos?limit=500")
        assert questions["accounting"][1].startswith("/api/v1/usage?by=site,vo&from=")
        return heard()

    monkeypatch.setattr(neighbours, "ask", ask)
    way = Way(registry)
    way.what()
    way.when()
    shown = way.see("impact")
    assert "1 VO and 31 VMs of this month are hit" in words(shown)
    figures = {label: shown.xpath(f"//td[@data-label='{label}']/text()") for label in ("VMs", "Members")}
    assert figures == {"VMs": ["31"], "Members": ["24"]}
    assert "2 sites" in words(shown)
