"""The texts by which clients and sites find and know the attribute authority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hanse.identity.vomsdir import vomses_line, write_lsc
from vomsdb.authorities import chain_of, serving
from vomsdb.feeds.vomsdir import packed
from vomsdb.settings import VomsdbSettings


@dataclass(frozen=True)
class ClientFiles:
    """Where one host of the authority is: its vomses line and its .lsc text, each as its file wants it."""

    host: str
    port: int
    vomses: str
    lsc: str


def files(vo: str, certificate: Path, host: str, port: int) -> ClientFiles:
    """The texts for one VO and one host; raises Unavailable when the certificate cannot be read.

    Only the certificate is read here: the key is the attribute authority's alone.
    """
    chain = chain_of(certificate)
    above = [c for c in chain if c.subject != c.issuer] or chain[:1]
    return ClientFiles(host, port, vomses_line(vo, host, port, chain[0]), write_lsc(above))


def all_files(vo: str, settings: VomsdbSettings) -> list[ClientFiles]:
    """The texts of every host that signs now, the usual one first; raises Unavailable."""
    found = serving(settings, datetime.now(UTC))
    return [files(vo, seat.certificate, seat.host, seat.port) for seat in found]


def bundle(vo: str, texts: Sequence[ClientFiles]) -> bytes:
    """vomses and vomsdir as .tar.gz, to be unpacked in ~/.glite, where both clients look for them."""
    named = {f"vomses/{vo}-{one.host}": one.vomses for one in texts}
    return packed(named | {f"vomsdir/{vo}/{one.host}.lsc": one.lsc for one in texts})


@dataclass(frozen=True)
class Commands:
    """What to paste: once on a computer, each day, and to check it with the lines the answer must have."""

    once: str
    daily: str
    check: str
    answer: str


def commands(vo: str, url: str, client: str, certificates_dir: str) -> Commands:
    """The commands for the Java client, or the C++ one (`cxx`), from the addresses of this federation."""
    once = (
        "mkdir -p -m 755 ~/.glite/vomses\n"
        f"curl -fsS {url.rstrip('/')}/vos/{vo}/client.tar.gz \\\n"
        "  | tar xz -C ~/.glite"
    )
    trust = f"export X509_CERT_DIR={certificates_dir}\n" if certificates_dir else ""
    mine = ("cert ~/.globus/usercert.pem", "key ~/.globus/userkey.pem")
    if client == "cxx":
        trust += "export X509_VOMS_DIR=~/.glite/vomsdir\n"
        options: tuple[str, ...] = ("vomses ~/.glite/vomses", *mine)
        daily = _wrapped(f"{trust}voms-proxy-init2 -voms {vo} -valid 12:00", "-", options)
        return Commands(once, daily, f"{trust}voms-proxy-info2 -all", _answer(vo))
    options = ("vomses ~/.glite/vomses", "vomsdir ~/.glite/vomsdir", *mine)
    daily = _wrapped(f"{trust}voms-proxy-init3 --voms {vo} --valid 12:00", "--", options)
    return Commands(once, daily, f"{trust}voms-proxy-info3 --all", _answer(vo))


def _wrapped(start: str, dash: str, options: tuple[str, ...]) -> str:
    """One option a line, so that nothing is cut off on a narrow page."""
    return " \\\n  ".join((start, *(dash + option for option in options)))


def _answer(vo: str) -> str:
    return f"VO        : {vo}\nattribute : /{vo}/Role=NULL/Capability=NULL"
