"""Names to addresses, addresses to connections, connections to TLS, under the check's deadline."""

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from monitoring.findings import Fault, Status
from monitoring.wire.certificates import handshake_fault
from monitoring.wire.trace import Trace

LOOKUP_S = 5.0
MAX_HEAD = 1_048_576  # the longest line of a head; asyncio's own limit is 64 KB
ADDRESS_S = 3.0
Resolve = Callable[[str, int], list[str]]
# getaddrinfo knows no time-out: a slow resolver may hold these threads, never the loop.
_RESOLVERS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="lookup")


def system_resolve(host: str, port: int) -> list[str]:
    """Addresses of a host as the system gives them, IPv6 first where it says so. Raises socket.gaierror."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def lookup(host: str, port: int, trace: Trace, resolve: Resolve) -> list[str]:
    """Addresses of `host`; faults dns-unknown-name, dns-failure, dns-timeout."""
    with trace.phase("lookup") as step:
        if _is_address(host):
            step.seen = "an address already"
            return [host]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_S):
                addresses = await loop.run_in_executor(_RESOLVERS, resolve, host, port)
        except TimeoutError:
            raise Fault("dns-timeout", f"The name {host} was not resolved within {LOOKUP_S:g} s") from None
        except socket.gaierror as fault:
            raise _lookup_fault(host, fault) from None
        except UnicodeError:
            raise Fault("dns-unknown-name", f"{host} cannot be a host name") from None
        step.seen = f"{host} → {', '.join(addresses[:4])}"
        return addresses


def _lookup_fault(host: str, fault: socket.gaierror) -> Fault:
    if fault.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)):
        return Fault("dns-unknown-name", f"The name {host} does not exist")
    return Fault("dns-failure", f"The name servers gave no answer for {host} ({fault.strerror})")


async def connect(
    host: str, port: int, addresses: list[str], trace: Trace
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection to the first address that takes it; one dead address costs `ADDRESS_S` at most.

    Faults tcp-refused, tcp-timeout, tcp-unreachable; of several addresses the last one's."""
    with trace.phase("connect") as step:
        fault = Fault("tcp-unreachable", f"{host} has no address")
        for address in addresses:
            try:
                async with asyncio.timeout(ADDRESS_S if address != addresses[-1] else None):
                    streams = await asyncio.open_connection(address, port, limit=MAX_HEAD)
            except TimeoutError:
                fault = Fault("tcp-timeout", f"{address} port {port} does not answer TCP")
            except OSError as error:
                fault = _connect_fault(host, address, port, error)
            else:
                step.seen = f"port {port}, {'IPv6' if ':' in address else 'IPv4'} {address}"
                return streams
        raise fault


def _connect_fault(host: str, address: str, port: int, error: OSError) -> Fault:
    if error.errno == errno.ECONNREFUSED:
        return Fault("tcp-refused", f"{host}:{port} refuses TCP connections")
    if error.errno == errno.ETIMEDOUT:
        return Fault("tcp-timeout", f"{address} port {port} does not answer TCP")
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL):
        return Fault("local-resources", f"This worker is out of sockets ({error.strerror})", Status.UNKNOWN)
    return Fault("tcp-unreachable", f"{address} port {port} cannot be reached ({error.strerror or error})")


async def secure(
    writer: asyncio.StreamWriter, host: str, port: int, context: ssl.SSLContext, trace: Trace
) -> ssl.SSLObject:
    """TLS over a connection; each way it can fail is a reason of its own (`monitoring.wire.certificates`)."""
    with trace.phase("tls") as step:
        try:
            await writer.start_tls(context, server_hostname=host)
        except (ssl.SSLError, ConnectionError, OSError, EOFError) as error:
            raise handshake_fault(host, port, error) from None
        tls = writer.get_extra_info("ssl_object")
        assert isinstance(tls, ssl.SSLObject)
        step.seen = f"{tls.version()}, {tls.cipher()[0] if tls.cipher() else ''}"  # type: ignore[index]
        return tls


def refuse_private(addresses: list[str], url: str) -> None:
    """A server may not send the prober to an address inside somebody's network (SSRF); fault
    redirect-forbidden."""
    for address in addresses:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if not ip.is_global or ip.is_multicast:
            raise Fault("redirect-forbidden", f"The server redirects to {url}, which is not a public address")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
