"""Subscriptions: people hear of downtimes and changes of what they care for, by mail at once, in a daily digest, or on
a webhook of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from urllib.parse import quote

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.principals import Principal
from hanse.revisions import head
from registry import happenings, mails, people
from registry.happenings import Happening, News
from registry.models import Ngi, Person, Service, Site, Subscription, Webhook
from registry.schemas.listening import SubscriptionIn
from registry.settings import RegistrySettings

MOST = 200
MOST_LINES = 100
_SALT = "hanse registry subscription"


def subscribe(db: Database, principal: Principal, form: SubscriptionIn) -> int:
    """Subscribe the caller from now on; returns the id. Raises NotFound, Refused (no address), Conflict (held)."""
    with db.transaction() as session:
        person = people.own(session, principal)
        if form.means != "webhook" and not person.email:
            raise Refused(
                "No mail can be sent to you.",
                FieldFault("means", "give your e-mail address under Account first"),
            )
        if form.webhook is not None:
            webhook = session.get(Webhook, form.webhook)
            if webhook is None or webhook.person_id != person.id:
                raise NotFound(f"You have no webhook {form.webhook}.")
        row = Subscription(
            person_id=person.id,
            target=form.target,
            target_id=_target_id(session, form),
            vo=form.name if form.target == "vo" else None,
            subject=form.subject,
            means=form.means,
            webhook_id=form.webhook,
            cursor=head(session),
            digest_on=datetime.now(UTC).date(),
        )
        _check(session, row)
        session.add(row)
        session.flush()
        return row.id


def _target_id(session: Session, form: SubscriptionIn) -> int | None:
    if form.target == "service":
        if session.get(Service, form.service) is None:
            raise NotFound(f"There is no service {form.service}.")
        return form.service
    if form.target in ("site", "ngi"):
        table = Site if form.target == "site" else Ngi
        found = session.scalar(select(table.id).where(table.name == form.name))
        if found is None:
            raise NotFound(f"There is no {'site' if form.target == 'site' else 'NGI'} {form.name}.")
        return found
    return None


def _check(session: Session, row: Subscription) -> None:
    held = session.scalars(
        select(Subscription).where(Subscription.person_id == row.person_id).with_for_update(of=Subscription)
    ).all()
    if len(held) >= MOST:
        raise Refused(f"You have {MOST} subscriptions; end some first.")
    same = [
        one
        for one in held
        if _whom(one) == _whom(row) and (one.means, one.webhook_id) == (row.means, row.webhook_id)
    ]
    if any(one.subject in (row.subject, "all") for one in same):
        raise Conflict("You are subscribed to this already.")


def _whom(row: Subscription) -> tuple[str, int | None, str | None]:
    return row.target, row.target_id, row.vo


def listed(session: Session, principal: Principal) -> list[Subscription]:
    """Own subscriptions, the newest first."""
    person = people.own(session, principal)
    wanted = select(Subscription).where(Subscription.person_id == person.id)
    return list(session.scalars(wanted.order_by(Subscription.id.desc())))


def end(db: Database, principal: Principal, number: int) -> None:
    """End an own subscription. Raises NotFound."""
    with db.transaction() as session:
        row = session.get(Subscription, number, with_for_update={"of": Subscription})
        if row is None or str(row.person_id) != principal.person:
            raise NotFound(f"You have no subscription {number}.")
        session.delete(row)


def about(session: Session, row: Subscription) -> str:
    """What a subscription is about, as it is called now."""
    if row.target == "vo":
        return str(row.vo)
    if row.target == "federation":
        return "the whole federation"
    if row.target == "service":
        service = session.get(Service, row.target_id)
        return f"{service.service_type} on {service.hostname}" if service else f"service {row.target_id}"
    owner: Site | Ngi | None = (
        session.get(Site, row.target_id) if row.target == "site" else session.get(Ngi, row.target_id)
    )
    return owner.name if owner else f"{row.target} {row.target_id}"


# --- unsubscribing without signing in -------------------------------------------------------------------------


def _signer(settings: RegistrySettings) -> URLSafeSerializer:
    return URLSafeSerializer(settings.secret_key.get_secret_value(), salt=_SALT)


def unsubscribe_url(settings: RegistrySettings, person: int) -> str:
    """Where the mails of a person end: the link needs no sign-in and can end nothing but these mails."""
    return f"{settings.url.rstrip('/')}/unsubscribe?who={quote(str(_signer(settings).dumps(person)))}"


def of_link(session: Session, settings: RegistrySettings, who: str) -> list[Subscription]:
    """The subscriptions by mail that a link is about. Raises NotFound for a link that is none of ours."""
    try:
        person = int(_signer(settings).loads(who))
    except (BadSignature, ValueError, TypeError):
        raise NotFound("This link is not whole; copy it from the mail once more.") from None
    wanted = select(Subscription).where(Subscription.person_id == person, Subscription.means != "webhook")
    return list(session.scalars(wanted.order_by(Subscription.id)))


def end_by_link(db: Database, settings: RegistrySettings, who: str, number: int | None) -> int:
    """End one, or with None all, of the subscriptions of a link; returns how many."""
    with db.transaction() as session:
        chosen = [one for one in of_link(session, settings, who) if number is None or one.id == number]
        for one in chosen:
            session.delete(one)
        return len(chosen)


# --- telling ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Told:
    """A revision with those of its changes that somebody is told."""

    news: News
    met: Sequence[Happening]


def tell(db: Database, settings: RegistrySettings) -> str:
    """One round of what is told at once by mail; a sentence for the run log. Webhooks have a queue of their own."""
    with db.transaction() as session:
        people_behind = session.scalars(
            select(Subscription.person_id)
            .where(Subscription.means == "mail", Subscription.cursor < head(session))
            .distinct()
            .order_by(Subscription.person_id)
        ).all()
    told = sum(_tell_person(db, settings, number) for number in people_behind)
    return f"{told} told." if told else "Nothing to tell."


def _tell_person(db: Database, settings: RegistrySettings, person_id: int) -> int:
    """All that one person hears of at once, in one mail; queue and cursors move together."""
    with db.transaction() as session:
        rows = _locked(session, person_id, digest=False)
        if not rows:
            return 0
        found = happenings.after(session, min(row.cursor for row in rows))
        told = _met(rows, found)
        if told and rows[0].person.email:
            _queue(session, settings, rows[0].person, told, digest=False)
        for row in rows:
            row.cursor = max(row.cursor, found[-1].revision) if found else row.cursor
        return int(bool(told))


def _locked(session: Session, person_id: int, *, digest: bool) -> list[Subscription]:
    means = "digest" if digest else "mail"
    wanted = select(Subscription).where(Subscription.person_id == person_id, Subscription.means == means)
    locked = wanted.order_by(Subscription.id).with_for_update(of=Subscription, skip_locked=True)
    return list(session.scalars(locked))


def _met(rows: Iterable[Subscription], found: Sequence[News]) -> list[_Told]:
    """The revisions that one of the subscriptions lets through, each once."""
    filters = [(row.cursor, happenings.asked_by(row)) for row in rows]
    told = []
    for news in found:
        met = [
            one
            for one in news.happenings
            if any(news.revision > cursor and wanted.lets(one) for cursor, wanted in filters)
        ]
        if met:
            told.append(_Told(news, met))
    return told


def digest(db: Database, settings: RegistrySettings) -> str:
    """The mail of the day for everybody who wants one; nothing when nothing happened."""
    today = datetime.now(UTC).date()
    with db.transaction() as session:
        due = session.scalars(
            select(Subscription.person_id)
            .where(Subscription.means == "digest", func.coalesce(Subscription.digest_on, today) <= today)
            .distinct()
        ).all()
    sent = sum(_digest_of(db, settings, number) for number in sorted(due))
    return f"{sent} digests queued."


def _digest_of(db: Database, settings: RegistrySettings, person_id: int) -> int:
    with db.transaction() as session:
        rows = _locked(session, person_id, digest=True)
        if not rows:
            return 0
        told: list[_Told] = []
        cursor, newest = min(row.cursor for row in rows), head(session)
        while found := happenings.after(session, cursor):
            told += _met(rows, found)
            cursor = found[-1].revision
        for row in rows:
            row.cursor, row.digest_on = max(row.cursor, newest), datetime.now(UTC).date()
        if not told or not rows[0].person.email:
            return 0
        _queue(session, settings, rows[0].person, told, digest=True)
        return 1


def _queue(
    session: Session, settings: RegistrySettings, person: Person, told: Sequence[_Told], *, digest: bool
) -> None:
    assert person.email is not None
    unsubscribe = unsubscribe_url(settings, person.id)
    mails.queue(
        session,
        person.email,
        _subject(settings, told, digest=digest),
        letter(settings, told, unsubscribe),
        about=f"subscription:{person.id}",
        unsubscribe_url=unsubscribe,
    )


def _subject(settings: RegistrySettings, told: Sequence[_Told], *, digest: bool) -> str:
    if digest:
        count = len(told)
        return f"{settings.federation}: {count} {'change' if count == 1 else 'changes'} that you follow"
    first = told[0]
    words = first.news.reason or f"{first.met[0].name} {first.met[0].act}"
    more = f" and {len(told) - 1} more" if len(told) > 1 else ""
    return f"{settings.federation}: {words[:120]}{more}"


def letter(settings: RegistrySettings, told: Sequence[_Told], unsubscribe: str) -> str:
    """The text of a mail: each revision with who, when, why and the fields; links to the history and out."""
    base = settings.url.rstrip("/")
    lines = []
    for day, of_day in groupby(told, key=lambda one: one.news.at.astimezone(UTC).date()):
        lines += [f"{day:%a %d %b %Y} (UTC)", ""]
        for one in of_day:
            news = one.news
            lines.append(f"{news.at:%H:%M}  {news.reason or 'changed'} - {news.actor_name}")
            for met in one.met[:MOST_LINES]:
                lines += _lines_of(met)
            lines += [f"       {base}/history/{news.revision}", ""]
    lines += [
        "--",
        f"You asked for this at {base}/subscriptions, where you can change it.",
        f"To end these mails without signing in: {unsubscribe}",
    ]
    return "\n".join(lines) + "\n"


def _lines_of(met: Happening) -> list[str]:
    kind = met.kind.replace("_", " ")
    lines = [f"       {kind} {met.name}: {met.act}"]
    body = met.body or {}
    if met.kind == "downtime" and body:
        places = ", ".join(body.get("sites") or [body.get("site", "")])
        lines.append(f"         {places}, {body['start']} to {body['end']}, {body['severity'].lower()}")
        lines.append(f"         {body['description'][:200]}")
    for field, (old, new) in list(met.fields.items())[:MOST_LINES]:
        lines.append(f"         {field}: {_short(old)} -> {_short(new)}")
    return lines


def _short(value: object) -> str:
    text = "nothing" if value in (None, "", [], {}) else str(value)
    return text if len(text) <= 120 else text[:119] + "…"
