"""One identity as a file of the site holds it."""

from __future__ import annotations

from typing import NamedTuple, Optional


class Held(NamedTuple):
    """`text` says who is mapped to what; `vo` is None where the file does not tell which VO it belongs to."""

    vo: Optional[str]
    text: str
