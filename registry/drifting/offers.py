"""Differences of what a cloud offers: VOs and their shares, capacity, images, middleware."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy.orm import Session

from hanse.revisions import Change
from registry import bodies, sites
from registry.drifting.difference import Accept, Difference, Look, checked, said
from registry.models import Site
from registry.schemas.sites import VoShareIn

_MB_IN_GB: Final = 1024
_SAME_SIZE: Final = 0.02  # memory is told in GB here and in MB there


def vos(look: Look) -> Iterator[Difference]:
    observed: dict[str, int | None] = {}
    projects: dict[str, str | None] = {}
    for document in look.documents:
        for share in document.facts["shares"]:
            if share["vo"] is not None:
                known = observed.get(share["vo"])
                cores = share["cores"]
                observed[share["vo"]] = known if cores is None else (known or 0) + cores
                projects[share["vo"]] = projects.get(share["vo"]) or share["project"]
    declared = {share.vo: share.vcpu for share in look.site.shares}
    for vo, cores in sorted(observed.items()):
        room = "" if cores is None else f" with {cores} vCPU"
        if vo not in declared:
            yield Difference(
                f"vo {vo}",
                "vo",
                f"A share for {vo}{room} is published, and the registry does not say that the site supports it.",
                None,
                cores,
                look.at,
                f"Support {vo}{room}",
                _supporter(vo, cores, projects[vo]),
            )
        elif cores is not None and cores != declared[vo]:
            yield Difference(
                f"vo {vo} vcpu",
                "vo",
                f"{vo}: {said(declared[vo])} vCPU declared, a quota of {cores} published.",
                declared[vo],
                cores,
                look.at,
                f"Declare {cores} vCPU for {vo}",
                _supporter(vo, cores, projects[vo]),
            )
    for vo in sorted(declared.keys() - observed.keys()):
        yield Difference(
            f"vo {vo} unpublished",
            "vo",
            f"The registry says that the site supports {vo}, and no share for it is published.",
            declared[vo] if declared[vo] is not None else "supported",
            None,
            look.at,
            f"Support {vo} no longer",
            _supporter(vo, None, None, remove=True),
        )


def _supporter(vo: str, vcpu: int | None, project: str | None, *, remove: bool = False) -> Accept:
    def accept(session: Session, change: Change, site: Site) -> None:
        shares = {share["vo"]: share for share in bodies.site_body(site)["supports"]}
        if remove:
            shares.pop(vo, None)
        else:
            known = shares.get(vo, {"vo": vo, "project_id": project})
            shares[vo] = checked(VoShareIn, {**known, "vcpu": vcpu}).model_dump()
        sites.apply(session, change, site, {"supports": list(shares.values())}, operator=False)

    return accept


def capacity(look: Look) -> Iterator[Difference]:
    cpus = [document.facts["vcpu"] for document in look.documents]
    if cpus and None not in cpus and sum(cpus) != look.site.vcpu:
        yield _capacity_difference(look, "vcpu", look.site.vcpu, sum(cpus), "vCPU")
    memory = [document.facts["ram_mb"] for document in look.documents]
    if memory and None not in memory:
        observed = round(sum(memory) / _MB_IN_GB, 1)
        observed = int(observed) if observed == int(observed) else observed
        declared = look.site.ram_gb
        if declared is None or abs(observed - declared) > _SAME_SIZE * max(declared, 1):
            yield _capacity_difference(look, "ram_gb", declared, observed, "GB RAM")


def _capacity_difference(
    look: Look, name: str, declared: float | None, observed: float, unit: str
) -> Difference:
    def accept(session: Session, change: Change, site: Site) -> None:
        sites.apply(session, change, site, {"capacity": {name: observed}}, operator=False)

    return Difference(
        f"capacity {name}",
        "capacity",
        f"{said(declared)} {unit} declared, {observed:g} published.",
        declared,
        observed,
        look.at,
        f"Declare {observed:g} {unit}",
        accept,
    )


def images(look: Look) -> Iterator[Difference]:
    """A VO that has a share but nothing to start: the registry cannot mend that, the site can."""
    for document in look.documents:
        with_images = {share for image in document.facts["images"] for share in image["shares"]}
        for share in document.facts["shares"]:
            if share["vo"] is not None and share["id"] not in with_images:
                yield Difference(
                    f"images {share['vo']} {document.service}",
                    "images",
                    f"{share['vo']} has a share and no image, so its members cannot start a machine."
                    " Publish its images, or give up the share.",
                    "at least one image",
                    "none",
                    look.at,
                )


def middleware(look: Look) -> Iterator[Difference]:
    told = sorted({document.facts["product"] for document in look.documents if document.facts["product"]})
    declared = look.site.middleware or ""
    missing = [product for product in told if product.lower() not in declared.lower()]
    if not missing:
        return
    observed = ", ".join(told)

    def accept(session: Session, change: Change, site: Site) -> None:
        sites.apply(session, change, site, {"middleware": observed[:255]}, operator=False)

    yield Difference(
        "middleware",
        "middleware",
        f"{declared or 'No middleware'} is declared, {observed} published.",
        look.site.middleware,
        observed,
        look.at,
        f"Declare {observed}",
        accept,
    )
