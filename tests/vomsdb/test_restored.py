"""A restored membership is believed by sites that held something newer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hanse.doctor.advice import Patient
from hanse.keeping.backup import back_up
from hanse.keeping.restore import restore
from tests.vomsdb.test_replication import (
    Site,
    _code,
    _members,
    _newest,
    _pair,
    _publish,
    site,  # noqa: F401 - the fixture
)
from vomsdb.service import SERVICE


def test_a_site_that_held_more_takes_what_was_restored(
    site: Site,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house: Any = site.house
    house.join("Anna Lindqvist")
    _publish(house)
    site.join(_code(house))
    assert site.run("pull") == 0
    vomsdb = Patient("vomsdb", "vomsdb", house.settings, SERVICE.restored)
    *_, folder = back_up([vomsdb], tmp_path / "backups")
    house.join("Tomás Vidal")
    _publish(house)
    assert site.run("pull") == 0
    later = _newest(house)
    assert len(_members(later)) == 2
    # the test's own server keeps its connections, as a service that was not stopped would
    monkeypatch.setattr("hanse.keeping.restore._OTHERS", text("select 0"))
    house.db.engine.dispose()
    list(restore(Path(folder), [vomsdb], replace=True))
    _publish(house)
    restored = _newest(house)
    assert len(_members(restored)) == 1
    assert restored.seq > later.seq
    assert site.run("pull") == 0
    assert _pair(house).state == "in_step"
    assert "Tom" not in site.gridmap
