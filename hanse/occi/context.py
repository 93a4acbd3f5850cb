"""What a new machine is contextualised with: a script or cloud-config, and a public key, in the words of the cloud.

There are two generations of mixins (EGI's first one, and that of OCCI 1.2, whose attributes have two spellings). A
request names one of them: ooi refuses both together.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from hanse.occi.model import PUBLIC_KEY_V1, SSH_KEY_V12, USER_DATA_V1, USER_DATA_V12, Document, Value

FIRST, SECOND = "first", "1.2"
MIXINS = {FIRST: (USER_DATA_V1, PUBLIC_KEY_V1), SECOND: (USER_DATA_V12, SSH_KEY_V12)}
_ROCCI = "rocci"


@dataclass(frozen=True)
class Context:
    """Mixins to name and attributes to send."""

    mixins: tuple[str, ...] = ()
    attributes: dict[str, Value] = field(default_factory=dict)


def generations(model: Document) -> tuple[str, ...]:
    """The generations that a cloud offers whole, the first one first."""
    return tuple(
        name for name, mixins in MIXINS.items() if all(model.find(mixin) is not None for mixin in mixins)
    )


def context(
    model: Document, user_data: bytes = b"", public_key: str = "", *, server: str = "", generation: str = ""
) -> Context:
    """The context for a cloud that offers `model`; `server` is its Server header, which tells rOCCI's spelling.

    Raises ValueError when the cloud does not offer what is needed."""
    wanted = bool(user_data), bool(public_key)
    for name in (generation,) if generation else MIXINS:
        mixins = tuple(mixin for mixin, given in zip(MIXINS[name], wanted, strict=True) if given)
        if all(model.find(mixin) is not None for mixin in mixins):
            return Context(mixins, _attributes(name, user_data, public_key, _ROCCI in server.lower()))
    missing = " and ".join(
        word for word, given in zip(("user_data", "public_key"), wanted, strict=True) if given
    )
    raise ValueError(f"The cloud offers no mixin for {missing}; it cannot contextualise a machine so.")


def _attributes(generation: str, user_data: bytes, public_key: str, rocci: bool) -> dict[str, Value]:
    encoded = base64.b64encode(user_data).decode()
    if generation == FIRST:
        key = {"org.openstack.credentials.publickey.name": "hanse"}
        key["org.openstack.credentials.publickey.data"] = public_key
        data = {"org.openstack.compute.user_data": encoded}
    elif rocci:
        key = {"occi.credentials.ssh.publickey": public_key}
        data = {"occi.compute.userdata": encoded}
    else:
        key = {"occi.credentials.ssh_key": public_key}
        data = {"occi.compute.user_data": encoded}
    return {**(data if user_data else {}), **(key if public_key else {})}
