"""`hanse occi`: OCCI by hand, with the options that users of rOCCI's client know.

hanse occi --endpoint URL --auth x509 --user-cred PROXY --action list --resource compute
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click

from hanse.identity.fqans import IN_PROXY
from hanse.identity.proxies import certificates_of
from hanse.occi import showing
from hanse.occi.client import OcciClient, OcciError
from hanse.occi.context import context
from hanse.occi.keystone import Login, OidcLogin, PasswordLogin, ProxyLogin
from hanse.occi.model import (
    NETWORK,
    NETWORK_INTERFACE,
    OS_TPL,
    RESOURCE_TPL,
    STORAGE,
    STORAGE_LINK,
    Category,
    Value,
)
from hanse.occi.renderings import JSON, OCCI, PLAIN
from hanse.occi.text import read_value

ACTIONS = ("list", "describe", "create", "delete", "trigger", "link", "unlink")
TEMPLATES = {"os_tpl": OS_TPL, "resource_tpl": RESOURCE_TPL}
KINDS = ("compute", "storage", "network", "storagelink", "networkinterface")
MOST_CONTEXT = 65536


@dataclass(frozen=True)
class _Asked:
    """What the options ask for, beside the cloud."""

    resource: str
    mixins: tuple[str, ...]
    attributes: dict[str, Value]
    context: dict[str, bytes]
    links: tuple[str, ...]
    trigger: str


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-e", "--endpoint", required=True, metavar="URL", help="The cloud's OCCI endpoint.")
@click.option(
    "-n",
    "--auth",
    type=click.Choice(["none", "x509", "token", "oidc", "password"]),
    default="none",
    show_default=True,
    help="How to log in: a certificate or proxy, a Keystone token, an OpenID access token, a name and password.",
)
@click.option("-x", "--user-cred", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Certificate with its key in one file, or a proxy.")  # fmt: skip
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="The certificate's key, where it is apart.")  # fmt: skip
@click.option("-X", "--voms", is_flag=True, help="The proxy must carry VOMS attributes.")
@click.option("--token", envvar="HANSE_OCCI_TOKEN", metavar="TOKEN",
              help="For --auth token or oidc; better in HANSE_OCCI_TOKEN or --token-file.")  # fmt: skip
@click.option("--token-file", type=click.File(), help="File with the token.")
@click.option("-u", "--username", metavar="NAME", help="For --auth password.")
@click.option("-p", "--password", envvar="HANSE_OCCI_PASSWORD", metavar="PASSWORD",
              help="For --auth password; better in HANSE_OCCI_PASSWORD, or left out to be asked for it.")  # fmt: skip
@click.option("--keystone", default="", metavar="URL",
              help="A Keystone on another host than the cloud, which may be logged in at.")  # fmt: skip
@click.option(
    "--project", default="", metavar="NAME", help="Keystone's project; default: the first that works."
)
@click.option("-c", "--ca-path", "ca", type=click.Path(exists=True, path_type=Path), metavar="PATH",
              help="Folder or file of CAs for the cloud's certificate; default: the system's.")  # fmt: skip
@click.option("-f", "--ca-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="File of CAs; the same as --ca-path with a file.")  # fmt: skip
@click.option("-k", "--timeout", type=click.FloatRange(min=0.1, max=3600), default=60, show_default=True,
              help="Seconds for each request.")  # fmt: skip
@click.option("-y", "--media-type", type=click.Choice([PLAIN, OCCI, JSON]), default=PLAIN, show_default=True,
              help="The rendering to speak.")  # fmt: skip
@click.option("-a", "--action", type=click.Choice(ACTIONS), default="list", show_default=True)
@click.option("-r", "--resource", default="", metavar="RESOURCE",
              help="compute, storage, network, os_tpl, resource_tpl, or the address of one thing.")  # fmt: skip
@click.option("-M", "--mixin", "mixins", multiple=True, metavar="NAME",
              help="Mixin of what is created: os_tpl#debian13, resource_tpl#small, or scheme#term.")  # fmt: skip
@click.option("-t", "--attribute", "attributes", multiple=True, metavar="NAME=VALUE",
              help="Attribute of what is created, such as occi.core.title=wiki. Repeatable.")  # fmt: skip
@click.option("-T", "--context", "contexts", multiple=True, metavar="NAME=VALUE",
              help="user_data=... or public_key=...; a value file:///path is read from the file.")  # fmt: skip
@click.option("-j", "--link", "links", multiple=True, metavar="ADDRESS",
              help="Storage or network to link, at creation or with --action link. Repeatable.")  # fmt: skip
@click.option(
    "-g", "--trigger-action", default="", metavar="ACTION", help="start, stop, restart, suspend, ..."
)
@click.option(
    "-o", "--output-format", type=click.Choice(["plain", "json"]), default="plain", show_default=True
)
@click.option(
    "-m", "--dump-model", is_flag=True, help="Show all kinds, mixins and actions of the cloud, and end."
)
def occi(action: str, dump_model: bool, output_format: str, **given: Any) -> None:
    """Work with a cloud over OCCI: list, describe, create, delete, link, unlink, trigger.

    \b
    hanse occi -e URL -n x509 -x PROXY -X -a list -r os_tpl
    hanse occi -e URL -n x509 -x PROXY -X -a create -r compute -M os_tpl#debian13 -M resource_tpl#small
               -t occi.core.title=wiki -T user_data=file://$PWD/wiki.yaml -T public_key=file://$HOME/.ssh/id.pub
    hanse occi -e URL -n x509 -x PROXY -X -a link -r /compute/ID -j /network/public

    Exit code 0: done; 1: the cloud refused or cannot be reached; 2: wrong use.
    """
    with _cloud(**given) as cloud:
        asked = _asked(**given)
        try:
            if dump_model:
                click.echo(showing.model(cloud.query(), output_format))
            else:
                click.echo(_do(cloud, action, asked, output_format))
        except (OcciError, ValueError) as error:
            raise click.ClickException(str(error)) from error


def _cloud(
    *, endpoint: str, auth: str, user_cred: Path | None, key: Path | None, voms: bool, token: str | None,
    token_file: TextIO | None, username: str | None, password: str | None, keystone: str, project: str,
    ca: Path | None, ca_file: Path | None, timeout: float, media_type: str, **_: Any,
) -> OcciClient:  # fmt: skip
    secret = (token_file.read() if token_file is not None else token or "").strip()
    if auth in ("token", "oidc") and not secret:
        raise click.UsageError(f"--auth {auth} needs --token-file, HANSE_OCCI_TOKEN or --token.")
    if auth == "x509" and user_cred is None:
        raise click.UsageError("--auth x509 needs --user-cred, a certificate or proxy.")
    if voms and not _has_attributes(user_cred):
        raise click.UsageError(
            f"{user_cred} carries no VOMS attributes: make a proxy with voms-proxy-init --voms VO."
        )
    cert = (user_cred, key or user_cred) if user_cred is not None and auth in ("x509", "oidc") else None
    return OcciClient(
        endpoint,
        token=secret if auth == "token" else "",
        cert=cert,
        ca=ca_file or ca,
        accept=media_type,
        send=media_type,
        deadline_s=timeout,
        login=_login(auth, secret, username, password),
        keystone=keystone,
        project=project,
    )


def _login(auth: str, secret: str, username: str | None, password: str | None) -> Login | None:
    if auth == "x509":
        return ProxyLogin()
    if auth == "oidc":
        return OidcLogin(secret)
    if auth != "password":
        return None
    if not username:
        raise click.UsageError("--auth password needs --username.")
    return PasswordLogin(username, password or click.prompt("Password", hide_input=True, err=True))


def _has_attributes(credential: Path | None) -> bool:
    certificates = certificates_of(credential.read_bytes()) if credential is not None else []
    return any(one.oid.dotted_string == IN_PROXY for cert in certificates for one in cert.extensions)


def _asked(
    *, resource: str, mixins: tuple[str, ...], attributes: tuple[str, ...], contexts: tuple[str, ...],
    links: tuple[str, ...], trigger_action: str, **_: Any,
) -> _Asked:  # fmt: skip
    values = {name: read_value(value) for name, value in _pairs(attributes, "--attribute").items()}
    contents = {name: _content(value) for name, value in _pairs(contexts, "--context").items()}
    unknown = contents.keys() - {"user_data", "public_key"}
    if unknown:
        raise click.UsageError(f"--context knows user_data and public_key, not {min(unknown)}.")
    return _Asked(resource, mixins, values, contents, links, trigger_action)


def _pairs(given: Sequence[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for one in given:
        name, mark, value = one.partition("=")
        if not mark or not name:
            raise click.UsageError(f"{option} takes NAME=VALUE, not {one!r}.")
        pairs[name] = value
    return pairs


def _content(value: str) -> bytes:
    if not value.startswith("file://"):
        return value.encode()
    path = Path(value.removeprefix("file://"))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > MOST_CONTEXT:
        raise click.UsageError(f"{path} has {len(content)} bytes; {MOST_CONTEXT} are possible.")
    return content


def _do(cloud: OcciClient, action: str, asked: _Asked, style: str) -> str:
    if not asked.resource:
        raise click.UsageError(
            "--resource says what to work with: compute, say, or the address of one thing."
        )
    if action == "list":
        return _list(cloud, asked.resource, style)
    if action == "describe":
        return _describe(cloud, asked.resource, style)
    if action == "create":
        return showing.places([_create(cloud, asked)], style)
    if action == "link":
        return showing.places(
            [_link(cloud, asked.resource, one, asked.attributes) for one in _some(asked)], style
        )
    if action == "trigger":
        return _trigger(cloud, asked)
    gone = cloud.delete(asked.resource)
    return f"{asked.resource} is deleted" if gone else f"{asked.resource} was gone already"


def _some(asked: _Asked) -> tuple[str, ...]:
    if not asked.links:
        raise click.UsageError("--link says what to link: the address of a storage or network.")
    return asked.links


def _list(cloud: OcciClient, resource: str, style: str) -> str:
    if resource in TEMPLATES:
        return showing.categories(cloud.query().children_of(TEMPLATES[resource]), style)
    cloud.query()
    return showing.places(list(cloud.list(resource)), style)


def _describe(cloud: OcciClient, resource: str, style: str) -> str:
    if resource.partition("#")[0] in TEMPLATES or (resource.startswith("http") and "#" in resource):
        return showing.categories([_template(cloud, resource)], style)
    if resource in KINDS:
        cloud.query()
        places = cloud.list(resource)
        return showing.entities([(place, cloud.describe(place)) for place in places], style)
    place = cloud.resolve(resource)
    return showing.entities([(place, cloud.describe(place))], style)


def _create(cloud: OcciClient, asked: _Asked) -> str:
    model = cloud.query()
    given = context(
        model,
        asked.context.get("user_data", b""),
        asked.context.get("public_key", b"").decode().strip(),
        server=cloud.server,
    )
    mixins = [_template(cloud, name).identifier for name in asked.mixins]
    attributes = {"occi.core.id": showing.new_id(), **asked.attributes, **given.attributes}
    place = cloud.create(asked.resource, mixins=[*mixins, *given.mixins], attributes=attributes)
    for target in asked.links:
        try:
            _link(cloud, place, target, {})
        except (OcciError, ValueError) as error:
            raise ValueError(f"{place} was created, and {target} could not be linked: {error}") from error
    return place


def _template(cloud: OcciClient, name: str) -> Category:
    """The mixin called so: os_tpl#term below its parent, else by identifier or by a term that is the only one."""
    model = cloud.query()
    parent, mark, term = name.partition("#")
    if parent in TEMPLATES:
        found = [one for one in model.children_of(TEMPLATES[parent]) if one.term == term]
    elif mark:
        found = [one for one in model.mixins if one.identifier == name]
    else:
        found = [one for one in model.mixins if one.term == name]
    if len(found) != 1:
        raise ValueError(
            f"The cloud offers {len(found) or 'no'} mixins called {name}; --dump-model lists them."
        )
    return found[0]


def _link(cloud: OcciClient, source: str, target: str, attributes: dict[str, Value]) -> str:
    """Link by what the target is: its collection says so, or its own description."""
    cloud.query()
    place = cloud.resolve(target)
    for kind, link in ((NETWORK, NETWORK_INTERFACE), (STORAGE, STORAGE_LINK)):
        if place.startswith(cloud.collection(kind)):
            return cloud.link(link, source, place, attributes)
    raise ValueError(
        f"{target} is neither below {cloud.collection(NETWORK)} nor below {cloud.collection(STORAGE)}."
    )


def _trigger(cloud: OcciClient, asked: _Asked) -> str:
    if not asked.trigger:
        raise click.UsageError("--trigger-action says which action: start, stop, ...")
    entity = cloud.describe(asked.resource)
    open_now = cloud.actions(entity, asked.resource)
    found = [one.action for one in open_now if asked.trigger in (one.action, one.action.rpartition("#")[2])]
    if not found:
        names = ", ".join(one.action.rpartition("#")[2] for one in open_now) or "none"
        raise ValueError(f"{asked.resource} takes no action {asked.trigger} now; it takes: {names}.")
    cloud.act(asked.resource, found[0], asked.attributes)
    return f"{asked.trigger} is asked of {asked.resource}"
