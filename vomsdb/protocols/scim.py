"""SCIM 2.0 under /scim/v2 (RFC 7644): members and groups read and provisioned by other identity systems.

A User is a membership of a VO, a Group a group of a VO. Managers see and change their VOs, the federation's operator
sees all. Cookies count for nothing here: a token, or a certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session

from hanse.errors import NotFound
from hanse.web import current_principal, ground
from vomsdb.models import Group, Member
from vomsdb.permissions import SCIM_READ, SCIM_WRITE
from vomsdb.protocols.scim_wire import (
    PREFIX,
    answer,
    base,
    body_of_request,
    check_version,
    choice,
    error,
    group,
    listed,
    page,
    protocol,
    reach,
    single,
    user,
)
from vomsdb.scim import asked, described, finding, grouping, patching, resources, writing
from vomsdb.scim.filters import parse
from vomsdb.scim.names import USER
from vomsdb.scim.resources import Resource

__all__ = ["protocol"]


# --- users ---


@protocol.route(f"{PREFIX}/Users", ["GET"], permission=SCIM_READ)
def list_users() -> Response:
    """Members within reach that the filter means."""
    text = request.args.get("filter", "")
    query = finding.members(reach(), parse(text) if text else None)
    return page(query, Member.id, lambda session, ids: resources.users(session, ids, base()))


@protocol.route(f"{PREFIX}/Users/<member>", ["GET"], permission=SCIM_READ)
def one_user(member: str) -> Response:
    """One member."""
    with ground().db.transaction() as session:
        return single(user(session, member))


@protocol.route(f"{PREFIX}/Users", ["POST"], permission=SCIM_WRITE)
def create_user() -> Response:
    """A member who signs the AUP before anything else."""
    said = asked.wanted(body_of_request())
    with ground().db.transaction() as session:
        made = writing.create(session, said, current_principal())
        return single(user(session, str(made)), 201)


@protocol.route(f"{PREFIX}/Users/<member>", ["PUT"], permission=SCIM_WRITE)
def replace_user(member: str) -> Response:
    """What is said counts; what is not said stays."""
    body = body_of_request()
    return _change_user(member, lambda before: body)


@protocol.route(f"{PREFIX}/Users/<member>", ["PATCH"], permission=SCIM_WRITE)
def patch_user(member: str) -> Response:
    """Operations, all or none."""
    operations = patching.operations_of(body_of_request())
    return _change_user(member, lambda before: patching.patched(before, operations, USER))


def _change_user(member: str, after: Callable[[Resource], Mapping[str, Any]]) -> Response:
    with ground().db.transaction() as session:
        before = _held(session, member)
        check_version(before)
        said = asked.wanted(patching.differences(before, after(before)))
        writing.change(session, int(member), said, current_principal())
        session.flush()
        session.expire_all()
        return single(user(session, member))


def _held(session: Session, member: str) -> Resource:
    """A member within reach as it is once nobody else changes it."""
    user(session, member)
    writing.hold(session, int(member))
    session.expire_all()  # what was read before may have changed while this waited
    return user(session, member)


@protocol.route(f"{PREFIX}/Users/<member>", ["DELETE"], permission=SCIM_WRITE)
def delete_user(member: str) -> Response:
    """The membership ends for good."""
    with ground().db.transaction() as session:
        check_version(_held(session, member))
        writing.remove(session, int(member), current_principal())
    return Response(status=204)


# --- groups ---


@protocol.route(f"{PREFIX}/Groups", ["GET"], permission=SCIM_READ)
def list_groups() -> Response:
    """Groups within reach that the filter means; members where they are asked for."""
    text = request.args.get("filter", "")
    query = finding.groups(reach(), parse(text) if text else None)
    inside = choice().asks_for("members")
    return page(
        query,
        Group.path,
        lambda session, paths: resources.group_list(session, paths, base(), with_members=inside),
    )


@protocol.route(f"{PREFIX}/Groups/<group_id>", ["GET"], permission=SCIM_READ)
def one_group(group_id: str) -> Response:
    """One group."""
    with ground().db.transaction() as session:
        return single(group(session, group_id, with_members=choice().asks_for("members")))


@protocol.route(f"{PREFIX}/Groups", ["POST"], permission=SCIM_WRITE)
def create_group() -> Response:
    """A group below another one."""
    body = body_of_request()
    with ground().db.transaction() as session:
        path = grouping.create(session, body, current_principal())
        return single(resources.group_list(session, [path], base(), with_members=False)[0], 201)


@protocol.route(f"{PREFIX}/Groups/<group_id>", ["PUT"], permission=SCIM_WRITE)
def replace_group(group_id: str) -> Response:
    """The members that are given, and no others."""
    body = body_of_request()
    return _change_group(
        group_id, lambda session, path: grouping.replace(session, path, body, current_principal())
    )


@protocol.route(f"{PREFIX}/Groups/<group_id>", ["PATCH"], permission=SCIM_WRITE)
def patch_group(group_id: str) -> Response:
    """Members added and taken, all or none."""
    operations = patching.operations_of(body_of_request())
    return _change_group(
        group_id, lambda session, path: grouping.patch(session, path, operations, current_principal())
    )


@protocol.route(f"{PREFIX}/Groups/<group_id>", ["DELETE"], permission=SCIM_WRITE)
def delete_group(group_id: str) -> Response:
    """Groups stay: attribute certificates and sites' files name them."""
    return error(
        405,
        "Groups are not removed here; take its members instead.",
        headers={"Allow": "GET, PUT, PATCH"},
    )


def _change_group(group_id: str, act: Callable[[Session, str], None]) -> Response:
    with ground().db.transaction() as session:
        grouping.hold(session, group(session, group_id)["displayName"])
        before = group(session, group_id)
        check_version(before)
        act(session, before["displayName"])
        return single(group(session, group_id))


# --- what the service says of itself ---


@protocol.route(f"{PREFIX}/ServiceProviderConfig", ["GET"], permission=SCIM_READ)
def service_provider() -> Response:
    """What is understood here."""
    return answer(described.service_provider(base()))


@protocol.route(f"{PREFIX}/ResourceTypes", ["GET"], permission=SCIM_READ)
def resource_types() -> Response:
    """Users and groups."""
    return _described(described.resource_types(base()))


@protocol.route(f"{PREFIX}/ResourceTypes/<described_as>", ["GET"], permission=SCIM_READ)
def resource_type(described_as: str) -> Response:
    """One of them."""
    return _one_described(described.resource_types(base()), described_as)


@protocol.route(f"{PREFIX}/Schemas", ["GET"], permission=SCIM_READ)
def schemas() -> Response:
    """The attributes of each."""
    return _described(described.schemas(base()))


@protocol.route(f"{PREFIX}/Schemas/<described_as>", ["GET"], permission=SCIM_READ)
def schema(described_as: str) -> Response:
    """One of them."""
    return _one_described(described.schemas(base()), described_as)


def _described(found: list[Resource]) -> Response:
    if request.args.get("filter"):  # RFC 7644, section 4
        return error(403, "Descriptions are not filtered.")
    return listed(found, len(found), 1)


def _one_described(found: list[Resource], described_as: str) -> Response:
    for one in found:
        if one["id"] == described_as:
            return answer(one)
    raise NotFound(f"There is nothing described as {described_as[:80]}.")
