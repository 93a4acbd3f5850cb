"""API credentials of a site: a part of its page, and the page where they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import redirect
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import api_credentials
from registry.models import Site
from registry.rights import DROP_API_CREDENTIALS, KEEP_API_CREDENTIALS, KEEP_MACHINES, may_site
from registry.schemas.api_credentials import ApiCredentialChange, ApiCredentialIn
from registry.views import saving
from registry.views.home import settings
from registry.views.parts import Part, SiteLook

pages = Pages("registry_programs", __name__)
LABELS = {"kind": "Kind", "identifier": "Known by", "realm": "Provider", "allow_write": "Writing"}


def _programs(look: SiteLook) -> Mapping[str, Any] | None:
    allowed = [KEEP_MACHINES, DROP_API_CREDENTIALS]
    if look.row is None or not any(may_site(look.principal, right, look.row) for right in allowed):
        return None
    return {"programs": api_credentials.listed(look.session, look.row.id)}


PROGRAMS = Part("programs", "right", _programs, past=False)


@pages.get("/sites/<name>/api-credentials", permission=KEEP_MACHINES)
def programs(name: str) -> BaseResponse:
    """What the site's programs are known by."""
    return _programs_page(name, FormFaults())


def _programs_page(name: str, form: FormFaults, status: int = 200) -> BaseResponse:
    principal = current_principal()
    with ground().db.transaction() as session:
        found = api_credentials.of_site(session, principal, name)
        site = session.scalars(select(Site).where(Site.name == name)).one()
        keeps = may_site(principal, KEEP_API_CREDENTIALS, site)
        drops = may_site(principal, DROP_API_CREDENTIALS, site)
    here = settings()
    return page(
        "registry/programs.html",
        title=f"API credentials of {name}",
        sentence="What programs are known by that read protected data, or write for the site.",
        crumbs=[("Sites", "/sites"), (name, f"/sites/{name}")],
        api=f"/api/v1/sites/{name}/api-credentials",
        status=status,
        name=name,
        programs=[(one, api_credentials.deleted_on(one, here)) for one in found],
        form=form,
        labels=LABELS,
        keeps=keeps,
        drops=drops,
        kinds=[("x509", "Certificate subject"), ("oidc", "Subject of an identity provider")],
        realms=[(realm, realm) for realm in here.oidc_realms],
        unused_days=here.api_credential_unused_days,
        renew_days=here.api_credential_renew_days,
        warning_days=here.api_credential_warning_days,
    )


@pages.post("/sites/<name>/api-credentials", permission=KEEP_API_CREDENTIALS)
def add(name: str) -> BaseResponse:
    """Add an API credential."""
    return saving.small(
        ApiCredentialIn,
        lambda db, form: api_credentials.add(db, current_principal(), settings(), name, form),
        LABELS,
        lambda faults, status: _programs_page(name, faults, status),
        lambda _: redirect(f"/sites/{name}/api-credentials", 303),
    )


@pages.post("/sites/<name>/api-credentials/<int:number>/<act>", permission=KEEP_API_CREDENTIALS)
def change(name: str, number: int, act: str) -> BaseResponse:
    """Renew, take over, let write or only read."""
    changes = {
        "renew": ApiCredentialChange(renew=True),
        "take-over": ApiCredentialChange(take_over=True),
        "write": ApiCredentialChange(allow_write=True),
        "read": ApiCredentialChange(allow_write=False),
    }
    if act in changes:
        api_credentials.edit(ground().db, current_principal(), name, number, changes[act])
    return redirect(f"/sites/{name}/api-credentials", 303)


@pages.post("/sites/<name>/api-credentials/<int:number>/delete", permission=DROP_API_CREDENTIALS)
def delete(name: str, number: int) -> BaseResponse:
    """Delete an API credential."""
    api_credentials.remove(ground().db, current_principal(), name, number, "")
    return redirect(f"/sites/{name}/api-credentials", 303)
