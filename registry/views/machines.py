"""Machines of a site: the certificates and tokens with which they sign in."""

from __future__ import annotations

from flask import redirect, request
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import credentials
from registry.rights import KEEP_MACHINES
from registry.schemas.sites import HostCertificateIn, TokenIn
from registry.views import saving

pages = Pages("registry_machines", __name__)
LABELS = {"pem": "Certificate", "name": "For"}


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
        labels=LABELS,
        made=made,
    )


@pages.post("/sites/<name>/machines/certificates", permission=KEEP_MACHINES)
def add_certificate(name: str) -> BaseResponse:
    """Register a host certificate."""

    def parse() -> HostCertificateIn:
        pem = request.form.get("pem", "").strip()
        return HostCertificateIn.model_validate({"pem": f"{pem[:20_000]}\n"} if pem else {})

    def act(db: Database, form: HostCertificateIn) -> str:
        credentials.add_host_certificate(db, current_principal(), name, form)
        return name

    return saving.small(
        HostCertificateIn,
        act,
        LABELS,
        lambda faults, status: _machines_page(name, faults, FormFaults(), status=status),
        lambda _: redirect(f"/sites/{name}/machines", 303),
        parse,
    )


@pages.post("/sites/<name>/machines/certificates/<int:number>/remove", permission=KEEP_MACHINES)
def remove_certificate(name: str, number: int) -> BaseResponse:
    """Take a host certificate off the site."""
    credentials.remove_host_certificate(ground().db, current_principal(), name, number, "")
    return redirect(f"/sites/{name}/machines", 303)


@pages.post("/sites/<name>/machines/tokens", permission=KEEP_MACHINES)
def make_token(name: str) -> BaseResponse:
    """Make a site token and show it once."""
    return saving.small(
        TokenIn,
        lambda db, form: credentials.make_site_token(db, current_principal(), name, form)[1],
        LABELS,
        lambda faults, status: _machines_page(name, FormFaults(), faults, status=status),
        lambda token: _machines_page(name, FormFaults(), FormFaults(), made=token, status=201),
    )


@pages.post("/sites/<name>/machines/tokens/<int:number>/withdraw", permission=KEEP_MACHINES)
def withdraw_token(name: str, number: int) -> BaseResponse:
    """Withdraw a site token."""
    credentials.withdraw_site_token(ground().db, current_principal(), name, number, "")
    return redirect(f"/sites/{name}/machines", 303)
