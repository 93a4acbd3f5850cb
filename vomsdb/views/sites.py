"""Pages for operators: is the promise kept, who breaks it, why; and the codes with which sites join."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from flask import Response, flash, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from hanse.identity.permissions import SIGNED_IN, allows
from hanse.pages.words import age, count
from hanse.web import Pages, csv_response, current_principal, ground, page
from vomsdb import promise, replication
from vomsdb.api.answers import promise as promised
from vomsdb.api.answers import settings
from vomsdb.jobs import press_of
from vomsdb.permissions import JOIN_CODES, REPLICATE
from vomsdb.promise import BREACH, IN_STEP, LATE, Day, Pair

pages = Pages("vomsdb_site_pages", __name__)


@pages.get("/replication", permission=SIGNED_IN)
def matrix() -> Response:
    """Sites by VO; the worst pair, or the chosen one, beside it."""
    caller = current_principal()
    with ground().db.transaction() as session:
        pairs = promise.pairs(session, promised(), vo=request.args.get("vo"))
        speed = promise.speed(session)
        days = promise.days(session)
        chosen = _chosen(pairs)
        tried = promise.attempts(session, chosen.site, chosen.vo, 8) if chosen else []
    here = settings()
    return page(
        "vomsdb/replication.html",
        title="Replication to sites",
        sentence=_sentence(pairs),
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
        days=_with_today(days, pairs),
        warn_s=here.late_after_s,
        limit_s=here.breach_after_s,
        in_step=sum(pair.state == IN_STEP for pair in pairs),
        worst=max((p for p in pairs if p.age_s is not None), key=lambda p: p.age_s or 0, default=None),
        may_replicate=allows(caller, REPLICATE, "federation"),
        may_join=bool(chosen and allows(caller, JOIN_CODES, f"site:{chosen.site}")),
    )


def _with_today(days: Sequence[Day], pairs: Sequence[Pair]) -> list[Day]:
    """The days, today with what is not confirmed yet as well."""
    waiting = max((pair.age_s or 0 for pair in pairs), default=0)
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


def _chosen(pairs: Sequence[Pair]) -> Pair | None:
    """The pair of ?site= and ?pair=, or else the worst."""
    site, vo = request.args.get("site"), request.args.get("pair")
    for pair in pairs:
        if pair.site == site and vo in (None, pair.vo):
            return pair
    return max(pairs, key=lambda pair: pair.age_s or 0, default=None)


def _sentence(pairs: Sequence[Pair]) -> Markup:
    broken = [pair for pair in pairs if pair.state == BREACH]
    late = sum(pair.state == LATE for pair in pairs)
    kept = sum(pair.state == IN_STEP for pair in pairs)
    if not pairs:
        return Markup("<b>No site supports a VO yet.</b> The registry says which do.")
    if broken:
        worst = max(broken, key=lambda pair: pair.age_s or 0)
        words = Markup("<b>{} of {} past the promise: {}, {}.</b> {} past the warning. {} in step.")
        return words.format(len(broken), count(len(pairs), "pair"), worst.site, worst.vo, late, kept)
    if late:
        return Markup("<b>{} of {} past the warning.</b> {} in step.").format(
            late, count(len(pairs), "pair"), kept
        )
    if kept == len(pairs):
        return Markup("<b>All {} in step.</b>").format(count(len(pairs), "pair"))
    words = Markup("<b>The promise is kept.</b> {} of {} in step, the others on their way.")
    return words.format(kept, count(len(pairs), "pair"))


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
