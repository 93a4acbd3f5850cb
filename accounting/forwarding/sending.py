"""Sending what waits, in order. A message keeps its id and its bytes until the higher AMS has taken it: who is killed
between the answer and the note sends the very same again, which counts once there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import select

from accounting.forwarding.due import CLOUD, JOBS
from accounting.forwarding.writing import Outbox, forget_gone, tell_again, write_due
from accounting.models import ForwardedMessage
from accounting.settings import AccountingSettings
from hanse import cms
from hanse.ams import Ams, AmsFault, AmsMessage
from hanse.database import Database
from hanse.errors import Conflict, Refused

log = structlog.get_logger(__name__)
_OURS = (401, 403)
"""Answers that say nothing about a message: the token is wrong, or has no right."""


@dataclass(frozen=True)
class Forwarded:
    """What one run did: messages written down, and messages that the higher AMS took."""

    written: int
    sent: int

    @property
    def sentence(self) -> str:
        """For people and the run log."""
        if not self.written and not self.sent:
            return "Nothing has changed since the last time."
        return f"{self.written} messages written, {self.sent} sent."


@dataclass
class Forwarder:
    """Writes down and sends. One at a time: a second one is told so (Conflict)."""

    db: Database
    ams: Ams
    outbox: Outbox

    def forward(self) -> Forwarded:
        """Bring the higher federation up to date. Raises AmsFault with a sentence; what was not taken waits."""
        with self.db.try_lock("accounting forward") as alone:
            if not alone:
                raise Conflict("Another process forwards at this moment; let it finish.")
            written = write_due(self.db, self.outbox)
            return Forwarded(written, self._send_waiting())

    def again(self, site: str | None, month: date | None) -> None:
        """Let the next run tell what it told before once more, of a site, a month or both."""
        tell_again(self.db, self.outbox, site, month)

    def _send_waiting(self) -> int:
        """Send what waits, oldest first. One that is refused for good waits on while the others go; then its fault is
        raised.
        """
        count = 0
        refused: dict[int, AmsFault] = {}
        while (number := self._oldest(refused)) is not None:
            try:
                self._send(number)
                count += 1
            except AmsFault as fault:
                if fault.passing or fault.code in _OURS:
                    raise
                refused[number] = fault
        if refused:
            raise next(iter(refused.values()))
        return count

    def _oldest(self, refused: Collection[int]) -> int | None:
        waits = (
            ForwardedMessage.state == "waiting",
            ForwardedMessage.destination.in_(self.outbox.destinations.values()),
            ForwardedMessage.id.not_in(refused),
        )
        with self.db.transaction() as session:
            return session.scalar(
                select(ForwardedMessage.id).where(*waits).order_by(ForwardedMessage.id).limit(1)
            )

    def _send(self, number: int) -> None:
        with self.db.transaction() as session:
            message = session.get_one(ForwardedMessage, number, with_for_update=True)
            assert message.body is not None  # what waits is replaced by who forwards alone
            topic = message.destination.rpartition("/")[2]
            message.number = self.ams.publish(topic, [AmsMessage(message.body, message.empaid)])[0]
            message.state, message.body, message.sent_at = "sent", None, datetime.now(UTC)
            forget_gone(session, message)
            told = {"site": message.site, "month": f"{message.month:%Y-%m}", "records": message.records}
        log.info("forwarded", **told)


@contextmanager
def make_forwarder(settings: AccountingSettings, db: Database) -> Iterator[Forwarder]:
    """The forwarder that the settings describe. Raises Refused with a sentence when they describe none."""
    if not settings.forward_url:
        raise Refused("There is nobody to forward to: set forward_url and forward_token_file.")
    project = f"{settings.forward_url.rstrip('/')}/v1/projects/{settings.forward_project}"
    topics = {CLOUD: settings.forward_cloud_topic, JOBS: settings.forward_job_topic}
    destinations = {kind: f"{project}/topics/{topic}" for kind, topic in topics.items() if topic}
    certificate, key = _signer(settings)
    first = date.fromisoformat(f"{settings.forward_from}-01") if settings.forward_from else None
    outbox = Outbox(destinations, lambda text: cms.sign(text, certificate, key), first)
    token = settings.forward_token.get_secret_value()
    with Ams(settings.forward_url, settings.forward_project, token, settings.forward_ca) as ams:
        yield Forwarder(db, ams, outbox)


def _signer(
    settings: AccountingSettings,
) -> tuple[x509.Certificate, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]:
    """Certificate and key that sign. Raises Refused when the files cannot be used."""
    paths = settings.forward_cert or settings.tls_cert, settings.forward_key or settings.tls_key
    try:
        certificate = x509.load_pem_x509_certificate(paths[0].read_bytes())
        key = load_pem_private_key(paths[1].read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise Refused(f"Nothing can be signed with {paths[0]} and {paths[1]}: {error}.") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise Refused(
            f"The key {paths[1]} is neither RSA nor an elliptic curve; messages are signed with such."
        )
    return certificate, key
