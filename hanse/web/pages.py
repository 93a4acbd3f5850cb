"""Pages for people: the shell around each, its sentence and foot, and forms that keep what was typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Flask, Response, render_template, request
from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader
from markupsafe import Markup
from pydantic import BaseModel, ValidationError

from hanse import pages as visual
from hanse.errors import FieldFault, HanseError
from hanse.web.callers import current_principal
from hanse.web.listing import conditional
from hanse.web.shell import shell
from hanse.web.wire import faults_of, from_pairs

Model = TypeVar("Model", bound=BaseModel)
Crumbs = Sequence[tuple[str, str]]


def page(
    template: str,
    *,
    title: str,
    sentence: str | Markup = "",
    crumbs: Crumbs = (),
    status: int = 200,
    api: str = "",
    csv: str = "",
    refresh_s: int | None = None,
    within: str = "",
    **ctx: Any,
) -> Response:
    """Render `template` inside the shell.

    `sentence` answers the page's question in words (Markup for bold facts). `crumbs` are (label, path) above
    the title. `api` is the path of the call that returns the page's figures, `csv` of its list; both stand in
    the foot. `refresh_s` makes the page poll itself with its ETag while its tab is seen. `within` is the
    entry of the second row to which the page belongs, where its own address does not say so.
    """
    drawn = render_template(
        template,
        title=title,
        sentence=sentence,
        crumbs=crumbs,
        shell=shell(api=api, csv=csv, refresh_s=refresh_s, within=within),
        **ctx,
    )
    answer = Response(drawn, status, content_type="text/html; charset=utf-8")
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["Vary"] = "Cookie"
    return conditional(answer)


def error_page(status: int, sentence: str, fields: Sequence[FieldFault]) -> Response:
    """The sentence of an error as a page;
    for somebody not signed in, with the way to sign in and come back here.
    """
    signed_in = status != 401 and current_principal().signed_in
    back = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return page(
        "hanse/error.html",
        title=_TITLES.get(status, HTTPStatus(status).phrase),
        sentence=sentence,
        status=status,
        fields=fields,
        signin="" if signed_in or status not in (401, 403) else "/signin?" + urlencode({"next": back}),
    )


_TITLES: Mapping[int, str] = {
    401: "Sign in to see this",
    403: "Not yours to see",
    404: "Nothing here",
    422: "Not saved",
    500: "Not foreseen",
    503: "Away at the moment",
}


@dataclass(frozen=True)
class FormFaults:
    """What was wrong with a form, and everything that was typed. Falsy when nothing was wrong.

    In a template: `h.field("url", "Address", form)`, `h.form_summary(form)`.
    """

    kept: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""

    def __bool__(self) -> bool:
        return bool(self.faults or self.summary)

    @classmethod
    def of(cls, error: HanseError, kept: Mapping[str, Any]) -> FormFaults:
        """From an error of a use case; its detail becomes the summary."""
        return cls(kept, {fault.field: fault.reason for fault in error.fields}, error.detail)


def read_form(model: type[Model]) -> tuple[Model | None, FormFaults]:
    """The posted form as `model`, or None with the faults by field. Empty fields count as not sent."""
    kept = from_pairs(model, request.form)
    kept.pop("csrf_token", None)
    given = {name: value for name, value in kept.items() if value not in ("", [])}
    try:
        return model.model_validate(given, strict=False), FormFaults(kept)
    except ValidationError as error:
        faults = {fault.field.partition(".")[0]: fault.reason for fault in faults_of(error)}
        count = len(faults)
        fields = "1 field" if count == 1 else f"{count} fields"
        return None, FormFaults(kept, faults, f"Not saved: {fields} must be mended.")


def install_pages(app: Flask) -> None:
    """Find templates under `hanse/...` in hanse/pages, the service's own in its package; escape always."""
    shared = PrefixLoader({"hanse": FileSystemLoader(visual.FOLDER)})
    own = app.jinja_loader
    app.jinja_loader = ChoiceLoader([shared, own] if own else [shared])
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(visual.filters())
    app.jinja_env.globals.update(visual.functions())
