"""A message on its way to somebody, and what it takes to send one: what alerts and notifiers both speak."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Means:
    """How this installation sends: the mail relay and sender, and the token for webhooks (empty = none)."""

    smtp_host: str = ""
    smtp_port: int = 25
    mail_from: str = ""
    webhook_token: SecretStr = field(default_factory=lambda: SecretStr(""))
    ticket_token: SecretStr = field(default_factory=lambda: SecretStr(""))
    ticket_template: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that is ours to send now; `attempt` counts from 1."""

    key: str
    number: int
    event: str
    notifier: str
    recipient: str
    body: dict[str, Any]
    attempt: int

    @property
    def fingerprint(self) -> str:
        """The key without the address in it, which may be a secret: the same at every attempt."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:32]


def shown(letter: Letter) -> str:
    """The recipient without what may be secret in an address (query, user part)."""
    return public_recipient(letter.notifier, letter.recipient)


def public_recipient(notifier: str, recipient: str) -> str:
    """An address for machines by its host alone: its path and query may be a secret. A mail address as it is."""
    if notifier == "smtp":
        return recipient
    return recipient.partition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0]
