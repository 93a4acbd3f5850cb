"""The JSON mapping: for services that want more than a grid-mapfile tells.

`{"format": "hanse-mapping", "version": 1, "identities": [{vo, member, subject_der, issuer_der (base64 of
DER), dn, dn_rfc2253, account, fqans, not_after}]}`. Subject and issuer as DER are the identity; the
printed names are for people. Every identity carries its end, so that a reader keeps closing doors in time
even when the agent has died.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

from siteagent.appliers.held import Held
from siteagent.documents import stamp
from siteagent.entries import Admitted, Entry
from siteagent.errors import AgentError


class Mapping:
    """A mapping file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def render(self, admitted: Admitted) -> dict[Path, Optional[bytes]]:
        document = {
            "format": "hanse-mapping",
            "version": 1,
            "identities": sorted((_record(entry) for entry in admitted.entries), key=_text),
        }
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        return {self.path: text.encode()}

    def expected(self, admitted: Admitted) -> frozenset[Held]:
        return frozenset(Held(entry.vo, _text(_record(entry))) for entry in admitted.entries)

    def found(self, admitted: Admitted) -> frozenset[Held]:
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            records = document["identities"]
            return frozenset(Held(record.get("vo"), _text(record)) for record in records)
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise AgentError(f"Cannot read {self.path}: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError):
            return frozenset({Held(None, f"{self.path.name} is not a mapping file")})

    def unwritable(self, admitted: Admitted) -> list[str]:
        return []


def _record(entry: Entry) -> dict[str, Any]:
    return {
        "vo": entry.vo,
        "member": entry.member,
        "subject_der": entry.cert.subject_der,
        "issuer_der": entry.cert.issuer_der,
        "dn": entry.cert.dn_slash,
        "dn_rfc2253": entry.cert.dn_rfc2253,
        "account": entry.account,
        "fqans": list(entry.fqans),
        "not_after": stamp(entry.ends),
    }


def _text(record: object) -> str:
    return json.dumps(record, sort_keys=True, ensure_ascii=False)
