"""What the frame around each page shows: sections, the service's own row, the person, the foot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

import structlog
from flask import request
from sqlalchemy.exc import SQLAlchemyError

from hanse.errors import HanseError
from hanse.identity.permissions import ROLES
from hanse.identity.principals import ANONYMOUS, FEDERATION, Principal
from hanse.web.callers import current_principal
from hanse.web.ground import Ground, ground
from hanse.web.sessions import csrf_token

log = structlog.get_logger("hanse.web")

SECTIONS = (
    ("Home", "registry", "/", "h"),
    ("Sites", "registry", "/sites", "s"),
    ("Usage", "accounting", "/usage", "u"),
    ("Monitoring", "monitoring", "/status", "m"),
    ("Membership", "vomsdb", "/vos", "v"),
)


@dataclass(frozen=True)
class Link:
    """A place to go. `badge` counts what waits there; `key` is the second key after `g`."""

    label: str
    url: str
    active: bool = False
    badge: int = 0
    key: str = ""


@dataclass(frozen=True)
class Hat:
    """A role of the person, and the page where its work waits."""

    label: str
    url: str


@dataclass(frozen=True)
class Shell:
    """The frame of a page as the template needs it; all addresses are ready to use."""

    federation: str
    sections: tuple[Link, ...]
    nav: tuple[Link, ...]
    person: Principal
    role: str
    hats: tuple[Hat, ...]
    now: datetime
    csrf: str
    signin: str
    search: str
    api: str
    csv: str
    permanent: str
    refresh_s: int | None
    banners: tuple[str, ...]


def shell(*, api: str = "", csv: str = "", refresh_s: int | None = None, within: str = "") -> Shell:
    """The frame of the page that answers this request; see `hanse.web.pages.page`."""
    here = ground()
    person = _person()
    hats = hats_of(person, here)
    return Shell(
        federation=here.settings.federation,
        sections=_sections(here, person),
        nav=_nav(here, within or request.path),
        person=person,
        role=hats[0].label if hats else ("signed in" if person.signed_in else ""),
        hats=hats,
        now=datetime.now(UTC),
        csrf=csrf_token(),
        signin="/signin?" + urlencode({"next": _own_address()}),
        search=_base(here, "registry") + "/sites" if _present(here, "registry") else "",
        api=api,
        csv=csv,
        permanent=_own_address(),
        refresh_s=refresh_s,
        banners=here.banners,
    )


def _person() -> Principal:
    """The frame is drawn around errors too, so a credential or a database that fails shows nobody."""
    try:
        return current_principal()
    except (HanseError, SQLAlchemyError) as reason:
        log.info("shell_without_person", reason=str(reason))
        return ANONYMOUS


def _base(here: Ground, service: str) -> str:
    """Address of a service, "" for this one (its links stay on the side, plain or TLS, that the reader is
    on).
    """
    return "" if service == here.service else str(getattr(here.settings, f"{service}_url")).rstrip("/")


def _present(here: Ground, service: str) -> bool:
    return service == here.service or bool(getattr(here.settings, f"{service}_url"))


def _sections(here: Ground, person: Principal) -> tuple[Link, ...]:
    badges: Mapping[str, int] = here.badges() if here.badges and person.signed_in else {}
    active = _active_section(here)
    return tuple(
        Link(label, _base(here, service) + path, label == active, badges.get(label, 0), key)
        for label, service, path, key in SECTIONS
        if _present(here, service)
    )


def _own_address() -> str:
    """Where this page is found again; an answer of an identity provider is not, and its code stands nowhere."""
    return "/" if request.path.startswith("/signin/with/") else request.full_path.rstrip("?")


def _active_section(here: Ground) -> str:
    if request.path.startswith("/signin"):
        return ""
    if here.service == "registry" and request.path != "/":
        return "Sites"
    return next((label for label, service, _, _ in SECTIONS if service == here.service), "")


def _nav(here: Ground, at: str) -> tuple[Link, ...]:
    """The second row; the entry with the longest path that holds this page is the chosen one."""
    fitting = [path for _, path in here.nav if at == path or at.startswith(path.rstrip("/") + "/")]
    chosen = max((path for path in fitting if path != "/" or at == "/"), key=len, default="")
    return tuple(Link(label, path, path == chosen) for label, path in here.nav)


def hats_of(person: Principal, here: Ground) -> tuple[Hat, ...]:
    """The roles of a person, the widest first, each with the page of its work."""
    ranked = sorted(
        person.grants, key=lambda g: (list(ROLES).index(g.role) if g.role in ROLES else 99, g.scope)
    )
    registry, vomsdb = _base(here, "registry"), _base(here, "vomsdb")
    seen: dict[str, Hat] = {}
    for grant in ranked:
        kind, _, name = grant.scope.partition(":")
        label = ROLES.get(grant.role, grant.role) + ("" if grant.scope == FEDERATION else f", {name}")
        url = registry + "/"
        if kind == "site":
            url = f"{registry}/sites/{name}"
        elif grant.role == "vo_manager":
            url = f"{vomsdb}/vos/{name}/queue"
        elif grant.role == "vo_member":
            url = f"{vomsdb}/me"
        seen.setdefault(label, Hat(label, url))
    return tuple(seen.values())
