"""`hanse accounting republish, put-back, replay, cross-check, archive, restore, pseudonymise`: as the administrator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import click

from accounting import archive, bulk_replay, hiding, republishing
from accounting.archive.keeping import Archived, before_of
from accounting.files import ADMINISTRATOR
from accounting.loading import make_loader
from accounting.settings import AccountingSettings
from hanse.database import Database

OpenSettings = Callable[[], AccountingSettings]
_MONTH = click.DateTime(["%Y-%m"])
_BY = ADMINISTRATOR.name


@contextmanager
def _opened(settings: AccountingSettings) -> Iterator[Database]:
    db = Database(settings.database_url)
    try:
        yield db
    finally:
        db.close()


def commands(settings_of: OpenSettings) -> list[click.Command]:
    """The commands, over the settings that `settings_of` gives."""
    return [
        _republish(settings_of), _put_back(settings_of), _replay(settings_of), _archive(settings_of),
        _restore(settings_of), _pseudonymise(settings_of),
    ]  # fmt: skip


def _republish(settings_of: OpenSettings) -> click.Command:
    @click.command("republish")
    @click.argument("site")
    @click.argument("month", type=_MONTH)
    @click.option("--reason", required=True, help="Why; it stands in the log that people read.")
    def command(site: str, month: datetime, reason: str) -> None:
        """Take MONTH (YYYY-MM) of SITE out of the figures, so that the site can publish it again.

        What later reports of the same machines show of the month stays counted. It stands in the log; put-back
        undoes it.
        """
        with _opened(settings_of()) as db:
            done = republishing.republish(db, site, month.date(), _BY, reason, datetime.now(UTC).date())
        for title, count in done.records.items():
            click.echo(f"{count:,} {title} taken out")
        click.echo(f"Event {done.event}. Undo it with: hanse accounting put-back {done.event}")

    return command


def _put_back(settings_of: OpenSettings) -> click.Command:
    @click.command("put-back")
    @click.argument("event", type=int)
    def command(event: int) -> None:
        """Put a month back that `republish` took out, by the number of its EVENT in the log."""
        settings = settings_of()
        with _opened(settings) as db:
            done = republishing.put_back(make_loader(settings, db), event, _BY)
        click.echo(f"{done.counted:,} records count again")
        if done.unread:
            click.echo(f"  {done.unread:,} messages could not be read again: {done.reason}")

    return command


def _replay(settings_of: OpenSettings) -> click.Command:
    @click.command("replay")
    @click.argument("site")
    @click.option("--code", default="", help="Only records refused with this cause, as unknown_site.")
    @click.option("--month", type=_MONTH, help="Only records of this month, YYYY-MM.")
    @click.option("--as-site", help="Judge them as if SiteName said this.")
    def command(site: str, code: str, month: datetime | None, as_site: str | None) -> None:
        """Run the refused records of SITE through the pipeline again, once their cause is mended; "-" = nobody's.

        Each record counts once. Prints how many count now, and why the first of the others does not.
        """
        settings = settings_of()
        with _opened(settings) as db:
            choice = bulk_replay.Choice(code, None, month.date() if month else None, as_site)
            with db.transaction() as session:
                number = bulk_replay.ask(session, site, choice, _BY).id
            bulk_replay.work_off(make_loader(settings, db))
            with db.transaction() as session:
                run = bulk_replay.one(session, site, number)
        click.echo(f"{run.counted:,} of {run.records:,} records counted, {run.refused:,} refused still")
        if run.reason:
            click.echo(f"  {run.reason}")

    return command


def _archive(settings_of: OpenSettings) -> click.Command:
    @click.command("archive")
    @click.option("--before", type=_MONTH, help="Everything before this month; else as keep_raw_months says.")
    def command(before: datetime | None) -> None:
        """Take old raw messages and records out of the database into Parquet files of one month each.

        No figure changes. Each file is read back before its rows go; restore brings them back.
        """
        settings = settings_of()
        until = before.date() if before else _due(settings)
        with _opened(settings) as db:
            _told(archive.archive(db, settings.archive_folder, until, _BY), "Nothing is old enough to go.")

    return command


def _due(settings: AccountingSettings) -> date:
    if not settings.keep_raw_months:
        raise click.UsageError(
            "Say --before YYYY-MM, or set keep_raw_months: all raw records stay otherwise."
        )
    return before_of(datetime.now(UTC), settings.keep_raw_months)


def _restore(settings_of: OpenSettings) -> click.Command:
    @click.command("restore")
    @click.argument("month", type=_MONTH)
    @click.option(
        "--archive", "folder", type=click.Path(path_type=Path), help="Another folder than archive_dir."
    )
    def command(month: datetime, folder: Path | None) -> None:
        """Bring back what was archived of MONTH (YYYY-MM) and all later months, exactly as it was."""
        settings = settings_of()
        with _opened(settings) as db:
            _told(archive.restore(db, folder or settings.archive_folder, month.date(), _BY), "")

    return command


def _told(done: list[Archived], nothing: str) -> None:
    for each in done:
        click.echo(f"{each.path}: {each.rows:,} {archive.KEPT[each.kept].title}")
    if not done:
        click.echo(nothing)


def _pseudonymise(settings_of: OpenSettings) -> click.Command:
    @click.command("pseudonymise")
    @click.option("--user", required=True, help="The name, as records carry it (GlobalUserName).")
    def command(user: str) -> None:
        """Replace a person's name by a pseudonym: in records, sums, raw messages, refusals and archives, for good.

        The same name always becomes the same pseudonym, so counts by user stay. Needs pseudonym_key.
        """
        settings = settings_of()
        with _opened(settings) as db:
            done = hiding.replace_name(
                db, settings.pseudonym_key.get_secret_value(), user, folder=settings.archive_folder,
                envelope=make_loader(settings, db).envelope, by=_BY, now=datetime.now(UTC),
            )  # fmt: skip
        click.echo(
            f"{done.pseudonym}: {done.rows:,} rows, {done.messages:,} messages, {done.archives:,} archive files"
        )
        if done.closed:
            click.echo(f"  {done.closed:,} messages could not be opened, and were not looked into")

    return command
