"""/api/v1: the letters of a VO in its own words."""

from __future__ import annotations

from hanse.web import Api, Listing, current_principal, ground
from vomsdb import own_letters, vos
from vomsdb.models import VoLetter
from vomsdb.own_letters import KINDS, Kind, Text
from vomsdb.permissions import EDIT_CARD, SEE_MEMBERS
from vomsdb.schemas.fields import LetterPath, VoPath
from vomsdb.schemas.letters import LetterIn, LetterOut

api = Api("vomsdb_letters", __name__, "Letters")


@api.get("/vos/<vo>/letters", permission=SEE_MEMBERS, summary="Letters", responses={200: Listing[LetterOut]})
def list_letters(path: VoPath) -> Listing[LetterOut]:
    """Every letter that a VO may write itself; without `subject` and `body` where the usual words are sent."""
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        own = own_letters.of_vo(session, path.vo)
        return Listing[LetterOut](items=[_out(kind, own.get(kind.name)) for kind in KINDS.values()])


@api.put(
    "/vos/<vo>/letters/<letter>",
    permission=EDIT_CARD,
    summary="Write it oneself",
    responses={200: LetterOut},
)
def save(path: LetterPath, body: LetterIn) -> LetterOut:
    """Placeholders stand in braces, as `{name}`; unknown ones are refused, and some letters need some."""
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        text = Text(body.subject, body.body)
        row = own_letters.save(session, path.vo, path.letter, text, current_principal())
        return _out(KINDS[path.letter], row)


@api.delete(
    "/vos/<vo>/letters/<letter>", permission=EDIT_CARD, summary="The usual words again", responses={204: None}
)
def reset(path: LetterPath) -> None:
    """From now on."""
    with ground().db.transaction() as session:
        own_letters.reset(session, path.vo, path.letter, current_principal())


def _out(kind: Kind, own: VoLetter | None) -> LetterOut:
    return LetterOut(
        name=kind.name,
        when=kind.when,
        placeholders=list(kind.places),
        needed=list(kind.needed),
        subject=own.subject if own else None,
        body=own.body if own else None,
        changed_by=own.changed_by if own else None,
        changed_at=own.changed_at if own else None,
    )
