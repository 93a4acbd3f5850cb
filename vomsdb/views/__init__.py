"""The pages: one room a group of readers."""

from vomsdb.views import affairs, applicant, authority, cards, me, member_acts, members, queue, sites, vos

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
    authority.pages,
]
__all__ = ["rooms"]
