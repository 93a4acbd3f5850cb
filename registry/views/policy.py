"""Certification by policy: proposals to decide, the checklist of a site, the policy itself, the contact's button."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import redirect, request
from markupsafe import Markup
from pydantic import BaseModel, ValidationError
from werkzeug.wrappers import Response as BaseResponse

from hanse.errors import Conflict, Refused
from hanse.identity.permissions import PUBLIC, SIGNED_IN, allows
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import certification, policy, policy_contacts, policy_evidence, policy_proposals
from registry.models import Site
from registry.rights import CERTIFY_SITE, EDIT_SITE, LOOK_AT_SITE, RUN_FEDERATION, is_operator, may_site
from registry.schemas.policy import DecideIn, PolicyIn, ProposalQuery, ProposeIn
from registry.views.home import settings

pages = Pages("registry_policy_pages", __name__)
ROWS = 50
Form = TypeVar("Form", bound=BaseModel)
_LABELS = {"reason": "Reason", "status": "To", "document": "Policy"}


@pages.get("/certification/proposals", permission=SIGNED_IN)
def proposals() -> BaseResponse:
    """What waits for a decision, and what was decided."""
    return _proposals(FormFaults())


def _proposals(form: FormFaults, *, status: int = 200) -> BaseResponse:
    principal = current_principal()
    with ground().db.transaction() as session:
        rules = policy.in_force(session)
        waiting = policy_proposals.listed(session, ProposalQuery(state="waiting"), 500)
        late = policy_proposals.listed(session, ProposalQuery(), ROWS)
        shown = [_shown(row, rules, may_site(principal, CERTIFY_SITE, row.site)) for row in waiting]
        decided = [row for row in late if row.state not in policy_proposals.WAITING]
        return page(
            "registry/proposals.html",
            title="Proposed steps of certification",
            sentence=_waiting_sentence(len(shown)),
            crumbs=[("Certification", "/certification")],
            within="/federation",
            api="/api/v1/certification/proposals",
            csv="/api/v1/certification/proposals.csv",
            status=status,
            waiting=shown,
            decided=decided,
            form=form,
            labels=_LABELS,
        )


def _waiting_sentence(count: int) -> Markup:
    if not count:
        return Markup("<b>Nothing waits for a decision.</b>")
    things = "1 step waits" if count == 1 else f"{count} steps wait"
    return Markup("<b>{}</b> for a decision by a person.").format(things)


def _shown(row: Any, rules: Any, may: bool) -> dict[str, Any]:
    principal = current_principal()
    return {
        "row": row,
        "persons": policy_proposals.persons(rules, row),
        "may": may,
        "mine": row.first_key is not None and policy_proposals.is_same(row, principal),
    }


@pages.get("/sites/<name>/certification", permission=SIGNED_IN)
def checklist(name: str) -> BaseResponse:
    """Where a site stands, item by item."""
    return _checklist(name, FormFaults())


def _checklist(name: str, form: FormFaults, *, status: int = 200) -> BaseResponse:
    principal = current_principal()
    with ground().db.transaction() as session:
        site = policy_contacts.find_site(session, name)
        rules = policy.in_force(session)
        found = policy_evidence.stored(session, rules, site)
        row = policy_proposals.waiting(session, site)
        may = may_site(principal, CERTIFY_SITE, site)
        steps = certification.next_steps(site.certification, operator=is_operator(principal)) if may else []
        return page(
            "registry/checklist.html",
            title=f"Certification of {name}",
            sentence=_checklist_sentence(site, found),
            crumbs=[("Sites", "/sites"), (name, f"/sites/{name}")],
            api=f"/api/v1/sites/{name}/certification",
            status=status,
            site=site,
            found=found,
            marks={"met": "ok", "not_met": "down", "unknown": "unknown"},
            words={"met": "met", "not_met": "not met", "unknown": "not known"},
            contacts=policy_contacts.states(session, site),
            proposal=None if row is None else _shown(row, rules, may),
            may=may,
            may_look=may or may_site(principal, EDIT_SITE, site),
            choices=[(one, one) for one in steps],
            policy_steps=[step for step in rules.steps if step.old == site.certification],
            form=form,
            labels=_LABELS,
            now=datetime.now(UTC),
        )


def _checklist_sentence(site: Site, found: list[policy_evidence.Found]) -> Markup:
    met = sum(one.state == "met" for one in found)
    return Markup("{} is <b>{}</b>; <b>{} of {}</b> items of the policy are met.").format(
        site.name, site.certification, met, len(found)
    )


@pages.post("/sites/<name>/certification/look", permission=LOOK_AT_SITE)
def look(name: str) -> BaseResponse:
    """Ask for the evidence now."""
    try:
        policy_proposals.refresh(ground().db, settings(), current_principal(), name)
    except (Refused, Conflict) as error:
        return _checklist(name, FormFaults.of(error, {}), status=422)
    return redirect(f"/sites/{name}/certification", 303)


@pages.post("/sites/<name>/certification/ask", permission=LOOK_AT_SITE)
def ask(name: str) -> BaseResponse:
    """Write to the contacts now."""
    try:
        policy_contacts.ask_now(ground().db, settings(), current_principal(), name)
    except (Refused, Conflict) as error:
        return _checklist(name, FormFaults.of(error, {}), status=422)
    return redirect(f"/sites/{name}/certification", 303)


@pages.post("/sites/<name>/certification/propose", permission=CERTIFY_SITE)
def propose(name: str) -> BaseResponse:
    """Propose a step by hand."""
    kept = request.form.to_dict()
    form, faults = _read(ProposeIn, kept, ("status", "reason"))
    try:
        if form is not None:
            policy_proposals.propose(ground().db, current_principal(), name, form)
            return redirect(f"/sites/{name}/certification", 303)
    except (Refused, Conflict) as error:
        faults = FormFaults.of(error, kept)
    return _checklist(name, faults, status=422)


@pages.post("/certification/proposals/<int:number>/accept", permission=CERTIFY_SITE)
def accept(number: int) -> BaseResponse:
    """Agree to a step."""
    return _decide(number, policy_proposals.accept)


@pages.post("/certification/proposals/<int:number>/decline", permission=CERTIFY_SITE)
def decline(number: int) -> BaseResponse:
    """Say no to a step."""
    return _decide(number, policy_proposals.decline)


def _decide(number: int, act: Any) -> BaseResponse:
    kept = {**request.form.to_dict(), "number": str(number)}
    form, faults = _read(DecideIn, kept, ("reason",))
    try:
        if form is not None:
            act(ground().db, current_principal(), number, form.reason)
            return redirect("/certification/proposals", 303)
    except (Refused, Conflict) as error:
        faults = FormFaults.of(error, kept)
    return _proposals(faults, status=422)


@pages.get("/certification/policy", permission=PUBLIC)
def policy_page() -> BaseResponse:
    """The policy in force, its earlier texts, and, for operators, a new one."""
    return _policy(FormFaults())


def _policy(form: FormFaults, *, status: int = 200) -> BaseResponse:
    with ground().db.transaction() as session:
        texts = policy.texts(session)
    current = next(one for one in texts if one.in_force)
    return page(
        "registry/policy.html",
        title="Certification policy",
        sentence="What a site has to show before a person moves it on; the newest text in force counts.",
        crumbs=[("Certification", "/certification")],
        within="/federation",
        api="/api/v1/certification/policies",
        status=status,
        current=current,
        texts=texts,
        may=allows(current_principal(), RUN_FEDERATION, "federation"),
        form=form,
        labels=_LABELS,
    )


@pages.post("/certification/policy", permission=RUN_FEDERATION)
def put_policy() -> BaseResponse:
    """Put a new text in force."""
    kept = request.form.to_dict()
    kept["document"] = kept.get("document", "").replace("\r\n", "\n")
    form, faults = _read(PolicyIn, kept, ("document", "reason"))
    try:
        if form is not None:
            policy.put(ground().db, current_principal(), form)
            return redirect("/certification/policy", 303)
    except (Refused, Conflict) as error:
        faults = FormFaults.of(error, kept)
    return _policy(faults, status=422)


def _read(model: type[Form], kept: dict[str, str], names: tuple[str, ...]) -> tuple[Form | None, FormFaults]:
    try:
        return model.model_validate({name: kept.get(name, "").strip() for name in names}), FormFaults(kept)
    except ValidationError as error:
        words = {"string_too_short": "is missing"}
        faults = {
            str(one["loc"][0]): words.get(one["type"]) or one["msg"].removeprefix("Value error, ")
            for one in error.errors()
        }
        return None, FormFaults(kept, faults, "Not saved.")


@pages.get("/contacts/confirm/<code>", permission=PUBLIC)
def confirm_page(code: str) -> BaseResponse:
    """What would be confirmed. Mail scanners follow links, so reading changes nothing."""
    with ground().db.transaction() as session:
        found = policy_contacts.find(session, code)
        site, done = found.site.name, found.confirmed_at is not None
    return page(
        "registry/contact_confirm.html",
        title="Does this address still reach somebody?",
        sentence=Markup("The registry names your address as a contact of <b>{}</b>.").format(site),
        site=site,
        code=code,
        done=done,
    )


@pages.post("/contacts/confirm/<code>", permission=PUBLIC)
def confirm(code: str) -> BaseResponse:
    """The code is the proof; pressing twice does no harm."""
    policy_contacts.confirm(ground().db, code)
    return redirect(f"/contacts/confirm/{code}", 303)
