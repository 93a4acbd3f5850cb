"""Alembic, one line of migrations a service, in `<package>/migrations/`.

A service's `migrations/env.py` is three lines: import `run_env`, import `metadatas` of its models, call
`run_env(*metadatas)`. Revisions lie in `migrations/versions/`.

`python -m hanse.migrations PACKAGE MESSAGE` writes the next one from the models, against a database of its
own.
"""

from __future__ import annotations

import argparse
import logging
import re
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import MetaData, create_engine, pool, text
from sqlalchemy.engine import Connection

from hanse.postgres import PrivatePostgres

_LOCK = "migrations"
_TEMPLATE = '''"""${message}"""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
'''
_ENVIRONMENT = """from hanse.migrations import run_env
from {package}.models import metadatas

run_env(*metadatas)
"""


def upgrade(package: str, url: str) -> None:
    """Bring the database at `url` to the newest migration of `package`; two at once wait for one another."""
    with _connected(url) as connection:
        # of the session, not the transaction: alembic commits by itself
        connection.execute(text("select pg_advisory_lock(hashtextextended(:name, 0))"), {"name": _LOCK})
        connection.commit()
        command.upgrade(_config(package, connection), "head")
        connection.commit()


def run_env(*metadata: MetaData) -> None:
    """What `env.py` calls, inside alembic. The migrations of one upgrade are one transaction: all or none."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=list(metadata), **_COMPARING)
    with context.begin_transaction():
        context.run_migrations()


def autogenerate(package: str, url: str, message: str) -> Path:
    """Write the migration that brings the database at `url` to the models; returns its file. For developers.

    The database must be at the newest migration. Numbers count up: 0001_message.py. Makes `migrations/` if
    need be.
    """
    directory = _directory(package)
    (directory / "versions").mkdir(parents=True, exist_ok=True)
    for name, content in (("env.py", _ENVIRONMENT.format(package=package)), ("script.py.mako", _TEMPLATE)):
        if not (directory / name).exists():
            (directory / name).write_text(content, encoding="utf-8")
    with _connected(url) as connection:
        config = _config(package, connection)
        number = f"{len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1:04d}"
        script = command.revision(config, message, autogenerate=True, rev_id=number)
    assert script is not None
    assert not isinstance(script, list)
    return Path(script.path)


def differences(package: str, url: str, *metadata: MetaData) -> list[Any]:
    """Where the models and the database at `url` disagree; empty when they agree."""
    with _connected(url) as connection:
        migration = MigrationContext.configure(connection, opts=dict(_COMPARING))
        # a list is taken as well, whatever the type says
        return list(compare_metadata(migration, list(metadata)))  # type: ignore[arg-type]


def heads(package: str) -> tuple[str, ...]:
    """The newest migrations of `package`; more than one is a fault that a test finds."""
    return tuple(ScriptDirectory.from_config(_config(package, None)).get_heads())


def knows(package: str, revision: str) -> bool:
    """Whether a migration is one of this version's."""
    try:
        return ScriptDirectory.from_config(_config(package, None)).get_revision(revision) is not None
    except CommandError:
        return False


def is_current(package: str, connection: Connection) -> bool:
    """Whether the database has had every migration of `package`; what readiness asks."""
    return set(MigrationContext.configure(connection).get_current_heads()) == set(heads(package))


def _keep(object_: object, name: str | None, type_: str, reflected: bool, compare_to: object) -> bool:
    """What is compared. An index that a service alone has on a table of the ground floor is named `own_...`: it stands
    in the service's migrations and not in the models that it shares.
    """
    if type_ == "index" and reflected and (name or "").startswith("own_"):
        return False
    return not (type_ == "table" and name == "alembic_version")


_COMPARING: dict[str, Any] = {
    "compare_type": True,
    "compare_server_default": True,
    "include_object": _keep,
}


def _directory(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"there is no package {package}")
    return Path(next(iter(spec.submodule_search_locations))) / "migrations"


def _config(package: str, connection: Connection | None) -> Config:
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", _escaped(_directory(package)))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _escaped(path: Path) -> str:
    return re.sub("%", "%%", str(path))  # configparser's own escape


class _connected:
    """A connection for one task, of an engine for one task."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, poolclass=pool.NullPool)

    def __enter__(self) -> Connection:
        self._connection = self._engine.connect()
        return self._connection

    def __exit__(self, *exc: object) -> None:
        self._connection.close()
        self._engine.dispose()


def main() -> None:
    """For developers: write the migration that the models of a package are ahead of its migrations."""
    parser = argparse.ArgumentParser(prog="python -m hanse.migrations", description=main.__doc__)
    parser.add_argument("package", help="registry, accounting, monitoring or vomsdb")
    parser.add_argument("message", help="what changes, in a few words")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="hanse-migrations-") as directory,
        PrivatePostgres(Path(directory), durable=False) as server,
    ):
        server.create_database(given.package)
        if list((_directory(given.package) / "versions").glob("*.py")):
            upgrade(given.package, server.dsn(given.package))
        print(autogenerate(given.package, server.dsn(given.package), given.message))


if __name__ == "__main__":
    main()
