"""Looks at the past on pages: which pages tell of it, links that keep the moment, and nothing that could be changed.

A page of the past is drawn like one of today; here its links to other pages that can show the past are given the moment
as well, since one forgotten link would lead back to the present unseen, and what posts is taken out.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect

from hanse.errors import Refused
from hanse.identity.permissions import allows
from hanse.web import current_principal, ground
from registry import states
from registry.rights import READ_LOG

# Pages that read the log, and so can tell of any moment.
SHOWS: Final = frozenset(
    {
        "/",
        "/mine",
        "/history",
        "/history/<int:number>",
        "/history/diff",
        "/sites",
        "/sites/<name>",
        "/services",
        "/services/<int:number>",
        "/downtimes",
        "/downtimes/<int:number>",
        "/downtimes/calendar",
        "/federation",
        "/people",
        "/people/<int:number>",
        "/roles",
        "/clouds",
        "/drift",
        "/sites/<name>/drift",
        "/sites/<name>/certification",
        "/certification",
        "/certification/policy",
        "/certification/proposals",
        *(
            rule
            for kind in ("ngis", "projects", "service-groups", "service-types", "scopes")
            for rule in (f"/{kind}", f"/{kind}/<name>")
        ),
    }
)
FILES: Final = frozenset({"/sites/list.csv"})
# Pages of the present alone, and why.
PRESENT: Final = {
    "/account": "what you sign in with now, and what is told to you; People shows you as you were",
    "/mails": "mails are a queue: what is sent is forgotten, and no record of the federation",
    "/subscriptions": "subscriptions are your own and no record of the federation",
    "/webhooks": "webhooks are your own and no record of the federation",
    "/webhooks/<int:number>": "webhooks are your own and no record of the federation",
}
_LINK = re.compile(r'(<a\b[^>]*?\bhref=")(/[^"#]*)((?:#[^"]*)?")')
_ACTION = re.compile(r'<a\b(?=[^>]*class="button)[^>]*?\bhref="(/[^"#]*)[^"]*"[^>]*>.*?</a>', re.S)
_POST = re.compile(r'<form\b(?=[^>]*method="post")(?![^>]*action="/signout").*?</form>', re.S)
_GET = re.compile(r'(<form\b(?=[^>]*method="get")[^>]*>)(.*?</form>)', re.S)
_SAID = re.compile(r'<div id="said"[^>]*>')
_BANNER = re.compile(r'<div class="as-of".*?</div>', re.S)


def install_past(app: Flask) -> None:
    """Let the pages of `SHOWS` keep the moment, and the others say that they know the present only."""
    app.before_request(_admit)
    app.after_request(_keep)


def _asked() -> str:
    view = current_app.view_functions.get(request.endpoint or "")
    if request.method not in ("GET", "HEAD") or getattr(view, "hanse_room", "") != "pages":
        return ""
    return request.args.get("as_of", "").strip()


def _admit() -> None:
    rule = request.url_rule.rule if request.url_rule is not None else ""
    if _asked() and rule not in SHOWS | FILES:
        why = PRESENT.get(rule, "what is changed is changed now")
        raise Refused(f"This page shows the present only: {why}. Take as_of out of its address.")


def _keep(response: Response) -> Response:
    as_of = _asked()
    if not as_of or response.status_code != 200 or response.mimetype != "text/html":
        return response
    adapter = current_app.url_map.bind_to_environ(request.environ)
    drawn = response.get_data(as_text=True)
    # the way back to now is the one link that must not keep the moment
    own = _BANNER.search(drawn)
    kept = with_moment(read_only(_BANNER.sub("", drawn, count=1), adapter), as_of, adapter)
    banner = _comparable(own[0] if own is not None else _banner(as_of), as_of)
    response.set_data(_SAID.sub(lambda found: found[0] + banner, kept, count=1))
    return response


def _banner(as_of: str) -> str:
    """For a page that has none of its own."""
    with ground().db.transaction() as session:
        number = states.number_at(session, as_of) or 0
        moment = states.moment_of(session, number)
    rest = [pair for pair in parse_qsl(request.query_string.decode("ascii", "replace")) if pair[0] != "as_of"]
    now = request.path + (f"?{urlencode(rest)}" if rest else "")
    when = f"{moment:%a %d %b %Y, %H:%M} UTC (revision {number:,})" if moment else "before the first revision"
    words = f"You see this page as it was on {when}." if moment else f"You see this page as it was {when}."
    return (
        f'<div class="as-of" role="status"><p><b>{escape(words)}</b></p>'
        f'<span><a class="button" href="{escape(now)}">Back to now</a></span></div>'
    )


def read_only(drawn: str, adapter: MapAdapter) -> str:
    """The page without forms that post, and without buttons that lead to pages where something is changed."""
    drawn = _POST.sub("", drawn)
    return _ACTION.sub(lambda found: found[0] if _leads_on(found[1], adapter) else "", drawn)


def _leads_on(path: str, adapter: MapAdapter) -> bool:
    """Whether a button may stay: it leads to the past, or to a page where nothing is changed."""
    rule = _rule(path, adapter)
    return (
        rule in SHOWS or rule in PRESENT or rule.startswith(("/api/", "/assets/", "/signin")) or "." in rule
    )


def with_moment(drawn: str, as_of: str, adapter: MapAdapter) -> str:
    """The page with the moment in every link and filter that leads to a page which can show it."""

    def link(found: re.Match[str]) -> str:
        return found[1] + _with(found[2], as_of, adapter) + found[3]

    def form(found: re.Match[str]) -> str:
        hidden = f'<input type="hidden" name="as_of" value="{escape(as_of)}">'
        action = re.search(r'action="([^"]*)"', found[1])
        here = action is None or _rule(unescape(action[1]), adapter) in SHOWS
        return found[1] + ("" if not here or 'name="as_of"' in found[2] else hidden) + found[2]

    return _GET.sub(form, _LINK.sub(link, drawn))


def _with(href: str, as_of: str, adapter: MapAdapter) -> str:
    address = urlsplit(unescape(href))
    if _rule(address.path, adapter) not in SHOWS:
        return href
    query = parse_qsl(address.query, keep_blank_values=True)
    if any(name == "as_of" for name, _ in query):
        return href
    return escape(f"{address.path}?{urlencode([*query, ('as_of', as_of)])}")


def _rule(path: str, adapter: MapAdapter) -> str:
    try:
        rule, _ = adapter.match(urlsplit(path).path, "GET", return_rule=True)
    except (HTTPException, RequestRedirect):
        return ""
    return str(rule.rule)


def _comparable(banner: str, as_of: str) -> str:
    """The banner with a way to what differs from now, for those who may read the log."""
    if not allows(current_principal(), READ_LOG) or "Compare" in banner:
        return banner
    with ground().db.transaction() as session:
        number = states.number_at(session, as_of)
    asked = {"since": str(number)}
    if request.url_rule is not None and request.url_rule.rule == "/sites/<name>":
        asked["site"] = str((request.view_args or {})["name"])
    link = f'<a class="button" href="/history/diff?{escape(urlencode(asked))}">Compare with now</a> '
    return banner.replace("<span>", "<span>" + link, 1)
