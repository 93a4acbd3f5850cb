"""Messages of an AMS, published to us or pulled, as arrivals of the inbox."""

from __future__ import annotations

from accounting.inbox import Arrival
from hanse.ams import AmsMessage


def arrival_of(message: AmsMessage) -> Arrival:
    """The message as the inbox takes it; what is not base64 is kept, and refused with that reason."""
    reason = "The data attribute of the message is not base64; encode the signed text before publishing."
    return Arrival(message.content, message.empaid, "" if message.encoded else reason)
