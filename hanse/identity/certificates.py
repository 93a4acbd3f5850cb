"""Small questions about one certificate."""

from __future__ import annotations

from cryptography import x509

from hanse.identity import names


def certificate_from_der(content: bytes) -> x509.Certificate:
    """The certificate in DER. Raises ValueError when it is none, also for a version that does not exist, for which
    cryptography has an error that is no ValueError.
    """
    try:
        return x509.load_der_x509_certificate(content)
    except x509.InvalidVersion as fault:
        raise ValueError(str(fault)) from fault


def certificate_from_pem(content: bytes) -> x509.Certificate:
    """The first certificate of a PEM text. Raises ValueError as `certificate_from_der` does."""
    try:
        return x509.load_pem_x509_certificate(content)
    except x509.InvalidVersion as fault:
        raise ValueError(str(fault)) from fault


def slash_name(cert: x509.Certificate) -> str:
    """Its subject in slash form, for sentences."""
    return names.slash(names.subject_der(cert))


def key_usage(cert: x509.Certificate) -> x509.KeyUsage | None:
    """Its key usage; None when it has no such extension, which means: any."""
    try:
        return cert.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def self_issued(cert: x509.Certificate) -> bool:
    """True when subject and issuer are the same name."""
    return names.same(names.subject_der(cert), names.issuer_der(cert))


def is_ca(cert: x509.Certificate) -> bool:
    """True when it may issue certificates: it says so, or it is a root from before 1996."""
    try:
        return bool(cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return self_issued(cert) and cert.version is x509.Version.v1
