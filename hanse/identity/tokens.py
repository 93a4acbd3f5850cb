"""API tokens: random, shown once, stored and looked up by their hash only."""

from __future__ import annotations

import hashlib
import hmac
import secrets

_TOKEN_BYTES = 32


def new_token(prefix: str) -> str:
    """A fresh token such as `hanse_site_Yx..` with 256 random bits; secret scanners find it by its prefix."""
    return f"{prefix}_{secrets.token_urlsafe(_TOKEN_BYTES)}"


def token_key(token: str) -> str:
    """The principal key of a token: `token:` and its SHA-256. The token is random: a plain hash will do."""
    return "token:" + hashlib.sha256(token.encode()).hexdigest()


def same_token(one: str, other: str) -> bool:
    """Compare two tokens in a time that tells nothing about where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
