"""Ways to tell people: one file each, one signature, one table.

    def send(letter: Letter, means: Means) -> str      # a few words for the incident's story

It raises NotSent with a sentence; `for_good` when trying again is of no use. A letter may arrive twice only
when a worker dies between sending and noting it; its fingerprint goes along, so that the receiver can tell.
"""

from collections.abc import Callable

from monitoring.letters import Letter, Means
from monitoring.notifiers import alertmanager, chat, smtp, ticket, webhook
from monitoring.notifiers.fault import NotSent

__all__ = ["NOTIFIERS", "NotSent"]

NOTIFIERS: dict[str, Callable[[Letter, Means], str]] = {
    "webhook": webhook.send,
    "smtp": smtp.send,
    "alertmanager": alertmanager.send,
    "chat": chat.send,
    "ticket": ticket.send,
}
