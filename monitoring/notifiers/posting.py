"""One JSON document by POST: what all notifiers over HTTP do."""

from typing import Any

from hanse.http import HttpError, fetch
from monitoring.notifiers.fault import NotSent

DEADLINE_S = 15
# What a receiver will not take, however often it is sent.
FOR_GOOD = frozenset({400, 405, 410, 413, 415, 422})


def post(url: str, body: Any, headers: dict[str, str]) -> str:
    """POST `body`; a 2xx answer is delivery. Raises NotSent."""
    try:
        answer = fetch("POST", url, headers=headers, json=body, deadline_s=DEADLINE_S, max_bytes=65_536)
    except HttpError as fault:
        raise NotSent(str(fault)) from None
    if not 200 <= answer.status < 300:
        raise NotSent(f"the receiver answered {answer.status}", for_good=answer.status in FOR_GOOD)
    return f"accepted ({answer.status})"
