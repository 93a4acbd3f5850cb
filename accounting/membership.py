"""Asks membership for what its feed leaves out: the certificate subjects of the members of a VO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, ValidationError

from accounting.settings import AccountingSettings
from hanse.errors import Unavailable
from hanse.http import Answer, Client, HttpError

PAGE = 200
MOST_PAGES = 1000


class _Certificate(BaseModel):
    model_config = ConfigDict(extra="ignore")

    key: str
    subject: str


class _Member(BaseModel):
    model_config = ConfigDict(extra="ignore")

    certificates: list[_Certificate]


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore")

    items: list[_Member]
    next: str | None = None


class Membership:
    """Membership's API, as its description has it (`GET /api/v1/vos/{vo}/members`)."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    def subjects(self, vo: str) -> Mapping[str, str]:
        """Subject by certificate key of every member of `vo`. Raises Unavailable when it is not told."""
        found: dict[str, str] = {}
        cursor: str | None = None
        with Client(self._url, token=self._token, deadline_s=20, retries=1) as client:
            for _ in range(MOST_PAGES):
                page = _page(client, vo, cursor)
                found |= {held.key: held.subject for member in page.items for held in member.certificates}
                cursor = page.next
                if cursor is None:
                    return found
        raise Unavailable(f"Membership lists more than {MOST_PAGES * PAGE:,} members of {vo}.")


def _page(client: Client, vo: str, cursor: str | None) -> _Page:
    asked: dict[str, Any] = {"limit": PAGE} | ({"cursor": cursor} if cursor else {})
    try:
        answer = client.fetch("GET", f"/api/v1/vos/{quote(vo, safe='')}/members?{urlencode(asked)}")
    except HttpError as error:
        raise Unavailable(f"Membership does not answer: {error}.") from None
    return _read(answer, vo)


def _read(answer: Answer, vo: str) -> _Page:
    if answer.status in (401, 403):
        raise Unavailable(f"Membership does not show accounting the members of {vo} ({answer.status}).")
    if answer.status != 200:
        raise Unavailable(f"Membership answers {answer.status} when asked for the members of {vo}.")
    try:
        return _Page.model_validate_json(answer.body)
    except ValidationError:
        raise Unavailable(f"Membership's answer about {vo} cannot be read.") from None


def asking(settings: AccountingSettings) -> Membership | None:
    """Whom to ask as the settings say; None without a membership service."""
    if not settings.vomsdb_url:
        return None
    return Membership(settings.vomsdb_url, settings.service_token.get_secret_value())
