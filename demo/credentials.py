"""Certificates of the demo: people, hosts and the robot, issued by the demo CA; made once, then kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from demo.ca import CertificateAuthority, Issued
from demo.cast import AUTHORITY_HOST, CA_NAME, PEOPLE, ROBOT, SERVICE_HOST, SITES, Person
from demo.layout import Layout, write_private

P12_PASSWORD = "hanse"  # noqa: S105 - printed for everybody: it guards a demo certificate on its way to a browser


def prepare(layout: Layout) -> CertificateAuthority:
    """The CA with everybody's certificates; what is there already stays."""
    if (layout.ca / "ca.cert.pem").exists():
        ca = CertificateAuthority.open(layout.ca)
        ca.write_crl()
    else:
        ca = CertificateAuthority.create(layout.ca, CA_NAME)
    layout.people.mkdir(mode=0o700, exist_ok=True)
    with ThreadPoolExecutor(4) as pool:
        hosts = [pool.submit(_host, ca, layout, *host) for host in _hosts()]
        people = [pool.submit(issue_person, ca, layout, person) for person in PEOPLE]
        for future in [*hosts, *people]:
            future.result()
    return ca


def issue_person(ca: CertificateAuthority, layout: Layout, person: Person) -> None:
    """Give a person certificate, key and p12 (for a browser), unless there are some."""
    cert_path, key_path = layout.credential(person)
    if cert_path.exists() and key_path.exists():
        return
    issued = ca.issue(person.dn, email=person.email, file_name=f"person-{person.slug}")
    write_private(layout.people / f"{person.slug}.p12", "")
    (layout.people / f"{person.slug}.p12").write_bytes(_p12(ca, issued, person))
    issued.key_path.replace(key_path)
    issued.cert_path.replace(cert_path)


def _p12(ca: CertificateAuthority, issued: Issued, person: Person) -> bytes:
    encryption = BestAvailableEncryption(P12_PASSWORD.encode())
    return pkcs12.serialize_key_and_certificates(
        person.name.encode(), issued.key, issued.cert, [ca.cert], encryption
    )


def _hosts() -> list[tuple[str, str, str | None, float]]:
    """Name of the files, subject, host in the certificate, days."""
    hosts: list[tuple[str, str, str | None, float]] = [
        ("hanse", SERVICE_HOST, "127.0.0.1", 365),
        ("voms", AUTHORITY_HOST, "127.0.0.1", 365),
        ("robot", ROBOT, None, 365),
    ]
    for site in SITES:
        hosts.append((f"acct.{site.domain}", site.accounting_host, f"acct.{site.domain}", 365))
        hosts.append((f"occi.{site.domain}", site.cloud_host, "127.0.0.1", 365))
        hosts.append((f"expired.{site.domain}", site.cloud_host, "127.0.0.1", -1))
    return hosts


def _host(
    ca: CertificateAuthority, layout: Layout, name: str, subject: str, host: str | None, days: float
) -> None:
    cert_path, key_path = layout.certificate(name)
    if not (cert_path.exists() and key_path.exists() and _is_whole(cert_path)):
        ca.issue(subject, host=host, days=days, file_name=name)


def _is_whole(cert_path: Path) -> bool:
    return bool(x509.load_pem_x509_certificates(cert_path.read_bytes()))
