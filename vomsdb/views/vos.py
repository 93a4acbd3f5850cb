"""Pages for everybody: VOs, their cards, AUPs, and the files of the attribute authority."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Response, request
from markupsafe import Markup

from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC, allows
from hanse.pages.words import count
from hanse.web import Pages, current_principal, ground, page
from vomsdb import aups, authorities, clients, groups, standings, vos
from vomsdb.api.answers import promise as promised
from vomsdb.api.answers import settings
from vomsdb.permissions import CREATE_VO, DECIDE
from vomsdb.views.site_files import old_means_of

pages = Pages(
    "vomsdb_vos_pages",
    __name__,
    nav=[("VOs", "/vos"), ("My membership", "/me"), ("Replication", "/replication"), ("AUPs", "/aups")],
)
_PAGE = 50
SCOPES = ("Global", "Regional", "Local")


@pages.get("/vos", permission=PUBLIC)
def list_vos() -> Response:
    """Search by name, description or discipline."""
    words, after = request.args.get("q", "")[:200], request.args.get("after", "")[:64]
    scope = request.args.get("scope", "")
    discipline = request.args.get("discipline", "")[:200]
    with ground().db.transaction() as session:
        known = vos.disciplines(session)
        chosen = {"scope": scope if scope in SCOPES else "", "discipline": discipline}
        found = vos.search(session, words, after, _PAGE + 1, **chosen)
    shown = found[:_PAGE]
    people = sum(listed.members for listed in shown)
    sentence = Markup("<b>{}</b> with {}.").format(count(len(shown), "VO"), count(people, "active member"))
    return page(
        "vomsdb/vos.html",
        title="Virtual organisations",
        sentence=sentence,
        api="/api/v1/vos",
        vos=shown,
        words=words,
        chosen=chosen,
        scopes=SCOPES,
        disciplines=known,
        next_name=shown[-1].vo.name if len(found) > _PAGE else "",
        may_create=allows(current_principal(), CREATE_VO, "federation"),
    )


@pages.get("/vos/<name>", permission=PUBLIC)
def card(name: str) -> Response:
    """The identity card."""
    caller = current_principal()
    here = settings()
    with ground().db.transaction() as session:
        vo = vos.found(session, name)
        context: dict[str, Any] = {
            "vo": vo,
            "members": vos.active_members(session, name),
            "managers": vos.managers_of(session, name),
            "aup": aups.in_force(session, name),
            "groups": groups.tree(session, name),
            "roles": vos.roles_of(session, name),
            "pairs": standings.worst_sites(session, promised(), name),
            "sites": standings.summary(session, promised(), vo=name).total,
        }
    sentence = Markup("<b>{}</b> {}").format(count(context["members"], "active member") + ".", vo.description)
    return page(
        "vomsdb/vo.html",
        title=name,
        sentence=sentence,
        crumbs=[("VOs", "/vos")],
        api=f"/api/v1/vos/{name}",
        files=clients.all_files(name, here),
        authorities=authorities.shown(here, datetime.now(UTC)),
        may_decide=allows(caller, DECIDE, f"vo:{name}"),
        is_member=caller.has("vo_member", f"vo:{name}"),
        old_means=old_means_of(name),
        **context,
    )


@pages.get("/vos/<name>/vomses", permission=PUBLIC)
def vomses(name: str) -> Response:
    """The lines for the client's vomses file, one a host."""
    return _text("".join(one.vomses for one in _files(name)))


@pages.get("/vos/<name>/lsc", permission=PUBLIC)
def lsc(name: str) -> Response:
    """The text for vomsdir/<vo>/<host>.lsc, of the host after `?host=`; without it of the usual one."""
    found = _files(name)
    host = request.args.get("host") or found[0].host
    text = next((one.lsc for one in found if one.host == host), None)
    if text is None:
        hosts = " and ".join(one.host for one in found)
        raise NotFound(f"The attribute authority of {name} is not at {host[:100]}, but at {hosts}.")
    return _text(text)


@pages.get("/vos/<name>/client.tar.gz", permission=PUBLIC)
def client_bundle(name: str) -> Response:
    """vomses and vomsdir as the clients look for them, to unpack in ~/.glite."""
    return Response(clients.bundle(name, _files(name)), content_type="application/gzip")


def _files(name: str) -> list[clients.ClientFiles]:
    with ground().db.transaction() as session:
        vos.found(session, name)
    return clients.all_files(name, settings())


def _text(content: str) -> Response:
    return Response(content, content_type="text/plain; charset=utf-8")


@pages.get("/aups", permission=PUBLIC)
def list_aups() -> Response:
    """The AUP in force of each VO."""
    with ground().db.transaction() as session:
        found = aups.all_in_force(session)
    return page(
        "vomsdb/aups.html",
        title="Acceptable use policies",
        sentence=Markup("<b>{}</b> in force, one a VO.").format(count(len(found), "policy", "policies")),
        api="/api/v1/aups",
        aups=found,
    )


@pages.get("/vos/<name>/aups/<int:version>", permission=PUBLIC)
def aup(name: str, version: int) -> Response:
    """One version, to read before signing."""
    with ground().db.transaction() as session:
        found = aups.version(session, name, version)
        current = vos.found(session, name).aup_version
    words = "is in force" if version == current else f"was replaced by version {current}"
    return page(
        "vomsdb/aup.html",
        title=f"AUP version {version}",
        sentence=Markup("This version of the policy of <b>{}</b> {}.").format(name, words),
        crumbs=[("VOs", "/vos"), (name, f"/vos/{name}"), ("AUPs", "/aups")],
        api=f"/api/v1/vos/{name}/aups/{version}",
        aup=found,
    )
