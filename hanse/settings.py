"""One typed settings object per service, from a TOML file, the environment and secret files.

Order, later wins: the defaults here, `[common]` of the file, `[<service>]` of the file, `HANSE_<KEY>`,
`HANSE_<SERVICE>_<KEY>`. A secret can stand in a file of its own: `<key>_file` in TOML, or `..._FILE` in the
environment (systemd's LoadCredential). Relative paths in the file count from the folder of the file.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from hanse.identity.providers import NAME, SignInProvider


class SettingsError(Exception):
    """The settings cannot be used; one sentence that names the key and says what to do."""


class ServiceSettings(BaseModel):
    """What every service can be told. Services add their own keys in a subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str = Field(description="Name of the service; set by the command, not by the file.")
    database_url: str = Field(description="PostgreSQL address, as postgresql://user@host/database.")
    url: str = Field("", description="Public address of the plain HTTP side; empty = http://<host>:<port>.")
    tls_url: str = Field("", description="Public address of the TLS side; empty = https://<host>:<tls_port>.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(0, ge=0, le=65535, description="Port of the plain HTTP side, for a proxy in front.")
    tls_port: int = Field(
        0, ge=0, le=65535, description="Port of the side that ends TLS and asks for certificates; 0 = none."
    )
    listen_extra: tuple[str, ...] = Field(
        (),
        description=(
            'Further addresses of the TLS side, as "0.0.0.0:443"; for clients that know one port only: stock ssmsend'
            " with a certificate wants accounting on 443 and 8443 of one host."
        ),
    )
    federation: str = Field("Hanse federation", description="Name of the federation, on every page.")
    data_dir: Path = Field(Path("/var/lib/hanse"), description="Folder for the service's own files.")
    secret_key: SecretStr = Field(
        description="Signs the session cookie; one for all services of a federation; 16 characters or more."
    )
    trust_dir: Path = Field(
        Path("/etc/grid-security/certificates"),
        description="Folder of CA certificates (*.pem) and revocation lists (*.r0, *.crl.pem).",
    )
    tls_cert: Path = Field(
        Path("/etc/grid-security/hostcert.pem"), description="Host certificate, PEM with chain."
    )
    tls_key: Path = Field(
        Path("/etc/grid-security/hostkey.pem"), description="Key of the host certificate, PEM."
    )
    registry_url: str = Field("", description="Address of the registry; empty = absent.")
    accounting_url: str = Field("", description="Address of accounting; empty = absent.")
    monitoring_url: str = Field("", description="Address of monitoring; empty = absent.")
    vomsdb_url: str = Field("", description="Address of the membership service; empty = absent.")
    registry_tls_url: str = Field("", description="Address of the registry's TLS side; empty = absent.")
    accounting_tls_url: str = Field("", description="Address of accounting's TLS side; empty = absent.")
    monitoring_tls_url: str = Field("", description="Address of monitoring's TLS side; empty = absent.")
    vomsdb_tls_url: str = Field(
        "", description="Address of the membership service's TLS side; empty = absent."
    )
    service_token: SecretStr = Field(
        SecretStr(""), description="This service's own token towards the others."
    )
    service_tokens: dict[str, SecretStr] = Field(
        default_factory=dict, description="Tokens of other services that are let in, by service name."
    )
    smtp_host: str = Field("", description="Mail relay; empty = no mail is sent.")
    smtp_port: int = Field(25, ge=1, le=65535, description="Port of the mail relay.")
    mail_from: str = Field("hanse@localhost", description="Sender of the mails.")
    secure_cookies: bool = Field(True, description="Send the session cookie over HTTPS only.")
    workers: int = Field(2, ge=1, le=64, description="Processes of each listener.")
    threads: int = Field(8, ge=1, le=256, description="Threads of each process.")
    max_body_bytes: int = Field(10_485_760, ge=1024, description="Largest request body, in bytes.")
    sign_in: dict[str, SignInProvider] = Field(
        default_factory=dict,
        description=(
            "OpenID Connect providers that people sign in with, by a short name, each a table with issuer, client_id,"
            " client_secret_file, scopes, button, audience, ca, nearby; see the operator's chapter."
        ),
    )
    follow_interval_s: float = Field(
        30, gt=0, description="Seconds between two looks at another service's feed."
    )

    @model_validator(mode="before")
    @classmethod
    def _addresses(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        filled = dict(given)
        for key, port_key, scheme in (("url", "port", "http"), ("tls_url", "tls_port", "https")):
            port = filled.get(port_key, cls.model_fields[port_key].default)
            if not filled.get(key) and str(port) not in {"0", ""}:
                host = filled.get("host", cls.model_fields["host"].default)
                filled[key] = f"{scheme}://{host}:{port}"
        return filled

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 16:
            raise ValueError(
                "needs 16 characters or more; `python3 -c 'import secrets; print(secrets.token_hex())'`"
            )
        return value

    @field_validator("listen_extra")
    @classmethod
    def _host_and_port(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            host, _, port = each.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) <= 65535:
                raise ValueError(f'holds {each}, which is no address; write "0.0.0.0:443"')
        return value

    @field_validator("sign_in")
    @classmethod
    def _short_names(cls, value: dict[str, SignInProvider]) -> dict[str, SignInProvider]:
        for name in value:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"names a provider {name}; use small letters, digits and dashes")
        if len({provider.issuer for provider in value.values()}) < len(value):
            raise ValueError("has two providers of one issuer")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: str) -> str:
        if not value.startswith(("postgresql://", "postgresql+psycopg://")):
            raise ValueError("must begin with postgresql://")
        return value

    @classmethod
    def load(cls, service: str, config: Path | None, environ: Mapping[str, str] | None = None) -> Self:
        """Settings of `service` from `config` (none = environment alone). Raises SettingsError with one
        sentence.
        """
        environ = os.environ if environ is None else environ
        given = {**_from_file(cls, service, config), **_from_environment(cls, service, environ)}
        try:
            return cls(**{**given, "service": service})
        except ValidationError as error:
            raise SettingsError(_sentence(service, config, error)) from None


def _from_file(model: type[ServiceSettings], service: str, config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        tables = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {config} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {config} is not TOML: {error}.") from None
    common = _known_in_common(_table(tables, "common", config), model, config)
    given = {**common, **_table(tables, service, config)}
    return {
        name: _from_base(model, name, value, config.absolute().parent)
        for name, value in _secrets_read(model, given, config.absolute().parent).items()
    }


def _table(tables: Mapping[str, Any], name: str, config: Path) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{config}: {name} must be a table, [{name}].")
    return table


def _known_in_common(table: Mapping[str, Any], model: type[ServiceSettings], config: Path) -> dict[str, Any]:
    """[common] speaks to every service: a key that this one lacks may be another's, but each must be
    somebody's.
    """
    base = ServiceSettings.model_fields
    for key in table:
        if key.removesuffix("_file") not in base and key not in base and key not in model.model_fields:
            raise SettingsError(
                f"{config}: [common] has no key {key}; a key of one service goes into that service's table."
            )
    return dict(table)


def _from_base(model: type[ServiceSettings], name: str, value: Any, base: Path) -> Any:
    field = model.model_fields.get(name)
    if name == "sign_in" and isinstance(value, dict):
        return {key: _files_from_base(one, base) for key, one in value.items()}
    if field is not None and _mentions(field.annotation, Path) and isinstance(value, str):
        return base / value
    return value


def _files_from_base(provider: Any, base: Path) -> Any:
    if not isinstance(provider, dict):
        return provider
    files = {key: str(base / str(provider[key])) for key in ("client_secret_file", "ca") if key in provider}
    return {**provider, **files}


def _secrets_read(model: type[ServiceSettings], given: Mapping[str, Any], base: Path) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in given.items():
        key = name.removesuffix("_file")
        field = model.model_fields.get(key)
        if name in model.model_fields or field is None or not _mentions(field.annotation, SecretStr):
            read[name] = value
        else:
            read[key] = _parsed(field.annotation, _secret_text(name, base / str(value)), name)
    return read


def _from_environment(
    model: type[ServiceSettings], service: str, environ: Mapping[str, str]
) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        for variable in (f"HANSE_{name.upper()}", f"HANSE_{service.upper()}_{name.upper()}"):
            secret_file = environ.get(f"{variable}_FILE")
            if variable in environ:
                read[name] = _parsed(field.annotation, environ[variable], variable)
            elif secret_file and _mentions(field.annotation, SecretStr):
                secret = _secret_text(f"{variable}_FILE", Path(secret_file))
                read[name] = _parsed(field.annotation, secret, f"{variable}_FILE")
    return read


def _secret_text(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{name} names {path}, which cannot be read: {reason}.") from None


def _parsed(annotation: Any, value: str, name: str) -> Any:
    """Tables and lists are written as JSON where there is only text."""
    if not (_mentions(annotation, dict) or _mentions(annotation, list) or _mentions(annotation, tuple)):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{name} must be JSON: {error}.") from None


def _mentions(annotation: Any, wanted: type) -> bool:
    if annotation is wanted or get_origin(annotation) is wanted:
        return True
    return any(_mentions(part, wanted) for part in get_args(annotation))


def _sentence(service: str, config: Path | None, error: ValidationError) -> str:
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"]) or "settings"
    where = f"[{service}] of {config}" if config else "the environment"
    if fault["type"] == "missing":
        return (
            f"{service} needs the setting {key}: give it in {where},"
            f" or as HANSE_{service.upper()}_{key.upper()}."
        )
    if fault["type"] == "extra_forbidden":
        return f"{service} has no setting {key}: take it out of {where}, or correct its name."
    reason = fault["msg"].removeprefix("Value error, ")
    return f"{service}: the setting {key} cannot be used: {reason}."
