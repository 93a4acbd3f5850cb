"""What sites fetch by their old means: who may read it, what it is made of, and the site's own rules.

Only those stand in these files who would get an attribute certificate at this moment: a VO in production, an active
membership that has not ended, an AUP that is signed or may still be, a certificate that is not suspended.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from hanse.database import Followed
from hanse.errors import FieldFault, Forbidden, NotFound, Refused
from hanse.identity.fqans import VomsError, split_fqan
from hanse.identity.names import from_slash, slash
from hanse.identity.permissions import who_may
from hanse.identity.principals import Principal
from vomsdb import clients, groups, members, vos
from vomsdb.feeds.material import Admitted, Authority, Feed, OfVo, Rule
from vomsdb.ledger import actor, revision
from vomsdb.models import Certificate, Member, MemberCertificate, MemberGroup, MemberRole, SiteRule, Vo
from vomsdb.permissions import OF_SITES, READ_FOR_SITES
from vomsdb.settings import VomsdbSettings

MOST_RULES = 500
_AT_ONCE = 5000
_ACCOUNT = re.compile(r"\.?[a-z_][a-z0-9_-]{0,31}(,\.?[a-z_][a-z0-9_-]{0,31}){0,15}")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")


# --- who may read -------------------------------------------------------------------------------------------------


def _supported(session: Session, *which: ColumnElement[bool]) -> list[tuple[str, str]]:
    """(site, VO) by what the registry tells of the sites chosen; closed and suspended sites support none."""
    rows = session.scalars(select(Followed.body).where(Followed.kind == "site", *which))
    known = set(session.scalars(select(Vo.name)))
    return sorted(
        (str(body["name"]), str(share["vo"]))
        for body in rows
        if body.get("certification") not in ("Closed", "Suspended")
        for share in body.get("supports") or ()
        if share["vo"] in known
    )


def vos_of_site(session: Session, site: str) -> list[str]:
    """The VOs that a site supports, by name; raises NotFound for a site that the registry has not told of."""
    named = Followed.body["name"].astext == site
    if session.scalar(select(Followed.id).where(Followed.kind == "site", named).limit(1)) is None:
        raise NotFound(f"The registry has told of no site {site}.")
    return [vo for _, vo in _supported(session, named)]


def check_reader(session: Session, vo: str, by: Principal) -> None:
    """Raises NotFound without the VO, Forbidden unless the caller manages it or acts for a site that supports it."""
    vos.found(session, vo)
    if by.has("federation_operator", "federation") or by.has("vo_manager", f"vo:{vo}"):
        return
    scopes = {scope for role in OF_SITES for scope in by.scopes(role)}
    sites = {scope.removeprefix("site:") for scope in scopes if scope.startswith("site:")}
    supported = _supported(session, Followed.body["name"].astext.in_(sites)) if sites else []
    if any(name == vo for _, name in supported):
        return
    if sites:
        raise Forbidden(f"None of your sites supports {vo}; its shares are in the registry.")
    raise Forbidden(f"Only {who_may(READ_FOR_SITES, f'vo:{vo}')} may {READ_FOR_SITES.name}.")


# --- who is admitted ----------------------------------------------------------------------------------------------


def container_of(vo: str, text: str, field: str = "container") -> tuple[str, str | None]:
    """(group, role) of what a site asks for: `/vo`, `/vo/group`, `/vo/group/Role=role`, long forms too.

    Raises Refused for what is no group or role at all.
    """
    given = text.strip() or f"/{vo}"
    try:
        return split_fqan(given if given.startswith("/") else f"/{given}")
    except VomsError as fault:
        raise Refused(
            "This is no group or role.",
            FieldFault(field, f"must read /{vo}/group or /{vo}/group/Role=role"),
        ) from fault


def has_container(session: Session, vo: str, container: tuple[str, str | None]) -> bool:
    """Whether the VO has the group, and the role where one is named."""
    path, role = container
    try:
        groups.of_vo(session, vo, f"{path}/Role={role}" if role else path)
    except NotFound:
        return False
    return True


def admitted(session: Session, vo: str, container: tuple[str, str | None] | None = None) -> list[Admitted]:
    """The certificates that may be used now, of a group or role or of the whole VO; each name stands once."""
    if vos.found(session, vo).state != "production":
        return []
    rows = _admissible(session, vo, container)
    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(rows), _AT_ONCE):
        _add_names(session, rows[start : start + _AT_ONCE], found)
    return [Admitted(name, held) for name, held in found.items()]


def _add_names(session: Session, rows: Sequence[Member], found: dict[str, tuple[str, ...]]) -> None:
    certificates = (
        select(MemberCertificate.member_id, Certificate.subject_der)
        .join(Certificate, Certificate.id == MemberCertificate.certificate_id)
        .where(MemberCertificate.member_id.in_([row.id for row in rows]), MemberCertificate.state == "active")
        .order_by(MemberCertificate.member_id, Certificate.id)
    )
    fqans = members.fqans_of(session, rows)
    for member_id, subject in session.execute(certificates):
        name = slash(subject, ascii=True)
        found[name] = tuple(dict.fromkeys((*found.get(name, ()), *fqans[member_id])))


def _admissible(session: Session, vo: str, container: tuple[str, str | None] | None) -> list[Member]:
    query = select(Member).where(
        Member.vo == vo,
        Member.state == "active",
        Member.until > func.now(),
        or_(Member.aup_due.is_(None), Member.aup_due > func.now()),
    )
    path, role = container or (f"/{vo}", None)
    if role is not None:
        holds = (MemberRole.member_id == Member.id, MemberRole.path == path, MemberRole.role == role)
        query = query.where(exists().where(*holds))
    elif path != f"/{vo}":
        query = query.where(exists().where(MemberGroup.member_id == Member.id, MemberGroup.path == path))
    return list(session.scalars(query.order_by(Member.id)))


# --- what a feed is made of ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What a reader wants of one VO: rules of the request, which replace the site's; none = the usual ones."""

    vo: str
    rules: tuple[Rule, ...] = ()


def rendered(session: Session, feed: Feed, asked: Sequence[Asked], here: VomsdbSettings) -> bytes:
    """The file. Raises NotFound, and Unavailable when our authority's certificate is needed and cannot be read."""
    return feed.render([_of_vo(session, feed, one, here) for one in asked])


def _of_vo(session: Session, feed: Feed, asked: Asked, here: VomsdbSettings) -> OfVo:
    vo = vos.found(session, asked.vo)
    return OfVo(
        name=vo.name,
        members=tuple(admitted(session, vo.name)) if feed.members else (),
        rules=completed(vo.name, asked.rules),
        authorities=tuple(_authorities(vo, here)) if feed.authorities else (),
    )


def completed(vo: str, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules of a VO; where none of them names an account, or a tenant, the usual one stands at the end."""
    usual = usual_rule(vo)
    account = "" if any(rule.account for rule in rules) else usual.account
    tenant = "" if any(rule.tenant for rule in rules) else usual.tenant
    return (*rules, Rule(usual.fqan, account, tenant)) if account or tenant else tuple(rules)


def usual_rule(vo: str) -> Rule:
    """For sites that say nothing: a pool named by the first label of the VO, and a tenant of the VO's name."""
    label = re.sub(r"[^a-z0-9]", "", vo.split(".")[0])
    return Rule(f"/{vo}", f".{label}" if label[:1].isalpha() else f".vo{label}", vo)


def _authorities(vo: Vo, here: VomsdbSettings) -> list[Authority]:
    """Ours, and those that the card names beside it, as far as these are written as hosts and names."""
    found = [Authority(one.host, one.vomses, one.lsc) for one in clients.all_files(vo.name, here)]
    for other in vo.authorities:
        host = str(other["host"])
        try:
            dn, ca_dn = (slash(from_slash(str(other[name])), ascii=True) for name in ("dn", "ca_dn"))
        except ValueError:
            continue
        if _HOST.fullmatch(host) and '"' not in dn:
            line = f'"{vo.name}" "{host}" "{other["port"]}" "{dn}" "{vo.name}"\n'
            found.append(Authority(host, line, f"{dn}\n{ca_dn}\n"))
    return found


# --- the site's own rules -----------------------------------------------------------------------------------------


def rules_of(session: Session, site: str) -> list[SiteRule]:
    """What the site makes of groups and roles, in the order in which they decide."""
    query = select(SiteRule).where(SiteRule.site == site)
    return list(session.scalars(query.order_by(SiteRule.position, SiteRule.fqan)))


def asked_of_site(session: Session, site: str) -> list[Asked]:
    """Every VO of the site with the site's rules for it. Raises NotFound."""
    supported = vos_of_site(session, site)
    rules = [(row.vo, Rule(row.fqan, row.account, row.tenant)) for row in rules_of(session, site)]
    return [Asked(vo, tuple(rule for owner, rule in rules if owner == vo)) for vo in supported]


def checked_account(text: str, field: str) -> str:
    """A local account, a `.pool`, or several with commas; raises Refused naming the field."""
    if not _ACCOUNT.fullmatch(text) or "root" in text.split(","):
        reason = "must be an account, a .pool, or several with commas; never root"
        raise Refused("This is no account.", FieldFault(field, reason))
    return text


def checked_rule(vo: str, rule: Rule, field: str) -> Rule:
    """The rule, its group or role in short form and in the VO; raises Refused naming the field."""
    path, role = container_of(vo, rule.fqan, f"{field}.fqan")
    if path.split("/")[1] != vo:
        raise Refused("The rules cannot be used.", FieldFault(f"{field}.fqan", f"must lie in /{vo}"))
    if not rule.account and not rule.tenant:
        raise Refused(
            "The rules cannot be used.", FieldFault(field, "must have an account or a tenant, or both")
        )
    if not rule.tenant.isprintable():
        raise Refused("The rules cannot be used.", FieldFault(f"{field}.tenant", "must be printable text"))
    account = checked_account(rule.account, f"{field}.account") if rule.account else ""
    return Rule(f"{path}/Role={role}" if role else path, account, rule.tenant)


def set_rules(session: Session, site: str, rules: Sequence[Rule], by: Principal) -> list[SiteRule]:
    """Replaces the site's rules. Raises Refused naming the line, NotFound."""
    supported = vos_of_site(session, site)
    checked: dict[str, tuple[str, Rule]] = {}
    for number, rule in enumerate(rules[: MOST_RULES + 1]):
        field = f"rules.{number}"
        vo = rule.fqan.strip("/").partition("/")[0]
        if vo not in supported:
            reason = f"{site} supports {', '.join(supported) or 'no VO'}; its shares are in the registry"
            raise Refused("The rules cannot be saved.", FieldFault(f"{field}.fqan", reason))
        whole = checked_rule(vo, rule, field)
        if whole.fqan in checked:
            raise Refused("The rules cannot be saved.", FieldFault(f"{field}.fqan", "stands twice"))
        checked[whole.fqan] = (vo, whole)
    if len(checked) > MOST_RULES:
        raise Refused("The rules cannot be saved.", FieldFault("rules", f"{MOST_RULES} is the most"))
    session.execute(delete(SiteRule).where(SiteRule.site == site))
    rows = [
        SiteRule(site=site, fqan=rule.fqan, vo=vo, position=at, account=rule.account, tenant=rule.tenant)
        for at, (vo, rule) in enumerate(checked.values())
    ]
    session.add_all(rows)
    session.flush()
    with revision(session, actor(by), f"{len(rows)} rules of {site} for accounts and tenants") as ledger:
        told = [{"fqan": row.fqan, "account": row.account, "tenant": row.tenant} for row in rows]
        ledger.put("site_rules", site, {"site": site, "rules": told})
    return rows
