"""/api/v1: generic attributes of a VO, and their values."""

from __future__ import annotations

from hanse.errors import FieldFault, Refused
from hanse.web import Api, Listing, current_principal, ground
from vomsdb import generic_attributes, members, vos
from vomsdb.models import AttributeClass, AttributeValue
from vomsdb.permissions import ARRANGE, SEE_MEMBERS
from vomsdb.schemas.fields import AttributePath, ValuePath, ValueQuery, VoPath
from vomsdb.schemas.members import AttributeIn, AttributeOut, ValueIn, ValueOut

api = Api("vomsdb_attributes", __name__, "Generic attributes")


@api.get(
    "/vos/<vo>/attributes",
    permission=SEE_MEMBERS,
    summary="Generic attributes",
    responses={200: Listing[AttributeOut]},
)
def list_attributes(path: VoPath) -> Listing[AttributeOut]:
    """By name."""
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        found = generic_attributes.classes(session, path.vo)
    return Listing[AttributeOut](
        items=[AttributeOut.model_validate(one, from_attributes=True) for one in found]
    )


@api.post("/vos/<vo>/attributes", permission=ARRANGE, summary="Define one", responses={201: AttributeOut})
def define(path: VoPath, body: AttributeIn) -> tuple[AttributeOut, int]:
    """Its values then stand in the attribute certificates of those they are given to."""
    given = AttributeClass(vo=path.vo, **body.model_dump())
    with ground().db.transaction() as session:
        made = generic_attributes.define(session, path.vo, given, current_principal())
        return AttributeOut.model_validate(made, from_attributes=True), 201


@api.delete(
    "/vos/<vo>/attributes/<attribute>", permission=ARRANGE, summary="Forget one", responses={204: None}
)
def forget(path: AttributePath) -> None:
    """With all its values."""
    with ground().db.transaction() as session:
        generic_attributes.forget(session, path.vo, path.attribute, current_principal())


@api.get(
    "/vos/<vo>/attribute-values",
    permission=SEE_MEMBERS,
    summary="Values",
    responses={200: Listing[ValueOut]},
)
def list_values(path: VoPath, query: ValueQuery) -> Listing[ValueOut]:
    """Of groups and roles; with `member` the member's own ones."""
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        if query.member is None:
            found = generic_attributes.of_groups(session, path.vo)
        else:
            found = generic_attributes.of_member(session, members.in_vo(session, path.vo, query.member))
    return Listing[ValueOut](items=[_out(one) for one in found])


def _out(row: AttributeValue) -> ValueOut:
    fqan = generic_attributes.fqan_of(row)
    return ValueOut(id=row.id, attribute=row.name, value=row.value, member=row.member_id, fqan=fqan)


@api.put("/vos/<vo>/attribute-values", permission=ARRANGE, summary="Set a value", responses={200: ValueOut})
def set_value(path: VoPath, body: ValueIn) -> ValueOut:
    """Of a member, or of all in a group, or of all who hold a role there."""
    caller = current_principal()
    with ground().db.transaction() as session:
        if (body.member is None) == (body.fqan is None):
            fault = FieldFault("member", "or fqan must be given, and not both")
            raise Refused("Whose value is it?", fault)
        if body.member is not None:
            members.in_vo(session, path.vo, body.member)
            row = generic_attributes.set_of_member(session, body.member, body.attribute, body.value, caller)
        else:
            fqan = body.fqan or ""
            row = generic_attributes.set_of_fqan(session, path.vo, fqan, body.attribute, body.value, caller)
        return _out(row)


@api.delete(
    "/vos/<vo>/attribute-values/<value>", permission=ARRANGE, summary="Take a value", responses={204: None}
)
def unset(path: ValuePath) -> None:
    """At once: the next certificate does not tell it."""
    with ground().db.transaction() as session:
        generic_attributes.unset(session, path.vo, path.value, current_principal())
