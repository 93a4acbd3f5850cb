"""Drives the negotiation with Keystone over `hanse.http`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from hanse.http import Client, HttpError
from hanse.occi.keystone import Login, LoginError, Said, Token, negotiate


def is_fitting(login: str, cloud: str, keystone: str) -> bool:
    """Whether a login may happen at an address: at the cloud's own host or at the Keystone that was configured; in the
    clear only as the cloud itself is."""
    there, here, known = urlsplit(login), urlsplit(cloud), urlsplit(keystone)
    if (there.scheme, there.netloc) == (known.scheme, known.netloc):
        return True
    return there.hostname == here.hostname and there.scheme in ("https", here.scheme)


def fetch_token(
    address: str,
    login: Login,
    project: str = "",
    *,
    cert: tuple[Path, Path] | None = None,
    ca: Path | None = None,
    deadline_s: float = 30,
    budget: Callable[[], float] | None = None,
) -> Token:
    """A token for a project from the Keystone at `address`. Raises LoginError.

    Each request has the deadline; no more are sent when `budget` (seconds left for all) says 0."""
    with Client(address, cert=cert, ca=ca, deadline_s=deadline_s) as keystone:
        talk = negotiate(address, login, project)
        try:
            asked = next(talk)
            while budget is None or budget() > 0:
                said = keystone.fetch(asked.method, asked.url, headers=asked.headers, body=asked.body)
                headers = {name.lower(): value for name, value in said.headers.items()}
                asked = talk.send(Said(said.status, headers, said.body))
            raise LoginError("The login took too long.")
        except StopIteration as end:
            token: Token = end.value
            return token
        except HttpError as fault:
            raise LoginError(str(fault)) from None
