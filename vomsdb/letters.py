"""The texts of the mails: one template each in `templates/mails/`, its first line the subject."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent / "templates" / "mails"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%a %d %b %Y, %H:%M} UTC"


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%a %d %b %Y}"


def _environment() -> Environment:
    # plain text: what a person typed stands as it was typed, and is never read as a template
    made = Environment(  # noqa: S701
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(moment=_moment, day=_day)
    return made


_TEMPLATES = _environment()


def written(template: str, **facts: object) -> tuple[str, str]:
    """(subject, body) of the mail `template` with the facts filled in; a fact that lacks raises UndefinedError."""
    subject, _, body = _TEMPLATES.get_template(f"{template}.txt").render(**facts).partition("\n")
    return subject.strip(), body.lstrip("\n")


def rendered(snippet: str, **facts: object) -> str:
    """A line of our own, as `{{ member.until|moment }}`, with the facts filled in."""
    return _TEMPLATES.from_string(snippet).render(**facts)
