"""The read paths of cloud-info-api, for Infrastructure Manager, fedcloudclient and the federation's own scripts.

Sites show while their document is valid, with the building rules of that program: a share without a mapping policy is
left out, a document without the key of its service too, and of two sites with one name the older bears its key behind.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog
import yaml
from flask import Response, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import HanseError, NotFound, Unavailable
from hanse.identity.permissions import PUBLIC
from hanse.web import Protocol, conditional, ground
from registry import cloudinfo
from registry.models import CloudDocument, Service
from registry.settings import RegistrySettings

protocol = Protocol("cloud_info_api", __name__)
log = structlog.get_logger(__name__)
FEDERATION_REGISTRY: Final = "registry.egi.eu"
Body = dict[str, Any]


@dataclass(frozen=True)
class Cloud:
    """A site as this interface knows it."""

    id: str
    name: str
    url: str
    hostname: str
    facts: Body

    @property
    def vos(self) -> list[str]:
        """The VOs that have a share."""
        return [share["vo"] for share in self.facts["shares"] if share["vo"]]

    def summary(self, projects: bool) -> Body:
        """What lists show; the projects only when they are asked for."""
        shown: Body = {
            "id": self.id,
            "name": self.name,
            "url": self.url,
            "state": "",
            "hostname": self.hostname,
        }
        return {**shown, "projects": self.projects()} if projects else shown

    def projects(self) -> list[Body]:
        """The project of each VO."""
        return [
            {"id": share["project"] or "", "name": share["vo"]}
            for share in self.facts["shares"]
            if share["vo"]
        ]

    def images(self, vo: str | None, only_egi: bool) -> list[Body]:
        """Images by VO; those of the federation's own registry, or all."""
        vos = {share["id"]: share["vo"] for share in self.facts["shares"] if share["vo"]}
        shown = []
        for image in self.facts["images"]:
            for share in image["shares"]:
                name = vos.get(share)
                if name is None or vo not in (None, name):
                    continue
                made = self._image(image, name)
                if made["egi_id"] or not only_egi:
                    shown.append(made)
        return shown

    def _image(self, image: Body, vo: str) -> Body:
        known = FEDERATION_REGISTRY in image["place"]
        return {
            "egi_id": image["reference"] if known else "",
            "id": image["id"],
            "endpoint": self.url,
            "mpuri": image["place"],
            "name": image["name"],
            "version": image["tag"] if known else "",
            "vo": vo,
        }


def clouds(session: Session) -> list[Cloud]:
    """All clouds whose document is valid and complete, by name."""
    rows = cloudinfo.current(session, valid_at=datetime.now(UTC))
    keys = cloudinfo.gocdb_ids(session, [row.site_id for row in rows])
    named = [(row, key) for row in rows if (key := cloudinfo.gocdb_id_of(row, keys))]
    hosts = _hosts(session, [key for _, key in named])
    # the youngest document of a name keeps it
    named.sort(key=lambda pair: pair[0].created_at, reverse=True)
    taken: set[str] = set()
    found = []
    for row, key in named:
        cloud = _cloud(row, key, hosts.get(key, ""), taken)
        taken.add(cloud.name)
        found.append(cloud)
    return sorted(found, key=lambda cloud: cloud.name)


def _hosts(session: Session, keys: Sequence[str]) -> dict[str, str]:
    rows = session.execute(select(Service.primary_key, Service.hostname).where(Service.primary_key.in_(keys)))
    return {key: host for key, host in rows}


def _cloud(row: CloudDocument, key: str, hostname: str, taken: set[str]) -> Cloud:
    name = row.site.name
    endpoints = row.facts["endpoints"]
    return Cloud(
        id=key,
        name=f"{name}-{key}" if name in taken else name,
        url=endpoints[0]["url"] if endpoints else "",
        hostname=hostname,
        facts=row.facts,
    )


def _all() -> list[Cloud]:
    with ground().db.transaction() as session:
        return clouds(session)


def _site(name: str) -> Cloud:
    found = next((cloud for cloud in _all() if cloud.name == name), None)
    if found is None:
        raise NotFound(f"Site {name} not found")
    return found


def _asked(name: str, default: bool) -> bool:
    """A flag as FastAPI reads it."""
    given = request.args.get(name)
    return default if given is None else given.strip().lower() in ("1", "true", "t", "on", "yes", "y")


def _json(content: object, status: int = 200) -> Response:
    return conditional(
        Response(json.dumps(content, ensure_ascii=False), status, content_type="application/json")
    )


@protocol.errorhandler(HanseError)
def refuse(error: HanseError) -> Response:
    """`{"detail": ..}`; what is not there is 404."""
    statuses = {NotFound: 404, Unavailable: 503}
    return _json({"detail": error.detail}, statuses.get(type(error), 422))


@protocol.route("/vos/", ["GET"], permission=PUBLIC)
def vos() -> Response:
    """Names of all VOs that run somewhere."""
    return _json(sorted({vo for cloud in _all() for vo in cloud.vos}))


@protocol.route("/disciplines/", ["GET"], permission=PUBLIC)
def disciplines() -> Response:
    """The federation's list of scientific disciplines, as its operator keeps it in a file."""
    settings = ground().settings
    assert isinstance(settings, RegistrySettings)
    if settings.disciplines_file is None:
        return _json([])
    try:
        return _json(json.loads(settings.disciplines_file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        log.error("disciplines_unreadable", file=str(settings.disciplines_file), reason=str(error))
        raise Unavailable("The list of disciplines cannot be read at the moment.") from error


@protocol.route("/sites/", ["GET"], permission=PUBLIC)
def sites() -> Response:
    """Sites, of one VO or name when asked."""
    vo, name = request.args.get("vo_name"), request.args.get("site_name")
    found = [cloud for cloud in _all() if (not vo or vo in cloud.vos) and (not name or cloud.name == name)]
    return _json([cloud.summary(_asked("include_projects", False)) for cloud in found])


@protocol.route("/site/<name>/", ["GET"], permission=PUBLIC)
def site(name: str) -> Response:
    """One site."""
    return _json(_site(name).summary(_asked("include_projects", False)))


@protocol.route("/site/<name>/projects", ["GET"], permission=PUBLIC)
def projects(name: str) -> Response:
    """The projects of a site."""
    return _json(_site(name).projects())


@protocol.route("/site/<name>/<vo>/project", ["GET"], permission=PUBLIC)
def project(name: str, vo: str) -> Response:
    """The project of one VO at a site."""
    found = next((one for one in _site(name).projects() if one["name"] == vo), None)
    if found is None:
        raise NotFound(f"VO {vo} not supported by Site {name}")
    return _json(found)


@protocol.route("/site/<name>/images", ["GET"], permission=PUBLIC)
def site_images(name: str) -> Response:
    """The images of a site."""
    return _json(_site(name).images(None, _asked("only_egi_images", True)))


@protocol.route("/site/<name>/<vo>/images", ["GET"], permission=PUBLIC)
def vo_images(name: str, vo: str) -> Response:
    """The images of a VO at a site."""
    found = _site(name)
    if vo not in found.vos:
        raise NotFound(f"VO {vo} not supported by Site {name}")
    return _json(found.images(vo, _asked("only_egi_images", True)))


@protocol.route("/images/", ["GET"], permission=PUBLIC)
def images() -> Response:
    """The images of all sites, of one VO when asked."""
    vo = request.args.get("vo_name") or None
    only_egi = _asked("only_egi_images", True)
    return _json([image for cloud in _all() for image in cloud.images(vo, only_egi)])


@protocol.route("/fedcloudclient/", ["GET"], permission=PUBLIC)
def fedcloudclient() -> Response:
    """Addresses of the site files that fedcloudclient reads."""
    settings = ground().settings
    home = (settings.tls_url if request.is_secure else settings.url).rstrip("/")
    return _json([f"{home}/fedcloudclient/{cloud.name}/" for cloud in _all()])


@protocol.route("/fedcloudclient/<name>/", ["GET"], permission=PUBLIC)
def fedcloudclient_site(name: str) -> Response:
    """One site file."""
    cloud = _site(name)
    described = {
        "gocdb": cloud.name,
        "endpoint": cloud.url,
        "vos": [{"name": one["name"], "auth": {"project_id": one["id"]}} for one in cloud.projects()],
    }
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    return conditional(Response(text, content_type="application/yaml"))
