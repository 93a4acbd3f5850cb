"""Who plays in the demo federation: sites, people, VOs, hosts. The same names as in the tests."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from demo.cloud.things import Capacity

FEDERATION = "Research Cloud Federation · demo"
CA_NAME = "/C=EU/O=Hanse Demo/CN=Hanse Demo CA"
SERVICES = ("registry", "accounting", "monitoring", "vomsdb")
SERVICE_HOST = "/C=EU/O=Hanse Demo/OU=Federation/CN=hanse.example"
AUTHORITY_HOST = "/C=EU/O=Hanse Demo/OU=Federation/CN=voms.hanse.example"
ROBOT = "/C=EU/O=Hanse Demo/OU=Robots/CN=Robot: Hanse monitoring"
STORY_VO = "training.egi.eu"
OCCI_SERVICE = "eu.egi.cloud.vm-management.occi"


@dataclass(frozen=True)
class Site:
    """A cloud site. `vos` maps each supported VO to the vCPUs that are declared for it.

    `quotas` are what the cloud really gives, where that differs: the registry shows it as drift.
    """

    name: str
    official_name: str
    ngi: str
    country: str
    country_code: str
    latitude: float
    longitude: float
    middleware: str
    dialect: str
    path: str
    capacity: Capacity
    network: str
    vos: dict[str, int]
    admin: str
    quotas: dict[str, int] | None = None

    @property
    def domain(self) -> str:
        """The domain of the site's hosts."""
        return f"{self.name.lower()}.example"

    @property
    def accounting_host(self) -> str:
        """DN of the host certificate that signs usage and speaks for the site."""
        return f"/C=EU/O=Hanse Demo/OU={self.name}/CN=acct.{self.domain}"

    @property
    def cloud_host(self) -> str:
        """DN of the cloud's server certificate."""
        return f"/C=EU/O=Hanse Demo/OU={self.name}/CN=occi.{self.domain}"


@dataclass(frozen=True)
class Person:
    """Somebody with a certificate. `roles` as the registry and the VOs give them, for people to read."""

    name: str
    email: str
    roles: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name in file names."""
        return slug(self.name)

    @property
    def dn(self) -> str:
        """The subject of the person's certificate, slash form."""
        return f"/C=EU/O=Hanse Demo/OU=People/CN={self.name}"


def slug(name: str) -> str:
    """`Eliška Malá` -> `eliska-mala`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


SITES = (
    Site(
        name="CESNET",
        official_name="CESNET, Brno",
        ngi="NGI_CZ",
        country="Czech Republic",
        country_code="CZ",
        latitude=49.2,
        longitude=16.6,
        middleware="OpenNebula",
        dialect="rocci",
        path="/",
        capacity=Capacity(vcpu=64, ram_gb=110, storage_tb=1),
        network="192.0.2",
        vos={"training.egi.eu": 20, "chipster": 12},
        admin="Eliška Malá",
    ),
    Site(
        name="BIFI",
        official_name="BIFI, University of Zaragoza",
        ngi="NGI_IBERGRID",
        country="Spain",
        country_code="ES",
        latitude=41.65,
        longitude=-0.88,
        middleware="OpenStack",
        dialect="ooi",
        path="/ooi/",
        capacity=Capacity(vcpu=50, ram_gb=50, volumes=50, public_ips=50),
        network="198.51.100",
        vos={"training.egi.eu": 20, "chipster": 10},
        admin="Laura Gil",
    ),
    Site(
        name="UKIM",
        official_name="Ss. Cyril and Methodius University, Skopje",
        ngi="NGI_MK",
        country="North Macedonia",
        country_code="MK",
        latitude=42.0,
        longitude=21.43,
        middleware="OpenNebula",
        dialect="rocci",
        path="/",
        capacity=Capacity(vcpu=48, ram_gb=48, public_ips=48),
        network="203.0.113",
        vos={"training.egi.eu": 16, "chipster": 8},
        admin="Goran Petrov",
        quotas={"training.egi.eu": 16, "chipster": 12},
    ),
)

NGIS = {"NGI_CZ": "Czech Republic", "NGI_IBERGRID": "Spain and Portugal", "NGI_MK": "North Macedonia"}

OPERATOR = Person("Ingrid Holm", "ingrid.holm@hanse.example", ("federation_operator",))
PEOPLE = (
    OPERATOR,
    Person("Eliška Malá", "eliska.mala@cesnet.example", ("site_administrator site:CESNET",)),
    Person("Laura Gil", "laura.gil@bifi.example", ("site_administrator site:BIFI",)),
    Person("Goran Petrov", "goran.petrov@ukim.example", ("site_administrator site:UKIM",)),
    Person("Marta Kowalska", "marta.kowalska@training.example", ("vo_manager vo:training.egi.eu",)),
    Person("Paavo Salo", "paavo.salo@chipster.example", ("vo_manager vo:chipster",)),
    Person("Anna Lindqvist", "anna.lindqvist@university.example"),
    Person("Tomás Vidal", "tomas.vidal@university.example"),
)

VOS = {
    "training.egi.eu": ("Marta Kowalska", "Courses that teach how to use federated clouds"),
    "chipster": ("Paavo Salo", "Analysis of sequencing and microarray experiments"),
}


def person(name: str) -> Person:
    """The person of this name. Raises KeyError."""
    return {one.name: one for one in PEOPLE}[name]


def site(name: str) -> Site:
    """The site of this name. Raises KeyError."""
    return {one.name: one for one in SITES}[name]
