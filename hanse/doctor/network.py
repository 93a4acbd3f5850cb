"""The network: our own ports, the other services, the mail relay, and the clocks of those who answer."""

from __future__ import annotations

import errno
import os
import resource
import smtplib
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from hanse.doctor.advice import Advice, Patient, bad, good, note
from hanse.http import Answer, HttpError, fetch

ANSWER_S = 5.0
MOST_APART_S = 30.0
FEW_FILES = 4096
NEIGHBOURS = ("registry", "accounting", "monitoring", "vomsdb")


def ports(patient: Patient) -> Iterator[Advice]:
    """Each port of the service: it answers there itself, or the port is free."""
    settings = patient.settings
    wanted = [
        ("port", settings.host, settings.port, "http"),
        ("tls_port", settings.host, settings.tls_port, "https"),
    ]
    for key, host, port, scheme in wanted:
        if port:
            yield _port(patient, key, host, port, scheme)


def _port(patient: Patient, key: str, host: str, port: int, scheme: str) -> Advice:
    answers = _healthz(f"{scheme}://{_literal(host)}:{port}", patient)
    if answers is not None and f'"service":"{patient.name}"' in answers.text.replace(" ", ""):
        return good(key, f"{patient.name} answers at {host}:{port}.")
    taken = _taken(host, port)
    if taken is None:
        start = f"`hanse {patient.name} serve` is not running; the port is free."
        return note(
            key, f"Nothing answers at {host}:{port}: {start}", f"Start it: `hanse {patient.name} serve`."
        )
    if taken == errno.EADDRINUSE:
        do = f"Stop what listens there (`ss -ltnp 'sport = :{port}'`), or choose another {key}."
        return bad(key, f"Something else listens at {host}:{port}.", do)
    return bad(key, f"{host}:{port} cannot be listened at: {os.strerror(taken)}.", _rights(taken, key))


def _rights(number: int, key: str) -> str:
    if number == errno.EACCES:
        return f"Choose a {key} above 1023, or give the service CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities)."
    return "Set host to an address of this machine."


def _literal(host: str) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{shown}]" if ":" in shown else shown


def _taken(host: str, port: int) -> int | None:
    """None when it can be listened at, else the errno."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.errno or errno.EIO
    return None


def _healthz(url: str, patient: Patient) -> Answer | None:
    """What is answered at an address of our own; of HTTPS the certificate is looked at elsewhere."""
    if url.startswith("https:"):
        return _tls_healthz(url)
    try:
        return fetch("GET", f"{url}/healthz", deadline_s=ANSWER_S)
    except HttpError:
        return None


def _tls_healthz(url: str) -> Answer | None:
    host, _, port = url.removeprefix("https://").rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")) as secured,
        ):
            secured.settimeout(ANSWER_S)
            secured.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            said, ends = b"", time.monotonic() + ANSWER_S
            while len(said) < 65_536 and time.monotonic() < ends and (chunk := secured.recv(4096)):
                said += chunk
    except (OSError, ValueError):
        return None
    head, _, body = said.partition(b"\r\n\r\n")
    status = head.split(b" ")[1:2]
    return Answer(int(status[0]) if status and status[0].isdigit() else 0, {}, body, 0.0, url)


def neighbours(patient: Patient) -> Iterator[Advice]:
    """The other services that the settings name: do they answer, and do they have the time of day."""
    for name in NEIGHBOURS:
        url = getattr(patient.settings, f"{name}_url")
        if not url or name == patient.name:
            continue
        key = f"{name}_url"
        try:
            answer = fetch("GET", f"{url.rstrip('/')}/healthz", deadline_s=ANSWER_S)
        except HttpError as error:
            do = f"Start {name}, or correct {key}. Until then this service works with what it last heard."
            yield note(key, str(error), do)
            continue
        if not answer.ok or f'"service":"{name}"' not in answer.text.replace(" ", ""):
            yield bad(key, f"What answers at {url} is not {name} ({answer.status}).", f"Correct {key}.")
            continue
        yield _apart(key, name, answer)


def _apart(key: str, name: str, answer: Answer) -> Advice:
    try:
        theirs = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return good(key, f"{name} answers.")
    apart = abs(theirs.timestamp() - time.time())
    if apart > MOST_APART_S:
        do = "Run a time service (chrony, systemd-timesyncd) on both machines."
        return bad("clock", f"The machine of {name} and this one are {apart:.0f} s apart.", do)
    return good(key, f"{name} answers in {answer.elapsed_s * 1000:.0f} ms.")


def mail(patient: Patient) -> Iterator[Advice]:
    """The mail relay."""
    host, port = patient.settings.smtp_host, patient.settings.smtp_port
    if not host:
        do = "Set smtp_host and mail_from; confirmations, warnings and digests wait until then."
        yield note("smtp_host", "No mail relay is set: no mail is sent.", do)
        return
    try:
        with smtplib.SMTP(host, port, timeout=ANSWER_S) as relay:
            code, _ = relay.ehlo()
    except (OSError, smtplib.SMTPException) as error:
        do = "Start the relay, or correct smtp_host and smtp_port. Mails wait and are tried again."
        yield bad("smtp_host", f"{host}:{port} takes no mail: {error}", do)
        return
    if code >= 400:
        yield bad("smtp_host", f"{host}:{port} answers {code}.", "Let the relay take mail from this machine.")
    else:
        yield good("smtp_host", f"{host}:{port} answers.")


def machine(patient: Patient) -> Iterator[Advice]:
    """Versions, and how many files a process may open."""
    shown = ".".join(map(str, sys.version_info[:3]))
    yield good("python", f"Python {shown}, {ssl.OPENSSL_VERSION}.")
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < FEW_FILES:
        do = "Set LimitNOFILE=65536 in the unit of the service, or `ulimit -n 65536`."
        yield note("files", f"A process may open {files} files; each connection is one.", do)
