"""Files for sites, as cron jobs fetch them: grid-mapfile, voms.json, vomsdir; with ETag, so that 304 is usual."""

from __future__ import annotations

import hashlib

from flask import Response, request

from hanse.errors import FieldFault, HanseError, NotFound, Refused
from hanse.identity.permissions import PUBLIC
from hanse.web import Protocol, current_principal, ground, problem
from hanse.web.problems import status_of
from vomsdb import site_files
from vomsdb.api.answers import settings
from vomsdb.feeds import FEEDS
from vomsdb.feeds.material import Feed, Rule
from vomsdb.permissions import FILES_OF_SITE, READ_FOR_SITES
from vomsdb.site_files import Asked

protocol = Protocol("vomsdb_site_files", __name__)
MOST_MAPS = 100


@protocol.errorhandler(HanseError)
def refused(fault: HanseError) -> Response:
    """Problems as JSON, as the API gives them."""
    return problem(status_of(fault), fault.detail, fields=fault.fields)


@protocol.route("/vos/<vo>/grid-mapfile", ["GET"], permission=READ_FOR_SITES)
def gridmap_of_vo(vo: str) -> Response:
    """`?local=.pool` with `group=/vo/group[/Role=role]`, or `map=GROUP=ACCOUNT` as often as needed."""
    return _of_vo(FEEDS["grid-mapfile"], vo, _account_rules(vo))


@protocol.route("/vos/<vo>/voms.json", ["GET"], permission=READ_FOR_SITES)
def keystone_of_vo(vo: str) -> Response:
    """`?map=GROUP=TENANT` as often as needed; without, the tenant has the VO's name."""
    return _of_vo(FEEDS["voms.json"], vo, tuple(_tenant_rules(vo)))


@protocol.route("/vos/<vo>/vomsdir.tar.gz", ["GET"], permission=PUBLIC)
def vomsdir_of_vo(vo: str) -> Response:
    """Everybody may know how the VO's attribute authorities are known."""
    here = settings()
    with ground().db.transaction() as session:
        content = site_files.rendered(session, FEEDS["vomsdir.tar.gz"], [Asked(vo)], here)
    return _sent(FEEDS["vomsdir.tar.gz"], content)


@protocol.route("/sites/<site>/files/<name>", ["GET"], permission=FILES_OF_SITE)
def of_site(site: str, name: str) -> Response:
    """The file of all VOs that the site supports, by the site's own rules."""
    feed = FEEDS.get(name)
    if feed is None:
        raise NotFound(f"There is no file {name[:100]}; there are {', '.join(FEEDS)}.")
    here = settings()
    with ground().db.transaction() as session:
        content = site_files.rendered(session, feed, site_files.asked_of_site(session, site), here)
    return _sent(feed, content)


def _of_vo(feed: Feed, vo: str, rules: tuple[Rule, ...]) -> Response:
    here = settings()
    with ground().db.transaction() as session:
        site_files.check_reader(session, vo, current_principal())
        content = site_files.rendered(session, feed, [Asked(vo, rules)], here)
    return _sent(feed, content)


def _account_rules(vo: str) -> tuple[Rule, ...]:
    """What the request says; a group without an account gets the usual one."""
    named = [Rule(fqan, account, "") for fqan, account in _maps()]
    if not named:
        group, local = request.args.get("group", "")[:500], request.args.get("local", "")[:600]
        if not group and not local:
            return ()
        account = site_files.checked_account(local, "local") if local else site_files.usual_rule(vo).account
        named = [Rule(group or f"/{vo}", account, "")]
    return tuple(site_files.checked_rule(vo, rule, f"map.{at}") for at, rule in enumerate(named))


def _tenant_rules(vo: str) -> list[Rule]:
    named = [Rule(fqan, "", tenant[:200]) for fqan, tenant in _maps()]
    return [site_files.checked_rule(vo, rule, f"map.{at}") for at, rule in enumerate(named)]


def _maps() -> list[tuple[str, str]]:
    """(group or role, what it becomes) of each `map=`; a role has a `=` of its own, so the last one counts."""
    given = request.args.getlist("map")
    if len(given) > MOST_MAPS:
        raise Refused("Too many maps.", FieldFault("map", f"{MOST_MAPS} at most"))
    found = []
    for at, text in enumerate(given):
        fqan, equals, wanted = text[:1200].rpartition("=")
        if not equals or not fqan or fqan.endswith("/Role"):
            raise Refused("A map cannot be read.", FieldFault(f"map.{at}", "must read /vo/group=account"))
        found.append((fqan, wanted))
    return found


def _sent(feed: Feed, content: bytes) -> Response:
    response = Response(content, content_type=feed.content_type)
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(hashlib.sha256(content).hexdigest())
    response.make_conditional(request)
    return response
