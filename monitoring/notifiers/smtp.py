"""smtp: the alert as a plain text mail through the federation's relay. The Message-ID follows from the
key."""

import smtplib
from email.message import EmailMessage
from email.utils import format_datetime

from monitoring.clock import local_time
from monitoring.letters import Letter, Means
from monitoring.notifiers.fault import NotSent

TIMEOUT_S = 8


def send(letter: Letter, means: Means) -> str:
    """Hand the mail to the relay. A refused recipient (5xx) is for good; a busy or silent relay is not."""
    try:
        with smtplib.SMTP(means.smtp_host, means.smtp_port, timeout=TIMEOUT_S) as relay:
            relay.send_message(mail(letter, means))
    except smtplib.SMTPRecipientsRefused as fault:
        code, words = next(iter(fault.recipients.values()))
        said = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
        raise NotSent(f"the relay refused the recipient: {code} {said}", for_good=code >= 500) from None
    except smtplib.SMTPException as fault:
        raise NotSent(f"the relay said {fault}") from None
    except OSError as fault:
        where = f"{means.smtp_host}:{means.smtp_port}"
        raise NotSent(f"the relay {where} cannot be reached: {fault.strerror or fault}") from None
    return "handed to the relay"


def mail(letter: Letter, means: Means) -> EmailMessage:
    """The mail; every message of an incident refers to one thread."""
    message = EmailMessage()
    message["From"] = means.mail_from
    message["To"] = letter.recipient
    message["Subject"] = _one_line(str(letter.body["subject"]))
    message["Date"] = format_datetime(local_time())
    message["Message-ID"] = f"<{letter.fingerprint}@hanse>"
    message["References"] = f"<incident-{letter.number}@hanse>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Hanse-Incident"] = str(letter.number)
    message["X-Hanse-Event"] = letter.event
    message.set_content(str(letter.body["text"]))
    return message


def _one_line(text: str) -> str:
    return " ".join(text.split())
