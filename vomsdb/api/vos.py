"""/api/v1: VOs, their managers, AUPs, groups and roles."""

from __future__ import annotations

from hanse.identity.permissions import PUBLIC, SIGNED_IN
from hanse.web import Api, Listing, current_principal, ground
from vomsdb import aups, clients, groups, vos
from vomsdb.api.answers import aup_out, cut, manager_out, settings, vo_out
from vomsdb.api.members import authorise_for, member_answer
from vomsdb.permissions import APPOINT, ARRANGE, CREATE_VO, PUBLISH_AUP, SEE_MEMBERS, SIGN_FOR
from vomsdb.schemas.cards import VoQuery
from vomsdb.schemas.fields import AupPath, ManagerPath, MemberPath, VoPath
from vomsdb.schemas.members import AskAgainIn, AskAgainOut, SignatureForIn
from vomsdb.schemas.people import MemberOut
from vomsdb.schemas.vos import (
    AupIn,
    AupOut,
    ClientOut,
    GroupIn,
    GroupOut,
    HostOut,
    ManagerIn,
    ManagerOut,
    RoleIn,
    RoleOut,
    SignatureIn,
    VoIn,
    VoOut,
    VoPage,
)
from vomsdb.vos import Card, Manager, identity_from_names, identity_from_pem

api = Api("vomsdb_vos", __name__, "VOs")


@api.get("/vos", permission=PUBLIC, summary="VOs by name", responses={200: VoPage})
def list_vos(query: VoQuery) -> VoPage:
    """`q` looks into name, alias, description and discipline; the cursor is the last name."""
    with ground().db.transaction() as session:
        found = vos.search(
            session,
            query.q,
            query.cursor or "",
            query.limit + 1,
            scope=query.scope or "",
            discipline=query.discipline,
            state=query.state or "",
        )
    shown, more = cut(found, query.limit)
    items = [vo_out(listed.vo, listed.members) for listed in shown]
    return VoPage(items=items, next=items[-1].name if more else None)


@api.post("/vos", permission=CREATE_VO, summary="Create a VO", responses={201: VoOut})
def create_vo(body: VoIn) -> tuple[VoOut, int]:
    """The managers decide who joins; operators do not."""
    card = Card(
        name=body.name,
        description=body.description,
        discipline=body.discipline,
        scope=body.scope,
        homepage=body.homepage,
        aup_text=body.aup_text,
        membership_days=body.membership_days or settings().membership_days,
        ac_lifetime_s=body.ac_lifetime_s,
    )
    managers = [manager_of(manager, f"managers.{number}") for number, manager in enumerate(body.managers)]
    with ground().db.transaction() as session:
        vo = vos.create(session, card, managers, current_principal())
        return vo_out(vo, 0, vos.managers_of(session, vo.name)), 201


def manager_of(given: ManagerIn, field: str) -> Manager:
    """The manager with the identity that was given; raises Refused."""
    if given.certificate is not None:
        identity = identity_from_pem(given.certificate, f"{field}.certificate")
    else:
        identity = identity_from_names(given.subject or "", given.issuer or "", f"{field}.subject")
    return Manager(identity, given.name, given.email)


@api.get("/vos/<vo>", permission=PUBLIC, summary="A VO's identity card", responses={200: VoOut})
def one_vo(path: VoPath) -> VoOut:
    """For everybody."""
    with ground().db.transaction() as session:
        vo = vos.found(session, path.vo)
        return vo_out(vo, vos.active_members(session, vo.name), vos.managers_of(session, vo.name))


@api.get(
    "/vos/<vo>/client",
    permission=PUBLIC,
    summary="vomses line and .lsc text of the VO",
    responses={200: ClientOut},
)
def client(path: VoPath) -> ClientOut:
    """What voms-proxy-init and sites need to know of the attribute authority."""
    here = settings()
    with ground().db.transaction() as session:
        vo = vos.found(session, path.vo)
    files = clients.all_files(vo.name, here)
    hosts = [HostOut(host=one.host, port=one.port, vomses=one.vomses, lsc=one.lsc) for one in files]
    whole = hosts[0].model_dump() | {"vomses": "".join(one.vomses for one in hosts)}
    return ClientOut(vo=vo.name, hosts=hosts, **whole)


# --- managers -----------------------------------------------------------------------------------------------------


@api.get(
    "/vos/<vo>/managers", permission=SEE_MEMBERS, summary="Managers", responses={200: Listing[ManagerOut]}
)
def list_managers(path: VoPath) -> Listing[ManagerOut]:
    """With their addresses."""
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        return Listing[ManagerOut](
            items=[manager_out(manager) for manager in vos.managers_of(session, path.vo)]
        )


@api.post("/vos/<vo>/managers", permission=APPOINT, summary="Appoint a manager", responses={201: ManagerOut})
def appoint(path: VoPath, body: ManagerIn) -> tuple[ManagerOut, int]:
    """By certificate."""
    manager = manager_of(body, "manager")
    with ground().db.transaction() as session:
        return manager_out(vos.appoint(session, path.vo, manager, current_principal())), 201


@api.delete(
    "/vos/<vo>/managers/<key>", permission=APPOINT, summary="Dismiss a manager", responses={204: None}
)
def dismiss(path: ManagerPath) -> None:
    """The last one stays."""
    with ground().db.transaction() as session:
        vos.dismiss(session, path.vo, path.key, current_principal())


# --- AUPs ---------------------------------------------------------------------------------------------------------


@api.get("/aups", permission=PUBLIC, summary="The AUP in force of each VO", responses={200: Listing[AupOut]})
def list_aups() -> Listing[AupOut]:
    """By VO."""
    with ground().db.transaction() as session:
        return Listing[AupOut](items=[aup_out(aup) for aup in aups.all_in_force(session)])


@api.get("/vos/<vo>/aups/<version>", permission=PUBLIC, summary="A version", responses={200: AupOut})
def one_aup(path: AupPath) -> AupOut:
    """Old ones stay readable: people signed them."""
    with ground().db.transaction() as session:
        return aup_out(aups.version(session, path.vo, path.version))


@api.post("/vos/<vo>/aups", permission=PUBLISH_AUP, summary="Publish a version", responses={201: AupOut})
def publish_aup(path: VoPath, body: AupIn) -> tuple[AupOut, int]:
    """Members have `days_to_sign` days; then they are suspended until they sign."""
    with ground().db.transaction() as session:
        aup = aups.publish(session, path.vo, body.text, body.days_to_sign, current_principal())
        return aup_out(aup), 201


@api.post(
    "/vos/<vo>/aup-signatures", permission=SIGNED_IN, summary="Sign the AUP", responses={200: MemberOut}
)
def sign_aup(path: VoPath, body: SignatureIn) -> MemberOut:
    """By the member; ends a suspension for not having signed."""
    with ground().db.transaction() as session:
        member = aups.sign(session, path.vo, body.version, current_principal())
        return member_answer(session, member.id)


@api.post(
    "/vos/<vo>/aup-requests",
    permission=PUBLISH_AUP,
    summary="Ask to sign again",
    responses={200: AskAgainOut},
)
def ask_again(path: VoPath, body: AskAgainIn) -> AskAgainOut:
    """One member or all; who does not sign within the days is suspended until signing."""
    with ground().db.transaction() as session:
        asked = aups.ask_again(session, path.vo, body.member, body.days, current_principal())
    return AskAgainOut(asked=asked)


@api.post(
    "/members/<member>/aup-signature",
    permission=SIGN_FOR,
    summary="Sign for a robot",
    responses={200: MemberOut},
)
def sign_for(path: MemberPath, body: SignatureForIn) -> MemberOut:
    """On behalf of the owner of a robot or a service, with a reason that stands in the log."""
    with ground().db.transaction() as session:
        authorise_for(session, path.member, SIGN_FOR)
        aups.sign_for(session, path.member, body.version, body.reason, current_principal())
        return member_answer(session, path.member)


# --- groups and roles ---------------------------------------------------------------------------------------------


@api.get("/vos/<vo>/groups", permission=SIGNED_IN, summary="Groups", responses={200: Listing[GroupOut]})
def list_groups(path: VoPath) -> Listing[GroupOut]:
    """By path, so that each stands under its parent."""
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        return Listing[GroupOut](
            items=[
                GroupOut(path=size.group.path, description=size.group.description, members=size.members)
                for size in groups.tree(session, path.vo)
            ]
        )


@api.post("/vos/<vo>/groups", permission=ARRANGE, summary="Make a group", responses={201: GroupOut})
def create_group(path: VoPath, body: GroupIn) -> tuple[GroupOut, int]:
    """Its parent must be there."""
    with ground().db.transaction() as session:
        group = groups.create_group(session, path.vo, body.path, body.description, current_principal())
    return GroupOut(path=group.path, description=group.description, members=0), 201


@api.get("/vos/<vo>/roles", permission=SIGNED_IN, summary="Roles", responses={200: Listing[RoleOut]})
def list_roles(path: VoPath) -> Listing[RoleOut]:
    """By name."""
    with ground().db.transaction() as session:
        vos.found(session, path.vo)
        roles = vos.roles_of(session, path.vo)
    return Listing[RoleOut](items=[RoleOut(name=role.name, description=role.description) for role in roles])


@api.post("/vos/<vo>/roles", permission=ARRANGE, summary="Make a role", responses={201: RoleOut})
def create_role(path: VoPath, body: RoleIn) -> tuple[RoleOut, int]:
    """Members may then be given it in any group."""
    with ground().db.transaction() as session:
        role = groups.create_role(session, path.vo, body.name, body.description, current_principal())
    return RoleOut(name=role.name, description=role.description), 201
