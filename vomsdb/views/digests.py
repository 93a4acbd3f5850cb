"""The page behind the link in each digest: to end them, and to have them again. The link is the proof."""

from __future__ import annotations

from flask import Response, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from hanse.identity.permissions import PUBLIC
from hanse.web import Pages, ground, page
from vomsdb import digest
from vomsdb.api.answers import settings

pages = Pages("vomsdb_digest_pages", __name__)


@pages.get("/digest", permission=PUBLIC)
def choice() -> Response:
    """Shows what would be ended. Mail scanners follow links, so reading changes nothing."""
    who = request.args.get("who", "")
    with ground().db.transaction() as session:
        row = digest.of_link(session, settings(), who)
        vo, ended = row.vo, row.ended_at
    words = "are written when a site is late." if ended is None else "are not written to you any more."
    return page(
        "vomsdb/digest.html",
        title="Digests",
        sentence=Markup("Digests about <b>{}</b> {}").format(vo, words),
        vo=vo,
        ended=ended,
        who=who,
    )


@pages.post("/digest", permission=PUBLIC)
def choose() -> AnyResponse:
    """Ends them, or begins them again."""
    who = request.args.get("who", "")
    with ground().db.transaction() as session:
        row = digest.of_link(session, settings(), who)
        digest.choose(row, wanted=request.form.get("wanted") == "yes")
    return redirect(request.full_path, 303)
