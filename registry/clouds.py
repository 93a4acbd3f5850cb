"""Finding a cloud: where a VO can start a machine of a size with an image, and the command that does it.

What a site publishes counts while it is valid; a site that publishes nothing shows with what it declares for the VO,
without sizes and images. Free is what the VO may use less what it uses: virtual processors where the site tells both,
else machines. Usage records come hours later and count hours, not machines that run: they are not used here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from registry import cloud_sources
from registry.cloud_sources import Host, Shares, Source
from registry.models import CloudDocument
from registry.observed import same_address
from registry.renderings.glue21_json import NOVA, OCCI
from registry.schemas.cloudinfo import CloudQuery

Facts = Mapping[str, Any]
NOT_TOLD: Final = "not told"
TITLE: Final = "my-first-machine"


@dataclass(frozen=True)
class Room:
    """How much a VO may use at a place, and what of it is free; None where nobody told."""

    declared_vcpu: int | None = None
    quota_vcpu: int | None = None
    used_vcpu: int | None = None
    free_vcpu: int | None = None
    free_machines: int | None = None
    source: str = NOT_TOLD


@dataclass(frozen=True)
class Place:
    """An endpoint where a VO has a share. `sizes` and `images` are those that fit, the smallest and the first first."""

    site: str
    country: str
    middleware: str
    endpoint: str
    interface: str
    vo: str
    project: str | None
    room: Room
    sizes: Sequence[Facts] = ()
    images: Sequence[Facts] = ()
    published_at: datetime | None = None
    valid_until: datetime | None = None
    stale: bool = False
    commands: Sequence[tuple[str, str]] = field(default=())


def find(session: Session, query: CloudQuery, now: datetime | None = None) -> list[Place]:
    """The places that fit, or fitted as of `query.as_of`; those with the most room first, where nobody told after those
    that did. Raises Refused for what is no moment.
    """
    source = cloud_sources.at(session, query.as_of, now or datetime.now(UTC))
    hosts = source.hosts()
    documents = [one for one in source.documents(query.vo, stale=query.stale) if one.site_id in hosts]
    shares = source.shares(query.vo)
    found = [
        place for one in documents for place in _published(hosts[one.site_id], one, shares, query, source.at)
    ]
    if not _asks_more(query):
        found += _declared(source, hosts, shares, query)
    return sorted((place for place in found if _fits(place, query)), key=_rank)


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
        images = [image for image in _of(facts["images"], share) if _image_fits(image, query.image)]
        for endpoint in facts["endpoints"]:
            if share["endpoints"] and endpoint["id"] not in share["endpoints"]:
                continue
            place = Place(
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
            yield with_commands(place)


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


def _declared(
    source: Source, hosts: Mapping[int, Host], declared: Shares, query: CloudQuery
) -> Iterator[Place]:
    """Clouds of the registry that publish nothing that holds."""
    by_site: dict[int, list[tuple[str, int | None, str | None]]] = {}
    for (site_id, vo), (vcpu, project) in declared.items():
        by_site.setdefault(site_id, []).append((vo, vcpu, project))
    speaking = {
        (one.site_id, same_address(endpoint["url"]))
        for one in source.documents(None, stale=query.stale)
        for endpoint in one.facts["endpoints"]
    }
    for site_id, url, interface in source.endpoints():
        site = hosts.get(site_id)
        if site is None or (site_id, same_address(url)) in speaking:
            continue
        for vo, vcpu, project in by_site.get(site_id, ()):
            yield Place(
                site=site.name,
                country=site.country,
                middleware=site.middleware,
                endpoint=url,
                interface=interface,
                vo=vo,
                project=project,
                room=Room(declared_vcpu=vcpu),
            )


def _size_fits(size: Facts, query: CloudQuery) -> bool:
    return (
        size["vcpu"] >= (query.cores or 0)
        and size["ram_mb"] >= (query.memory_mb or 0)
        and (size["gpu"] is not None or not query.gpu)
    )


def _image_fits(image: Facts, words: str | None) -> bool:
    told = " ".join(str(image[name]) for name in ("name", "os", "version", "reference", "id")).lower()
    return all(word in told for word in (words or "").lower().split())


def _fits(place: Place, query: CloudQuery) -> bool:
    if (query.cores or query.memory_mb or query.gpu) and not place.sizes:
        return False
    if query.image and not place.images:
        return False
    if query.middleware and query.middleware.lower() not in f"{place.middleware} {place.interface}".lower():
        return False
    return not query.free or (place.room.free_vcpu is not None and place.room.free_vcpu >= query.free)


def with_commands(place: Place) -> Place:
    """The place with commands that start a machine of its first size from its first image; none without them."""
    if not place.sizes or not place.images:
        return place
    size, image = place.sizes[0], place.images[0]
    made = COMMANDS[place.interface](place, size, image) if place.interface in COMMANDS else []
    return Place(**{**vars(place), "commands": tuple(made)})


def _occi(place: Place, size: Facts, image: Facts) -> list[tuple[str, str]]:
    """The OCCI client of the tutorials (rOCCI-cli), and curl for who has none. A proxy of the VO is shown to both."""
    base = place.endpoint.rstrip("/") + "/"
    image_id, size_id = _mixin(image, "os_tpl"), _mixin(size, "resource_tpl")
    rocci = _wrapped(
        [
            ["occi", "--endpoint", base],
            ["--auth", "x509", "--user-cred", "$X509_USER_PROXY", "--voms"],
            ["--action", "create", "--resource", "compute"],
            ["--mixin", _short(image_id, "os_tpl")],
            ["--mixin", _short(size_id, "resource_tpl")],
            ["--attribute", f"occi.core.title={TITLE}"],
        ]
    )
    category = 'compute; scheme="http://schemas.ogf.org/occi/infrastructure#"; class="kind"'
    # rOCCI-server wants an id, and gives another
    about = [f'X-OCCI-Attribute: occi.core.{name}="{TITLE}"' for name in ("id", "title")]
    body = [f"Category: {category}", _category(image_id), _category(size_id), *about]
    curl = _wrapped(
        [
            ["curl", "--fail-with-body", "--capath", "/etc/grid-security/certificates"],
            ["--cert", "$X509_USER_PROXY", "--key", "$X509_USER_PROXY"],
            ["--header", "Content-Type: text/plain", "--header", "Accept: text/plain"],
            ["--data-binary", "\n".join(body)],
            [f"{base}compute/"],
        ]
    )
    return [("occi", rocci), ("curl", curl)]


def _mixin(one: Facts, kind: str) -> str:
    """The whole identifier (scheme and term) of a template: the id, or the name where the id is OpenStack's own."""
    for told in (str(one["id"]), str(one["name"])):
        if told.startswith("http") and "#" in told:
            return told
    scheme = f"http://schemas.openstack.org/template/{'os' if kind == 'os_tpl' else 'resource'}#"
    return scheme + str(one["id"]).rpartition("#")[2]


def _short(identifier: str, kind: str) -> str:
    """rOCCI-cli takes `os_tpl#term`."""
    return f"{kind}#{identifier.rpartition('#')[2]}"


def _category(identifier: str) -> str:
    scheme, _, term = identifier.rpartition("#")
    return f'Category: {term}; scheme="{scheme}#"; class="mixin"'


def _openstack(place: Place, size: Facts, image: Facts) -> list[tuple[str, str]]:
    """fedcloudclient knows the site's address and project; the plain client is told them."""
    create = ["server", "create", "--flavor", size["id"], "--image", image["id"], TITLE]
    fedcloud = _wrapped([["fedcloud", "openstack", "--site", place.site, "--vo", place.vo], create])
    login = [["openstack", "--os-auth-url", place.endpoint], ["--os-auth-type", "v3oidcaccesstoken"]]
    if place.project:
        login.append(["--os-project-id", place.project])
    known = ["--os-identity-provider", "egi.eu", "--os-protocol", "openid"]
    token = ["--os-access-token", "$OIDC_ACCESS_TOKEN"]
    return [("fedcloud", fedcloud), ("openstack", _wrapped([*login, known, token, create]))]


def _wrapped(lines: Sequence[Sequence[str]]) -> str:
    """A command over several lines for a POSIX shell; `$NAME` alone is a variable of the reader's."""
    return " \\\n  ".join(" ".join(_word(str(word)) for word in line) for line in lines)


def _word(word: str) -> str:
    if word.startswith("$") and word[1:].replace("_", "").isalnum():
        return f'"{word}"'
    return shlex.quote(word)


COMMANDS: Final = {OCCI: _occi, NOVA: _openstack}
