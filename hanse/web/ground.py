"""What one running service stands on: its settings, its database, who may do what.

Reached with `ground()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import current_app

from hanse.database import Database
from hanse.settings import ServiceSettings

if TYPE_CHECKING:
    from hanse.identity.authority import Authority
    from hanse.identity.oidc import Providers

EXTENSION = "hanse"


@dataclass(frozen=True)
class Ground:
    """Held in `app.extensions["hanse"]`.

    `nav` is the second row of the shell as (label, path); `badges` gives numbers for the sections of the top
    bar; `banners` are sentences above every page.
    """

    service: str
    package: str
    settings: ServiceSettings
    db: Database
    authority: Authority
    providers: Providers
    nav: tuple[tuple[str, str], ...] = ()
    badges: Callable[[], Mapping[str, int]] | None = None
    ready: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    version: Callable[[], str] | None = None
    banners: tuple[str, ...] = ()


def ground() -> Ground:
    """The ground of the application that handles this request."""
    held = current_app.extensions[EXTENSION]
    assert isinstance(held, Ground)
    return held


def origin(url: str) -> str:
    """Scheme, host and port of `url` in one spelling, "" when it has none:
    `https://host:443/a` -> `https://host`.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    usual = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if parts.port in (None, usual) else f":{parts.port}")


def hanse_origins(settings: ServiceSettings) -> frozenset[str]:
    """Origins of all services of this federation, both sides:
    the only places a sign-in may send somebody back to.
    """
    urls = [settings.url, settings.tls_url]
    for service in ("registry", "accounting", "monitoring", "vomsdb"):
        urls += [getattr(settings, f"{service}_url"), getattr(settings, f"{service}_tls_url")]
    return frozenset(filter(None, map(origin, urls)))
