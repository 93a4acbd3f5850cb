"""ticket: a help desk's own document by POST, made from a template. The same `$key` creates and updates one ticket."""

import json
from collections.abc import Mapping
from string import Template
from typing import Any

from monitoring.letters import Letter, Means
from monitoring.notifiers.fault import NotSent
from monitoring.notifiers.posting import post

DEFAULT = (
    '{"external_id": $key, "action": $action, "title": $subject, "body": $text, "priority": $state,'
    ' "site": $site, "link": $url}'
)
FIELDS = ("key", "action", "event", "subject", "text", "state", "site", "url", "cause", "reason", "incident")


def send(letter: Letter, means: Means) -> str:
    """POST the filled template to `letter.recipient`."""
    headers = {"Idempotency-Key": letter.fingerprint}
    token = means.ticket_token.get_secret_value()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        body = filled(means.ticket_template or DEFAULT, values(letter))
    except ValueError as fault:
        raise NotSent(f"the template of tickets: {fault}", for_good=True) from None
    return post(letter.recipient, body, headers)


def values(letter: Letter) -> dict[str, Any]:
    """What a template may name. `action` is create, update or close; `key` names the ticket."""
    action = {"recovery": "close", "outage": "create", "degraded": "create", "doubt": "create"}
    said = {name: letter.body.get(name, "") for name in FIELDS}
    return {
        **said,
        "key": f"hanse-{letter.number}",
        "event": letter.event,
        "action": action.get(letter.event, "update"),
        "incident": letter.number,
    }


def filled(template: str, given: Mapping[str, Any]) -> Any:
    """The template with each `$name` as JSON (quotes and all) in its place. Raises ValueError with a sentence."""
    try:
        text = Template(template).substitute({name: json.dumps(value) for name, value in given.items()})
    except KeyError as fault:
        raise ValueError(f"names {fault}; there are {', '.join(FIELDS)}") from None
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("is not JSON once it is filled; write $subject without quotes") from None
