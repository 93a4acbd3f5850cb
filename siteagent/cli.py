"""`hanse-siteagent`: join a federation, receive its identities, and show what the site holds."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Optional, Sequence

from siteagent import __version__
from siteagent.accounts import check_pool
from siteagent.agent import Agent
from siteagent.appliers import APPLIERS
from siteagent.documents import stamp
from siteagent.errors import AgentError
from siteagent.keys import PinnedKey
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
    _own_options(_command(commands, "configure", _configure, "change what was chosen when the site joined"))
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
    _own_options(join)


def _own_options(command: argparse.ArgumentParser) -> None:
    """What the site's administrator decides, when joining and later."""
    for name, about in _FORMATS.items():
        command.add_argument(f"--{name}", type=Path, metavar="PATH", help=f"{about}; `none` = not written")
    command.add_argument(
        "--account", action="append", default=[], metavar="VO=LOCAL", help="account or .poolprefix of a VO"
    )
    command.add_argument(
        "--project",
        action="append",
        default=[],
        metavar="NAME=PROJECT",
        help="Keystone project of a VO or of an FQAN, for --keystone (default: the VO's name)",
    )
    command.add_argument(
        "--after-promise",
        choices=("close", "keep"),
        help="when the server was silent until its last promise ended: end all access (close, the default),"
        " or let each entry stand until its own end (keep)",
    )
    command.add_argument(
        "--removal-share",
        type=_share,
        help="share of a VO's members that may go at once without a person (default 0.25)",
    )
    command.add_argument("--removal-floor", type=int, help="so many may always go at once (default 10)")


_FORMATS = {
    "gridmap": "grid-mapfile to write (default STATE/grid-mapfile)",
    "mapping": "JSON mapping to write (default STATE/mapping.json)",
    "vomsdir": "folder for VO/HOST.lsc, such as /etc/grid-security/vomsdir (default: none)",
    "keystone": "voms.json for Keystone to write (default: none)",
}


def _join(options: argparse.Namespace) -> int:
    code = sys.stdin.readline().strip() if options.code == "-" else options.code
    state = StateDirectory(options.state.absolute())
    defaults = {name: str((state.path / file).absolute()) for name, file in _FILES.items()}
    chosen = _chosen(options, Joined("", "", "", "", "", "", [], defaults))
    client = VomsdbClient(options.url, str(options.cert), str(options.key), str(options.ca))
    answer = client.join(options.site, code, __version__, options.agent_url)
    keys = [PinnedKey.parse(record).record() for record in answer.get("keys", [])]
    if not keys:
        raise AgentError("The server named no signing key; nothing it sends could be checked.")
    joined = replace(
        chosen,
        url=options.url,
        site=options.site,
        federation=str(answer["federation"]),
        cert=str(options.cert.absolute()),
        key=str(options.key.absolute()),
        ca=str(options.ca.absolute()),
        keys=keys,
        agent_url=options.agent_url,
    )
    with state.lock():
        state.save_joined(joined)
    vos = ", ".join(str(vo) for vo in answer.get("vos", [])) or "no VO yet"
    print(f"{options.site} joined {answer['federation']}; it supports {vos}.")
    return 0


def _configure(options: argparse.Namespace) -> int:
    state = StateDirectory(options.state.absolute())
    with state.lock():
        state.save_joined(_chosen(options, state.joined()))
    print("Saved; the next `hanse-siteagent pull` writes the files anew. Restart `serve` if it runs.")
    return 0


def _chosen(options: argparse.Namespace, before: Joined) -> Joined:
    """What the administrator chose of the site's own matters; what is not named stays."""
    targets = {**before.targets}
    for name in APPLIERS:
        path = getattr(options, name)
        if path == Path("none"):
            targets.pop(name, None)
        elif path is not None:
            targets[name] = str(path.absolute())
    named = {
        "after_promise": options.after_promise,
        "removal_share": options.removal_share,
        "removal_floor": options.removal_floor,
    }
    return replace(
        before,
        targets=targets,
        pools={**before.pools, **_pairs(options.account, "--account", check_pool)},
        projects={**before.projects, **_pairs(options.project, "--project", _project)},
        **{name: value for name, value in named.items() if value is not None},
    )


_FILES = {"gridmap": "grid-mapfile", "mapping": "mapping.json"}


def _pairs(words: Sequence[str], option: str, check: Callable[[str], str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        name, sign, value = word.rpartition("=")
        if not (name and sign and value):
            raise AgentError(f"{option} {word!r}: write it as NAME=VALUE, such as training.egi.eu=.training.")
        pairs[name] = check(value)
    return pairs


def _project(name: str) -> str:
    if not name.isprintable():
        raise AgentError(f"{name!r} is no name of a project.")
    return name


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("must lie between 0 and 1")
    return share


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
