"""The page of generic attributes: which ones the VO knows, and whose values stand in attribute certificates."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Response, request
from markupsafe import Markup
from pydantic import Field
from sqlalchemy.orm import Session
from werkzeug.utils import redirect
from werkzeug.wrappers import Response as AnyResponse

from hanse.errors import Conflict, FieldFault, NotFound, Refused
from hanse.identity.permissions import allows
from hanse.pages.words import count
from hanse.web import FormFaults, Pages, current_principal, ground, page, read_form
from vomsdb import generic_attributes, groups, members, vos
from vomsdb.models import AttributeClass
from vomsdb.permissions import ARRANGE, SEE_MEMBERS
from vomsdb.schemas.fields import Text, Wire
from vomsdb.views.frame import frame

pages = Pages("vomsdb_attribute_pages", __name__)
_FOUND = 20


class AttributeForm(Wire):
    """Define or forget an attribute; set or take a value. `whose` is a member's number, a group or a role."""

    action: Literal["define", "forget", "set", "unset"]
    name: Annotated[str, Field(max_length=64)] = ""
    description: Text = ""
    distinct_values: bool = False
    whose: Annotated[str, Field(max_length=600)] = ""
    value: Annotated[str, Field(max_length=1000)] = ""
    number: Annotated[int, Field(ge=0, le=2**53)] = 0


@pages.get("/vos/<vo>/attributes", permission=SEE_MEMBERS)
def attributes(vo: str) -> Response:
    """All of them, with the values of groups, of roles, and of the members that are looked for."""
    return _page(vo, FormFaults())


@pages.post("/vos/<vo>/attributes", permission=ARRANGE)
def change_attributes(vo: str) -> AnyResponse:
    """One change; a refused one keeps what was typed."""
    filled, form = read_form(AttributeForm)
    if filled is None:
        return _page(vo, form, 422)
    try:
        with ground().db.transaction() as session:
            _change(session, vo, filled)
    except (Refused, Conflict, NotFound) as fault:
        return _page(vo, FormFaults.of(fault, request.form.to_dict()), 422)
    return redirect(f"/vos/{vo}/attributes", 303)


def _change(session: Session, vo: str, filled: AttributeForm) -> None:
    caller = current_principal()
    if filled.action == "define":
        made = AttributeClass(
            vo=vo,
            name=filled.name,
            description=filled.description,
            distinct_values=filled.distinct_values,
        )
        generic_attributes.define(session, vo, made, caller)
    elif filled.action == "forget":
        generic_attributes.forget(session, vo, filled.name, caller)
    elif filled.action == "unset":
        generic_attributes.unset(session, vo, filled.number, caller)
    elif filled.whose.startswith("/"):
        generic_attributes.set_of_fqan(session, vo, filled.whose, filled.name, filled.value, caller)
    elif filled.whose.isascii() and filled.whose.isdigit() and len(filled.whose) < 16:
        member = members.in_vo(session, vo, int(filled.whose))
        generic_attributes.set_of_member(session, member.id, filled.name, filled.value, caller)
    else:
        fault = FieldFault("whose", "must be a member, a group, or a role in a group")
        raise Refused("Whose value is it?", fault)


def _page(vo: str, form: FormFaults, status: int = 200) -> Response:
    words = request.args.get("q", "")[:200]
    with ground().db.transaction() as session:
        whole = frame(session, vo, "groups")
        classes = generic_attributes.classes(session, vo)
        of_groups = [
            (row, generic_attributes.fqan_of(row)) for row in generic_attributes.of_groups(session, vo)
        ]
        found = members.search(session, vo, words=words, limit=_FOUND)
        values = {p.member.id: generic_attributes.of_member(session, p.member) for p in found}
        paths = [size.group.path for size in groups.tree(session, vo)]
        roles = [f"{path}/Role={role.name}" for path in paths for role in vos.roles_of(session, vo)]
    return page(
        "vomsdb/attributes.html",
        title=vo,
        sentence=Markup("<b>{}</b>; values stand in attribute certificates.").format(
            count(len(classes), "generic attribute")
        ),
        crumbs=[("VOs", "/vos"), ("Groups and roles", f"/vos/{vo}/groups")],
        api=f"/api/v1/vos/{vo}/attributes",
        status=status,
        classes=classes,
        of_groups=of_groups,
        found=found,
        values=values,
        words=words,
        fqans=[*paths, *roles],
        form=form,
        may_arrange=allows(current_principal(), ARRANGE, f"vo:{vo}"),
        **whole,
    )
