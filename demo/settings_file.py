"""Writes hanse.toml for the demo: four services, one PostgreSQL, quick intervals so that a person can
watch.
"""

from __future__ import annotations

import json
import secrets
import tomllib
from collections.abc import Callable
from typing import Any

from demo.cast import FEDERATION, OPERATOR, SERVICES
from demo.layout import Layout, write_private
from hanse.postgres import PrivatePostgres


def database_url(layout: Layout, service: str) -> str:
    """The address of a service's database."""
    return PrivatePostgres(layout.postgres, durable=True).dsn(f"hanse_{service}")


def write(layout: Layout) -> None:
    """Write the file; secrets that were made once are kept."""
    kept = _kept_secrets(layout)
    tables = {"common": _common(layout, kept), **{name: _service(layout, name, kept) for name in SERVICES}}
    text = "".join(
        f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items()) + "\n"
        for name, table in tables.items()
    )
    write_private(layout.settings, "# Written by `hanse demo up`; a change made here is lost.\n\n" + text)


def _kept_secrets(layout: Layout) -> dict[str, str]:
    """Secret by name: the cookie key and one token a service."""
    names = ("secret_key", *SERVICES)
    try:
        old = tomllib.loads(layout.settings.read_text())
    except FileNotFoundError:
        return {name: secrets.token_hex(24) for name in names}
    return {"secret_key": old["common"]["secret_key"]} | {
        name: old[name]["service_token"] for name in SERVICES
    }


def _common(layout: Layout, kept: dict[str, str]) -> dict[str, Any]:
    cert, key = layout.certificate("hanse")
    addresses = {f"{name}_url": layout.url(name) for name in SERVICES}
    tls = {f"{name}_tls_url": layout.tls_url(name) for name in SERVICES}
    return {
        "federation": FEDERATION,
        "secret_key": kept["secret_key"],
        "trust_dir": str(layout.trust),
        "tls_cert": str(cert),
        "tls_key": str(key),
        **addresses,
        **tls,
        "smtp_host": "127.0.0.1",
        "smtp_port": layout.ports["smtp"],
        "mail_from": "hanse@hanse.example",
        # The demo's pages come over plain HTTP from the loopback; a browser would not send a secure cookie
        # there.
        "secure_cookies": False,
        "workers": 1,
        "threads": 8,
        "follow_interval_s": 1,
    }


def _service(layout: Layout, name: str, kept: dict[str, str]) -> dict[str, Any]:
    return {
        "database_url": database_url(layout, name),
        "port": layout.ports[name],
        "tls_port": layout.ports[f"{name}_tls"],
        "data_dir": str(layout.data / "services" / name),
        "service_token": kept[name],
        "service_tokens": {other: kept[other] for other in SERVICES if other != name},
        **_OWN[name](layout),
    }


def _monitoring(layout: Layout) -> dict[str, Any]:
    cert, key = layout.certificate("robot")
    return {
        # An hour between two looks is right for a federation; here a person is watching.
        "time_scale": 0.001,
        "probe_cert": str(cert),
        "probe_key": str(key),
        "webhook_urls": [f"http://127.0.0.1:{layout.ports['webhooks']}/alerts"],
        "alert_mail": [OPERATOR.email],
    }


def _vomsdb(layout: Layout) -> dict[str, Any]:
    cert, key = layout.certificate("voms")
    return {
        "aa_host": "localhost",
        "aa_port": layout.ports["authority"],
        "aa_cert": str(cert),
        "aa_key": str(key),
        "aa_processes": 1,
        "client_certificates_dir": str(layout.trust),
        "mail_interval_s": 1,
        "publish_interval_s": 1,
        "push_retry_s": 2,
        "replication_interval_s": 60,
        "replication_jitter_s": 0,
    }


def _accounting(layout: Layout) -> dict[str, Any]:
    key = layout.data / "services" / "accounting" / "pseudonym.key"
    if not key.exists():
        write_private(key, secrets.token_hex(24) + "\n")
    return {
        "worker_poll_s": 0.5,
        "pseudonym_key_file": str(key),
        # what is found and asked for here, a person is watching
        "cross_check_interval_s": 60,
        "replay_interval_s": 2,
        "mail_interval_s": 2,
    }


def _registry(_layout: Layout) -> dict[str, Any]:
    # mails and webhooks are looked at while somebody waits for them; receivers are on this machine
    return {"mail_interval_s": 1, "webhook_interval_s": 1, "webhook_private_addresses": True}


_OWN: dict[str, Callable[[Layout], dict[str, Any]]] = {
    "registry": _registry,
    "monitoring": _monitoring,
    "vomsdb": _vomsdb,
    "accounting": _accounting,
}


def _toml(value: object) -> str:
    """A value in TOML; JSON strings, numbers, booleans and lists are valid there, tables are not."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
