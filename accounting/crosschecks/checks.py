"""The checks, one table: what each looks for, who mends it, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import text

from accounting.crosschecks.found import FEDERATION, Found, Looked, Scene
from accounting.crosschecks.known import Members, months_of_use, same_name
from accounting.crosschecks.used import USAGE, used
from accounting.pseudonyms import PREFIX
from hanse.identity.principals import oidc_key

NOT_READ = "The registry's feed was never read."
MOST_SILENT, SILENT_FOR_DAYS = 1000, 92


@dataclass(frozen=True)
class Check:
    """One check: its title and what mends what it finds."""

    title: str
    mend: str
    look: Callable[[Scene], Looked]


def not_a_member(scene: Scene) -> Looked:
    """Usage under a name that is no member of the VO it names, or was none any more: a certificate's subject, or where
    members sign in with OpenID Connect, the `sub` that their provider gives them.
    """
    if scene.known.members is None:
        return Looked(blind={"": "Membership's feed was never read."})
    found: list[Found] = []
    blind: dict[str, str] = {}
    rows = used(scene, ("site", "vo", "user_name"), "vo <> '' and user_name <> ''")
    for (site, vo, user), cpu_s, first, last in rows:
        members = scene.known.members.get(vo)
        if members is None:
            continue  # a VO that membership does not keep
        if user.startswith(PREFIX):
            continue  # whose name was replaced on request: nobody can tell any more
        if not user.startswith(("/", "CN=", "C=", "DC=")):
            if members.signed_in and scene.known.issuers:
                sentence = _stranger_signed_in(members, vo, user, scene.known.issuers, last)
                found += _usage_of(site, vo, user, sentence, cpu_s, first, last)
            continue  # else it may be an account's name at the site
        if not members.until and not members.nameless:
            blind[vo] = f"Membership has no member of {vo}, so nobody's usage of it is judged."
            continue
        sentence = _stranger(members, vo, user, last)
        if not sentence:
            continue
        if members.nameless and same_name(user) not in members.until:
            blind[vo] = _nameless(vo, members)
            continue
        found += _usage_of(site, vo, user, sentence, cpu_s, first, last)
    return Looked(found, blind)


def _usage_of(
    site: str, vo: str, user: str, sentence: str, cpu_s: int, first: date, last: date
) -> list[Found]:
    if not sentence:
        return []
    words = f"{sentence} {site} reports {cpu_s / 3600:,.1f} CPU hours in {months_of_use(first, last)}."
    return [Found(f"{site} {vo} {user}", f"vo:{vo}", words, site, vo, user[:255], last, cpu_s)]


def _stranger(members: Members, vo: str, user: str, last: date) -> str:
    name = same_name(user)
    if name not in members.until:
        return f"{user} is not a member of {vo}."
    return _former(members.until[name], vo, user, last)


def _stranger_signed_in(members: Members, vo: str, user: str, issuers: Sequence[str], last: date) -> str:
    ends = [
        members.signed_in[key] for key in (oidc_key(one, user) for one in issuers) if key in members.signed_in
    ]
    if not ends:
        return f"{user} is not a member of {vo}: no member signs in under this name."
    still = None if None in ends else max(end for end in ends if end is not None)
    return _former(still, vo, user, last)


def _former(until: datetime | None, vo: str, user: str, last: date) -> str:
    if until is None or last <= until.date().replace(day=1):
        return ""
    return f"{user} is no longer a member of {vo}."


def _nameless(vo: str, members: Members) -> str:
    why = f" {members.why}" if members.why else ""
    return (
        f"Membership does not tell the subjects of {members.nameless} certificates of {vo}, so names that are not"
        f" found there are not judged.{why}"
    )


def not_certified(scene: Scene) -> Looked:
    """Usage from sites that are not certified, or that the registry does not know (any more)."""
    if scene.known.sites is None:
        return Looked(blind={"": NOT_READ})
    found = []
    for (site,), cpu_s, first, last in used(scene, ("site",)):
        known = scene.known.sites.get(site)
        if known is not None and known.certification == "Certified":
            continue
        since = known.certified_since if known else None
        if since is not None and last < since.date().replace(day=1):
            continue  # it was certified while that was used
        state = f"is {known.certification or 'not certified'}" if known else "is not in the registry"
        words = (
            f"{site} {state} and reports {cpu_s / 3600:,.1f} CPU hours in {months_of_use(first, last)}. Certify it, or"
            " ask it to stop publishing."
        )
        found.append(Found(site, FEDERATION, words, site, month=last, cpu_s=cpu_s))
    return Looked(found)


def vo_not_supported(scene: Scene) -> Looked:
    """Usage of VOs that the site does not declare to support."""
    if scene.known.sites is None:
        return Looked(blind={"": NOT_READ})
    found = []
    for (site, vo), cpu_s, first, last in used(scene, ("site", "vo"), "vo <> ''"):
        known = scene.known.sites.get(site)
        if known is None or vo in known.vos:
            continue
        words = (
            f"{site} reports {cpu_s / 3600:,.1f} CPU hours of {vo} in {months_of_use(first, last)} and does not declare"
            f" in the registry that it supports {vo}. Add the VO share, or mend the FQAN of the records."
        )
        found.append(Found(f"{site} {vo}", f"site:{site}", words, site, vo, month=last, cpu_s=cpu_s))
    return Looked(found)


# Machines whose newest report says that they run, and which are silent although their site goes on reporting.
_SILENT = text(
    """
    select v.site, v.vmuuid, v.vo, v.measured_at, v.machine_name
      from vm_snapshot v join site_publishing p on p.site = v.site
     where v.status = 'started' and v.measured_at >= :since
       and v.measured_at < least(p.measured_until, :now) - make_interval(days => :days)
       and not exists (select from vm_snapshot n
                        where n.site = v.site and n.vmuuid = v.vmuuid and n.measured_at > v.measured_at)
     order by v.measured_at desc limit :most
    """
)


def silent_machine(scene: Scene) -> Looked:
    """Machines that were running in their last report, which is too old, and not older than three months more."""
    since = scene.now - timedelta(days=scene.silent_days + SILENT_FOR_DAYS)
    given = {"since": since, "now": scene.now, "days": scene.silent_days, "most": MOST_SILENT}
    found = []
    for site, vmuuid, vo, measured_at, name in scene.session.execute(_SILENT, given):
        called = f"{name} ({vmuuid})" if name and name != vmuuid else vmuuid
        words = (
            f"Machine {called} of {site} was running on {measured_at:%d %B %Y, %H:%M} UTC and has not been reported"
            " since, while others were. If it ended, send its last record with Status: completed; if it runs, mend the"
            " exporter."
        )
        month = measured_at.date().replace(day=1)
        found.append(Found(f"{site} {vmuuid}", f"site:{site}", words, site, vo, vmuuid, month))
    blind = {}
    if len(found) == MOST_SILENT:
        blind[""] = f"Only the {MOST_SILENT:,} machines that fell silent last are listed."
    return Looked(found, blind)


# A month without usage that lies between two months with usage.
_GAPS = text(
    f"""
    with used as (select distinct site, month from {USAGE} where month >= :since)
    select s.site, m.month::date
      from (select site, min(month) as first, max(month) as last from used group by site) s,
           generate_series(s.first, s.last, interval '1 month') m (month)
     where not exists (select from used u where u.site = s.site and u.month = m.month::date)
     order by 1, 2
    """  # noqa: S608 - of our own words alone
)


def month_gap(scene: Scene) -> Looked:
    """Months without any usage between months with usage."""
    since = date(scene.now.year - 2, scene.now.month, 1)
    found = []
    for site, month in scene.session.execute(_GAPS, {"since": since}):
        words = (
            f"{site} has no usage in {month:%B %Y}, and some before and after. Publish the month again, or say"
            " why there is none."
        )
        found.append(Found(f"{site} {month:%Y-%m}", f"site:{site}", words, site, month=month))
    return Looked(found)


_TWICE = text(
    """
    select site, month, kind, origin, counted, sum(records) as records, sum(cpu_s) as cpu_s from overlap
     where month >= :first group by site, month, kind, origin, counted order by site, month, kind, origin
    """
)
_OF = {"job": "jobs", "cloud": "machines"}


def told_twice(scene: Scene) -> Looked:
    """Months of which a site sends both records and summaries."""
    found = []
    for site, month, kind, origin, counted, records, cpu_s in scene.session.execute(
        _TWICE, {"first": scene.first}
    ):
        words = (
            f"{site} has sent {month:%B %Y} in two ways: as {counted}, which count, and as {origin} of {int(records):,}"
            f" {_OF.get(kind, kind)}, which do not. Send one of them."
        )
        fact = f"{site} {month:%Y-%m} {kind} {origin}"
        found.append(Found(fact, f"site:{site}", words, site, month=month, cpu_s=int(cpu_s)))
    return Looked(found)


CHECKS: dict[str, Check] = {
    "not_a_member": Check(
        "Names that are not members of the VO", "The VO's manager: was it a member; the site: its mapping",
        not_a_member,
    ),
    "not_certified": Check(
        "Sites that are not certified", "The operator: certify the site, or stop it", not_certified
    ),
    "vo_not_supported": Check(
        "VOs that the site does not support", "The site: VO shares in the registry, or FQANs in its records",
        vo_not_supported,
    ),
    "silent_machine": Check(
        "Running machines without records", "The site: its exporter, or the last record of what ended", silent_machine
    ),
    "told_twice": Check("Months sent in two ways", "The site: send one of them", told_twice),
    "month_gap": Check("Months without usage", "The site: publish the month again", month_gap),
}  # fmt: skip
