"""Machines of a site: the certificates and tokens with which they sign in."""

from __future__ import annotations

from flask import redirect, request
from pydantic import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import HanseError
from hanse.web import FormFaults, Pages, current_principal, ground, page
from hanse.web.wire import faults_of
from registry import credentials
from registry.rights import KEEP_MACHINES
from registry.schemas.sites import HostCertificateIn, TokenIn

pages = Pages("registry_machines", __name__)


@pages.get("/sites/<name>/machines", permission=KEEP_MACHINES)
def machines(name: str) -> BaseResponse:
    """Certificates and tokens with which the machines of a site sign in."""
    return _machines_page(name, FormFaults(), FormFaults())


def _machines_page(
    name: str, certificate: FormFaults, token: FormFaults, *, made: str = "", status: int = 200
) -> BaseResponse:
    with ground().db.transaction() as session:
        tokens = credentials.site_tokens(session, current_principal(), name)
        certificates = credentials.host_certificates(session, name)
    return page(
        "registry/machines.html",
        title=f"Machines of {name}",
        sentence="What they sign in with when they send usage, fetch identities, or publish.",
        crumbs=[("Sites", "/sites"), (name, f"/sites/{name}")],
        status=status,
        name=name,
        certificates=certificates,
        tokens=tokens,
        certificate_form=certificate,
        token_form=token,
        made=made,
    )


@pages.post("/sites/<name>/machines/certificates", permission=KEEP_MACHINES)
def add_certificate(name: str) -> BaseResponse:
    """Register a host certificate."""
    kept = request.form.to_dict()
    try:
        form = HostCertificateIn(pem=kept.get("pem", "").strip()[:20_000] + "\n")
        credentials.add_host_certificate(ground().db, current_principal(), name, form)
    except HanseError as error:
        return _machines_page(name, FormFaults.of(error, kept), FormFaults(), status=422)
    return redirect(f"/sites/{name}/machines", 303)


@pages.post("/sites/<name>/machines/certificates/<int:number>/remove", permission=KEEP_MACHINES)
def remove_certificate(name: str, number: int) -> BaseResponse:
    """Take a host certificate off the site."""
    credentials.remove_host_certificate(ground().db, current_principal(), name, number, "")
    return redirect(f"/sites/{name}/machines", 303)


@pages.post("/sites/<name>/machines/tokens", permission=KEEP_MACHINES)
def make_token(name: str) -> BaseResponse:
    """Make a site token and show it once."""
    kept = request.form.to_dict()
    try:
        form = TokenIn.model_validate({"name": kept.get("name", "")})
    except ValidationError as error:
        faults = {fault.field: fault.reason for fault in faults_of(error)}
        return _machines_page(name, FormFaults(), FormFaults(kept, faults, "No token was made."), status=422)
    _, token = credentials.make_site_token(ground().db, current_principal(), name, form)
    return _machines_page(name, FormFaults(), FormFaults(), made=token, status=201)


@pages.post("/sites/<name>/machines/tokens/<int:number>/withdraw", permission=KEEP_MACHINES)
def withdraw_token(name: str, number: int) -> BaseResponse:
    """Withdraw a site token."""
    credentials.withdraw_site_token(ground().db, current_principal(), name, number, "")
    return redirect(f"/sites/{name}/machines", 303)
