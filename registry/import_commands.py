"""`hanse registry import ...`: moving in from a GOCDB, or with site files of the federated cloud."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hanse.database import Database
from hanse.errors import HanseError
from hanse.http import Client
from hanse.moving_in import HERE, PLAN, PREFER, YES, Command, with_options
from registry.importing import fedcloud, gocdb
from registry.importing.archive import pack
from registry.importing.gocdb_reader import bundle_of
from registry.importing.gocdb_source import Address, Answers, from_address, from_files
from registry.importing.issuers import Issuer, read_policies
from registry.remote import FILE, ask, client_of, connection, token_of

OpenDatabase = Callable[[], Database]
Run = Callable[[str | None], dict[str, Any]]


def import_group(open_database: OpenDatabase) -> click.Group:
    """The commands; without --url they write into the database that `open_database` gives."""

    @click.group("import", help="Move in from another registry. Each shows its plan first.")
    def group() -> None:
        pass

    group.add_command(_gocdb_command(open_database))
    group.add_command(_fedcloud_command(open_database))
    return group


def _shared(command: Command) -> Command:
    options = [
        PREFER,
        PLAN,
        YES,
        click.option(
            "--json",
            "json_file",
            type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
            help="Also write the whole report as JSON; - writes it to the terminal, instead of the table.",
        ),
    ]
    return with_options(command, options)


def _gocdb_options(command: Command) -> Command:
    options = [
        click.option(
            "--private-url", default="", help="Its private address, where it is another host or port."
        ),
        click.option("--gocdb-cert", type=FILE, help="Certificate for its private methods, PEM."),
        click.option("--gocdb-key", type=FILE, help="Key of that certificate, PEM."),
        click.option("--gocdb-token-file", type=FILE, help="File with a token for its private methods."),
        click.option(
            "--gocdb-ca",
            type=click.Path(path_type=Path, exists=True),
            help="CA file or folder for its certificate.",
        ),
        click.option("--source-name", default="", help="What to call it in the log; the same each time."),
        click.option(
            "--issuers",
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            help="Folder of CAs with signing policies: they say who issued people's certificates.",
        ),
        click.option("--without-people", is_flag=True, help="Leave people and their roles out."),
    ]
    return with_options(command, options)


def _gocdb_command(open_database: OpenDatabase) -> click.Command:
    @click.command(
        "gocdb",
        help="Read a GOCDB (its address, or saved answers: files or folders with get_site.xml and the like) into"
        " this registry. Repeatable. With --url over the API, without it into this machine's database.",
    )
    @click.argument("source", nargs=-1, required=True)
    @_gocdb_options
    @_shared
    def gocdb_command(
        source: tuple[str, ...],
        prefer: str,
        only_plan: bool,
        yes: bool,
        json_file: Path | None,
        source_name: str,
        issuers: Path | None,
        without_people: bool,
        **rest: Any,
    ) -> None:
        reading = {
            key: rest.pop(key) for key in list(rest) if key.startswith("gocdb_") or key == "private_url"
        }
        try:
            answers = _answers(source, **reading)
            policies = read_policies(issuers) if issuers else []
        except HanseError as error:
            raise click.ClickException(str(error)) from error
        answers.source = source_name or answers.source
        body = {
            "source": answers.source,
            "prefer": prefer,
            "people": not without_people,
            "issuers": [{"name": one.name, "subjects": list(one.subjects)} for one in policies],
        }
        run = _gocdb_run(open_database, answers, policies, body, rest)
        _plan_and_do(run, only_plan, yes, json_file)

    return connection(gocdb_command, url_needed=False)  # type: ignore[return-value]


def _answers(
    source: tuple[str, ...],
    private_url: str,
    gocdb_cert: Path | None,
    gocdb_key: Path | None,
    gocdb_token_file: Path | None,
    gocdb_ca: Path | None,
) -> Answers:
    if (gocdb_cert is None) != (gocdb_key is None):
        raise click.UsageError("Give --gocdb-cert and --gocdb-key together.")
    if "://" not in source[0]:
        missing = [one for one in source if not Path(one).exists()]
        if missing:
            raise click.UsageError(f"{missing[0]} is neither an address nor a file or folder.")
        return from_files([Path(one) for one in source])
    if len(source) > 1:
        raise click.UsageError("Give one address, or files and folders.")
    cert = (gocdb_cert, gocdb_key) if gocdb_cert and gocdb_key else None
    address = Address.of(source[0], private_url, cert, gocdb_ca, token_of(gocdb_token_file))
    return from_address(address, lambda method: click.echo(f"  reading {method}", err=True))


def _gocdb_run(
    open_database: OpenDatabase,
    answers: Answers,
    policies: list[Issuer],
    body: dict[str, Any],
    target: dict[str, Any],
) -> Run:
    if target["url"]:
        sent = {**body, "archive": pack(answers.documents), "unread": answers.unread, "sites": answers.sites}
        return _over_the_api("gocdb", sent, target)
    bundle = bundle_of(answers.documents, answers.source, answers.unread, answers.sites)
    options = gocdb.Options(body["prefer"], body["people"], policies)

    def run(plan: str | None) -> dict[str, Any]:
        with closing(open_database()) as db:
            if plan is None:
                return gocdb.plan(db, HERE, bundle, options).as_json()
            return gocdb.take_over(db, HERE, bundle, options, expected=plan).as_json()

    return run


def _fedcloud_command(open_database: OpenDatabase) -> click.Command:
    @click.command(
        "fedcloud",
        help="Read site files of the federated cloud (YAML, one a site) from a folder into this registry."
        " Repeatable. With --url over the API, without it into this machine's database.",
    )
    @click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
    @click.option("--create-in", help="Register sites that are not here as candidates of this NGI.")
    @_shared
    def fedcloud_command(
        folder: Path,
        create_in: str | None,
        prefer: str,
        only_plan: bool,
        yes: bool,
        json_file: Path | None,
        **target: Any,
    ) -> None:
        files = _site_files(folder)
        run = _fedcloud_run(open_database, files, prefer, create_in, target)
        _plan_and_do(run, only_plan, yes, json_file)

    return connection(fedcloud_command, url_needed=False)  # type: ignore[return-value]


def _site_files(folder: Path) -> dict[str, str]:
    found = sorted(file for file in folder.iterdir() if file.suffix in (".yaml", ".yml") and file.is_file())
    if not found:
        raise click.ClickException(f"{folder} holds no site file (*.yaml).")
    try:
        return {file.name: file.read_text(encoding="utf-8") for file in found}
    except UnicodeDecodeError as error:
        raise click.ClickException(f"A site file is not UTF-8 text: {error}") from None


def _fedcloud_run(
    open_database: OpenDatabase,
    files: Mapping[str, str],
    prefer: str,
    create_in: str | None,
    target: dict[str, Any],
) -> Run:
    if target["url"]:
        return _over_the_api(
            "fedcloud", {"files": dict(files), "prefer": prefer, "create_in": create_in}, target
        )
    options = fedcloud.Options("theirs" if prefer == "theirs" else "ours", create_in)

    def run(plan: str | None) -> dict[str, Any]:
        with closing(open_database()) as db:
            if plan is None:
                return fedcloud.plan(db, HERE, files, options).as_json()
            return fedcloud.take_over(db, HERE, files, options, expected=plan).as_json()

    return run


def _over_the_api(kind: str, body: dict[str, Any], target: dict[str, Any]) -> Run:
    client: Client = client_of(**target)

    def run(plan: str | None) -> dict[str, Any]:
        path = f"/api/v1/import/{kind}/" + ("plan" if plan is None else "apply")
        sent = body if plan is None else {**body, "plan": plan}
        told: dict[str, Any] = ask(client, "POST", path, sent).json()
        return told

    return run


def _plan_and_do(run: Run, only_plan: bool, yes: bool, json_file: Path | None) -> None:
    try:
        planned = run(None)
        _show(planned, json_file)
        if only_plan or not (planned["counts"]["add"] or planned["counts"]["change"]):
            return
        if not yes:
            click.confirm("Import this?", abort=True, err=True)
        done = run(planned["plan"])
    except HanseError as error:
        raise click.ClickException(str(error)) from error
    if json_file is not None:
        _write_json(done, json_file)
    first, last = min(done["revisions"], default=0), max(done["revisions"], default=0)
    click.echo(f"Imported: revisions {first} to {last}.", err=str(json_file) == "-")


def _show(report: dict[str, Any], json_file: Path | None) -> None:
    if json_file is not None:
        _write_json(report, json_file)
    if str(json_file) == "-":
        return
    if report["findings"]:
        table = Table(box=None, pad_edge=False)
        for column in ("what", "kind", "name", "key", "fields", "remarks"):
            table.add_column(column, overflow="fold")
        for one in report["findings"]:
            fields = ", ".join(one["changes"]) if one["action"] == "change" else ""
            table.add_row(
                one["action"],
                one["kind"].replace("_", " "),
                one["name"],
                one["key"],
                fields,
                "; ".join(one["notes"]),
            )
        Console(highlight=False, markup=False, width=160).print(table)
    for one in report["unread"]:
        click.echo(f"not read: {one['method']}: {one['reason']}")
    click.echo(report["sentence"])


def _write_json(report: dict[str, Any], file: Path) -> None:
    text = jsonlib.dumps(report, ensure_ascii=False, indent=2)
    if str(file) == "-":
        click.echo(text)
    else:
        file.write_text(text + "\n", encoding="utf-8")
