"""webhook: the alert as one JSON document by POST. `Idempotency-Key` is the same at every attempt."""

from monitoring.letters import Letter, Means
from monitoring.notifiers.posting import post


def send(letter: Letter, means: Means) -> str:
    """POST to `letter.recipient`; a 2xx answer is delivery."""
    headers = {"Idempotency-Key": letter.fingerprint}
    token = means.webhook_token.get_secret_value()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return post(letter.recipient, {"key": letter.fingerprint, **letter.body}, headers)
