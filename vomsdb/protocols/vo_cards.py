"""Identity cards of VOs as other catalogues read them: the XML of the operations portal, and JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Response
from lxml import etree
from sqlalchemy.orm import Session

from hanse.errors import NotFound
from hanse.identity.permissions import PUBLIC
from hanse.web import Protocol, ground
from vomsdb import aups, groups, vos
from vomsdb.api.answers import settings
from vomsdb.authorities import shown
from vomsdb.cards import MIDDLEWARE
from vomsdb.models import Vo
from vomsdb.settings import VomsdbSettings

protocol = Protocol("vomsdb_vo_cards", __name__)
MOST = 500


@protocol.route("/xml/voIDCard/public/all/true", ["GET"], permission=PUBLIC)
def all_cards() -> Response:
    """The cards of all VOs that were validated."""
    with ground().db.transaction() as session:
        found = [one.vo for one in vos.search(session, limit=MOST) if one.vo.state != "new"]
        return _xml([_card(session, vo, settings()) for vo in found])


@protocol.route("/xml/voIDCard/public/voname/<name>", ["GET"], permission=PUBLIC)
def one_card(name: str) -> Response:
    """The card of one VO."""
    with ground().db.transaction() as session:
        vo = vos.found(session, name)
        if vo.state == "new":
            raise NotFound(f"{name} was not validated yet.")
        return _xml([_card(session, vo, settings())])


def _xml(cards: list[etree._Element]) -> Response:
    dump = etree.Element("VoDump")
    dump.extend(cards)
    text = etree.tostring(dump, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return Response(text, content_type="text/xml; charset=utf-8")


def _add(parent: etree._Element, tag: str, words: object = "", **attributes: object) -> etree._Element:
    element = etree.SubElement(parent, tag, {name: str(value) for name, value in attributes.items()})
    text = "".join(char for char in str(words) if char in "\t\n\r" or ord(char) >= 32)
    element.text = text or None
    return element


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _card(session: Session, vo: Vo, here: VomsdbSettings) -> etree._Element:
    card = etree.Element(
        "IDCard",
        CIC_ID=str(vo.number),
        Name=vo.name,
        Serial=str(vo.number),
        Status=vo.state.capitalize(),
        Alias=vo.alias,
        GridId="",
    )
    _add(card, "ValidationDate", _moment(vo.validated_at), TimeZone="UTC")
    _add(card, "LastChange", _moment(vo.changed_at), TimeZone="UTC")
    _add(card, "Scope", vo.scope)
    _add(card, "Discipline", vo.discipline)
    _add(card, "EnrollmentUrl", vo.enrolment_url or f"{here.url.rstrip('/')}/vos/{vo.name}/apply")
    _add(card, "HomepageUrl", vo.homepage)
    _add(card, "AUP", aups.in_force(session, vo.name).text, type="Text")
    _add(card, "Description", vo.description)
    _add(card, "Middlewares", **{name: int(name in vo.middleware) for name in MIDDLEWARE})
    glite = _add(card, "gLiteConf")
    _fqans(session, glite, vo)
    servers = _add(glite, "VOMSServers")
    for authority in authorities(vo, here):
        _server(servers, authority, here, vo.name)
    _contacts(card, vo)
    _resources(card, vo)
    return card


def _fqans(session: Session, parent: etree._Element, vo: Vo) -> None:
    element = _add(parent, "FQANs")
    described = {size.group.path: size.group.description for size in groups.tree(session, vo.name)}
    described |= {f"/{vo.name}/Role={role.name}": role.description for role in vos.roles_of(session, vo.name)}
    for fqan in sorted({*described, *vo.shares}):
        one = _add(element, "FQAN", IsGroupUsed=1, GroupType="")
        _add(one, "FqanExpr", fqan)
        _add(one, "Description", described.get(fqan, ""))
        _add(one, "ComputingShare", vo.shares.get(fqan, ""))


def authorities(vo: Vo, here: VomsdbSettings) -> list[dict[str, Any]]:
    """Our own attribute authority, where its certificate can be read, and those that the card names beside it."""
    now = datetime.now(UTC)
    # the card is still of use without; /authority and the VO's page tell of a certificate that cannot be read
    found: list[dict[str, Any]] = [
        {
            "host": one.seat.host,
            "port": one.seat.port,
            "dn": one.subject,
            "ca_dn": one.issuer,
            "serial": one.serial,
            "admin": True,
        }
        for one in shown(here, now)
        if one.seat.serves(now) and not one.fault
    ]
    return [*found, *vo.authorities]


def _server(parent: etree._Element, authority: dict[str, Any], here: VomsdbSettings, vo: str) -> None:
    ours = bool(authority.get("admin"))
    server = _add(
        parent,
        "VOMS_Server",
        HttpsPort=here.tls_port if ours else authority.get("https_port", 8443),
        VomsesPort=authority["port"],
        IsVomsAdminServer=int(ours),
        MembersListUrl=f"{here.tls_url.rstrip('/')}/voms/{vo}/services/VOMSCompatibility?method=getGridmapUsers",
    )
    _add(server, "hostname", authority["host"])
    certificate = _add(server, "X509Cert")
    _add(certificate, "DN", authority["dn"])
    _add(certificate, "CA_DN", authority["ca_dn"])
    _add(certificate, "X509PublicKey")
    _add(certificate, "SerialNumber", authority.get("serial", ""))


def _contacts(card: etree._Element, vo: Vo) -> None:
    for contact in vo.contacts:
        if not contact.get("public"):
            continue
        element = _add(card, "Contact")
        for tag, field in (("Name", "name"), ("Role", "role"), ("Email", "email"), ("DN", "dn")):
            _add(element, tag, contact.get(field) or "")


def _resources(card: etree._Element, vo: Vo) -> None:
    named = {
        "RAM_per_x86_64_Core": "ram_per_core_mb",
        "JobScratchSpace": "scratch_mb",
        "JobMaxCPUTime": "max_cpu_minutes",
        "JobMaxWallClockTime": "max_wall_minutes",
        "OtherRequirements": "other",
    }
    for tag, field in named.items():
        if vo.resources.get(field) not in (None, ""):
            _add(card, tag, vo.resources[field])
