"""The OCCI client: a machine's life on two servers that are not ours, and what it never does with a secret."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hanse.occi.client import OcciClient, OcciError
from hanse.occi.model import COMPUTE, COMPUTE_ACTION, OS_TPL, RESOURCE_TPL
from tests.peers.occi import ooi, pyssf

SAMPLES = Path(__file__).parent / "samples" / "occi"


@dataclass
class Recorded:
    """A server that answers with recorded messages, the path's own or the last one's, and keeps what was asked."""

    answers: dict[str, bytes]
    url: str = ""
    asked: list[bytes] = field(default_factory=list)

    def requests(self) -> list[str]:
        return [request.split(b"\r\n")[0].decode() for request in self.asked]


@contextmanager
def recorded(**answers: bytes | str) -> Iterator[Recorded]:
    """`GET`, `POST` and so on name the answer to that method; a name ending in .http is a sample."""
    bodies = {m: (SAMPLES / a).read_bytes() if isinstance(a, str) else a for m, a in answers.items()}
    server = Recorded(bodies)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                head += line
            length = next(
                (int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-l")), 0
            )
            server.asked.append(head + self.rfile.read(length))
            self.wfile.write(server.answers[head.split(b" ")[0].decode()])

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as listener:
        server.url = f"http://127.0.0.1:{listener.server_address[1]}/ooi"
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""]).encode() + body


# --- real servers ---


@pytest.mark.peer("ooi")
@pytest.mark.parametrize("rendering", ["text/plain", "text/occi", "application/occi+json"])
def test_a_machines_life_on_ooi(rendering: str) -> None:
    with ooi(build_s=0.2) as url, OcciClient(url, send=rendering, accept=rendering) as cloud:
        model = cloud.query()
        image, size = (model.children_of(parent)[0].identifier for parent in (OS_TPL, RESOURCE_TPL))
        assert cloud.list(COMPUTE) == ()
        machine = cloud.create(COMPUTE, mixins=[image, size], attributes={"occi.core.title": "hanse test"})
        assert cloud.list("compute") == (machine,)
        assert _state_after(cloud, machine, "active") == "active"
        cloud.act(machine, COMPUTE_ACTION + "stop")
        assert cloud.describe(machine).attributes["occi.compute.state"] == "inactive"
        assert cloud.delete(machine) is True
        assert cloud.delete(machine) is False
        with pytest.raises(OcciError) as gone:
            cloud.describe(machine)
        assert gone.value.status == 404


@pytest.mark.peer("pyssf")
@pytest.mark.parametrize("rendering", ["text/plain", "text/occi"])
def test_a_machines_life_on_pyssf(rendering: str) -> None:
    with pyssf() as url, OcciClient(url, send=rendering, accept=rendering) as cloud:
        assert cloud.query().find(COMPUTE) is not None
        machine = cloud.create(COMPUTE, attributes={"occi.core.title": "hanse test"})
        entity = cloud.describe(machine)
        (start,) = cloud.actions(entity, machine)
        assert start.action == COMPUTE_ACTION + "start"
        assert start.target == machine + "?action=start"
        cloud.act(machine, start.action)
        assert cloud.describe(machine).attributes["occi.compute.state"] == "active"
        assert cloud.list(COMPUTE) == (machine,)
        assert cloud.delete(machine)
        assert cloud.list(COMPUTE) == ()


@pytest.mark.peer("pyssf")
def test_the_older_json_of_pyssf_is_read() -> None:
    with pyssf() as url, OcciClient(url, accept="application/occi+json", send="text/plain") as cloud:
        assert cloud.query().find(COMPUTE) is not None
        machine = cloud.create(COMPUTE)
        assert cloud.describe(machine).attributes["occi.compute.state"] == "inactive"


@pytest.mark.peer("ooi")
def test_more_than_a_hundred_headers_are_read() -> None:
    with ooi(images=120) as url, OcciClient(url, accept="text/occi") as cloud:
        assert len(cloud.query().children_of(OS_TPL)) == 120


@pytest.mark.peer("ooi")
def test_what_a_server_refuses_is_said_with_its_status_and_words() -> None:
    with ooi(build_s=60) as url, OcciClient(url) as cloud:
        model = cloud.query()
        image, size = (model.children_of(parent)[0].identifier for parent in (OS_TPL, RESOURCE_TPL))
        machine = cloud.create(COMPUTE, mixins=[image, size], attributes={"occi.core.title": "building"})
        with pytest.raises(OcciError, match="vm_state build") as refused:
            cloud.act(machine, COMPUTE_ACTION + "stop")
        assert refused.value.status == 409


def _state_after(cloud: OcciClient, machine: str, wanted: str) -> object:
    ends = time.monotonic() + 10
    while (state := cloud.describe(machine).attributes["occi.compute.state"]) != wanted:
        assert time.monotonic() < ends, f"the machine stays {state}"
        time.sleep(0.1)
    return state


# --- locations and secrets ---


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ("http://cloud.example:8787/ooi/compute/1", "http://cloud.example:8787/ooi/compute/1"),
        ("/compute/1", "http://cloud.example:8787/ooi/compute/1"),
        ("/ooi/compute/1", "http://cloud.example:8787/ooi/compute/1"),
        ("compute/", "http://cloud.example:8787/ooi/compute/"),
        ("https://inside.example:11443/compute/1", "http://cloud.example:8787/ooi/compute/1"),
        ("http://evil.example/ooi/compute/1?x=1", "http://cloud.example:8787/ooi/compute/1?x=1"),
        ("//evil.example/compute/1", "http://cloud.example:8787/ooi/compute/1"),
    ],
)
def test_a_location_never_leaves_the_clouds_own_origin(given: str, resolved: str) -> None:
    with OcciClient("http://cloud.example:8787/ooi") as cloud:
        assert cloud.resolve(given) == resolved


def test_a_new_machine_elsewhere_is_asked_for_here_with_the_token() -> None:
    with (
        recorded(POST="create-plain-rocci.http", GET="describe-plain-pyssf.http") as server,
        OcciClient(server.url, token="a secret") as cloud,
    ):
        machine = cloud.create(COMPUTE)
        cloud.describe(machine)
    assert machine.startswith(server.url + "/compute/")
    assert all(b"X-Auth-Token: a secret" in request for request in server.asked)


def test_a_redirect_is_not_followed_with_a_token() -> None:
    with (
        recorded(GET=answer("302 Found", Location="http://127.0.0.1:1/evil")) as server,
        OcciClient(server.url, token="a secret") as cloud,
        pytest.raises(OcciError) as refused,
    ):
        cloud.query()
    assert refused.value.status == 302
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "address", ["", "/", "/compute", "/compute/", "compute", "/ooi/", "/ooi/compute/", "/storage"]
)
def test_a_collection_cannot_be_deleted(address: str) -> None:
    with (
        recorded(DELETE="delete-ooi.http") as server,
        OcciClient(server.url) as cloud,
        pytest.raises(ValueError, match="collection"),
    ):
        cloud.delete(address)
    assert server.asked == []


@pytest.mark.parametrize("place", ["/vms", "/vms/", "/ooi/vms/"])
def test_a_collection_under_a_name_of_its_own_cannot_be_deleted_either(place: str) -> None:
    kind = (
        'Category: compute; scheme="http://schemas.ogf.org/occi/infrastructure#"; class="kind";'
        f' location="{place}"\n'
    ).encode()
    with (
        recorded(GET=answer("200 OK", kind, Content_Type="text/plain"), DELETE="delete-ooi.http") as server,
        OcciClient(server.url) as cloud,
    ):
        for asked in ("/vms", "/ooi/vms"):
            with pytest.raises(ValueError, match="collection"):
                cloud.delete(asked)
        assert [line for line in server.requests() if line.startswith("DELETE")] == []
        assert cloud.delete("/vms/1")
    assert [line for line in server.requests() if line.startswith("DELETE")] == ["DELETE /ooi/vms/1 HTTP/1.1"]


@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found"])
def test_on_a_cloud_that_does_not_say_what_its_collections_are_nothing_is_deleted(status: str) -> None:
    with (
        recorded(GET=answer(status), DELETE="delete-ooi.http") as server,
        OcciClient(server.url) as cloud,
        pytest.raises(OcciError),
    ):
        cloud.delete("/vms")
    assert {line.split()[0] for line in server.requests()} == {"GET"}


# --- logins and broken answers ---


@pytest.mark.parametrize(
    ("sample", "login"),
    [
        ("401-keystone-ooi.http", "https://keystone.site-a.example.org:5000/v3"),
        ("401-keystone-rocci.http", "https://keystone.site-b.example.org:5000/"),
        ("401-snf.http", "https://okeanos.site-c.example.org:5000/main"),
        ("401-no-challenge.http", None),
    ],
)
def test_where_to_log_in_is_read_from_the_challenge(sample: str, login: str | None) -> None:
    with recorded(GET=sample) as server, OcciClient(server.url) as cloud, pytest.raises(OcciError) as refused:
        cloud.query()
    assert refused.value.status == 401
    assert refused.value.login == login


def test_a_request_that_was_not_understood_is_said_once_more_as_headers() -> None:
    with (
        recorded(POST=answer("400 Bad Request", b"What?")) as server,
        OcciClient(server.url) as cloud,
        pytest.raises(OcciError) as refused,
    ):
        cloud.create(COMPUTE, attributes={"occi.core.title": "twice"})
    assert refused.value.status == 400
    plain, headers = server.asked
    assert b"Content-Type: text/plain\r\n" in plain
    assert b"Content-Type: text/occi\r\n" in headers
    assert b'X-OCCI-Attribute: occi.core.title="twice"\r\n' in headers
    assert headers.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "server_answer", ["delete-ooi.http", "error-accept-rocci.http", "401-no-challenge.http"]
)
def test_a_query_without_kinds_is_an_error(server_answer: str) -> None:
    with recorded(GET=server_answer) as server, OcciClient(server.url) as cloud, pytest.raises(OcciError):
        cloud.query()


def test_a_login_page_with_200_is_not_a_model() -> None:
    page = answer("200 OK", b"<html>Sign in</html>", Content_Type="text/html")
    with (
        recorded(GET=page) as server,
        OcciClient(server.url) as cloud,
        pytest.raises(OcciError, match="text/html"),
    ):
        cloud.query()


def test_a_server_that_hangs_costs_the_deadline_and_no_more() -> None:
    with recorded(GET=b"") as server:
        started = time.monotonic()
        with OcciClient(server.url, deadline_s=0.5) as cloud, pytest.raises(OcciError):
            cloud.query()
    assert time.monotonic() - started < 5


def test_a_created_machine_without_an_address_is_an_error() -> None:
    with (
        recorded(POST=answer("201 Created", b"OK", Content_Type="text/plain")) as server,
        OcciClient(server.url) as cloud,
        pytest.raises(OcciError, match="did not say where"),
    ):
        cloud.create(COMPUTE)
