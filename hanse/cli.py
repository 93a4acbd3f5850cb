"""The `hanse` command. Services and the demo add their commands through entry points of the group
"hanse.commands".
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import click
from cryptography import x509
from cryptography.x509.oid import NameOID
from sqlalchemy.exc import SQLAlchemyError

from hanse import logs
from hanse.database import Database, is_connection_loss
from hanse.errors import HanseError
from hanse.identity.certificates import certificate_from_pem
from hanse.jobs import run_jobs
from hanse.migrations import upgrade
from hanse.postgres import PostgresError
from hanse.service import Service
from hanse.settings import ServiceSettings, SettingsError

S = TypeVar("S", bound=ServiceSettings)
STOP_S = 10


class HanseCommands(click.Group):
    """Commands by name from entry points, each imported only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_points()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        point = _points().get(cmd_name)
        if point is None:
            return super().get_command(ctx, cmd_name)
        command = point.load()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names alone: importing four services to print one line of each takes seconds."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, f"hanse {name} --help lists its commands.") for name in self.list_commands(ctx)]
            )

    def invoke(self, ctx: click.Context) -> Any:
        """An error that a person can act on is its sentence and exit code 1, without a traceback."""
        try:
            return super().invoke(ctx)
        except (SettingsError, HanseError, PostgresError) as error:
            raise click.ClickException(str(error)) from error
        except SQLAlchemyError as error:
            if not is_connection_loss(error):
                raise
            raise click.ClickException(
                f"The database cannot be reached: {error.__cause__ or error}"
            ) from error


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="hanse.commands")}


@click.group(cls=HanseCommands)
@click.option(
    "--config",
    envvar="HANSE_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file (TOML); also HANSE_CONFIG.",
)
@click.version_option(package_name="hanse")
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Hanse: the operations services of a federation of research clouds."""
    ctx.obj = {"config": config}


def settings_of(service: Service[S]) -> S:
    """The settings of `service` for the command that runs now. Raises SettingsError with one sentence."""
    context = click.get_current_context().find_root()
    config = (context.obj or {}).get("config")
    return service.settings.load(service.name, config)


def database_of(service: Service[Any]) -> Database:
    """The database of `service` for the command that runs now."""
    return Database(settings_of(service).database_url)


def service_group(service: Service[Any]) -> click.Group:
    """`hanse SERVICE` with what each has: serve, jobs, migrate, operator. It adds its own commands."""

    @click.group(name=service.name, help=f"The {service.name} service.")
    def group() -> None:
        logs.configure(service.name, os.environ.get("HANSE_LOG_LEVEL", "INFO").upper())

    group.add_command(_serve_command(service))
    group.add_command(_jobs_command(service))
    group.add_command(_migrate_command(service))
    group.add_command(_operator_group(service))
    return group


def _serve_command(service: Service[Any]) -> click.Command:
    @click.command("serve", help="Serve the pages and interfaces over HTTP and, with a tls_port, HTTPS.")
    def serve_command() -> None:
        from hanse.identity.trust import TrustError
        from hanse.serve import serve

        settings = settings_of(service)
        try:
            sys.exit(serve(service.name, settings, lambda: service.create_app(settings)))
        except TrustError as error:
            raise click.ClickException(str(error)) from error

    return serve_command


def _jobs_command(service: Service[Any]) -> click.Command:
    @click.command("jobs", help="Run what is scheduled; a second process waits for the first to end.")
    def jobs_command() -> None:
        settings = settings_of(service)
        db = Database(settings.database_url)
        stop = threading.Event()
        for deadly in (signal.SIGTERM, signal.SIGINT):
            signal.signal(deadly, lambda *_: stop.set())
        threading.Thread(target=_leave_in_time, args=(stop,), daemon=True).start()
        run_jobs(db, service.jobs(settings, db), stop)

    return jobs_command


def _leave_in_time(stop: threading.Event) -> None:
    """A run that takes longer is cut off; the log says "interrupted" at the next start, and it runs again."""
    stop.wait()
    threading.Event().wait(STOP_S - 1)
    os._exit(1)


def _migrate_command(service: Service[Any]) -> click.Command:
    @click.command("migrate", help="Bring the database to the newest migration; safe to repeat.")
    def migrate_command() -> None:
        settings = settings_of(service)
        upgrade(service.package, settings.database_url)
        click.echo(f"The database of {service.name} is up to date.")

    return migrate_command


def _operator_group(service: Service[Any]) -> click.Group:
    @click.group("operator", help="Who may do everything: the first operator is made here.")
    def operator() -> None:
        pass

    @operator.command("add", help="Make the holder of a certificate federation operator.")
    @click.option(
        "--cert", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Certificate, PEM."
    )
    @click.option("--name", default="", help="Name that people read; empty = the certificate's common name.")
    def add(cert: Path, name: str) -> None:
        certificate = _read_certificate(cert)
        spoken = name or _common_name(certificate)
        key = service.add_operator(database_of(service), certificate, spoken)
        click.echo(f"{spoken} is a federation operator of {service.name} ({key}).")

    return operator


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return certificate_from_pem(path.read_bytes())
    except OSError as error:
        raise click.ClickException(f"The certificate {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise click.ClickException(f"{path} is not a certificate in PEM form.") from error


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else certificate.subject.rfc4514_string()


if __name__ == "__main__":
    main()
