"""ooi 1.2.0 as a process: `ooi_server.py PORT [BUILD_SECONDS] [IMAGES]`, mounted at /ooi over a small Nova.

The OCCI side is ooi's own code. Nova is played here, because ooi needs one to translate to: flavors, images, servers
that build for BUILD_SECONDS, actions with Nova's conflicts, a quota of ten. Every caller is one tenant.
ooi predates Python 3.10: the names that `collections` lost are put back, and its text parser gets text.
"""

import collections
import collections.abc
import json
import sys
import threading
import time
import uuid
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

for _name in ("Mapping", "MutableMapping", "Sequence", "Iterable", "Callable", "Hashable", "Set"):
    setattr(collections, _name, getattr(collections.abc, _name))

import webob  # noqa: E402
import webob.dec  # noqa: E402
from ooi import wsgi  # noqa: E402
from ooi.wsgi import parsers  # noqa: E402

PORT = int(sys.argv[1])
BUILD_S = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
IMAGES = int(sys.argv[3]) if len(sys.argv) > 3 else 2
TENANT = "f1e2d3c4b5a697887766554433221100"
QUOTA = 10
FAULTS = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}
# action -> (state it needs, state it leads to)
MOVES = {
    "os-start": ("SHUTOFF", "ACTIVE"),
    "os-stop": ("ACTIVE", "SHUTOFF"),
    "suspend": ("ACTIVE", "SUSPENDED"),
    "resume": ("SUSPENDED", "ACTIVE"),
    "reboot": ("ACTIVE", "ACTIVE"),
}


def take_text(parser_class):
    plain = parser_class.__init__

    def init(self, headers, body):
        plain(self, headers, body.decode("utf-8", "replace") if isinstance(body, bytes) else body)

    parser_class.__init__ = init


def answer(body, status=200):
    return webob.Response(json.dumps(body).encode(), status, content_type="application/json", charset="UTF-8")


def fault(status, words):
    return answer({FAULTS[status]: {"code": status, "message": words}}, status)


class Nova:
    """The few calls of the compute API that ooi makes."""

    def __init__(self):
        self.lock = threading.Lock()
        self.servers = {}
        self.fixed = {
            "flavors": [
                {"id": str(n), "name": f"m1.{n}", "vcpus": n, "ram": 512 * n, "disk": n} for n in (1, 2)
            ],
            "images": [
                {"id": f"0c0ffee0-0000-4000-8000-{n:012d}", "name": f"Linux, {n}"}
                for n in range(1, IMAGES + 1)
            ],
        }

    @webob.dec.wsgify
    def __call__(self, request):
        _tenant, *path = request.path_info.strip("/").split("/")
        with self.lock:
            return self.route(request, [part for part in path if part != "detail"])

    def route(self, request, path):
        if path and path[0] in self.fixed:
            return self.list_or_one(path)
        if path[:1] == ["servers"]:
            return self.serve_servers(request, path[1:])
        if path[:1] == ["os-keypairs"]:
            return (
                answer({"keypair": request.json_body["keypair"]})
                if request.method == "POST"
                else answer({}, 202)
            )
        if path:  # volumes, networks, addresses, security groups: this cloud has none
            return answer({path[0].removeprefix("os-").replace("-", "_"): []})
        return fault(404, "No such resource.")

    def list_or_one(self, path):
        items = self.fixed[path[0]]
        if len(path) == 1:
            return answer({path[0]: items})
        found = [item for item in items if item["id"] == path[1]]
        return (
            answer({path[0].rstrip("s"): found[0]}) if found else fault(404, f"{path[1]} could not be found.")
        )

    def serve_servers(self, request, path):
        if not path:
            return self.create(request.json_body["server"]) if request.method == "POST" else self.list()
        server = self.servers.get(path[0])
        if server is None:
            return fault(404, f"Instance {path[0]} could not be found.")
        self.age(server)
        if path[1:] == ["action"]:
            return self.act(server, next(iter(request.json_body)))
        if path[1:]:
            return answer({"volumeAttachments": [], "interfaceAttachments": []})
        if request.method == "DELETE":
            del self.servers[path[0]]
            return webob.Response(status=204)
        return answer({"server": self.shown(server)})

    def create(self, wanted):
        known = {item["id"] for items in self.fixed.values() for item in items}
        if not {wanted["imageRef"], wanted["flavorRef"]} <= known:
            return fault(400, "The image or the flavor does not exist.")
        if len(self.servers) >= QUOTA:
            return fault(403, f"Quota exceeded for instances: {QUOTA} of {QUOTA} are used.")
        number = str(uuid.uuid4())
        self.servers[number] = {
            "id": number,
            "name": wanted["name"],
            "status": "BUILD",
            "image": {"id": wanted["imageRef"]},
            "flavor": {"id": wanted["flavorRef"]},
            "addresses": {},
            "born": time.monotonic(),
        }
        return answer({"server": {"id": number, "links": []}}, 202)

    def list(self):
        for server in self.servers.values():
            self.age(server)
        return answer({"servers": [self.shown(server) for server in self.servers.values()]})

    def age(self, server):
        if server["status"] == "BUILD" and time.monotonic() - server["born"] >= BUILD_S:
            server["status"] = "ACTIVE"

    def act(self, server, action):
        if action not in MOVES:
            return fault(400, f"There is no action {action}.")
        needed, after = MOVES[action]
        if server["status"] != needed:
            state = server["status"].lower()
            return fault(409, f"Cannot '{action}' instance {server['id']} while it is in vm_state {state}")
        server["status"] = after
        return webob.Response(status=202)

    def shown(self, server):
        return {name: value for name, value in server.items() if name != "born"}


class ThreadedServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class SilentHandler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


take_text(parsers.TextParser)
occi = wsgi.OCCIMiddleware(Nova(), openstack_version="/v2.1")


def mounted(environ, start):
    """What Nova's paste pipeline does: /ooi is ooi's, and a trusted filter has said whose call it is."""
    path = environ["PATH_INFO"]
    if path != "/ooi" and not path.startswith("/ooi/"):
        return webob.Response("Not here.", 404)(environ, start)
    environ.update(SCRIPT_NAME="/ooi", PATH_INFO=path.removeprefix("/ooi") or "/", HTTP_X_PROJECT_ID=TENANT)
    return occi(environ, start)


make_server(
    "127.0.0.1", PORT, mounted, server_class=ThreadedServer, handler_class=SilentHandler
).serve_forever()
