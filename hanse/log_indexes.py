"""The second step of the revision log in every service that keeps one: indexes for looks at the past and for the trail.

For migrations alone; what they made stays as it is here. A later index of the log is a step of its own.
"""

from __future__ import annotations

from typing import Final

from alembic import op
from sqlalchemy import TextClause, text

_SITE: Final = text("(body ->> 'site')")
_HOST: Final = text("(body ->> 'hostname')")
_SCOPE: Final = text("(body ->> 'scope')")
_NAME: Final = text("((body ->> 'name') COLLATE \"C\")")
_UNTIL: Final = text("(coalesce(to_revision, 9223372036854775807))")
_COUNTED: Final = text("length(entity_id)")
_PUT: Final = text("op = 'put'")
_OPEN: Final = text("to_revision is null")
_Columns = list[str | TextClause]
# those that hold what was: an end that is still open counts as the latest number
_OF_THE_PAST: Final[dict[str, tuple[_Columns, TextClause]]] = {
    "history_site": (["kind", _SITE, "from_revision", _UNTIL], _PUT),
    "history_scope": (["kind", _SCOPE], _PUT),
    "history_host": (["kind", _HOST, "from_revision", _UNTIL], _PUT),
    "history_named": (["kind", _NAME, "from_revision", _UNTIL], _PUT),
    "history_counted": (["kind", _COUNTED, "entity_id", "from_revision", _UNTIL], _PUT),
    "history_now_named": (["kind", _NAME], _OPEN),
    "history_now_counted": (["kind", _COUNTED, "entity_id"], _OPEN),
}
_ACTORS: Final = {"revision_actor": "actor", "revision_actor_name": "actor_name"}


def add() -> None:
    """Make them, in the place of the two with which the log began."""
    for name in ("history_entity", "history_site"):
        op.drop_index(name, table_name="history")
    entity = ["kind", "entity_id", "from_revision"]
    op.create_index("history_entity", "history", entity, unique=True, postgresql_include=["id"])
    for name, (columns, where) in _OF_THE_PAST.items():
        op.create_index(name, "history", columns, postgresql_where=where)
    op.create_index("history_trail", "history", ["kind", "id"])
    sites = text("(body -> 'sites')")
    op.create_index(
        "history_sites", "history", [sites], postgresql_using="gin", postgresql_where=text("body ? 'sites'")
    )
    for name, column in _ACTORS.items():
        op.create_index(name, "revision", [column, "number"])


def remove() -> None:
    """Back to the two with which the log began."""
    for name in _ACTORS:
        op.drop_index(name, table_name="revision")
    for name in (*_OF_THE_PAST, "history_trail", "history_sites", "history_entity"):
        op.drop_index(name, table_name="history")
    op.create_index("history_site", "history", ["kind", _SITE])
    op.create_index("history_entity", "history", ["kind", "entity_id", "from_revision"], unique=True)
