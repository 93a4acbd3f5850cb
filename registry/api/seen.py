"""When people and their identities were last here, written down at most once an hour for each."""

from __future__ import annotations

import time

import structlog
from flask import Flask, Response, g
from sqlalchemy.exc import SQLAlchemyError

from hanse.identity.principals import Principal
from hanse.web import ground
from registry import identities

EVERY_S = 3600
log = structlog.get_logger(__name__)


def install_last_seen(app: Flask, *, read_only: bool = False) -> None:
    """After each answer to a known person, note that they were here; a copy that only answers notes nothing."""
    noted: dict[str, float] = {}

    def note(response: Response) -> Response:
        principal = g.get("hanse_principal")
        if not read_only and isinstance(principal, Principal) and principal.person is not None:
            now = time.monotonic()
            if now - noted.get(principal.key, -EVERY_S) >= EVERY_S:
                if len(noted) > 10_000:
                    noted.clear()
                noted[principal.key] = now
                _write(principal)
        return response

    app.after_request(note)


def _write(principal: Principal) -> None:
    try:
        identities.seen(ground().db, principal)
    except SQLAlchemyError as fault:  # the answer is ready and right; that it was asked for is worth less
        log.warning("last_seen_not_written", key=principal.key, reason=str(fault))
