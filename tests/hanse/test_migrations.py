"""Migrations: from nothing to the newest, repeatable, written from models; on a package of the test's own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData, text

from hanse.database import Database, GroundBase
from hanse.migrations import autogenerate, differences, heads, is_current, upgrade
from hanse.postgres import PrivatePostgres
from hanse.revisions import RevisionBase

MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from hanse.database import GroundBase
from hanse.revisions import RevisionBase

class Base(DeclarativeBase):
    pass

class City(Base):
    __tablename__ = "city"
    name: Mapped[str] = mapped_column(primary_key=True)

metadatas = (Base.metadata, GroundBase.metadata, RevisionBase.metadata)
"""


class Package:
    """A package with models and, at first, no migrations; the databases that tests make."""

    def __init__(self, name: str, directory: Path, server: PrivatePostgres) -> None:
        self.name = name
        self.directory = directory
        self._server = server
        self._made: list[str] = []

    def database(self) -> str:
        name = f"{self.name}_{len(self._made)}"
        self._server.create_database(name)
        self._made.append(name)
        return self._server.dsn(name)

    def metadatas(self) -> tuple[MetaData, ...]:
        models = __import__(f"{self.name}.models", fromlist=["metadatas"])
        return tuple(models.metadatas)

    def change_models(self, text_: str) -> None:
        (self.directory / "models.py").write_text(text_)
        sys.modules.pop(f"{self.name}.models", None)

    def close(self) -> None:
        for name in self._made:
            self._server.drop_database(name)


@pytest.fixture
def package(
    tmp_path: Path, postgres: PrivatePostgres, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Package]:
    name = f"cities_{abs(hash(request.node.name)) % 10**8}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # models.py changes within one second
    made = Package(name, tmp_path / name, postgres)
    made.change_models(MODELS)
    yield made
    made.close()


def test_the_first_migration_is_written_from_the_models_and_agrees_with_them(package: Package) -> None:
    script = autogenerate(package.name, package.database(), "First tables")
    assert script.name == "0001_first_tables.py"
    url = package.database()
    upgrade(package.name, url)
    assert differences(package.name, url, *package.metadatas()) == []
    assert heads(package.name) == ("0001",)


def test_a_change_of_the_models_is_a_difference_until_it_has_its_migration(package: Package) -> None:
    autogenerate(package.name, package.database(), "first")
    url = package.database()
    upgrade(package.name, url)
    package.change_models(
        MODELS.replace("primary_key=True)", "primary_key=True)\n    country: Mapped[str | None]")
    )
    assert len(differences(package.name, url, *package.metadatas())) == 1
    script = autogenerate(package.name, url, "countries")
    assert script.name == "0002_countries.py"
    db = Database(url)
    with db.engine.connect() as connection:
        assert not is_current(package.name, connection)
    upgrade(package.name, url)
    with db.engine.connect() as connection:
        assert is_current(package.name, connection)
    db.close()
    assert differences(package.name, url, *package.metadatas()) == []


def test_upgrading_again_or_from_two_sides_at_once_changes_nothing(package: Package) -> None:
    autogenerate(package.name, package.database(), "first")
    url = package.database()
    faults: list[Exception] = []

    def run() -> None:
        try:
            upgrade(package.name, url)
        except Exception as fault:
            faults.append(fault)

    program = f"import sys; sys.path.insert(0, {str(package.directory.parent)!r}); "
    program += f"from hanse.migrations import upgrade; upgrade({package.name!r}, {url!r})"
    others = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    here = threading.Thread(target=run)
    here.start()
    here.join(60)
    assert [other.wait(60) for other in others] == [0, 0]
    assert faults == []
    upgrade(package.name, url)


def test_a_migration_that_fails_leaves_the_database_as_it_was(package: Package) -> None:
    script = autogenerate(package.name, package.database(), "first")
    script.write_text(
        script.read_text().replace("def downgrade", "    op.execute('nonsense')\n\n\ndef downgrade")
    )
    url = package.database()
    with pytest.raises(Exception, match="nonsense"):
        upgrade(package.name, url)
    db = Database(url)
    with db.transaction() as session:
        tables = session.scalars(text("select tablename from pg_tables where schemaname = 'public'")).all()
    db.close()
    assert tables == []


def test_the_ground_tables_made_directly_agree_with_what_is_compared(ground: Database) -> None:
    assert differences("hanse", ground.url, GroundBase.metadata, RevisionBase.metadata) == []


def test_a_package_that_is_not_there_is_said(ground: Database) -> None:
    with pytest.raises(ValueError, match="no package nosuchservice"):
        upgrade("nosuchservice", ground.url)
