"""How the researcher gets a VOMS proxy: Debian's Java client where there is one, else the same call of
our own.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from demo.calls import NotYet, Untrue, until
from demo.story.scene import Scene, require
from hanse.http import HttpError, fetch
from hanse.identity.proxies import create_proxy
from hanse.identity.voms import extract, proxy_extension

JAVA_CLIENT = "voms-proxy-init3"


class Refusal(Exception):
    """The attribute authority said no, with its reason."""


def get_proxy(scene: Scene) -> Path:
    """The researcher's proxy with an attribute certificate of the VO."""
    java = shutil.which(JAVA_CLIENT)
    how = "Java voms-proxy-init" if java else f"our own REST client ({JAVA_CLIENT} is not installed)"
    scene.step(f"A VOMS proxy from the attribute authority, with {how}")
    path = scene.layout.people / f"{scene.researcher.slug}.proxy.pem"

    def obtained() -> bool:
        _by_java(scene, java, path) if java else _by_rest(scene, path)
        return True

    until("a VOMS proxy", lambda: _patiently(obtained))
    path.chmod(0o600)
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    attributes = extract(certificate)
    require(
        attributes and attributes[0].vo == scene.vo, "the proxy carries no attribute certificate of the VO"
    )
    scene.saw(f"{', '.join(attributes[0].fqans)} until {attributes[0].not_after:%Y-%m-%d %H:%M} UTC")
    return path


def _patiently(obtained: Callable[[], bool]) -> bool:
    """NotYet, to be asked again, when the authority is being restarted or has not seen the approval yet."""
    try:
        return obtained()
    except (Refusal, HttpError) as error:
        raise NotYet(str(error)) from error


def _by_java(scene: Scene, program: str, path: Path) -> None:
    cert, key = scene.credential
    layout = scene.layout
    command = [program, "--voms", scene.vo, "--vomses", str(layout.vomses), "--vomsdir", str(layout.vomsdir)]
    command += ["--certdir", str(layout.trust), "--cert", str(cert), "--key", str(key), "--out", str(path)]
    environment = {**os.environ, "HOME": str(layout.people), "X509_CERT_DIR": str(layout.trust)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    if done.returncode != 0:
        raise Refusal((done.stdout + done.stderr).strip())


def _by_rest(scene: Scene, path: Path) -> None:
    attributes = ask_authority(scene)
    cert_path, key_path = scene.credential
    key = load_pem_private_key(key_path.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    cert = x509.load_pem_x509_certificate(cert_path.read_bytes())
    path.write_bytes(create_proxy(cert, key, extensions=[proxy_extension([attributes])]))


def ask_authority(scene: Scene) -> bytes:
    """An attribute certificate (DER) for the researcher. Raises Refusal with the authority's reason,
    HttpError.
    """
    address = (
        f"https://localhost:{scene.layout.ports['authority']}/generate-ac?fqans=/{scene.vo}&lifetime=3600"
    )
    answer = fetch("GET", address, cert=scene.credential, ca=scene.layout.bundle)
    try:
        document = ElementTree.fromstring(answer.body)  # noqa: S314 - our own authority's few bytes
    except ElementTree.ParseError as error:
        raise Untrue(f"the attribute authority answered {answer.status} with no XML: {error}") from error
    if answer.status != 200:
        raise Refusal(document.findtext("error/message") or answer.text)
    return base64.b64decode(document.findtext("ac") or "")
