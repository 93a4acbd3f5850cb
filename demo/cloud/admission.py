"""Whom a simulated cloud lets in: certificates of the federation's CAs to look, mapped VO members to run
machines.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from hanse.identity.principals import X509Identity
from hanse.identity.trust import TrustError, TrustStore, VerifiedChain
from hanse.identity.voms import AttributeCertificate, VomsError, from_proxy


class NotAdmitted(Exception):
    """The caller may not do this; the sentence says what is missing and where to get it."""


@dataclass(frozen=True)
class Guest:
    """Somebody who may run machines: the local account, the name, and the FQAN of the proxy that counts."""

    account: str
    dn: str
    vo: str
    fqan: str


class Doorman:
    """Decides by the trust store, the site's .lsc files, and the mapping that the site agent applied."""

    def __init__(self, trust_dir: Path, vomsdir: Path, mapping: Path, hostname: str) -> None:
        self._trust = TrustStore(trust_dir)
        self._vomsdir = vomsdir
        self._mapping = mapping
        self._hostname = hostname

    def identify(self, chain: Sequence[x509.Certificate]) -> VerifiedChain:
        """Whose certificate this is. Raises NotAdmitted when the federation's CAs do not vouch for it."""
        try:
            return self._trust.verify(chain)
        except TrustError as error:
            raise NotAdmitted(f"Your certificate is not accepted: {error}") from error

    def admit(self, caller: VerifiedChain) -> Guest:
        """The account of a caller. Raises NotAdmitted without a valid VOMS proxy or a place in the
        mapping.
        """
        if caller.limited:
            raise NotAdmitted("A limited proxy may not run machines; make a full one with voms-proxy-init.")
        certificates = self._attributes(caller)
        mapped = self._identities(caller.identity)
        for certificate in certificates:
            if certificate.vo in mapped:
                return Guest(
                    account=mapped[certificate.vo],
                    dn=caller.identity.subject_slash,
                    vo=certificate.vo,
                    fqan=certificate.primary,
                )
        vos = ", ".join(certificate.vo for certificate in certificates)
        raise NotAdmitted(f"{caller.identity.subject_slash} is not mapped at this site for {vos}.")

    def _attributes(self, caller: VerifiedChain) -> tuple[AttributeCertificate, ...]:
        try:
            certificates = from_proxy(
                caller.proxies,
                caller.end_entity,
                vomsdir=self._vomsdir,
                trust=self._trust,
                hostname=self._hostname,
            )
        except VomsError as error:
            raise NotAdmitted(f"Your VOMS attributes are not accepted: {error}") from error
        if not certificates:
            raise NotAdmitted(
                "Machines need a VOMS proxy: run voms-proxy-init --voms VO and show the proxy instead."
            )
        return certificates

    def _identities(self, identity: X509Identity) -> dict[str, str]:
        """VO -> account of this identity, from the mapping as it is now, entries past their end left out."""
        try:
            records = json.loads(self._mapping.read_text())["identities"]
        except FileNotFoundError:
            records = []
        now = datetime.now(UTC)
        return {
            record["vo"]: record["account"]
            for record in records
            if datetime.fromisoformat(record["not_after"]) > now and _identity(record) == identity
        }


def _identity(record: dict[str, str]) -> X509Identity:
    return X509Identity(base64.b64decode(record["subject_der"]), base64.b64decode(record["issuer_der"]))
