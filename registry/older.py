"""Old states of the log, read as new ones: what bodies were given after their first day has a value here.

A body is never written again when its form grows; who adds a key adds what it stood for before.
"""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]

_CONSTANT: dict[str, Body] = {
    "site": {
        "ip_range": None,
        "ipv6_range": None,
        "tier": None,
        "sub_grid": None,
    },
    "ngi": {"ggus_su": None, "scopes": []},
    "endpoint": {"extensions": {}},
    "downtime": {"service_ends": {}, "series": None},
    "identity": {"oidc_issuer": None, "oidc_subject": None},
    "host_certificate": {"pem": None},
}


def filled(kind: str, entity_id: str, body: Body) -> Body:
    """The body with every key that this kind has today."""
    constant = _CONSTANT.get(kind)
    if constant is not None and not constant.keys() <= body.keys():
        body = {**constant, **body}
    if kind == "site":
        return _site(body)
    if kind == "downtime" and "sites" not in body:
        return {**body, "sites": [body["site"]], "whole_sites": []}
    if kind == "service_type" and "id" not in body:
        return {"id": entity_id, **body}
    return body


def _site(body: Body) -> Body:
    contacts = body.get("contacts") or []
    if "infrastructure" in body and all("telephone" in one for one in contacts):
        return body
    known = "Production" if body.get("production", True) else "Test"
    return {
        **body,
        "infrastructure": body.get("infrastructure", known),
        "contacts": [{"telephone": None, **one} for one in contacts],
    }
