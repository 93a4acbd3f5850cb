"""Pages for operators: is the promise kept, who breaks it, why; and the codes with which sites join."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from flask import Response, flash, redirect, request
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from hanse.identity.permissions import SIGNED_IN, allows
from hanse.pages.words import age, count
from hanse.web import Pages, csv_response, current_principal, ground, page
from vomsdb import promise, replication, standings
from vomsdb.api.answers import acknowledgement_out, cut, number_after, settings
from vomsdb.api.answers import promise as promised
from vomsdb.jobs import press_of
from vomsdb.models import Vo
from vomsdb.permissions import JOIN_CODES, REPLICATE
from vomsdb.promise import Day, Pair
from vomsdb.schemas.replication import AcknowledgementOut
from vomsdb.standings import Summary

pages = Pages("vomsdb_site_pages", __name__)


SITES = 50


@pages.get("/replication", permission=SIGNED_IN)
def matrix() -> Response:
    """Sites by VO, the worst sites first; the worst pair, or the chosen one, beside it."""
    caller, here = current_principal(), settings()
    vo, words = request.args.get("vo") or None, request.args.get("q", "").strip()
    behind, past = request.args.get("state") == "behind", _past()
    with ground().db.transaction() as session:
        summary = standings.summary(session, promised(), vo=vo, words=words)
        names = standings.sites(session, vo=vo, words=words, behind=behind, past=past, most=SITES + 1)
        pairs = promise.pairs(session, promised(), sites=names[:SITES], vo=vo)
        chosen = _chosen(session, pairs)
        speed, days = promise.speed(session), promise.days(session)
        tried = promise.attempts(session, chosen.site, chosen.vo, 8) if chosen else []
    now = datetime.now(UTC)
    waiting = (summary.worst.age_s(now) if summary.worst else None) or 0
    return page(
        "vomsdb/replication.html",
        title="Replication to sites",
        sentence=_sentence(summary),
        api="/api/v1/replication",
        csv="/replication.csv",
        refresh_s=30,
        pairs=pairs,
        vos=sorted({pair.vo for pair in pairs}),
        rows=_rows(pairs),
        heads={pair.vo: pair.expected_seq for pair in pairs},
        chosen=chosen,
        attempts=tried,
        speed=speed,
        days=_with_today(days, waiting),
        warn_s=here.late_after_s,
        limit_s=here.breach_after_s,
        summary=summary,
        worst_s=waiting,
        vo=vo or "",
        words=words,
        state="behind" if behind else "",
        past=past,
        more=len(names) > SITES,
        page_size=SITES,
        may_replicate=allows(caller, REPLICATE, "federation"),
        may_join=bool(chosen and allows(caller, JOIN_CODES, f"site:{chosen.site}")),
    )


def _past() -> int:
    """How many sites the pages before have shown."""
    given = request.args.get("past", "0")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 7 else 0


def _with_today(days: Sequence[Day], waiting: int) -> list[Day]:
    """The days, today with what is not confirmed yet as well."""
    today = days[-1]
    return [*days[:-1], Day(today.day, max(today.oldest_s, waiting))]


def _rows(pairs: Sequence[Pair]) -> list[tuple[str, dict[str, Pair], int | None]]:
    """(site, its pairs by VO, its oldest age), the worst site first."""
    by_site: dict[str, dict[str, Pair]] = {}
    for pair in pairs:
        by_site.setdefault(pair.site, {})[pair.vo] = pair
    rows = [
        (site, cells, max((p.age_s for p in cells.values() if p.age_s is not None), default=None))
        for site, cells in by_site.items()
    ]
    return sorted(rows, key=lambda row: (-(row[2] if row[2] is not None else -1), row[0]))


def _chosen(session: Session, pairs: Sequence[Pair]) -> Pair | None:
    """The pair of ?site= and ?pair=, on whatever page it stands, or else the worst of those shown."""
    site, vo = request.args.get("site"), request.args.get("pair")
    for pair in promise.pairs(session, promised(), site=site) if site else ():
        if vo in (None, pair.vo):
            return pair
    return max(pairs, key=lambda pair: pair.age_s or 0, default=None)


def _sentence(summary: Summary) -> Markup:
    total, kept = count(summary.total, "pair"), summary.in_step
    if not summary.total:
        return Markup("<b>No site supports a VO yet.</b> The registry says which do.")
    if summary.broken and summary.worst:
        words = Markup("<b>{} of {} past the promise: {}, {}.</b> {} past the warning. {} in step.")
        return words.format(summary.broken, total, summary.worst.site, summary.worst.vo, summary.late, kept)
    if summary.late:
        return Markup("<b>{} of {} past the warning.</b> {} in step.").format(summary.late, total, kept)
    if kept == summary.total:
        return Markup("<b>All {} in step.</b>").format(total)
    return Markup("<b>The promise is kept.</b> {} of {} in step, the others on their way.").format(
        kept, total
    )


@pages.get("/replication/acknowledgements", permission=SIGNED_IN)
def acknowledgements() -> Response:
    """What each site confirmed, when, and how old it was."""
    site, vo = _site_and_vo()
    before = number_after(request.args.get("before") or None)
    with ground().db.transaction() as session:
        found = standings.acknowledgements(session, site=site, vo=vo, before=before, limit=SITES + 1)
        names = session.scalars(select(Vo.name).order_by(Vo.name)).all()
    shown, more = cut(found, SITES)
    here = settings()
    return page(
        "vomsdb/acknowledgements.html",
        title="Acknowledgements",
        sentence=Markup("What sites <b>read back from their own files</b>, kept for 90 days."),
        crumbs=[("Replication", "/replication")],
        api="/api/v1/replication/acknowledgements",
        csv=f"/replication/acknowledgements.csv?{urlencode({'q': site or '', 'vo': vo or ''})}",
        choices=[("", "any"), *((name, name) for name in names)],
        rows=shown,
        next_id=shown[-1].id if more else None,
        site=site or "",
        vo=vo or "",
        warn_s=here.late_after_s,
        limit_s=here.breach_after_s,
    )


def _site_and_vo() -> tuple[str | None, str | None]:
    """What the list is narrowed to; links name the site, the field for words is `q`."""
    site = request.args.get("q", "").strip() or request.args.get("site", "").strip()
    return site or None, request.args.get("vo") or None


@pages.get("/replication/acknowledgements.csv", permission=SIGNED_IN)
def acknowledgements_csv() -> Response:
    """The newest 10,000 as a list."""
    site, vo = _site_and_vo()
    with ground().db.transaction() as session:
        found = standings.acknowledgements(session, site=site, vo=vo, limit=10_000)
        rows = [acknowledgement_out(one).model_dump() for one in found]
    return csv_response(rows, list(AcknowledgementOut.model_fields), "acknowledgements.csv")


@pages.get("/replication.csv", permission=SIGNED_IN)
def matrix_csv() -> Response:
    """The pairs as a list."""
    with ground().db.transaction() as session:
        pairs = promise.pairs(session, promised())
    columns = ["site", "vo", "state", "age_s", "missing", "expected_seq", "held_seq", "acked_at", "why"]
    rows = ({column: getattr(pair, column) for column in columns} for pair in pairs)
    return csv_response(rows, columns, "replication.csv")


@pages.post("/replication/run", permission=REPLICATE)
def run() -> AnyResponse:
    """Fresh manifests and pushes for one site, or for all."""
    site = request.form.get("site", "")
    with ground().db.transaction() as session:
        told, pairs = replication.tell_all(
            session, press_of(settings()), [site] if site else None, timedelta(0)
        )
    flash(f"{count(pairs, 'manifest')} signed; {count(told, 'site')} told within seconds.")
    return redirect(f"/replication?site={site}" if site else "/replication", 303)


@pages.post("/sites/<site>/join-code", permission=JOIN_CODES)
def join_code(site: str) -> Response:
    """A code, shown this once, with the command that uses it."""
    here = settings()
    within = timedelta(hours=here.join_code_hours)
    with ground().db.transaction() as session:
        code, ends = replication.new_join_code(session, site, within, current_principal())
    command = (
        f"hanse-siteagent join --url {here.tls_url} --site {site} \\\n"
        "  --cert /etc/grid-security/hostcert.pem --key /etc/grid-security/hostkey.pem \\\n"
        "  --ca /etc/grid-security/certificates/ca-bundle.pem"
    )
    return page(
        "vomsdb/join_code.html",
        title=f"Join code for {site}",
        sentence=Markup("<b>Shown this once.</b> It works one time, within {}.").format(
            age(within.total_seconds())
        ),
        crumbs=[("Replication", "/replication")],
        code=code,
        ends=ends,
        command=command,
        site=site,
    )
