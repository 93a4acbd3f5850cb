"""One person made a member by hand, as VOMS-Admin's administrators do: at once, with the AUP still to be signed."""

from __future__ import annotations

from sqlalchemy.orm import Session

from hanse.errors import FieldFault, Refused
from hanse.identity.principals import Principal
from vomsdb import people, vos
from vomsdb.importing.admitting import admit
from vomsdb.importing.judged import judged
from vomsdb.importing.records import PersonRecord
from vomsdb.models import Member, Person


def create(session: Session, name: str, record: PersonRecord, source: str, by: Principal) -> Member:
    """The new member, who has the VO's usual days to sign. Raises Refused, Conflict, NotFound."""
    vo = vos.held(session, name)
    if vo.state != "production":
        raise Refused(f"{name} is {vo.state} and takes no members.")
    one = judged(record)
    if not one.certificates:
        raise Refused(
            "The certificate cannot be read.", FieldFault("certificateSubject", "; ".join(one.notes))
        )
    if not one.email:
        raise Refused("The member cannot be made.", FieldFault("emailAddress", "must be one address"))
    shown = frozenset(each.identity.key for each in one.certificates)
    known = people.for_membership(session, shown, name, by)
    owner = None if known is None else session.get_one(Person, known)
    return admit(session, vo, one, owner, True, source, by)
