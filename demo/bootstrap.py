"""Sets a new federation up through public interfaces, each step with the credential of the one who would take
it.

Every step looks first whether it was taken: a demo that was killed half-way is completed by the next `up`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import yaml

from demo.calls import Caller, NotYet, Untrue, until
from demo.cast import NGIS, OCCI_SERVICE, OPERATOR, PEOPLE, SITES, VOS, Person, Site, person
from demo.layout import Layout, write_private
from demo.programs import hanse
from demo.showcase import DECLARED_RAM_GB, DRIFTING, Showcase, federation_parts

Say = Callable[[str], None]
_AUP = (
    "I shall use the resources of this federation for the work of {vo} only, keep my key to myself, and"
    " tell the "
    "security officers when something is wrong."
)


class Bootstrap:
    """The steps by which a federation comes to be."""

    def __init__(self, layout: Layout, say: Say) -> None:
        self._layout = layout
        self._say = say

    def run(self) -> None:
        """Take every step. Raises Untrue, with what was answered, when one is not accepted."""
        self.apply_federation()
        with ThreadPoolExecutor(8) as pool:
            people = list(pool.map(self._register, PEOPLE))
        self._say(f"{len(people)} people registered with their certificates")
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(self._site, site) for site in SITES]:
                done.result()
        self._say("site administrators registered host certificates and made tokens")
        with ThreadPoolExecutor(6) as pool:
            show = Showcase(self._layout, self._as)
            shown = [pool.submit(show.run), pool.submit(show.accept_drift)]
            for done in [pool.submit(self._vo, vo, *about) for vo, about in VOS.items()]:
                done.result()
            self._say("VOs created with their managers")
            for done in [*[pool.submit(self._join, site) for site in SITES], *shown]:
                done.result()
        self._say("site agents joined")

    def add_operator(self) -> None:
        """The first operator, by the command on the machine."""
        cert, _key = self._layout.credential(OPERATOR)
        command = hanse(
            self._layout, "registry", "operator", "add", "--cert", str(cert), "--name", OPERATOR.name
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Untrue(f"the first operator could not be made: {done.stderr.strip()}")

    def apply_federation(self) -> None:
        """The operator applies federation.yaml: NGIs, sites, services."""
        text = yaml.safe_dump(federation_document(self._layout), allow_unicode=True, sort_keys=False)
        (self._layout.data / "federation.yaml").write_text(text)
        body = {"document": text, "prune": False, "plan": None, "reason": "the demo federation begins"}
        self._as(OPERATOR, "registry").send("POST", "/api/v1/federation/apply", body)
        self._say("the operator applied federation.yaml: three NGIs, three sites")

    def _as(self, who: Person, service: str) -> Caller:
        layout = self._layout
        return Caller(who.name, layout.tls_url(service), layout.bundle, cert=layout.credential(who))

    def _register(self, who: Person) -> None:
        """The person registers by certificate and makes a token; the operator gives a site's
        administrator the role.
        """
        registry = self._as(who, "registry")
        me = self._me(registry) or registry.send("POST", "/api/v1/me", {"name": who.name, "email": who.email})
        if not self._layout.token(who).exists():
            made = registry.send("POST", "/api/v1/me/tokens", {"name": "demo", "valid_days": 90})
            write_private(self._layout.token(who), made["token"] + "\n")
        for role in who.roles:
            name, _, scope = role.partition(" ")
            if name == "site_administrator" and not self._has_role(me, name, scope):
                body = {"person": me["id"], "role": name, "scope": scope, "reason": "nominated by the site"}
                self._as(OPERATOR, "registry").send("POST", "/api/v1/roles", body)

    def _me(self, registry: Caller) -> dict[str, object] | None:
        answer = registry.ask("GET", "/api/v1/me")
        return answer.json() if answer.status == 200 and answer.json().get("id") else None

    def _has_role(self, me: dict[str, object], name: str, scope: str) -> bool:
        roles = me.get("roles")
        return isinstance(roles, list) and any(
            isinstance(one, dict) and (one.get("role"), one.get("scope")) == (name, scope) for one in roles
        )

    def _site(self, site: Site) -> None:
        """The site's administrator registers its host certificate and makes a token for its usage."""
        registry = self._as(person(site.admin), "registry")
        cert, _key = self._layout.certificate(f"acct.{site.domain}")
        path = f"/api/v1/sites/{site.name}"
        known = registry.get(f"{path}/host-certificates")["items"]
        if not any(one["dn"] == site.accounting_host for one in known):
            registry.send("POST", f"{path}/host-certificates", {"pem": cert.read_text()})
        token = self._layout.site_token(site)
        if not token.exists():
            made = registry.send("POST", f"{path}/tokens", {"name": "usage", "valid_days": 365})
            write_private(token, made["token"] + "\n")

    def _vo(self, vo: str, manager: str, about: str) -> None:
        """The operator creates the VO; vomsdb may need a moment until it has followed who the operator is."""
        vomsdb = self._as(OPERATOR, "vomsdb")
        if vomsdb.ask("GET", f"/api/v1/vos/{vo}").status == 404:
            who = person(manager)
            certificate = self._layout.credential(who)[0].read_text()
            body = {
                "name": vo,
                "description": about,
                "aup_text": _AUP.format(vo=vo),
                "managers": [{"certificate": certificate, "name": who.name, "email": who.email}],
            }
            until(f"the operator may create {vo}", lambda: self._accepted(vomsdb, "/api/v1/vos", body))
        self._write_client_files(vo)

    def _write_client_files(self, vo: str) -> None:
        """vomses for clients and .lsc for sites, as the VO's page gives them to everybody."""
        public = Caller("a site", self._layout.url("vomsdb"), self._layout.bundle)
        client = public.get(f"/api/v1/vos/{vo}/client")
        folder = self._layout.vomsdir / vo
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{client['host']}.lsc").write_text(client["lsc"])
        folder = self._layout.data / "vomses.d"
        folder.mkdir(exist_ok=True)
        (folder / vo).write_text(client["vomses"])
        self._layout.vomses.write_text("".join(path.read_text() for path in sorted(folder.iterdir())))

    def _join(self, site: Site) -> None:
        """The administrator makes a one-time code; the agent joins with it and with the site's host
        certificate.
        """
        layout = self._layout
        if (layout.agent(site) / "agent.json").exists():
            return
        vomsdb = self._as(person(site.admin), "vomsdb")
        made = until(
            f"{site.admin} may make a join code for {site.name}",
            lambda: self._accepted(vomsdb, f"/api/v1/sites/{site.name}/join-codes", {}),
        )
        until(f"{site.name} joins", lambda: self._joined(site, str(made["code"])))

    def _joined(self, site: Site, code: str) -> bool:
        layout = self._layout
        cert, key = layout.certificate(f"acct.{site.domain}")
        where = ["--url", layout.tls_url("vomsdb"), "--site", site.name, f"--code={code}"]
        who = ["--cert", str(cert), "--key", str(key), "--ca", str(layout.bundle)]
        own = ["--state", str(layout.agent(site)), "--agent-url", layout.agent_url(site)]
        command = [sys.executable, "-m", "siteagent.cli", "join", *where, *who, *own]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise NotYet(done.stderr.strip())
        return True

    def _accepted(self, caller: Caller, path: str, body: object) -> dict[str, object]:
        """The answer; NotYet while the service has not followed the caller's rights (401, 403, 404)."""
        answer = caller.ask("POST", path, body)
        if answer.status in (401, 403, 404):
            raise NotYet(f"{answer.status} {answer.text[:300]}")
        if not answer.ok:
            raise Untrue(f"{caller.who}: POST {path} was answered {answer.status}: {answer.text[:300]}")
        return dict(answer.json())


def federation_document(layout: Layout) -> dict[str, object]:
    """federation.yaml: what the operator declares."""
    ngis = [{"name": name, "description": about} for name, about in NGIS.items()]
    return {"ngis": ngis, "sites": [_site_document(layout, site) for site in SITES], **federation_parts()}


def _site_document(layout: Layout, site: Site) -> dict[str, object]:
    capacity = {name: value for name, value in vars(site.capacity).items() if value is not None}
    if site.name == DRIFTING:
        capacity["ram_gb"] = DECLARED_RAM_GB
    admin = person(site.admin)
    return {
        "name": site.name,
        "official_name": site.official_name,
        "ngi": site.ngi,
        "country": site.country,
        "country_code": site.country_code,
        "latitude": site.latitude,
        "longitude": site.longitude,
        "middleware": site.middleware,
        "certification": "Certified",
        "production": True,
        "capacity": capacity,
        "contacts": [{"kind": kind, "name": admin.name, "email": admin.email} for kind in ("admin", "alarm")],
        "supports": [{"vo": vo, "vcpu": vcpu} for vo, vcpu in site.vos.items()],
        "usage_site_names": [site.name],
        "agent_url": layout.agent_url(site),
        "services": [
            {
                "type": OCCI_SERVICE,
                "hostname": f"occi.{site.domain}",
                "url": layout.cloud_url(site),
                "host_dn": site.cloud_host,
                "production": True,
                "monitored": True,
            },
            {
                "type": "eu.egi.cloud.accounting",
                "hostname": f"acct.{site.domain}",
                "host_dn": site.accounting_host,
                # It only speaks, and listens nowhere: there is nothing to probe, so it is not in production.
                "production": False,
                "monitored": False,
            },
        ],
    }
