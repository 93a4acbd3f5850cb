"""VOMS-Admin's database, from its dump: people, certificates, groups, roles, attributes, signatures, suspensions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from hanse.errors import FieldFault, Refused
from vomsdb.importing import sqldump
from vomsdb.importing.records import CertificateRecord, Contents, PersonRecord, enough, moment_or_note
from vomsdb.importing.sqldump import Row, Tables, number_of, text_of, truth_of

TABLES = (
    "usr",
    "certificate",
    "ca",
    "groups",
    "roles",
    "m",
    "attributes",
    "usr_attrs",
    "group_attrs",
    "role_attrs",
    "aup_version",
    "aup_acc_record",
    "req",
    "admins",
)
MOST_BYTES = sqldump.MAX_BYTES
SYSTEM = "voms-admin"
_OWN_CAS = "/O=VOMS/O=System/"


def read(dump: bytes, vo: str) -> Contents:
    """What the dump holds of the VO. Raises Refused for a dump of another VO, or of something else."""
    tables = sqldump.read(dump, TABLES)
    contents = Contents("VOMS-Admin's database", SYSTEM)
    _check_vo(tables, vo)
    groups = {number_of(row, "gid"): text_of(row, "dn") for row in tables.of("groups")}
    roles = {number_of(row, "rid"): text_of(row, "role") for row in tables.of("roles")}
    contents.groups = {text_of(row, "dn"): text_of(row, "description") for row in tables.of("groups")}
    contents.roles = dict.fromkeys(sorted(roles.values()), "")
    names = {number_of(row, "a_id"): text_of(row, "a_name") for row in tables.of("attributes")}
    for row in tables.of("attributes"):
        contents.attributes[text_of(row, "a_name")] = (text_of(row, "a_desc"), truth_of(row, "a_uniq"))
    _shared_values(contents, tables, groups, roles, names)
    enough(tables.of("usr"))
    reader = _People(contents, tables, groups, roles, names)
    contents.people = [reader.person(row) for row in tables.of("usr")]
    _remarks(contents, tables)
    return contents


def _check_vo(tables: Tables, vo: str) -> None:
    if "usr" not in tables.columns and not tables.of("usr"):
        fault = FieldFault(
            "dump", "has no table usr; dump the database of the VO whole, with its CREATE TABLE"
        )
        raise Refused("This is no dump of VOMS-Admin's database.", fault)
    roots = [
        text_of(row, "dn") for row in tables.of("groups") if number_of(row, "gid") == number_of(row, "parent")
    ]
    if roots and roots != [f"/{vo}"]:
        raise Refused(
            "This is the dump of another VO.",
            FieldFault("groups", f"the first group is {roots[0][:100]}, not /{vo}"),
        )


def _fqan(group: str | None, role: str | None) -> str:
    return f"{group}/Role={role}" if role else str(group)


def _shared_values(
    contents: Contents,
    tables: Tables,
    groups: Mapping[int | None, str],
    roles: Mapping[int | None, str],
    names: Mapping[int | None, str],
) -> None:
    """The attributes of groups, and of roles in groups."""
    for table in ("group_attrs", "role_attrs"):
        for row in tables.of(table):
            group, name = groups.get(number_of(row, "g_id")), names.get(number_of(row, "a_id"))
            role = roles.get(number_of(row, "r_id")) if table == "role_attrs" else None
            if group is None or name is None or (table == "role_attrs" and role is None):
                contents.note(
                    f"{table} of group {number_of(row, 'g_id')}", "a_id", "names what is not in the dump"
                )
                continue
            contents.shared.append((_fqan(group, role), name, text_of(row, "a_value")))


class _People:
    """Puts together what several tables say of one person."""

    def __init__(
        self,
        contents: Contents,
        tables: Tables,
        groups: Mapping[int | None, str],
        roles: Mapping[int | None, str],
        names: Mapping[int | None, str],
    ) -> None:
        self._contents = contents
        self._cas = {number_of(row, "cid"): text_of(row, "subject_string") for row in tables.of("ca")}
        self._certificates = _by(tables, "certificate", "usr_id")
        self._mappings = _by(tables, "m", "userid")
        self._values = _by(tables, "usr_attrs", "u_id")
        self._signatures = _by(tables, "aup_acc_record", "usr_id")
        self._active = {number_of(row, "id") for row in tables.of("aup_version") if truth_of(row, "active")}
        self._groups, self._roles, self._names = groups, roles, names

    def person(self, row: Row) -> PersonRecord:
        """One line of usr with all that belongs to it."""
        number = number_of(row, "userid")
        record = f"usr {number}"
        words = " ".join(part for part in (text_of(row, "name"), text_of(row, "surname")) if part.strip())
        signed_at, signed = self._signed(record, number)
        return PersonRecord(
            key=str(number),
            record=record,
            name=words.strip(),
            email=text_of(row, "email_address").strip(),
            institution=text_of(row, "institution").strip(),
            certificates=self._certificates_of(row, record, number),
            fqans=self._fqans(record, number),
            attributes=self._attributes(record, number),
            since=moment_or_note(self._contents, record, "creation_time", text_of(row, "creation_time")),
            until=moment_or_note(self._contents, record, "end_time", text_of(row, "end_time")),
            code=(text_of(row, "suspension_reason_code") or "OTHER") if truth_of(row, "suspended") else "",
            reason=text_of(row, "suspension_reason"),
            signed_at=signed_at,
            signed=signed,
        )

    def _certificates_of(self, row: Row, record: str, number: int | None) -> tuple[CertificateRecord, ...]:
        found = []
        for one in self._certificates.get(number, []):
            reason = text_of(one, "suspended_reason") or "suspended in VOMS-Admin"
            suspended = reason if truth_of(one, "suspended") else ""
            issuer = self._cas.get(number_of(one, "ca_id"), "")
            found.append(CertificateRecord(text_of(one, "subject_string"), issuer, suspended))
        if not found and text_of(row, "dn"):  # databases from before a person could have several certificates
            found.append(CertificateRecord(text_of(row, "dn"), self._cas.get(number_of(row, "ca"), "")))
        mine = [one for one in found if not one.issuer.startswith(_OWN_CAS)]
        if len(mine) < len(found):
            self._contents.note(record, "certificate", "one of VOMS-Admin's own, of no use elsewhere")
        return tuple(mine)

    def _fqans(self, record: str, number: int | None) -> tuple[str, ...]:
        found = []
        for row in self._mappings.get(number, []):
            group, role = self._groups.get(number_of(row, "gid")), self._roles.get(number_of(row, "rid"))
            if group is None or (role is None and row.get("rid") is not None):
                self._contents.note(record, "m", "names a group or a role that is not in the dump")
                continue
            found.append(_fqan(group, role))
        return tuple(sorted(set(found)))

    def _attributes(self, record: str, number: int | None) -> dict[str, str]:
        found = {}
        for row in self._values.get(number, []):
            name = self._names.get(number_of(row, "a_id"))
            if name is None:
                self._contents.note(record, "usr_attrs", "names an attribute that is not in the dump")
            elif value := text_of(row, "a_value"):
                found[name] = value
        return found

    def _signed(self, record: str, number: int | None) -> tuple[datetime | None, bool | None]:
        """(the last signature, whether the AUP in force there was signed); nobody knows when there is no AUP."""
        if not self._active:
            return None, None
        latest, signed = None, False
        for row in self._signatures.get(number, []):
            text = text_of(row, "last_acceptance_date")
            at = moment_or_note(self._contents, record, "last_acceptance_date", text)
            latest = at if latest is None or (at is not None and at > latest) else latest
            holds = "valid" not in row or row["valid"] is None or truth_of(row, "valid")
            signed = signed or (holds and number_of(row, "aup_version_id") in self._active)
        return latest, signed


def _by(tables: Tables, table: str, column: str) -> dict[int | None, list[Row]]:
    found: dict[int | None, list[Row]] = {}
    for row in tables.of(table):
        found.setdefault(number_of(row, column), []).append(row)
    return found


def _remarks(contents: Contents, tables: Tables) -> None:
    """What does not come along, so that nobody thinks it did."""
    waiting = sum(text_of(row, "status") in ("CONFIRMED", "PENDING") for row in tables.of("req"))
    if waiting:
        contents.remarks.append(
            f"{waiting} requests wait there; decide them there first, or people ask again here."
        )
    admins = [row for row in tables.of("admins") if not text_of(row, "dn").startswith(_OWN_CAS)]
    if admins:
        contents.remarks.append(
            "Administrators' rights (ACLs) do not come along: appoint managers of the VO and of its groups here."
        )
    contents.remarks.append("Addresses and telephone numbers are not kept here, and were left there.")
