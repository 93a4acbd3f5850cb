"""What `hanse demo status` tells: addresses, credentials and files of the demo."""

from __future__ import annotations

from typing import Any

from demo.cast import PEOPLE, SERVICES, SITES, STORY_VO
from demo.cloud.outbox import STORAGE_TOPIC, TOPIC
from demo.layout import Layout
from demo.settings_file import database_url
from demo.supervisor import running


def status(layout: Layout) -> dict[str, Any]:
    """One object; others' scripts rely on its keys. Files are given as paths, tokens as such."""
    return {
        "up": running(layout.run) is not None and (layout.run / "ready").exists(),
        "data": str(layout.data),
        "services": {name: {"url": layout.url(name), "tls_url": layout.tls_url(name)} for name in SERVICES},
        "voms": {
            "host": "localhost",
            "port": layout.ports["authority"],
            "vo": STORY_VO,
            "vomses": str(layout.vomses),
            "vomsdir": str(layout.vomsdir),
            "certificates": str(layout.trust),
        },
        "ams": {
            "host": "127.0.0.1",
            "port": layout.ports["accounting_tls"],
            "project": "accounting",
            "topics": [TOPIC, STORAGE_TOPIC],
            "tokens": {site.name: _word(layout.site_token(site)) for site in SITES},
        },
        "sites": [_site(layout, number) for number in range(len(SITES))],
        "people": [_person(layout, number) for number in range(len(PEOPLE))],
        "ca": {"cert": str(layout.bundle), "bundle": str(layout.bundle)},
        "databases": {name: database_url(layout, name) for name in SERVICES},
        "mail": str(layout.mail),
        "webhooks": str(layout.webhooks),
    }


def _site(layout: Layout, number: int) -> dict[str, Any]:
    site = SITES[number]
    cert, key = layout.certificate(f"acct.{site.domain}")
    return {
        "name": site.name,
        "middleware": site.middleware,
        "occi": layout.cloud_url(site),
        "host_cert": str(cert),
        "host_key": str(key),
        "gridmap": str(layout.agent(site) / "grid-mapfile"),
        "mapping": str(layout.agent(site) / "mapping.json"),
    }


def _person(layout: Layout, number: int) -> dict[str, Any]:
    person = PEOPLE[number]
    cert, key = layout.credential(person)
    return {
        "name": person.name,
        "roles": list(person.roles),
        "cert": str(cert),
        "key": str(key),
        "p12": str(layout.people / f"{person.slug}.p12"),
        "token": _word(layout.token(person)),
        "token_file": str(layout.token(person)),
    }


def _word(path: Any) -> str:
    try:
        return str(path.read_text()).strip()
    except FileNotFoundError:
        return ""
