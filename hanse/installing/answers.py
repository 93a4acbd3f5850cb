"""What an installation has to know: asked at the terminal, or read from a file of the same names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from hanse.errors import Refused

SERVICES: Final = ("registry", "accounting", "monitoring", "vomsdb")
PORTS: Final = {
    "registry": (7010, 7011),
    "accounting": (7020, 7021),
    "monitoring": (7030, 7031),
    "vomsdb": (7040, 7041),
}
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[?[0-9A-Fa-f:]+\]?")


@dataclass(frozen=True)
class Answers:
    """Names are those of the answers' file. `elsewhere` gives addresses of services that run on other machines."""

    federation: str = "Hanse federation"
    services: tuple[str, ...] = SERVICES
    host: str = "localhost"
    listen: str = "127.0.0.1"
    postgres: str = "postgresql://postgres@localhost/postgres"
    state: Path = Path("/var/lib/hanse")
    trust_dir: Path = Path("/etc/grid-security/certificates")
    tls_cert: Path = Path("/etc/grid-security/hostcert.pem")
    tls_key: Path = Path("/etc/grid-security/hostkey.pem")
    smtp_host: str = ""
    mail_from: str = ""
    operator: Path | None = None
    elsewhere: Mapping[str, str] | None = None

    def checked(self) -> Answers:
        """The same, with what follows from it filled in. Raises Refused with the name of the answer that is wrong."""
        unknown = [name for name in self.services if name not in SERVICES]
        if unknown or not self.services:
            raise Refused(
                f"services: there are {', '.join(SERVICES)}; {', '.join(unknown) or 'none'} was given."
            )
        for name in ("federation", "smtp_host", "mail_from", "listen"):
            if not getattr(self, name).isprintable() or len(getattr(self, name)) > 200:
                raise Refused(f"{name}: it must be one line of at most 200 characters.")
        if not _HOST.fullmatch(self.host):
            raise Refused(f'host: "{self.host}" is not the name of a machine.')
        if not self.postgres.startswith(("postgresql://", "postgresql+psycopg://")):
            raise Refused("postgres: give an address such as postgresql://postgres@localhost/postgres.")
        if self.operator is not None and not self.operator.is_file():
            raise Refused(f"operator: there is no certificate at {self.operator}.")
        ordered = tuple(name for name in SERVICES if name in self.services)
        return replace(self, services=ordered, mail_from=self.mail_from or f"hanse@{self.host}")


_QUESTIONS: Final = {
    "federation": "Name of the federation, on every page",
    "services": "Services to run on this machine, with blanks between them",
    "host": "Name of this machine, as its certificate and its users have it",
    "listen": "Address to listen on (127.0.0.1 behind a proxy, 0.0.0.0 for all)",
    "postgres": "A PostgreSQL, as a user who may make databases and users there",
    "state": "Folder for the services' own files",
    "trust_dir": "Folder of the CAs that are trusted, with their revocation lists",
    "tls_cert": "Certificate of this machine, PEM",
    "tls_key": "Its key",
    "smtp_host": "Mail relay (empty = no mail)",
    "operator": "Certificate of the first operator, PEM (empty = later, hanse SERVICE operator add)",
}


def ask(prompt: Callable[[str, str], str]) -> Answers:
    """Ask each question; `prompt(question, default)` gives the answer."""
    given = {name: prompt(question, _shown(getattr(Answers, name))) for name, question in _QUESTIONS.items()}
    return _made({name: value for name, value in given.items() if value != ""}).checked()


def read(path: Path) -> Answers:
    """Answers from a TOML file; what it does not say is as by default. Raises Refused."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not TOML: {error}.") from error
    return _made(given).checked()


def _made(given: Mapping[str, Any]) -> Answers:
    known = {field.name for field in fields(Answers)}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise Refused(f"There is no answer called {unknown[0]}; there are {', '.join(sorted(known))}.")
    return Answers(**{name: _typed(name, value) for name, value in given.items()})


def _typed(name: str, value: Any) -> Any:
    if name == "services":
        return tuple(value.split()) if isinstance(value, str) else tuple(map(str, value))
    if name in ("state", "trust_dir", "tls_cert", "tls_key", "operator"):
        return Path(str(value)).absolute()
    if name == "elsewhere":
        if not isinstance(value, dict) or not set(value) <= set(SERVICES):
            raise Refused(f"elsewhere must be a table of addresses by service: {', '.join(SERVICES)}.")
        return {key: str(address) for key, address in value.items()}
    if not isinstance(value, str):
        raise Refused(f"{name} must be text.")
    return value


def _shown(default: Any) -> str:
    return " ".join(default) if isinstance(default, tuple) else "" if default is None else str(default)
