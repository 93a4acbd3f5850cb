"""A database and a user of its own for each service, on a PostgreSQL that somebody else runs."""

from __future__ import annotations

import secrets
from urllib.parse import quote

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from hanse.errors import Refused


def create(admin: str, service: str) -> str:
    """The address of the service's database, made with its user when they are not there; a new password each time.

    `admin` is the address of somebody who may make users and databases. Raises Refused with PostgreSQL's words.
    """
    name = f"hanse_{service}"
    password = secrets.token_urlsafe(24)
    url = make_url(admin).set(drivername="postgresql")
    try:
        with psycopg.connect(
            url.render_as_string(hide_password=False), autocommit=True, connect_timeout=10
        ) as server:
            if server.info.server_version < 150000:
                raise Refused("PostgreSQL must be 15 or newer.")
            role = server.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone()
            verb = sql.SQL("alter role {} login password {}" if role else "create role {} login password {}")
            server.execute(verb.format(sql.Identifier(name), sql.Literal(password)))
            if server.execute("select 1 from pg_database where datname = %s", [name]).fetchone() is None:
                server.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(name)))
                made = "create database {} owner {} encoding 'UTF8' template template0"
                server.execute(sql.SQL(made).format(sql.Identifier(name), sql.Identifier(name)))
    except psycopg.Error as error:
        words = str(error).strip().splitlines()
        reason = words[0] if words else type(error).__name__
        raise Refused(
            f"The database of {service} cannot be made at {url.host or 'the socket'}: {reason}"
        ) from error
    place = url.set(username=name, password=password, database=name)
    shown = place.render_as_string(hide_password=False)
    return shown if place.host or place.query else f"postgresql://{name}:{quote(password)}@/{name}"
