"""The three other services as the registry's pages ask them, for a big federation: answers made once, sent as is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

STATES = ("down", "degraded", "degraded", "downtime")


def _state(number: int) -> str:
    return STATES[number % len(STATES)] if number % 29 == 0 else "ok"


class StandIn:
    """Answers for `sites`; `url(service)` is where a service is asked. `endpoints` are ids by site."""

    def __init__(self, sites: Sequence[str], endpoints: Mapping[str, Sequence[str]] | None = None) -> None:
        self.endpoints = endpoints or {}
        self.sites = {name: number for number, name in enumerate(sites)}
        self.now = datetime.now(UTC)
        self.whole = {
            "status": json.dumps({"sites": [self._site(name) for name in sites]}).encode(),
            "publishing": json.dumps({"items": [self._publishing(name) for name in sites]}).encode(),
            "replication": json.dumps({"pairs": [self._pair(name) for name in sites]}).encode(),
            "usage": json.dumps(
                {"rows": [{"site": name, "cpu_hours": 1000.0 + n} for name, n in self.sites.items()]}
            ).encode(),
            "overview": json.dumps(self._overview()).encode(),
        }
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = outer.answer(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, service: str) -> str:
        """Where a service is asked."""
        return f"http://127.0.0.1:{self.server.server_port}/{service}"

    def close(self) -> None:
        """Answer no more."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str) -> bytes:
        """The body for a question, of all sites or of the one that is named."""
        asked = urlsplit(path)
        what, (site,) = asked.path.rsplit("/", 1)[1], parse_qs(asked.query).get("site", [""])
        if what == "status" and site:
            return json.dumps({"sites": [self._site(site, days=True)] if site in self.sites else []}).encode()
        if what == "replication" and site:
            return json.dumps({"pairs": [self._pair(site)] if site in self.sites else []}).encode()
        return self.whole[what]

    def _overview(self) -> dict[str, object]:
        """What all three tell the operator's page, in one."""
        failing = [name for name, number in self.sites.items() if _state(number) in ("down", "degraded")]
        return {
            "endpoints_total": 31,
            "failing": [
                {
                    "state": _state(self.sites[name]),
                    "site": name,
                    "url": f"https://occi.{name.lower()}.example:8787/ooi",
                    "cause": "TCP connection refused on port 8787",
                    "since": (self.now - timedelta(minutes=51)).isoformat(),
                    "incident": 7,
                    "acknowledged_by": None,
                    "contacts": [{"kind": "admin", "name": "Laura Gil", "email": "laura@bifi.example"}],
                }
                for name in failing[:12]
            ],
            "refused_7d": 214,
            "refused_sites": [
                {
                    "site": name,
                    "records": 214,
                    "reason": "SiteName not allowed",
                    "oldest": (self.now - timedelta(days=4)).isoformat(),
                }
                for name in list(self.sites)[:1]
            ],
            "messages_waiting": 2,
            "cpu_hours_month": 603528.4,
            "by_day": [
                {
                    "day": (self.now.date() - timedelta(days=back)).isoformat(),
                    "cpu_hours": 21000.0 + 900 * (back % 7),
                }
                for back in range(self.now.day - 1, -1, -1)
            ],
            "late_sites": [
                {"site": name, "state": "late", "last_message_at": (self.now - timedelta(days=9)).isoformat()}
                for name in list(self.sites)[3:5]
            ],
            "late": [
                {
                    "site": name,
                    "vo": "chipster",
                    "age_s": 90_600 - 9_000 * place,
                    "state": "late" if place else "breach",
                }
                for place, name in enumerate(list(self.sites)[:3])
            ],
            "pairs_total": 36,
            "in_step": 33,
        }

    def _site(self, name: str, *, days: bool = False) -> dict[str, object]:
        number = self.sites[name]
        state = _state(number)
        return {
            "site": name,
            "state": state,
            "cause": "" if state == "ok" else "TCP connection refused on port 11443",
            "since": (self.now - timedelta(minutes=51 + number)).isoformat(),
            "availability_30d": 100 - number % 300 / 100,
            "endpoints": self._endpoints(name, state) if days else [],
            "days": self._days(number, state) if days else [],
        }

    def _endpoints(self, name: str, state: str) -> list[dict[str, object]]:
        """The first is in the state of the site, the others are in order."""
        return [
            {
                "id": number,
                "state": "ok" if place else state,
                "cause": "" if place or state == "ok" else "TCP connection refused on port 11443",
                "since": (self.now - timedelta(minutes=51)).isoformat(),
                "incident": None if place or state == "ok" else 7,
                "measured_at": (self.now - timedelta(seconds=20 + 60 * place)).isoformat(),
                "availability_30d": 99.9 - place,
                "days": self._days(place * 7, "ok" if place else state),
            }
            for place, number in enumerate(self.endpoints.get(name, ()))
        ]

    def _days(self, number: int, today: str) -> list[dict[str, object]]:
        return [
            {
                "day": (self.now.date() - timedelta(days=89 - back)).isoformat(),
                "state": today if back == 89 else "degraded" if (back + number) % 31 == 0 else "ok",
                "seconds": {"ok": 86400},
            }
            for back in range(90)
        ]

    def _publishing(self, name: str) -> dict[str, object]:
        number = self.sites[name]
        age = 3600.0 * (1 + number % 30) * (20 if number % 40 == 0 else 1)
        return {
            "site": name,
            "state": "late" if age > 604800 else "in time",
            "last_message_at": (self.now - timedelta(seconds=age)).isoformat(),
            "age_s": age,
            "loaded": 100,
            "records": 100,
            "refused_open": number % 3,
        }

    def _pair(self, name: str) -> dict[str, object]:
        number = self.sites[name]
        late = number % 97 == 0
        return {
            "site": name,
            "vo": "training.egi.eu",
            "state": "breach" if late else "in_step",
            "age_s": 90_600.0 if late else None,
            "acked_at": self.now.isoformat(),
            "counts": {"members": 1285},
        }
