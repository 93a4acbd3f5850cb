"""/api/v1: API credentials of a site, and the queue of mails."""

from __future__ import annotations

from hanse.web import Api, current_principal, ground
from registry import api_credentials, mails, states
from registry.api.answers import Body, NumberPath, SitePath, SiteThingPath
from registry.finding import number_cursor
from registry.models import ApiCredential, Mail
from registry.remembered import ApiCredentialThen
from registry.rights import DROP_API_CREDENTIALS, KEEP_API_CREDENTIALS, KEEP_MACHINES, RUN_FEDERATION
from registry.schemas.api_credentials import (
    ApiCredentialChange,
    ApiCredentialIn,
    ApiCredentialList,
    ApiCredentialOut,
    MailPage,
    MailQuery,
)
from registry.schemas.sites import OneQuery
from registry.settings import RegistrySettings

api = Api("registry_api_credentials", __name__, "API credentials", csv=True)
_PATH = "/sites/<site>/api-credentials"


def _settings() -> RegistrySettings:
    held = ground().settings
    assert isinstance(held, RegistrySettings)
    return held


@api.get(
    _PATH, permission=KEEP_MACHINES, summary="API credentials of a site", responses={200: ApiCredentialList}
)
def list_credentials(path: SitePath, query: OneQuery) -> Body:
    """What the site's programs are known by, who answers for each, when it was last used; the last no log keeps."""
    with ground().db.transaction() as session:
        number = states.number_at(session, query.as_of)
        if number is not None:
            then = api_credentials.of_site_then(session, current_principal(), path.site, number)
            return {"items": [credential_then_answer(one) for one in then]}
        found = api_credentials.of_site(session, current_principal(), path.site)
        return {"items": [credential_answer(one) for one in found]}


@api.post(
    _PATH, permission=KEEP_API_CREDENTIALS, summary="Add an API credential", responses={201: ApiCredentialOut}
)
def add_credential(path: SitePath, body: ApiCredentialIn) -> tuple[Body, int]:
    """By somebody with a role at the site, who answers for it from then on."""
    number = api_credentials.add(ground().db, current_principal(), _settings(), path.site, body)
    return _one(number), 201


@api.patch(
    _PATH + "/<int:number>",
    permission=KEEP_API_CREDENTIALS,
    summary="Change, renew or take over an API credential",
    responses={200: ApiCredentialOut},
)
def change_credential(path: SiteThingPath, body: ApiCredentialChange) -> Body:
    """Fields that are not sent stay as they are."""
    api_credentials.edit(ground().db, current_principal(), path.site, path.number, body)
    return _one(path.number)


@api.delete(
    _PATH + "/<int:number>",
    permission=DROP_API_CREDENTIALS,
    summary="Delete an API credential",
    responses={204: None},
)
def delete_credential(path: SiteThingPath) -> None:
    """From then on it acts for nobody."""
    api_credentials.remove(ground().db, current_principal(), path.site, path.number, "")


@api.get(
    "/mails", permission=RUN_FEDERATION, summary="Mails and what became of them", responses={200: MailPage}
)
def list_mails(query: MailQuery) -> Body:
    """The newest first, without their texts: codes stand in some."""
    with ground().db.transaction() as session:
        found = mails.listed(session, query.state, query.about, number_cursor(query.cursor), query.limit + 1)
        items = [mail_answer(one) for one in found[: query.limit]]
        counts = mails.count_by_state(session)
    return {"items": items, "counts": counts, "next": items[-1]["id"] if len(found) > query.limit else None}


@api.post(
    "/mails/<int:number>/again",
    permission=RUN_FEDERATION,
    summary="Try a mail once more",
    responses={204: None},
)
def mail_again(path: NumberPath) -> None:
    """One that was given up or waits; it is tried at the next look at the queue."""
    mails.again(ground().db, path.number)


def _one(number: int) -> Body:
    with ground().db.transaction() as session:
        return credential_answer(session.get_one(ApiCredential, number))


def credential_answer(row: ApiCredential) -> Body:
    """An API credential for the wire."""
    return {
        "id": str(row.id),
        "site": row.site.name,
        "kind": row.kind,
        "identifier": row.identifier,
        "realm": row.realm,
        "allow_write": row.allow_write,
        "owner": str(row.owner_id),
        "owner_name": row.owner.name,
        "created_at": row.created_at,
        "renewed_at": row.renewed_at,
        "last_used_at": row.last_used_at,
        "warned_at": row.warned_at,
        "deleted_on": api_credentials.deleted_on(row, _settings()),
    }


def credential_then_answer(then: ApiCredentialThen) -> Body:
    """An API credential as it stood, for the wire; when it was used no log keeps."""
    return {
        **then.body,
        "owner_name": then.owner_name,
        "created_at": then.created_at,
        "renewed_at": then.renewed_at,
        "last_used_at": None,
        "warned_at": None,
        "deleted_on": None,
    }


def mail_answer(row: Mail) -> Body:
    """A mail for the wire."""
    return {
        "id": str(row.id),
        "recipient": row.recipient,
        "subject": row.subject,
        "about": row.about,
        "state": row.state,
        "attempts": row.attempts,
        "last_answer": row.last_answer,
        "created_at": row.created_at,
        "next_attempt_at": row.next_attempt_at,
        "delivered_at": row.delivered_at,
    }
