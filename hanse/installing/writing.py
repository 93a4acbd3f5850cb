"""hanse.toml with every key explained, and the secrets beside it in files of their own."""

from __future__ import annotations

import grp
import json
import os
import secrets
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo

from hanse.errors import Refused
from hanse.installing.answers import PORTS, Answers
from hanse.service import Service
from hanse.settings import ServiceSettings

_WIDTH: Final = 118


def secret(folder: Path, name: str) -> Path:
    """The file of a secret, made when it is not there; readable by its owner alone."""
    path = folder / name
    if not path.exists():
        write_private(path, secrets.token_hex(32) + "\n")
    return path


def write_private(path: Path, content: str) -> None:
    """Write a file of mode 600, whole or not at all."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def group_number(name: str) -> int:
    """The number of a group of this machine. Raises Refused when there is none of that name."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise Refused(f"There is no group {name} here: make it with `groupadd --system {name}`.") from error


def share(config: Path, folder: Path, group: int) -> None:
    """Let a group read the settings file and the secrets of `folder`, and nobody else."""
    for path in (config.parent, folder, config, *folder.iterdir()):
        os.chown(path, -1, group)
        path.chmod(0o750 if path.is_dir() else 0o640)


def settings_text(
    answers: Answers, services: Mapping[str, Service[Any]], urls: Mapping[str, str], folder: Path
) -> str:
    """The settings file: what was answered, and every other key as a comment with its default.

    `urls` are the databases' addresses by service; `folder` is where the secrets lie.
    """
    head = [
        f"# {answers.federation}: settings of Hanse, written by `hanse init`.",
        "# A line `#key = ...` tells the default.",
        "# Changes count after a restart of the service; `hanse doctor` looks at the whole.",
        "",
        "[common]",
        *_keys(ServiceSettings, _common(answers, folder), without=_OF_SERVICES),
    ]
    for name in answers.services:
        own = _own(answers, name, urls[name], folder)
        without = frozenset(ServiceSettings.model_fields) - {key.removesuffix("_file") for key in own}
        head += ["", f"[{name}]", *_keys(services[name].settings, own, without=without)]
    return "\n".join(head) + "\n"


# Keys of all services that each has to itself.
_OF_SERVICES: Final = frozenset({"service", "database_url", "port", "tls_port", "data_dir", "url", "tls_url"} | {
    "service_token", "service_tokens"
})  # fmt: skip


def _common(answers: Answers, folder: Path) -> dict[str, Any]:
    given: dict[str, Any] = {
        "federation": answers.federation,
        "host": answers.listen,
        "secret_key_file": str(secret(folder, "secret_key")),
        "trust_dir": str(answers.trust_dir),
        "tls_cert": str(answers.tls_cert),
        "tls_key": str(answers.tls_key),
        "smtp_host": answers.smtp_host,
        "mail_from": answers.mail_from,
    }
    for name in answers.services:
        plain, tls = PORTS[name]
        given[f"{name}_url"] = f"http://{answers.host}:{plain}"
        given[f"{name}_tls_url"] = f"https://{answers.host}:{tls}"
    for name, address in (answers.elsewhere or {}).items():
        given.setdefault(f"{name}_url", address)
    return given


def _own(answers: Answers, name: str, url: str, folder: Path) -> dict[str, Any]:
    plain, tls = PORTS[name]
    others = [one for one in answers.services if one != name]
    tokens = {one: (secret(folder, f"token_{one}")).read_text().strip() for one in others}
    own: dict[str, Any] = {
        "database_url": url,
        "port": plain,
        "tls_port": tls,
        "url": f"http://{answers.host}:{plain}",
        "tls_url": f"https://{answers.host}:{tls}",
        "data_dir": str(answers.state / name),
        "service_token_file": str(secret(folder, f"token_{name}")),
        "service_tokens": tokens,
    }
    if name == "accounting":
        own["pseudonym_key_file"] = str(secret(folder, "pseudonym_key"))
    if name == "vomsdb":
        own["aa_host"] = answers.host
    return own


def _keys(model: type[ServiceSettings], given: Mapping[str, Any], without: frozenset[str]) -> list[str]:
    lines: list[str] = []
    for name, field in model.model_fields.items():
        if name in without:
            continue
        lines += textwrap.wrap(field.description or name, _WIDTH, initial_indent="# ", subsequent_indent="# ")
        present = name if name in given else f"{name}_file" if f"{name}_file" in given else ""
        lines.append(f"{present} = {toml(given[present])}" if present else f"#{name} = {_default(field)}")
    return lines


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if "Secret" in type(value).__name__ or value is None or field.is_required():
        return '""'
    return toml(str(value) if isinstance(value, Path) else value)


def toml(value: Any) -> str:
    """A value in TOML; JSON's text, numbers, booleans and lists are TOML too, its tables are not."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(
        list(value) if isinstance(value, tuple | set | frozenset) else value, ensure_ascii=False, default=str
    )
