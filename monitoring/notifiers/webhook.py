"""webhook: the alert as one JSON document by POST. `Idempotency-Key` is the same at every attempt."""

from hanse.http import HttpError, fetch
from monitoring.letters import Letter, Means
from monitoring.notifiers.fault import NotSent

DEADLINE_S = 15
# What a receiver will not take, however often it is sent.
_FOR_GOOD = frozenset({400, 405, 410, 413, 415, 422})


def send(letter: Letter, means: Means) -> str:
    """POST to `letter.recipient`; a 2xx answer is delivery."""
    headers = {"Idempotency-Key": letter.fingerprint}
    token = means.webhook_token.get_secret_value()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = {"key": letter.fingerprint, **letter.body}
    try:
        answer = fetch(
            "POST", letter.recipient, headers=headers, json=body, deadline_s=DEADLINE_S, max_bytes=65_536
        )
    except HttpError as fault:
        raise NotSent(str(fault)) from None
    if not 200 <= answer.status < 300:
        raise NotSent(f"the receiver answered {answer.status}", for_good=answer.status in _FOR_GOOD)
    return f"accepted ({answer.status})"
