"""chat: the alert as a line of a chat room, by an incoming webhook as Slack, Mattermost and Matrix take it."""

from monitoring.letters import Letter, Means
from monitoring.notifiers.posting import post

_MARKS = {
    "down": "\N{LARGE RED CIRCLE}",
    "degraded": "\N{LARGE YELLOW CIRCLE}",
    "ok": "\N{LARGE GREEN CIRCLE}",
}


def send(letter: Letter, means: Means) -> str:
    """POST {"text": ...} to `letter.recipient`."""
    return post(letter.recipient, {"text": line(letter)}, {"Idempotency-Key": letter.fingerprint})


def line(letter: Letter) -> str:
    """Subject, cause and address; what a chat would read as a mention or markup is taken apart."""
    body = letter.body
    mark = _MARKS.get(str(body["state"]), "\N{MEDIUM WHITE CIRCLE}")
    return f"{mark} {plain(str(body['subject']))}\n{plain(str(body['cause']))}\n{body['url']}"


def plain(text: str) -> str:
    """Text on one line without < > & (Slack's markup) and without @ that would call people."""
    flat = " ".join(text.split())
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "@\N{ZERO WIDTH SPACE}")):
        flat = flat.replace(sign, instead)
    return flat
