"""A service with next to nothing, for the tests of serving: `python tiny_service.py DIRECTORY`, settings in JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from flask import Flask, request

from hanse import logs
from hanse.errors import Unavailable
from hanse.identity.tls import peer_chain
from hanse.identity.trust import TrustError
from hanse.serve import serve
from hanse.settings import ServiceSettings


def create_app(directory: Path) -> Flask:
    with (directory / "imports").open("a") as counted:
        counted.write(f"{os.getpid()}\n")
    app = Flask("tiny")

    @app.get("/who")
    def who() -> dict[str, Any]:
        chain = peer_chain(request.environ["gunicorn.socket"])
        return {
            "pid": os.getpid(),
            "listener": os.getppid(),
            "scheme": request.scheme,
            "remote": request.remote_addr,
            "root": request.script_root,
            "names": [certificate.subject.rfc4514_string() for certificate in chain],
        }

    @app.get("/slow")
    def slow() -> str:
        time.sleep(float(request.args["s"]))
        return "done"

    return app


if __name__ == "__main__":
    where = Path(sys.argv[1])
    settings = ServiceSettings(**json.loads((where / "settings.json").read_text()))
    logs.configure("tiny")
    try:
        sys.exit(serve("tiny", settings, lambda: create_app(where)))
    except (Unavailable, TrustError) as error:
        sys.exit(str(error))
