"""Files: certificates and their keys, who may read what is secret, revocation lists, room on the disk."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from hanse.doctor.advice import Advice, Patient, bad, good, note
from hanse.identity.certificates import certificate_from_pem, slash_name
from hanse.identity.trust import CrlState, TrustError, TrustStore

SOON_DAYS, LIST_HOURS = 30, 24
LEAST_FREE_BYTES, LEAST_FREE_SHARE = 1024**3, 0.05
_MOST_NAMED = 5


def certificates(patient: Patient) -> Iterator[Advice]:
    """Each pair `<x>_cert`, `<x>_key` of the settings: there, belonging together, holding, for this host."""
    paths = patient.paths()
    for key in [key for key in paths if key.endswith("_cert")]:
        if key == "tls_cert" and not patient.settings.tls_port:
            continue  # nothing ends TLS here
        other = paths.get(key.removesuffix("_cert") + "_key", paths[key])
        host = urlsplit(patient.settings.tls_url).hostname if key == "tls_cert" else None
        yield from _pair(key, paths[key], other, host)


def _pair(part: str, certificate: Path, key: Path, host: str | None) -> Iterator[Advice]:
    try:
        cert = certificate_from_pem(certificate.read_bytes())
    except OSError as error:
        yield bad(part, f"{certificate} cannot be read: {error.strerror}.", _readable(certificate))
        return
    except ValueError:
        do = "Put the certificate there, PEM, with the CAs between it and the root behind it."
        yield bad(part, f"{certificate} is not a certificate in PEM.", do)
        return
    yield _held(part, cert)
    if host and not _is_for(cert, host):
        do = "Ask the CA for one with this name, or set tls_url to a name that it has."
        yield bad(part, f"{slash_name(cert)} is not for {host}.", do)
    yield from _key(part, cert, key)


def _held(part: str, cert: x509.Certificate) -> Advice:
    left = cert.not_valid_after_utc - datetime.now(UTC)
    until = f"until {cert.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    do = "Ask its CA for a new one; it is taken without a restart when the file is replaced."
    if left.total_seconds() <= 0:
        return bad(part, f"{slash_name(cert)} held {until}.", do)
    if cert.not_valid_before_utc > datetime.now(UTC):
        begin = f"{cert.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        return bad(part, f"{slash_name(cert)} holds only from {begin}.", "Check the clock of this machine.")
    if left.days < SOON_DAYS:
        return note(part, f"{slash_name(cert)} holds {until}, {left.days} days.", do)
    return good(part, f"{slash_name(cert)} holds {until}.")


def _is_for(cert: x509.Certificate, host: str) -> bool:
    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    listed = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    wild = "*." + host.lower().partition(".")[2]
    return host.lower() in listed or host in addresses or wild in listed


def _key(part: str, cert: x509.Certificate, path: Path) -> Iterator[Advice]:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        yield bad(part, f"Its key {path} cannot be read: {error.strerror}.", _readable(path))
        return
    except (ValueError, TypeError):
        yield bad(
            part, f"{path} is not a key in PEM without a passphrase.", "Put the certificate's key there."
        )
        return
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != cert.public_key().public_bytes(*form):
        yield bad(
            part, f"The key {path} belongs to another certificate.", "Put the key of this certificate there."
        )


def _readable(path: Path) -> str:
    user = pwd.getpwuid(os.geteuid()).pw_name
    return f"Make sure that {path} is there and that {user}, who runs this, can read it."


def secrets(patient: Patient) -> Iterator[Advice]:
    """Keys and the settings file are for their owner alone."""
    open_ones = 0
    for key, path in patient.paths().items():
        if not (key.endswith("_key") or "signing_key" in key) or not path.is_file():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            open_ones += 1
            owner = f"{pwd.getpwuid(path.stat().st_uid).pw_name}:{_group(path.stat().st_gid)}"
            said = f"Others than its owner can get at {path} ({mode:04o}, {owner})."
            yield bad(key, said, f"chmod 600 {path}")
    if not open_ones:
        yield good("secrets", "Keys are readable by their owner alone.")


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def trust(patient: Patient) -> Iterator[Advice]:
    """CAs and the age of their revocation lists."""
    directory = patient.settings.trust_dir
    do = "Run `hanse trust refresh`; nobody gets in by a CA whose list is missing or has ended."
    try:
        states = TrustStore(directory).crl_states()
        problems = TrustStore(directory).anchors().problems
    except TrustError as error:
        yield bad("trust_dir", str(error), "Put the CAs that the federation trusts there (an IGTF bundle).")
        return
    if not states:
        said = f"There is no CA in {directory}: nobody can sign in with a certificate."
        yield bad("trust_dir", said, "Put the CAs that the federation trusts there (an IGTF bundle).")
        return
    closed = [state for state in states if state.problem]
    for state in closed[:_MOST_NAMED]:
        yield bad("trust_dir", str(state.problem), do)
    if len(closed) > _MOST_NAMED:
        yield bad("trust_dir", f"{len(closed) - _MOST_NAMED} more CAs have no list that holds.", do)
    for problem in problems[:_MOST_NAMED]:
        yield note("trust_dir", problem, "Replace the file.")
    soon = [state for state in states if not state.problem and _hours_left(state) < LIST_HOURS]
    if soon:
        said = f"{len(soon)} revocation lists end within {LIST_HOURS} h, first that of {soon[0].ca}."
        yield note(
            "trust_dir", said, "Run `hanse trust refresh` every few hours (deploy/systemd/hanse-trust.timer)."
        )
    yield good(
        "trust_dir", f"{len(states) - len(closed)} of {len(states)} CAs have a revocation list that holds."
    )


def _hours_left(state: CrlState) -> float:
    if state.next_update is None:
        return 0.0
    return (state.next_update - datetime.now(UTC)).total_seconds() / 3600


def disk(patient: Patient) -> Iterator[Advice]:
    """Room and rights in the service's own folder."""
    folder = patient.settings.data_dir
    if not folder.is_dir():
        yield bad(
            "data_dir", f"{folder} is not there.", f"mkdir -p {folder}, owned by the user of the service."
        )
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        user = pwd.getpwuid(os.geteuid()).pw_name
        yield bad("data_dir", f"{user} cannot write to {folder}.", f"chown {user} {folder}")
    usage = shutil.disk_usage(folder)
    room = f"{usage.free / 1024**3:,.1f} GB of {usage.total / 1024**3:,.0f} GB are free at {folder}"
    if usage.free < LEAST_FREE_BYTES or usage.free < usage.total * LEAST_FREE_SHARE:
        yield bad("data_dir", f"{room}.", "Make room: a full disk refuses every message with 503.")
    else:
        yield good("data_dir", f"{room}.")
