"""The cases of the failure table (docs/accounting.md): what is sent in each, to be judged by the pipeline."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from hanse import cms, smime
from tests.accounting.conftest import House
from tests.accounting.other_records import accelerator, accelerators, address, addresses, job, jobs, sample
from tests.accounting.records import DAY, NOW, epoch, lines, message, months_ago, record

Send = Callable[[House, Any], None]


@dataclass(frozen=True)
class Case:
    """One row of the table: its name there, and what a site sends."""

    name: str
    send: Send


def at(months: int, day: int, **changes: Any) -> dict[str, Any]:
    """A report of a machine of 4 cores that runs since the 2nd, five months ago."""
    start = epoch(months_ago(5, day=2))
    measured = epoch(months_ago(months, day=day))
    wall = measured - start
    fields = {"RecordCreateTime": measured, "StartTime": start, "WallDuration": wall, "CpuDuration": 4 * wall}
    return record(**fields | changes)


def in_turn(*texts: str | bytes) -> Send:
    """Messages one after the other, as the administrator loads them."""

    def send(house: House, _: Any) -> None:
        for text in texts:
            house.load(text)

    return send


def signed_by(site: str, text: str, **how: Any) -> Send:
    """A message signed with the host certificate of a site."""

    def send(house: House, cast: Any) -> None:
        house.signed(text, cast.host(site), **how)

    return send


def twice(house: House, cast: Any) -> None:
    body = cms.sign(message(record(vm="a")).encode(), cast.host("BIFI").cert, cast.host("BIFI").key)
    for empaid in ("x/1", "x/1", "x/2"):
        house.load(body, source="ams", empaid=empaid)


def tampered(house: House, cast: Any) -> None:
    host = cast.host("BIFI")
    house.load(
        cms.sign(message(record()).encode(), host.cert, host.key).replace(b"BIFI", b"UKIM", 1), source="ams"
    )


def other_ca(house: House, cast: Any) -> None:
    from demo.ca import CertificateAuthority

    with_another = CertificateAuthority.create(
        house.settings.trust_dir.parent / "another", "/C=EU/O=Elsewhere/CN=CA"
    )
    host = with_another.issue("/C=EU/O=Hanse Demo/OU=BIFI/CN=acct.bifi.example", host="acct.bifi.example")
    house.load(cms.sign(message(record()).encode(), host.cert, host.key), source="ams")


def not_listed(house: House, cast: Any) -> None:
    person = cast["Anna Lindqvist"]
    house.load(cms.sign(message(record()).encode(), person.cert, person.key), source="ams")


def with_another_certificate(house: House, cast: Any) -> None:
    """CESNET signs for BIFI, and puts BIFI's certificate beside its own."""
    theirs, other = cast.host("CESNET"), cast.host("BIFI")
    house.load(
        cms.sign(message(record()).encode(), theirs.cert, theirs.key, chain=[other.cert]), source="ams"
    )


def in_base64(house: House, cast: Any) -> None:
    host = cast.host("BIFI")
    content = base64.encodebytes(message(record()).encode()).decode()
    head = "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n"
    part = smime.crlf((head + content).encode())
    builder = pkcs7.PKCS7SignatureBuilder().set_data(part).add_signer(host.cert, host.key, hashes.SHA256())
    options = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.DetachedSignature]
    house.load(smime.compose_detached(part, builder.sign(Encoding.DER, options)), source="ams")


def of_alfa(*names: str) -> Send:
    """Samples of the sites ALFA-GRID and ALFA-CLOUD, which the registry knows."""

    def send(house: House, _: Any) -> None:
        for site in ("ALFA-GRID", "ALFA-CLOUD"):
            house.site(site)
        for name in names:
            house.load(sample(name))

    return send


def at_two_sites(house: House, cast: Any) -> None:
    for site in ("BIFI", "CESNET"):
        house.signed(message(record(site, "one-1")), cast.host(site))


LATER = epoch(NOW) + 9 * 366 * DAY
TWO_DAYS = epoch(NOW) + 2 * DAY
BEHIND = {"RecordCreateTime": epoch(NOW) - 2 * DAY, "StartTime": epoch(NOW) - 3 * DAY}
ENDED = epoch(months_ago(1))
CASES = (
    Case("duplicate message, replay", twice),
    Case("older snapshot after a newer one", in_turn(message(at(1, 20)), message(at(1, 10)))),
    Case("counter reset", in_turn(message(at(2, 20)), message(at(1, 10, WallDuration=DAY, CpuDuration=DAY)))),
    Case("gap of months", in_turn(message(at(4, 20)), message(at(1, 10)))),
    Case("resize in mid-life", in_turn(message(at(2, 20)), message(at(1, 10, CpuCount=8)))),
    Case("times in the future, machine", in_turn(message(record(RecordCreateTime=LATER)))),
    Case("end in the future, job", in_turn(jobs(job(EndTime=LATER, StartTime=ENDED)))),
    Case(
        "EndTime before StartTime",
        in_turn(
            message(record(EndTime=ENDED, StartTime=ENDED + 60)),
            jobs(job(StartTime=ENDED, EndTime=ENDED - 60)),
        ),
    ),
    Case("negative WallDuration", in_turn(message(record(WallDuration=-5)), jobs(job(WallDuration=-5)))),
    Case("CPU above wall x cores", in_turn(message(record(CpuDuration=9 * DAY)))),
    Case("unknown site", in_turn(message(record("NOWHERE")))),
    Case("same VMUUID from another site", at_two_sites),
    Case("SiteName of another site than the signer's", signed_by("CESNET", message(record("BIFI")))),
    Case(
        "Status in another case, or unknown",
        in_turn(message(record(Status="STARTED"), record(vm="b", Status="odd"))),
    ),
    Case("completed, no EndTime", in_turn(message(record(Status="completed", EndTime=None)))),
    Case(
        "one bad record of ten",
        in_turn(message(*[record(vm=f"v{n}", CpuCount=-1 if n == 4 else 4) for n in range(10)])),
    ),
    Case("unknown field", in_turn(message(record(Colour="red")))),
    Case("%% in a value", in_turn(message(record(MachineName="a%%b"), record(vm="good")))),
    Case("line without a colon", in_turn(message(lines(record()) + "no colon here\n", record(vm="good")))),
    Case("name of 300 characters", in_turn(message(record(MachineName="x" * 300)))),
    Case("UTF-8, emoji in a name", in_turn(message(record(MachineName="Žofie \U0001f680")))),
    Case(
        "bytes that are not UTF-8",
        in_turn(b"APEL-cloud-message: v0.4\nMachineName: \xff\n", message(record())),
    ),
    Case("empty body", in_turn(b"", message(record()))),
    Case("header only", in_turn("APEL-cloud-message: v0.4\n")),
    Case("wrong header", in_turn("APEL-mystery-message: v9\nA: b\n")),
    Case(
        "CRLF, keys twice, words for none",
        in_turn((message(record(Memory="null")) + "Disk: 5\nNetworkType: NONE\n").replace("\n", "\r\n")),
    ),
    Case("decimals in whole numbers", in_turn(message(record(Memory="12.7"), record(vm="b", Disk="1e3")))),
    Case("Memory of 2^70", in_turn(message(record(Memory=2**70)))),
    Case("job without ServiceLevel", in_turn(jobs(job(ServiceLevel=None, ServiceLevelType=None)))),
    Case(
        "wall of a job above 2^31", in_turn(jobs(job(WallDuration=2**31 + 5, StartTime=epoch("2000-01-02"))))
    ),
    Case("CAR XML, StAR XML", of_alfa("car.xml", "star.xml", "star-caso.xml")),
    Case("public IP and GPU as JSON", in_turn(accelerators(accelerator()), addresses(address()))),
    Case("tampered", tampered),
    Case("signed under another CA", other_ca),
    Case("signer not registered", not_listed),
    Case("certificates beside the signer's", with_another_certificate),
    Case("base64 inside the signature", in_base64),
    Case(
        "clock of the sender two days off",
        in_turn(
            message(
                record(RecordCreateTime=TWO_DAYS),
                record(vm="late", **BEHIND),
            )
        ),
    ),
)
