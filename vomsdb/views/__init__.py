"""The pages: one room a group of readers."""

from vomsdb.views import (
    affairs,
    applicant,
    attributes,
    authority,
    cards,
    digests,
    letters,
    me,
    member_acts,
    members,
    proofs,
    queue,
    site_files,
    sites,
    vos,
)

rooms = [
    vos.pages,
    applicant.pages,
    me.pages,
    queue.pages,
    members.pages,
    member_acts.pages,
    affairs.pages,
    cards.pages,
    sites.pages,
    digests.pages,
    site_files.pages,
    authority.pages,
    proofs.pages,
    letters.pages,
    attributes.pages,
]
__all__ = ["rooms"]
