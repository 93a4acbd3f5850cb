"""The processes of a demo federation, in the stages in which they start."""

from __future__ import annotations

import signal
import sys

from demo.cast import SERVICES, SITES, VOS, Site
from demo.children import Program
from demo.cloud.configuration import CloudConfiguration
from demo.layout import Layout
from demo.settings_file import database_url

DATABASES = tuple(f"hanse_{name}" for name in SERVICES)


def hanse(layout: Layout, *words: str) -> list[str]:
    """A `hanse` command with the demo's settings."""
    return [sys.executable, "-m", "hanse.cli", "--config", str(layout.settings), *words]


def postgres(layout: Layout) -> Program:
    """The private PostgreSQL with the services' databases."""
    command = [sys.executable, "-m", "hanse.postgres", "--directory", str(layout.postgres), "--durable"]
    for name in DATABASES:
        command += ["--database", name]
    # Told to end rather than killed: it takes its server along in order, and the next start is quick.
    return Program("postgres", command, deadly=signal.SIGTERM, patience_s=35)


def sinks(layout: Layout) -> Program:
    """Mail server and webhook."""
    ports = ["--smtp-port", str(layout.ports["smtp"]), "--http-port", str(layout.ports["webhooks"])]
    files = ["--mail", str(layout.mail), "--webhooks", str(layout.webhooks)]
    return Program("sinks", [sys.executable, "-m", "demo.sinks", *ports, *files])


def servers(layout: Layout) -> list[Program]:
    """What answers requests of the four services."""
    programs = [_service(layout, name, "serve") for name in SERVICES]
    return [*programs, _service(layout, "vomsdb", "aa")]


def workers(layout: Layout) -> list[Program]:
    """What works in the background of the four services."""
    programs = [_service(layout, name, "jobs") for name in SERVICES]
    return [*programs, _service(layout, "accounting", "worker"), _service(layout, "monitoring", "worker")]


def _service(layout: Layout, service: str, what: str) -> Program:
    return Program(f"{service}-{what}", hanse(layout, service, what))


def clouds(layout: Layout) -> list[Program]:
    """The simulated clouds; writes their configurations."""
    return [_cloud(layout, site, number) for number, site in enumerate(SITES)]


def _cloud(layout: Layout, site: Site, number: int) -> Program:
    folder = layout.cloud(site)
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = layout.certificate(f"acct.{site.domain}")
    tls_cert, tls_key = layout.certificate(f"occi.{site.domain}")
    expired_cert, expired_key = layout.certificate(f"expired.{site.domain}")
    configuration = CloudConfiguration(
        site=site.name,
        dialect=site.dialect,
        cloud_type=site.middleware,
        port=layout.ports[f"cloud {site.name}"],
        path=site.path,
        folder=folder,
        capacity=site.capacity,
        network=site.network,
        trust_dir=layout.trust,
        cert=cert,
        key=key,
        tls_cert=tls_cert,
        tls_key=tls_key,
        expired_cert=expired_cert,
        expired_key=expired_key,
        vomsdir=layout.vomsdir,
        mapping=layout.agent(site) / "mapping.json",
        ams_url=layout.tls_url("accounting"),
        ams_token=layout.site_token(site),
        ca=layout.bundle,
        vos=tuple(VOS),
        seed=number + 1,
        registry_url=layout.tls_url("registry"),
        quotas=site.quotas or site.vos,
    )
    configuration.write(folder / "cloud.json")
    command = [sys.executable, "-m", "demo.cloud", "--config", str(folder / "cloud.json")]
    return Program(f"cloud-{site.name}", command, patience_s=5)


def agents(layout: Layout) -> list[Program]:
    """The site agents; each starts when its site has joined."""
    return [_agent(layout, site) for site in SITES]


def _agent(layout: Layout, site: Site) -> Program:
    folder = layout.agent(site)
    port = str(layout.ports[f"agent {site.name}"])
    options = ["--state", str(folder), "--interval", "5", "--port", port]
    command = [sys.executable, "-m", "siteagent.cli", "serve", *options]
    return Program(f"agent-{site.name}", command, may_start=(folder / "agent.json").exists, patience_s=5)


def migrations(layout: Layout) -> list[str]:
    """The command that brings the databases up to date."""
    addresses = [f"{name}={database_url(layout, name)}" for name in SERVICES]
    return [sys.executable, "-m", "demo.migrate", *addresses]
