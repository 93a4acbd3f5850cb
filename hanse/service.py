"""What a service is to the ground floor: a name, its settings, its application, its jobs and its tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from cryptography import x509
from sqlalchemy import MetaData
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from hanse.database import Database, Followed
from hanse.identity.principals import X509Identity
from hanse.jobs import Job
from hanse.settings import ServiceSettings

if TYPE_CHECKING:
    from flask import Flask


S = TypeVar("S", bound=ServiceSettings)
LOCAL = "local"


def add_local_operator(db: Database, certificate: x509.Certificate, name: str) -> str:
    """Grant federation_operator to `certificate` in this service's own copy; returns the principal's key.

    Rows of source "local" are never touched by a feed: the first operator stays while the registry is away.
    """
    identity = X509Identity.from_certificate(certificate)
    entities = {
        ("identity", identity.key): {
            "key": identity.key,
            "person": None,
            "site": None,
            "name": name,
            "email": None,
            "subject_slash": identity.subject_slash,
            "subject_der": None,
            "issuer_der": None,
        },
        ("grant", f"{identity.key} federation_operator federation"): {
            "principal": identity.key,
            "role": "federation_operator",
            "scope": "federation",
            "name": name,
            "not_before": None,
            "not_after": None,
        },
    }
    with db.transaction() as session:
        for (kind, entity_id), body in entities.items():
            row = insert(Followed).values(source=LOCAL, kind=kind, id=entity_id, body=body, revision=0)
            session.execute(
                row.on_conflict_do_update(
                    index_elements=["source", "kind", "id"], set_={"body": row.excluded.body}
                )
            )
    return identity.key


@dataclass(frozen=True)
class Service(Generic[S]):
    """One service. `add_operator(db, certificate, name)` makes the first operator and returns its key;
    `restored(session)` is called in a database that was restored from a backup; `kept(settings)` gives files and
    folders that belong into one, by the setting that may put them outside data_dir.
    """

    name: str
    package: str
    settings: type[S]
    create_app: Callable[[S], Flask]
    jobs: Callable[[S, Database], list[Job]]
    metadatas: tuple[MetaData, ...]
    add_operator: Callable[[Database, x509.Certificate, str], str] = add_local_operator
    restored: Callable[[Session], None] | None = None
    kept: Callable[[S], dict[str, Path]] | None = None
