"""alertmanager: the alert to Prometheus' Alertmanager (API version 2), which groups, silences and routes it itself."""

from datetime import datetime, timedelta
from typing import Any

from monitoring.letters import Letter, Means
from monitoring.notifiers.posting import post

# Alertmanager takes an alert for over that nobody renews; ours says itself when it is over.
HOLDS_FOR = timedelta(days=30)


def send(letter: Letter, means: Means) -> str:
    """POST to `letter.recipient`, the address of Alertmanager, with /api/v2/alerts added."""
    url = letter.recipient.rstrip("/") + "/api/v2/alerts"
    return post(url, [alert(letter)], {})


def alert(letter: Letter) -> dict[str, Any]:
    """One alert an incident: the labels stay the same for its life, so that the recovery resolves it."""
    body = letter.body
    began = datetime.fromisoformat(str(body["since"]))
    return {
        "labels": {
            "alertname": "HanseIncident",
            "incident": str(letter.number),
            "site": str(body["site"]) or "monitoring",
            "federation": str(body["federation"]),
        },
        "annotations": {
            "summary": str(body["subject"]),
            "description": str(body["text"]),
            "state": str(body["state"]),
            "reason": str(body["reason"]),
        },
        "startsAt": began.isoformat(),
        "endsAt": str(body["ended"] or (began + HOLDS_FOR).isoformat()),
        "generatorURL": str(body["url"]),
    }
