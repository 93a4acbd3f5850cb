"""Finding a cloud: where a VO can start a machine of a size with an image, and the command that does it.

What a site publishes counts while it is valid; a site that publishes nothing shows with what it declares for the VO,
without sizes and images. Free is what the VO may use less what it uses: virtual processors where the site tells both,
else machines. Usage records come hours later and count hours, not machines that run: they are not used here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from typing import Any, overload

from sqlalchemy.orm import Session

from registry import cloud_sources
from registry.cloud_sources import Declared, Host, Registered, Shares
from registry.models import CloudDocument
from registry.observed import same_address
from registry.places import NOT_TOLD, Facts, Place, Room
from registry.schemas.cloudinfo import CloudQuery


@dataclass(frozen=True)
class Places(Sequence[Place]):
    """Places in order. Those that are declared only are many and alike: each is made when it is looked at.

    `vos` are all for which something is published, whatever was asked for.
    """

    published: Sequence[Place]
    declared: Sequence[Declared]
    vos: frozenset[str]

    def __len__(self) -> int:
        return len(self.published) + len(self.declared)

    def __iter__(self) -> Iterator[Place]:
        return merge(self.published, map(_place, self.declared), key=_rank)

    @overload
    def __getitem__(self, which: int) -> Place: ...

    @overload
    def __getitem__(self, which: slice) -> Sequence[Place]: ...

    def __getitem__(self, which: int | slice) -> Place | Sequence[Place]:
        if isinstance(which, slice):
            return list(islice(self, *which.indices(len(self))))
        return next(islice(self, range(len(self))[which], None))


def find(session: Session, query: CloudQuery, now: datetime | None = None) -> Places:
    """The places that fit, or fitted as of `query.as_of`; those with the most room first, where nobody told after those
    that did. Raises Refused for what is no moment.
    """
    source = cloud_sources.at(session, query.as_of, now or datetime.now(UTC))
    known = source.registered()
    every = source.documents(stale=query.stale)
    documents = [one for one in every if one.site_id in known.hosts]
    found = [
        place
        for one in documents
        for place in _published(known.hosts[one.site_id], one, known.shares, query, source.at)
        if _fits(place, query)
    ]
    declared = [] if _asks_more(query) else _declared(every, known, query)
    vos = frozenset(share["vo"] for one in documents for share in one.facts["shares"] if share["vo"])
    return Places(sorted(found, key=_rank), declared, vos)


def _asks_more(query: CloudQuery) -> bool:
    """Whether something is asked that only a published document can say."""
    return bool(query.cores or query.memory_mb or query.gpu or query.image or query.free)


def _rank(place: Place) -> tuple[Any, ...]:
    room = place.room
    told = room.free_vcpu if room.free_vcpu is not None else -1
    return (
        place.stale,
        not place.sizes,
        -told,
        -(room.free_machines or 0),
        place.site,
        place.endpoint,
        place.vo,
    )


def _published(
    site: Host, document: CloudDocument, declared: Shares, query: CloudQuery, now: datetime
) -> Iterator[Place]:
    stale = document.held_until <= now
    facts = document.facts
    for share in facts["shares"]:
        if share["vo"] is None or query.vo not in (None, share["vo"]):
            continue
        sizes = [size for size in _of(facts["sizes"], share) if _size_fits(size, query)]
        sizes.sort(key=lambda size: (size["vcpu"], size["ram_mb"]))
        images = _of(facts["images"], share)
        if query.image:
            images = [image for image in images if _image_fits(image, query.image)]
        for endpoint in facts["endpoints"]:
            if share["endpoints"] and endpoint["id"] not in share["endpoints"]:
                continue
            yield Place(
                site=site.name,
                country=site.country,
                middleware=facts["product"] or site.middleware,
                endpoint=endpoint["url"],
                interface=endpoint["interface"],
                vo=share["vo"],
                project=share["project"],
                room=_room(share, declared.get((document.site_id, share["vo"]), (None, None))[0]),
                sizes=sizes,
                images=images,
                published_at=document.created_at,
                valid_until=document.valid_until,
                stale=stale,
            )


def _of(many: Sequence[Facts], share: Facts) -> list[Facts]:
    """What is of a share; an object that names no share is for all."""
    return [one for one in many if not one["shares"] or share["id"] in one["shares"]]


def _room(share: Facts, declared: int | None) -> Room:
    quota, used = share["cores"], share["used_cores"]
    machines = None
    if share["machines"] is not None and share["total"] is not None:
        machines = max(0, share["machines"] - share["total"])
    free, source = None, NOT_TOLD
    if quota is not None and used is not None:
        free, source = max(0, quota - used), "quota less what is used, as the site publishes both"
    elif quota is not None and share["total"] == 0:
        free, source = quota, "the whole quota: no machine of the VO is there"
    elif machines is not None:
        source = "machines: the quota less those that are there; virtual processors in use are not published"
    return Room(declared, quota, used, free, machines, source)


def _declared(published: Sequence[CloudDocument], known: Registered, query: CloudQuery) -> list[Declared]:
    """Clouds of the registry that publish nothing that holds."""
    speaking = {
        (one.site_id, same_address(endpoint["url"]))
        for one in published
        for endpoint in one.facts["endpoints"]
    }
    sites = {site for site, _ in speaking}
    found = known.clouds if query.vo is None else [one for one in known.clouds if one.vo == query.vo]
    if query.middleware:
        of = query.middleware.lower()
        kinds = {(one.middleware, one.interface) for one in found}
        fitting = {pair for pair in kinds if of in " ".join(pair).lower()}
        found = [one for one in found if (one.middleware, one.interface) in fitting]
    return [one for one in found if one.site_id not in sites or (one.site_id, one.address) not in speaking]


def _place(one: Declared) -> Place:
    return Place(
        site=one.site,
        country=one.country,
        middleware=one.middleware,
        endpoint=one.url,
        interface=one.interface,
        vo=one.vo,
        project=one.project,
        room=Room(declared_vcpu=one.vcpu),
    )


def _size_fits(size: Facts, query: CloudQuery) -> bool:
    return (
        size["vcpu"] >= (query.cores or 0)
        and size["ram_mb"] >= (query.memory_mb or 0)
        and (size["gpu"] is not None or not query.gpu)
    )


def _image_fits(image: Facts, words: str) -> bool:
    told = " ".join(str(image[name]) for name in ("name", "os", "version", "reference", "id")).lower()
    return all(word in told for word in words.lower().split())


def _fits(place: Place, query: CloudQuery) -> bool:
    if (query.cores or query.memory_mb or query.gpu) and not place.sizes:
        return False
    if query.image and not place.images:
        return False
    if query.middleware and query.middleware.lower() not in f"{place.middleware} {place.interface}".lower():
        return False
    return not query.free or (place.room.free_vcpu is not None and place.room.free_vcpu >= query.free)
