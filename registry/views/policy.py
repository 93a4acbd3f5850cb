"""Certification by policy: proposals to decide, the checklist of a site, the policy itself, the contact's button."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import redirect, request
from markupsafe import Markup
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from hanse.database import Database
from hanse.errors import Conflict, FieldFault, Refused
from hanse.identity.permissions import PUBLIC, SIGNED_IN, allows
from hanse.web import FormFaults, Pages, current_principal, ground, page
from registry import certification, policy, policy_contacts, policy_proposals, proposals_then, states
from registry.certification_standing import Standing, standing_of
from registry.models import CertificationProposal
from registry.rights import CERTIFY_SITE, EDIT_SITE, LOOK_AT_SITE, RUN_FEDERATION, is_operator, may_site
from registry.schemas.policy import DecideIn, PolicyIn, ProposalQuery, ProposeIn
from registry.states import Moment
from registry.views import saving
from registry.views.home import settings

pages = Pages("registry_policy_pages", __name__)
ROWS = 50
Form = TypeVar("Form", bound=BaseModel)
_LABELS = {"reason": "Reason", "status": "To", "document": "Policy"}


@pages.get("/certification/proposals", permission=SIGNED_IN)
def proposals() -> BaseResponse:
    """What waits for a decision, and what was decided."""
    with ground().db.transaction() as session:
        return _proposals(FormFaults(), moment=states.moment(session, request.args.get("as_of")))


def _proposals(form: FormFaults, *, status: int = 200, moment: Moment | None = None) -> BaseResponse:
    principal = current_principal()
    with ground().db.transaction() as session:
        rules = policy.in_force(session, moment.at if moment else None)
        waiting = _listed(session, ProposalQuery(state="waiting"), 500, moment)
        late = _listed(session, ProposalQuery(), ROWS, moment)
        shown = [
            _shown(row, rules, moment is None and may_site(principal, CERTIFY_SITE, row.site))
            for row in waiting
        ]
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


def _listed(
    session: Session, query: ProposalQuery, limit: int, moment: Moment | None
) -> list[CertificationProposal]:
    if moment is None:
        return policy_proposals.listed(session, query, limit)
    return proposals_then.listed(session, query, limit, moment)


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
    return _checklist(name, FormFaults(), as_of=request.args.get("as_of"))


def _checklist(name: str, form: FormFaults, *, status: int = 200, as_of: str | None = None) -> BaseResponse:
    principal = current_principal()
    with ground().db.transaction() as session:
        stands = standing_of(session, name, as_of)
        site, rules, row = stands.row, stands.rules, stands.proposal
        now = not as_of and site is not None
        may = now and site is not None and may_site(principal, CERTIFY_SITE, site)
        may_look = may or (now and site is not None and may_site(principal, EDIT_SITE, site))
        steps = certification.next_steps(stands.status, operator=is_operator(principal)) if may else []
        return page(
            "registry/checklist.html",
            title=f"Certification of {name}",
            sentence=_checklist_sentence(stands),
            crumbs=[("Sites", "/sites"), (name, f"/sites/{name}")],
            api=f"/api/v1/sites/{name}/certification",
            status=status,
            site={"name": name, "certification": stands.status},
            found=stands.evidence,
            marks={"met": "ok", "not_met": "down", "unknown": "unknown"},
            words={"met": "met", "not_met": "not met", "unknown": "not known"},
            contacts=stands.contacts,
            proposal=None if row is None else _shown(row, rules, may),
            may=may,
            may_look=may_look,
            choices=[(one, one) for one in steps],
            policy_steps=[step for step in rules.steps if step.old == stands.status],
            form=form,
            labels=_LABELS,
            now=datetime.now(UTC),
        )


def _checklist_sentence(stands: Standing) -> Markup:
    met = sum(one.state == "met" for one in stands.evidence)
    return Markup("{} is <b>{}</b>; <b>{} of {}</b> items of the policy are met.").format(
        stands.site, stands.status, met, len(stands.evidence)
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
    return saving.small(
        ProposeIn,
        lambda db, form: policy_proposals.propose(db, current_principal(), name, form),
        _LABELS,
        lambda faults, status: _checklist(name, faults, status=status),
        lambda _: redirect(f"/sites/{name}/certification", 303),
    )


@pages.post("/certification/proposals/<int:number>/accept", permission=CERTIFY_SITE)
def accept(number: int) -> BaseResponse:
    """Agree to a step."""
    return _decide(number, policy_proposals.accept)


@pages.post("/certification/proposals/<int:number>/decline", permission=CERTIFY_SITE)
def decline(number: int) -> BaseResponse:
    """Say no to a step."""
    return _decide(number, policy_proposals.decline)


def _decide(number: int, act: Any) -> BaseResponse:
    if saving.is_check():
        return saving.checked(
            request.form.to_dict(),
            saving.as_model(DecideIn),
            lambda db, form: act(db, current_principal(), number, form.reason) or number,
            _LABELS,
        )
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
    return _policy(FormFaults(), as_of=request.args.get("as_of"))


def _policy(form: FormFaults, *, status: int = 200, as_of: str | None = None) -> BaseResponse:
    with ground().db.transaction() as session:
        moment = states.moment(session, as_of)
        texts = policy.texts(session, moment.at if moment else None)
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
        may=not as_of and allows(current_principal(), RUN_FEDERATION, "federation"),
        form=form,
        labels=_LABELS,
    )


@pages.post("/certification/policy", permission=RUN_FEDERATION)
def put_policy() -> BaseResponse:
    """Put a new text in force."""

    def parse() -> PolicyIn:
        kept = {name: request.form.get(name, "") for name in ("document", "reason")}
        given = {name: text.replace("\r\n", "\n").strip() for name, text in kept.items()}
        return PolicyIn.model_validate({name: text for name, text in given.items() if text})

    return saving.small(
        PolicyIn,
        _put,
        _LABELS,
        lambda faults, status: _policy(faults, status=status),
        lambda _: redirect("/certification/policy", 303),
        parse,
    )


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


def _put(db: Database, form: PolicyIn) -> int:
    """Put it in force; what is wrong inside the text is told of the text, with the line or the part."""
    try:
        return policy.put(db, current_principal(), form)
    except Refused as error:
        inside = "; ".join(f"{one.field}: {one.reason}" for one in error.fields if one.field != "document")
        if not inside:
            raise
        raise Refused(error.detail, FieldFault("document", f"cannot be used: {inside[:500]}")) from error


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
