"""/api/v1/import: moving in from a GOCDB, or with site files of the federated cloud. Planned first, then applied."""

from __future__ import annotations

from hanse.web import Api, current_principal, ground
from registry.api.answers import Body
from registry.importing import fedcloud, gocdb
from registry.importing.archive import unpack
from registry.importing.gocdb_reader import bundle_of
from registry.importing.gocdb_records import Bundle
from registry.importing.issuers import Issuer
from registry.rights import RUN_FEDERATION
from registry.schemas.importing import FedcloudApplyIn, FedcloudIn, ImportApplyIn, ImportIn, ImportOut

api = Api("registry_importing", __name__, "Moving in")


@api.post(
    "/import/gocdb/plan",
    permission=RUN_FEDERATION,
    summary="What importing a GOCDB would do",
    responses={200: ImportOut},
)
def plan_gocdb(body: ImportIn) -> Body:
    """Nothing is kept."""
    return gocdb.plan(ground().db, current_principal(), _bundle(body), _options(body)).as_json()


@api.post(
    "/import/gocdb/apply", permission=RUN_FEDERATION, summary="Import a GOCDB", responses={200: ImportOut}
)
def apply_gocdb(body: ImportApplyIn) -> Body:
    """Everything that can stand here, or nothing; a revision for each site, and for what spans sites."""
    done = gocdb.take_over(
        ground().db, current_principal(), _bundle(body), _options(body), expected=body.plan
    )
    return done.as_json()


def _bundle(body: ImportIn) -> Bundle:
    documents, unread = unpack(body.archive)
    return bundle_of(documents, body.source, [*body.unread, *unread], body.sites)


def _options(body: ImportIn) -> gocdb.Options:
    issuers = [Issuer(one.name, tuple(one.subjects)) for one in body.issuers]
    return gocdb.Options(prefer=body.prefer, people=body.people, issuers=issuers)


@api.post(
    "/import/fedcloud/plan",
    permission=RUN_FEDERATION,
    summary="What importing site files of the federated cloud would do",
    responses={200: ImportOut},
)
def plan_fedcloud(body: FedcloudIn) -> Body:
    """Nothing is kept."""
    options = fedcloud.Options(body.prefer, body.create_in)
    return fedcloud.plan(ground().db, current_principal(), body.files, options).as_json()


@api.post(
    "/import/fedcloud/apply",
    permission=RUN_FEDERATION,
    summary="Import site files of the federated cloud",
    responses={200: ImportOut},
)
def apply_fedcloud(body: FedcloudApplyIn) -> Body:
    """A file that cannot be read is skipped with its reason; the others go in, all or nothing."""
    options = fedcloud.Options(body.prefer, body.create_in)
    done = fedcloud.take_over(ground().db, current_principal(), body.files, options, expected=body.plan)
    return done.as_json()
