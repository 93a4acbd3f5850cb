"""`hanse vomsdb import ...`: moving in from VOMS-Admin, or with a table of members."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.table import Table

from hanse.database import Database
from hanse.errors import HanseError
from hanse.http import Client
from hanse.moving_in import HERE, PLAN, PREFER, YES, Command, with_options
from vomsdb.importing import csvfile, taking, voms_admin, voms_admin_json
from vomsdb.importing.records import Contents
from vomsdb.importing.report import Report
from vomsdb.importing.taking import Options

OpenDatabase = Callable[[], Database]
Read = Callable[[], Contents]
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
CSRF_GUARD = {"X-VOMS-CSRF-GUARD": "y"}


def import_group(open_database: OpenDatabase) -> click.Group:
    """The commands; they write into the database that `open_database` gives."""

    @click.group("import", help="Move in from another membership service. Each shows its plan first.")
    def group() -> None:
        pass

    group.add_command(_voms_admin_command(open_database))
    group.add_command(_csv_command(open_database))
    return group


def _shared(command: Command) -> Command:
    options = [
        click.option("--vo", required=True, help="The VO here, of the same name as there; made before."),
        PLAN,
        YES,
        PREFER,
        click.option("--remove-gone", is_flag=True, help="Remove imported members that are no longer there."),
        click.option(
            "--ask-to-sign", is_flag=True, help="Ask those to sign the AUP of whom no signature is told."
        ),
        click.option("--mails", is_flag=True, help="Write to the people whose membership changes."),
        click.option(
            "--json",
            "json_file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Also write the report.",
        ),
    ]
    return with_options(command, options)


def _voms_admin_command(open_database: OpenDatabase) -> click.Command:
    @click.command(
        "voms-admin",
        help="Read VOMS-Admin: the dump of its database (mysqldump), the saved pages of users.action (JSON, all of"
        " them), or its address (https://host:8443) with a certificate that may read the VO. Repeatable.",
    )
    @click.argument("source", nargs=-1, required=True)
    @click.option("--cert", type=FILE, help="Certificate for its address, PEM.")
    @click.option("--key", type=FILE, help="Key of that certificate, PEM.")
    @click.option(
        "--ca", type=click.Path(path_type=Path, exists=True), help="CA file or folder for its address."
    )
    @_shared
    def voms_admin_command(
        source: tuple[str, ...], cert: Path | None, key: Path | None, ca: Path | None, vo: str, **rest: Any
    ) -> None:
        if (cert is None) != (key is None):
            raise click.UsageError("Give --cert and --key together.")
        pair = (cert, key) if cert and key else None
        _carry_out(open_database, lambda: _voms_admin(source, vo, pair, ca), vo, **rest)

    return voms_admin_command


def _voms_admin(
    source: tuple[str, ...], vo: str, cert: tuple[Path, Path] | None, ca: Path | None
) -> Contents:
    if source[0].startswith("https://"):
        place = urlsplit(source[0])
        with Client(
            f"https://{place.netloc}",
            cert=cert,
            ca=ca,
            headers=CSRF_GUARD,
            deadline_s=voms_admin_json.DEADLINE_S,
            max_bytes=voms_admin_json.MAX_BYTES,
            retries=2,
        ) as client:
            pages = voms_admin_json.fetched(client, vo, lambda words: click.echo(f"  {words}", err=True))
        return voms_admin_json.read(pages)
    files = [_content(Path(one), voms_admin.MOST_BYTES) for one in source]
    if all(text.lstrip()[:1] in (b"{", b"[") for text in files):
        return voms_admin_json.read(files)
    if len(files) > 1:
        raise click.UsageError("Give one dump, or the pages of users.action.")
    return voms_admin.read(files[0], vo)


def _content(file: Path, most: int) -> bytes:
    if not file.is_file():
        raise click.UsageError(f"{file} is neither a file nor an address that begins with https://.")
    if file.stat().st_size > most:
        raise click.ClickException(f"{file} has more than {most:,} bytes, which are read at most.")
    return file.read_bytes()


def _csv_command(open_database: OpenDatabase) -> click.Command:
    @click.command(
        "csv",
        help="Read a table of members. Its first line names the columns: subject and issuer, and any of "
        + ", ".join(name for name in csvfile.COLUMNS if name not in ("subject", "issuer"))
        + ". Lines with the same id are certificates of one person. Repeatable.",
    )
    @click.argument("file", type=FILE)
    @_shared
    def csv_command(file: Path, vo: str, **rest: Any) -> None:
        _carry_out(open_database, lambda: csvfile.read(_content(file, csvfile.MAX_BYTES)), vo, **rest)

    return csv_command


def _carry_out(
    open_database: OpenDatabase,
    read: Read,
    vo: str,
    *,
    only_plan: bool,
    yes: bool,
    json_file: Path | None,
    **how: Any,
) -> None:
    options = Options(**how)
    try:
        contents = read()
        with closing(open_database()) as db:
            report = taking.plan(db, vo, contents, options, HERE)
            _show(report)
            _write(report, json_file)
            if only_plan or not (report.counts["add"] or report.counts["change"]):
                return
            if not yes:
                click.confirm("Import this?", abort=True, err=True)
            done = taking.take_over(db, vo, contents, options, HERE, report.fingerprint)
    except HanseError as fault:
        words = [fault.detail, *(f"{one.field}: {one.reason}." for one in fault.fields)]
        raise click.ClickException(" ".join(words)) from fault
    _write(done, json_file)
    click.echo(f"Imported into {vo}: {done.counts['add']} added, {done.counts['change']} changed.")


def _show(report: Report) -> None:
    shown = [one for one in report.findings if one.action != "same" or one.notes]
    if shown:
        table = Table(box=None, pad_edge=False)
        for column in ("what", "kind", "record", "name", "fields", "remarks"):
            table.add_column(column, overflow="fold")
        for one in shown:
            cells = (one.action, one.kind, one.record, one.name, ", ".join(one.changes), "; ".join(one.notes))
            table.add_row(*cells)
        Console(highlight=False, markup=False, width=160).print(table)
    for unread in report.unread:
        click.echo(f"not read: {unread}")
    for remark in report.remarks:
        click.echo(remark)
    click.echo(report.sentence)


def _write(report: Report, file: Path | None) -> None:
    if file is not None:
        file.write_text(json.dumps(report.as_json(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
