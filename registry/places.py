"""A place where a VO can run: how much room it has, what can be started there, and the commands that start it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from registry.renderings.glue21_json import NOVA, OCCI

Facts = Mapping[str, Any]
NOT_TOLD: Final = "not told"
TITLE: Final = "my-first-machine"


@dataclass(frozen=True)
class Room:
    """How much a VO may use at a place, and what of it is free; None where nobody told."""

    declared_vcpu: int | None = None
    quota_vcpu: int | None = None
    used_vcpu: int | None = None
    free_vcpu: int | None = None
    free_machines: int | None = None
    source: str = NOT_TOLD


@dataclass(frozen=True)
class Place:
    """An endpoint where a VO has a share. `sizes` and `images` are those that fit, the smallest and the first first."""

    site: str
    country: str
    middleware: str
    endpoint: str
    interface: str
    vo: str
    project: str | None
    room: Room
    sizes: Sequence[Facts] = ()
    images: Sequence[Facts] = ()
    published_at: datetime | None = None
    valid_until: datetime | None = None
    stale: bool = False

    @property
    def able(self) -> bool:
        """Whether a machine can be started there: a size, an image and a client for the interface are known."""
        return bool(self.sizes and self.images and self.interface in COMMANDS)

    @cached_property
    def commands(self) -> Sequence[tuple[str, str]]:
        """What starts a machine of the first size from the first image, by client; none where nobody can."""
        return COMMANDS[self.interface](self, self.sizes[0], self.images[0]) if self.able else ()


def _occi(place: Place, size: Facts, image: Facts) -> list[tuple[str, str]]:
    """The OCCI client of the tutorials (rOCCI-cli), and curl for who has none. A proxy of the VO is shown to both."""
    base = place.endpoint.rstrip("/") + "/"
    image_id, size_id = _mixin(image, "os_tpl"), _mixin(size, "resource_tpl")
    rocci = _wrapped(
        [
            ["occi", "--endpoint", base],
            ["--auth", "x509", "--user-cred", "$X509_USER_PROXY", "--voms"],
            ["--action", "create", "--resource", "compute"],
            ["--mixin", _short(image_id, "os_tpl")],
            ["--mixin", _short(size_id, "resource_tpl")],
            ["--attribute", f"occi.core.title={TITLE}"],
        ]
    )
    category = 'compute; scheme="http://schemas.ogf.org/occi/infrastructure#"; class="kind"'
    # rOCCI-server wants an id, and gives another
    about = [f'X-OCCI-Attribute: occi.core.{name}="{TITLE}"' for name in ("id", "title")]
    body = [f"Category: {category}", _category(image_id), _category(size_id), *about]
    curl = _wrapped(
        [
            ["curl", "--fail-with-body", "--capath", "/etc/grid-security/certificates"],
            ["--cert", "$X509_USER_PROXY", "--key", "$X509_USER_PROXY"],
            ["--header", "Content-Type: text/plain", "--header", "Accept: text/plain"],
            ["--data-binary", "\n".join(body)],
            [f"{base}compute/"],
        ]
    )
    return [("occi", rocci), ("curl", curl)]


def _mixin(one: Facts, kind: str) -> str:
    """The whole identifier (scheme and term) of a template: the id, or the name where the id is OpenStack's own."""
    for told in (str(one["id"]), str(one["name"])):
        if told.startswith("http") and "#" in told:
            return told
    scheme = f"http://schemas.openstack.org/template/{'os' if kind == 'os_tpl' else 'resource'}#"
    return scheme + str(one["id"]).rpartition("#")[2]


def _short(identifier: str, kind: str) -> str:
    """rOCCI-cli takes `os_tpl#term`."""
    return f"{kind}#{identifier.rpartition('#')[2]}"


def _category(identifier: str) -> str:
    scheme, _, term = identifier.rpartition("#")
    return f'Category: {term}; scheme="{scheme}#"; class="mixin"'


def _openstack(place: Place, size: Facts, image: Facts) -> list[tuple[str, str]]:
    """fedcloudclient knows the site's address and project; the plain client is told them."""
    create = ["server", "create", "--flavor", size["id"], "--image", image["id"], TITLE]
    fedcloud = _wrapped([["fedcloud", "openstack", "--site", place.site, "--vo", place.vo], create])
    login = [["openstack", "--os-auth-url", place.endpoint], ["--os-auth-type", "v3oidcaccesstoken"]]
    if place.project:
        login.append(["--os-project-id", place.project])
    known = ["--os-identity-provider", "egi.eu", "--os-protocol", "openid"]
    token = ["--os-access-token", "$OIDC_ACCESS_TOKEN"]
    return [("fedcloud", fedcloud), ("openstack", _wrapped([*login, known, token, create]))]


def _wrapped(lines: Sequence[Sequence[str]]) -> str:
    """A command over several lines for a POSIX shell; `$NAME` alone is a variable of the reader's."""
    return " \\\n  ".join(" ".join(_word(str(word)) for word in line) for line in lines)


def _word(word: str) -> str:
    if word.startswith("$") and word[1:].replace("_", "").isalnum():
        return f'"{word}"'
    return shlex.quote(word)


COMMANDS: Final[Mapping[str, Callable[[Place, Facts, Facts], Sequence[tuple[str, str]]]]] = {
    OCCI: _occi,
    NOVA: _openstack,
}
