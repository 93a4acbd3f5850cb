"""A BDII: an ordinary slapd that holds the registry's GLUE 2.0 tree, kept in step by its differences.

The tree is read with `ldapsearch` and changed with `ldapmodify`, entry by entry: what is new comes from the root down,
then goes what nothing refers to any more, leaves first. A refresh that is cut off leaves a tree whose every entry has
its parent, and the next one goes on from there. LDAP transactions (RFC 5805) are not used: OpenLDAP 2.5 cannot remove
two entries in one (error 80), and its slapd has been seen to die at the end of one.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry import ldif
from registry.renderings.glue2_ldif import SUFFIX

ROOT_DN: Final = f"cn=hanse,{SUFFIX}"
SCHEMA_DIR: Final = Path("/etc/ldap/schema")
MODULE_DIR: Final = Path("/usr/lib/ldap")
SCHEMAS: Final = ("core", "cosine", "inetorgperson", "GLUE20")
_NO_SUCH_OBJECT: Final = 32
_CONFIGURATION: Final = """\
# slapd.conf of a BDII, written by `hanse registry bdii prepare`. Everybody may read; the refresh alone writes.
{includes}
modulepath {modules}
moduleload back_mdb
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
sizelimit unlimited
# a client that asks for everything is the rule here
threads 8

database config
rootdn cn=config
access to * by * none

database mdb
suffix "{suffix}"
directory {folder}/db
maxsize {size}
rootdn "{root}"
rootpw {password}
access to * by * read
index objectClass eq
index GLUE2GroupID,GLUE2DomainID,GLUE2ServiceID eq
index GLUE2ServiceType,GLUE2EndpointInterfaceName,GLUE2EndpointServiceForeignKey eq
index GLUE2PolicyRule,GLUE2MappingPolicyShareForeignKey,GLUE2AccessPolicyEndpointForeignKey eq
"""


class BdiiError(Exception):
    """The directory did not do it; the sentence says what to look at."""


@dataclass(frozen=True)
class Prepared:
    """A folder with all that slapd needs, and the command that starts it."""

    configuration: Path
    password_file: Path
    command: Sequence[str]


def prepare(folder: Path, url: str, *, schema_dir: Path = SCHEMA_DIR, size_bytes: int = 1 << 30) -> Prepared:
    """Write slapd.conf, the password and the data folder; what is there already stays. Raises BdiiError."""
    missing = [name for name in SCHEMAS if not (schema_dir / f"{name}.schema").exists()]
    if missing:
        raise BdiiError(
            f"There is no {missing[0]}.schema in {schema_dir}; install Debian's packages slapd and glue-schema."
        )
    folder = folder.absolute()
    if any(character in str(folder) for character in ' "\\\n'):
        raise BdiiError(f"slapd.conf cannot hold the path {folder}; choose one without spaces and quotes.")
    (folder / "db").mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    password_file, configuration = folder / "password", folder / "slapd.conf"
    if not password_file.exists():
        _write_private(password_file, secrets.token_urlsafe(32))
    if not configuration.exists():
        includes = "\n".join(f"include {schema_dir}/{name}.schema" for name in SCHEMAS)
        text = _CONFIGURATION.format(
            includes=includes,
            modules=MODULE_DIR,
            folder=folder,
            suffix=SUFFIX,
            root=ROOT_DN,
            size=size_bytes,
            password=password_file.read_text(encoding="utf-8"),
        )
        _write_private(configuration, text)
    command = ["slapd", "-f", str(configuration), "-h", url, "-d", "0"]
    return Prepared(configuration, password_file, command)


def _write_private(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.touch(mode=0o600)
    draft.chmod(0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


@dataclass(frozen=True)
class Directory:
    """An LDAP server, spoken to with OpenLDAP's own clients. `password_file` holds the password alone."""

    url: str
    password_file: Path
    bind_dn: str = ROOT_DN
    deadline_s: float = 300

    def read(self) -> list[ldif.Entry]:
        """The tree below the suffix; empty when there is none yet. Raises BdiiError."""
        done = self._run("ldapsearch", ["-LLL", "-o", "ldif-wrap=no", "-b", SUFFIX, "(objectClass=*)", "*"])
        if done.returncode == _NO_SUCH_OBJECT:
            return []
        if done.returncode != 0:
            raise self._failure(done)
        return ldif.read(done.stdout)

    def change(self, text: str) -> None:
        """Apply changes in their order, up to the first that fails. Raises BdiiError."""
        if not text:
            return
        done = self._run("ldapmodify", [], text)
        if done.returncode != 0:
            raise self._failure(done)

    def _run(self, program: str, words: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        command = [program, "-x", "-H", self.url, "-D", self.bind_dn, "-y", str(self.password_file)]
        try:
            return subprocess.run(
                [*command, *words],
                input=text,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=self.deadline_s,
                check=False,
            )
        except FileNotFoundError:
            raise BdiiError(f"There is no {program}; install Debian's package ldap-utils.") from None
        except subprocess.TimeoutExpired:
            raise BdiiError(
                f"{program} at {self.url} was not ready within {self.deadline_s:.0f} s; is slapd hanging?"
            ) from None

    def _failure(self, done: subprocess.CompletedProcess[str]) -> BdiiError:
        told = " ".join(done.stderr.split())[-500:] or f"exit code {done.returncode}"
        return BdiiError(f"{self.url}: {told}")


def refresh(directory: Directory, text: str, *, most_removed: float = 0.5) -> ldif.Changes:
    """Make the directory hold the LDIF `text`. Returns what differed.

    Raises BdiiError when more than the share `most_removed` of its entries would go: a registry that answers half does
    not empty the federation.
    """
    try:
        wanted = ldif.read(text)
    except ldif.LdifError as error:
        raise BdiiError(f"The registry's LDIF cannot be read: {error}.") from None
    if not wanted or ldif.name_of(wanted[0].dn) != ldif.name_of(SUFFIX):
        raise BdiiError(f"The registry's LDIF does not begin with {SUFFIX}; is the address the registry's?")
    present = directory.read()
    needed = ldif.changes(present, wanted)
    if present and needed.removed > most_removed * len(present):
        raise BdiiError(
            f"{needed.removed} of {len(present)} entries would go, more than {most_removed:.0%};"
            " look at the registry, then allow it with --most-removed 1."
        )
    directory.change(needed.text)
    return needed
