"""Ports of the demo: the documented ones, or free ones that the kernel will not give to an outgoing
connection.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

from demo.cast import SITES

DEFAULT = {
    "registry": 7010,
    "registry_tls": 7011,
    "accounting": 7020,
    "accounting_tls": 7021,
    "monitoring": 7030,
    "monitoring_tls": 7031,
    "vomsdb": 7040,
    "vomsdb_tls": 7041,
    "authority": 15001,
    "smtp": 7060,
    "webhooks": 7061,
    **{f"agent {site.name}": 7101 + number for number, site in enumerate(SITES)},
    **{f"cloud {site.name}": 7201 + number for number, site in enumerate(SITES)},
}
# Below the range from which Linux takes ports for outgoing connections (32768 and up): a port that is free
# now
# stays free until its server opens it.
_RANGE = range(20000, 32000)


def chosen(how: str) -> dict[str, int]:
    """Port by name. `default`: the documented ones, with a free one where one is taken; `free`: free ones."""
    taken: set[int] = set()
    ports: dict[str, int] = {}
    for name, wanted in DEFAULT.items():
        port = wanted if how == "default" and is_free(wanted) else free(taken)
        taken.add(port)
        ports[name] = port
    return ports


def free(taken: Iterable[int] = ()) -> int:
    """A port nobody listens on."""
    refused = set(taken)
    for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
        if port not in refused and is_free(port):
            return port
    raise OSError("There is no free port between 20000 and 32000.")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback now."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
