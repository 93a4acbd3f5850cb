"""`hanse-siteagent`: join a federation, receive its identities, and show what the site holds."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any, Optional, Sequence

from siteagent import __version__
from siteagent.accounts import check_pool
from siteagent.agent import Agent
from siteagent.appliers import APPLIERS
from siteagent.documents import PinnedKey, stamp
from siteagent.errors import AgentError
from siteagent.readback import Deviation
from siteagent.serving import PushListener, serve
from siteagent.state import HeldState, Joined, StateDirectory
from siteagent.vomsdb import VomsdbClient

DEFAULT_STATE = "/var/lib/hanse-siteagent"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 something is wrong (a sentence says what), 2
    usage.
    """
    options = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        return int(options.run(options))
    except (AgentError, OSError) as error:
        print(f"hanse-siteagent: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The command line; the manual is checked against it."""
    root = argparse.ArgumentParser(prog="hanse-siteagent", description=__doc__)
    root.add_argument("--version", action="version", version=__version__)
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    _join_parser(commands)
    pull = _command(commands, "pull", _pull, "fetch and apply the present state once")
    pull.add_argument(
        "--allow-mass-removal", action="store_true", help="apply even if most members are removed"
    )
    serving = _command(commands, "serve", _serve, "poll, and take pushed manifests, until stopped")
    serving.add_argument("--interval", type=float, default=300.0, help="seconds between polls (default 300)")
    serving.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    serving.add_argument("--port", type=int, default=7050, help="port for pushes (default 7050)")
    status = _command(commands, "status", _status, "what the site holds, compared with its files")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    return root


def _command(commands: Any, name: str, run: Any, about: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    default = os.environ.get("HANSE_SITEAGENT_STATE", DEFAULT_STATE)
    command.add_argument(
        "--state", type=Path, default=Path(default), help=f"the agent's folder (default {default})"
    )
    command.set_defaults(run=run)
    return command


def _join_parser(commands: Any) -> None:
    join = _command(commands, "join", _join, "join a federation with a one-time code")
    join.add_argument("--url", required=True, help="address of the VO membership service (its TLS side)")
    join.add_argument("--site", required=True, help="name of the site in the registry")
    join.add_argument(
        "--code", required=True, help="one-time code from the site's page; `-` reads standard input"
    )
    join.add_argument(
        "--cert", type=Path, required=True, help="host certificate registered for the site (PEM)"
    )
    join.add_argument("--key", type=Path, required=True, help="its key (PEM)")
    join.add_argument(
        "--ca", type=Path, required=True, help="CA certificates that the server is checked against"
    )
    join.add_argument("--agent-url", help="where this agent's `serve` can be reached for pushes")
    join.add_argument("--gridmap", type=Path, help="grid-mapfile to write (default STATE/grid-mapfile)")
    join.add_argument("--mapping", type=Path, help="JSON mapping to write (default STATE/mapping.json)")
    join.add_argument(
        "--account", action="append", default=[], metavar="VO=LOCAL", help="account or .poolprefix of a VO"
    )


def _join(options: argparse.Namespace) -> int:
    pools = _pools(options.account)
    code = sys.stdin.readline().strip() if options.code == "-" else options.code
    client = VomsdbClient(options.url, str(options.cert), str(options.key), str(options.ca))
    answer = client.join(options.site, code, __version__, options.agent_url)
    keys = [PinnedKey.parse(record).record() for record in answer.get("keys", [])]
    if not keys:
        raise AgentError("The server named no signing key; nothing it sends could be checked.")
    state = StateDirectory(options.state.absolute())
    targets = {
        name: str((getattr(options, name) or state.path / _FILES[name]).absolute()) for name in APPLIERS
    }
    with state.lock():
        state.save_joined(
            Joined(
                url=options.url,
                site=options.site,
                federation=str(answer["federation"]),
                cert=str(options.cert.absolute()),
                key=str(options.key.absolute()),
                ca=str(options.ca.absolute()),
                keys=keys,
                targets=targets,
                pools=pools,
                agent_url=options.agent_url,
            )
        )
    vos = ", ".join(str(vo) for vo in answer.get("vos", [])) or "no VO yet"
    print(f"{options.site} joined {answer['federation']}; it supports {vos}.")
    return 0


_FILES = {"gridmap": "grid-mapfile", "mapping": "mapping.json"}


def _pools(pairs: Sequence[str]) -> dict[str, str]:
    pools = {}
    for pair in pairs:
        vo, sign, local = pair.partition("=")
        if not (vo and sign and local):
            raise AgentError(f"--account {pair!r}: write it as VO=LOCAL, such as training.egi.eu=.training.")
        pools[vo] = check_pool(local)
    return pools


def _agent(options: argparse.Namespace, allow_mass_removal: bool = False) -> Agent:
    state = StateDirectory(options.state.absolute())
    joined = state.joined()
    client = VomsdbClient(joined.url, joined.cert, joined.key, joined.ca)
    return Agent(state, client, allow_mass_removal=allow_mass_removal)


def _pull(options: argparse.Namespace) -> int:
    report = _agent(options, options.allow_mass_removal).pull()
    for vo in report.applied:
        print(f"applied {vo}")
    for vo in report.acknowledged:
        print(f"acknowledged {vo}")
    for sentence in report.sentences:
        print(f"hanse-siteagent: {sentence}", file=sys.stderr)
    return 1 if report.sentences else 0


def _serve(options: argparse.Namespace) -> int:
    agent = _agent(options)
    with PushListener(options.host, options.port, agent) as listener:
        serve(agent, listener, options.interval)
    return 0


def _status(options: argparse.Namespace) -> int:
    held, deviations = _agent(options).look()
    if options.json:
        print(json.dumps(_status_record(held, deviations), indent=1))
    elif held is None:
        print("Nothing was received yet: run `hanse-siteagent pull`.")
    else:
        for vo, one in sorted(held.vos.items()):
            print(f"{vo}: sequence {one.seq}, {one.sha256[:12]}, valid until {stamp(one.valid_until)}")
        for deviation in deviations:
            print(f"{deviation.file} was changed by another hand")
    return 1 if held is None or deviations else 0


def _status_record(held: Optional[HeldState], deviations: Sequence[Deviation]) -> dict[str, Any]:
    return {
        "vos": {} if held is None else {vo: one.record() for vo, one in held.vos.items()},
        "changed_files": [deviation.file for deviation in deviations],
    }


if __name__ == "__main__":
    sys.exit(main())
