"""Sites by their old means: the gridmap call over TLS, grid-mapfile, voms.json, vomsdir; who stands in them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from lxml import etree
from sqlalchemy import update

from hanse.identity.names import from_slash
from hanse.identity.principals import X509Identity
from tests.tls import serving
from tests.vomsdb.mkgridmap import CALL, Consumer, users
from vomsdb import cards, certificates, groups, robots, site_files, suspensions
from vomsdb.feeds import FEEDS, vomsdir
from vomsdb.feeds.gridmap import old_email
from vomsdb.feeds.material import Admitted, OfVo, Rule
from vomsdb.models import Member
from vomsdb.protocols import voms_soap
from vomsdb.views import site_files as site_file_pages

VO = "training.egi.eu"
HERE = Path(__file__).with_name("samples")
GET = "/voms/{}/services/VOMSCompatibility?method=getGridmapUsers"
ANNA = "/C=EU/O=Hanse Demo/OU=People/CN=Anna Lindqvist"
TOMAS = "/C=EU/O=Hanse Demo/OU=People/CN=Tom\\xC3\\xA1s Vidal"
GORAN = "/C=EU/O=Hanse Demo/OU=People/CN=Goran Petrov"
ODD = (
    "/C=EU/O=Odd/CN=robot\\/transfer.example.org",
    "/C=EU/O=Odd/CN=C\\+\\+ Kurs, Gruppe 2",
    "/C=EU/O=Odd/CN=Robot: Zo\\xC3\\xAB & <Sons>",
    "/C=EU/O=Odd/CN=Max/emailAddress=max@example.org",
)
UNREADABLE = '/C=EU/O=Odd/CN=The "Other" Robot'


@dataclass
class Community:
    """training.egi.eu with Anna (group and role), Tomás, and Goran, who is in chipster as well."""

    house: Any
    members: dict[str, Member]

    def machine(self, site: str, url: str) -> Consumer:
        host = self.house.cast.host(site)
        return Consumer(url, self.house.settings.trust_dir, (host.cert_path, host.key_path))

    def read(self, path: str, who: str | None) -> Any:
        """As a caller over TLS would; `who` is a site's machine or a person."""
        principal = None if who is None else self._principal(who)
        return _as(self.house, principal, path)

    def _principal(self, who: str) -> Any:
        return self.house.machine(who) if who.isupper() else self.house.principal(who)


def _as(house: Any, principal: Any, path: str, **more: Any) -> Any:
    """The application asked by this principal; without TLS, by the same hook that reads the connection."""
    from flask import g

    app = house.app
    method = "POST" if "data" in more else "GET"
    with app.test_request_context(path, method=method, **more):
        if principal is not None:
            g.hanse_principal, g.hanse_how = principal, "certificate"
        return app.full_dispatch_request()


@pytest.fixture
def community(house: Any) -> Community:
    marta = house.principal("Marta Kowalska")
    found = {name: house.join(name) for name in ("Anna Lindqvist", "Tomás Vidal", "Goran Petrov")}
    house.join("Goran Petrov", "chipster", "Paavo Salo")
    with house.db.transaction() as session:
        groups.create_group(session, VO, f"/{VO}/schools", "", marta)
        groups.create_role(session, VO, "operator", "", marta)
        groups.give(session, found["Anna Lindqvist"].id, f"/{VO}/schools/Role=operator", marta)
        groups.give(session, found["Tomás Vidal"].id, f"/{VO}/schools", marta)
    return Community(house, found)


def odd_names(community: Community, *names: str) -> None:
    """Robots of Anna's whose names break others."""
    house = community.house
    issuer = from_slash("/C=EU/O=Odd/CN=CA")
    with house.db.transaction() as session:
        for name in names:
            account = robots.Account(
                "robot",
                "odd",
                "",
                community.members["Anna Lindqvist"].id,
                X509Identity(from_slash(name), issuer),
            )
            robots.create(session, VO, account, house.principal("Marta Kowalska"))


# --- the gridmap call ---------------------------------------------------------------------------------------------


def test_the_answer_is_the_one_that_consumers_know_byte_for_byte_and_nil_without_the_group(
    community: Community,
) -> None:
    sample = etree.parse(HERE / "getGridmapUsers.xml", etree.XMLParser(remove_blank_text=True)).getroot()
    names = [one.text for one in sample.iter("getGridmapUsersReturn") if one.text]
    ours = voms_soap._xml(voms_soap.users(names)).data
    assert ours.startswith(b'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv=')
    assert etree.tostring(etree.fromstring(ours)) == etree.tostring(sample)
    whole = community.read(GET.format(VO) + f"&container=/{VO}/schools/Role=operator", "CESNET")
    assert (whole.status_code, whole.mimetype) == (200, "text/xml")
    assert whole.data == voms_soap._xml(voms_soap.users([ANNA])).data
    answer = community.read(GET.format(VO) + f"&container=/{VO}/nobody", "CESNET")
    assert b'soapenc:string[0]" xsi:type="soapenc:Array" xsi:nil="true"' in answer.data
    empty = community.read(GET.format(VO) + f"&container=/{VO}/Role=operator", "CESNET")
    assert b"xsi:nil" not in empty.data
    odd_names(community, ODD[3])
    community.house.settings.__dict__["gridmap_old_email"] = True
    assert users(community.read(GET.format(VO), "CESNET").data)[-1] == old_email(ODD[3])
    assert old_email(ODD[3]).endswith("/Email=max@example.org")


def test_over_tls_a_host_certificate_reads_what_edg_mkgridmap_reads(community: Community) -> None:
    house = community.house
    odd_names(community, *ODD)
    with serving(house.app, house.settings) as url:
        cesnet = community.machine("CESNET", url)
        everybody = users(cesnet.ask(GET.format(VO)).content)  # type: ignore[attr-defined]
        assert everybody == [ANNA, TOMAS, GORAN, *ODD]
        for container, wanted in (
            (f"/{VO}/schools", [ANNA, TOMAS]),
            (quote(f"/{VO}/schools", safe=""), [ANNA, TOMAS]),
            (f"/{VO}/schools/Role=operator", [ANNA]),
            (quote(f"/{VO}/schools/Role=operator", safe=""), [ANNA]),
            (f"/{VO}/Role=operator", []),
            (f"/{VO}/schools/Role=NULL/Capability=NULL", [ANNA, TOMAS]),
            (f"/{VO}/nobody", []),
            ("/chipster", []),
        ):
            answer = cesnet.ask(f"{GET.format(VO)}&container={container}")
            assert (answer.status, users(answer.content)) == (200, wanted), container  # type: ignore[attr-defined]
        call = CALL.format(f'<in0 xsi:type="xsd:string" xmlns:xsi="x" xmlns:xsd="y">/{VO}/schools</in0>')
        spoken = cesnet.ask(f"/voms/{VO}/services/VOMSCompatibility", call.encode())
        assert users(spoken.content) == [ANNA, TOMAS]  # type: ignore[attr-defined]
        stranger = Consumer(url, house.settings.trust_dir, None).ask(GET.format(VO))
        assert stranger.status == 401
        assert b"soapenv:Fault" in stranger.content  # type: ignore[attr-defined]
        forged = Consumer(url, house.settings.trust_dir, None).ask(
            GET.format(VO), SSL_CLIENT_S_DN="/C=EU/O=Hanse Demo/OU=CESNET/CN=acct.cesnet.example"
        )
        assert forged.status == 401


def test_only_those_stand_in_it_who_would_get_a_proxy_now(community: Community) -> None:
    house = community.house
    marta = house.principal("Marta Kowalska")

    def held() -> list[str]:
        return users(community.read(GET.format(VO), "CESNET").data)

    assert held() == [ANNA, TOMAS, GORAN]
    with house.db.transaction() as session:
        suspensions.suspend(
            session, community.members["Anna Lindqvist"].id, "SECURITY_INCIDENT", "a key", marta
        )
        second = X509Identity(from_slash("/C=EU/O=Odd/CN=Tom"), from_slash("/C=EU/O=Odd/CN=CA"))
        tomas = community.members["Tomás Vidal"].id
        certificates.add(session, tomas, second, marta)
        first = certificates.known(session, house.principal("Tomás Vidal").key)
        certificates.suspend_certificate(session, tomas, first.id, "lost", marta)
    assert held() == ["/C=EU/O=Odd/CN=Tom", GORAN]
    past = datetime.now(UTC) - timedelta(seconds=1)
    for field in ("until", "aup_due"):
        with house.db.transaction() as session:  # the job that writes it as a revision has not run yet
            session.execute(
                update(Member).where(Member.id == community.members["Goran Petrov"].id).values({field: past})
            )
        assert held() == ["/C=EU/O=Odd/CN=Tom"], field
        with house.db.transaction() as session:
            later = {"until": past + timedelta(days=9), "aup_due": None}
            session.execute(update(Member).values(later))
    with house.db.transaction() as session:
        cards.move(session, VO, "suspended", "looked at", house.principal("Ingrid Holm"))
    assert held() == []


READERS = [
    ("CESNET", VO, 200),
    ("CESNET", "chipster", 200),
    ("BIFI", VO, 200),
    ("BIFI", "chipster", 403),
    ("UKIM", VO, 403),
    ("Marta Kowalska", VO, 200),
    ("Marta Kowalska", "chipster", 403),
    ("Anna Lindqvist", VO, 403),
    ("Ingrid Holm", "chipster", 200),
    ("CESNET", "nowhere.example.org", 404),
    (None, VO, 401),
]


def test_who_may_read_the_members_of_a_vo_and_no_closed_site(community: Community) -> None:
    for who, vo, status in READERS:
        for path in (GET, "/vos/{}/grid-mapfile", "/vos/{}/voms.json"):
            assert community.read(path.format(vo), who).status_code == status, (who, vo, path)
    body = {"id": "CESNET", "name": "CESNET", "supports": [{"vo": VO}], "certification": "Suspended"}
    community.house.follow("site", "CESNET", body)
    assert community.read(GET.format(VO), "CESNET").status_code == 403


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


HOSTILE = {
    "bomb": CALL.format("<in0>&b;</in0>").replace("?>", "?>" + BOMB, 1).encode(),
    "file": CALL.format("<in0>&a;</in0>").replace("?>", "?>" + FILE, 1).encode(),
    "utf-16 bomb": CALL.format("<in0>/x</in0>")
    .replace("?>", "?>" + BOMB, 1)
    .replace("-8", "-16")
    .encode("utf-16"),
    "empty": b"",
    "noise": b"\x00\xff not xml",
    "no call": b"<a/>",
    "deep": b"<a>" * 20_000,
    "another call": CALL.replace("getGridmapUsers", "deleteUser").format("").encode(),
    "long": b"x" * 70_000,
    "ten million": b"x" * 10_000_000,
}


def test_hostile_soap_and_containers_are_refused_with_a_fault(community: Community) -> None:
    machine = community.house.machine("CESNET")
    path = f"/voms/{VO}/services/VOMSCompatibility"
    for name, body in HOSTILE.items():
        answer = _as(community.house, machine, path, data=body, content_type="text/xml")
        assert answer.status_code in (400, 413, 422), name
        assert b"soapenv:Fault" in answer.data
        assert b"root:" not in answer.data
    for container in (
        "/..",
        "%2F..%2Fchipster",
        f"/{VO}%0D%0ASet-Cookie:x",
        "/'or'1'='1",
        f"/{VO}/" + "a" * 600,
        f"/{VO}/%25",
        "//",
        "%00",
    ):
        answer = community.read(GET.format(VO) + f"&container={container}", "CESNET")
        assert answer.status_code in (400, 422), container
        assert b"soapenv:Fault" in answer.data
        assert "Set-Cookie" not in answer.headers


@pytest.mark.peer("nordugridmap")
@pytest.mark.parametrize("method", ["get", "soap"])
def test_nordugridmap_makes_a_grid_mapfile_of_it(community: Community, method: str, tmp_path: Path) -> None:
    house, host, made = community.house, community.house.cast.host("CESNET"), tmp_path / "grid-mapfile"
    odd_names(community, *ODD[:2])
    with serving(house.app, house.settings) as url:
        source = url.replace("https", "vomss") + f"/voms/{VO}"
        lines = [
            "[common]",
            f"x509_host_cert={host.cert_path}",
            f"x509_host_key={host.key_path}",
            f"x509_cert_dir={house.settings.trust_dir}",
            "[nordugridmap]",
            f"gridmap={made}",
            "log_to_file=no",
            "cache_enable=no",
            f"voms_method={method}",
            "[userlist:a]",
            f"outfile={made}",
            f"source={source}?/{VO}/schools/Role=operator",
            "mapped_unixid=ops",
            "[userlist:b]",
            f"outfile={made}",
            f"source={source}",
            "mapped_unixid=.training",
        ]
        config = tmp_path / "arc.conf"
        config.write_text("\n".join(lines) + "\n")
        command = [str(shutil.which("nordugridmap")), "-c", str(config)]
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin", "X509_HOST_KEY": str(host.key_path)}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=90, check=False
        )
    assert done.returncode == 0, done.stderr
    assert made.exists(), done.stderr
    mapped = dict(line.rsplit(" ", 1) for line in made.read_text().splitlines())
    everybody = [ANNA, TOMAS, GORAN, *ODD[:2]]
    assert mapped == {f'"{name}"': "ops" if name == ANNA else ".training" for name in everybody}, done.stderr


# --- the files ----------------------------------------------------------------------------------------------------


def lines_of(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.data
    return [line for line in answer.data.decode("ascii").splitlines() if not line.startswith("#")]


def test_a_grid_mapfile_by_vo_and_group_with_the_account_asked_for(community: Community) -> None:
    odd_names(community, *ODD, UNREADABLE)
    whole = community.read(f"/vos/{VO}/grid-mapfile", "CESNET")
    assert whole.mimetype == "text/plain"
    names = [*ODD, ANNA, TOMAS, GORAN, old_email(ODD[3])]
    assert lines_of(whole) == sorted(f'"{name}" .training' for name in names)
    assert b"# 1 left out" in whole.data
    one = community.read(f"/vos/{VO}/grid-mapfile?group=/{VO}/schools&local=schools001", "CESNET")
    assert lines_of(one) == [f'"{name}" schools001' for name in (ANNA, TOMAS)]
    several = community.read(
        f"/vos/{VO}/grid-mapfile?map=/{VO}/schools/Role=operator=ops,.schools&map=/{VO}=.all", "CESNET"
    )
    assert f'"{ANNA}" ops,.schools' in lines_of(several)
    assert f'"{TOMAS}" .all' in lines_of(several)


def test_nothing_changed_is_304_and_a_suspension_is_seen_at_once(community: Community) -> None:
    path = f"/vos/{VO}/grid-mapfile"
    tag = community.read(path, "CESNET").headers["ETag"]
    machine = community.house.machine("CESNET")
    again = _as(community.house, machine, path, headers={"If-None-Match": tag})
    assert again.status_code == 304
    with community.house.db.transaction() as session:
        member, marta = community.members["Anna Lindqvist"].id, community.house.principal("Marta Kowalska")
        suspensions.suspend(session, member, "SECURITY_INCIDENT", "a key", marta)
    changed = _as(community.house, machine, path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert ANNA.encode() not in changed.data


def test_accounts_and_groups_that_cannot_stand_in_a_grid_mapfile_are_refused(community: Community) -> None:
    for query in (
        "local=root",
        "local=.training,root",
        "local=a%20b",
        "local=%22",
        "group=/chipster",
        "group=/..",
        "map=x",
        f"map=/{VO}=root",
        f"map=/{VO}/Role=operator",
        "&".join(["map=/a=b"] * 101),
    ):
        answer = community.read(f"/vos/{VO}/grid-mapfile?{query}", "CESNET")
        assert answer.status_code == 422, query
        assert answer.json["errors"][0]["field"]
    tenant = community.read(f"/vos/{VO}/voms.json?map=/{VO}=a%0Ab", "CESNET")
    assert (tenant.status_code, tenant.json["errors"][0]["field"]) == (422, "map.0.tenant")


def test_voms_json_is_what_keystone_reads(community: Community) -> None:
    vo = "vo.example.org"
    wanted = json.loads((HERE / "voms.json").read_text())
    rules = [Rule(f"/{name.strip('/')}", "", held["tenant"]) for name, held in wanted.items()]
    made = json.loads(FEEDS["voms.json"].render([OfVo(vo, (), tuple(rules), ())]))
    assert made == wanted
    asked = community.read(
        f"/vos/{VO}/voms.json?map=/{VO}=courses&map=/{VO}/Role=operator=courses-ops", "CESNET"
    )
    assert asked.json == {VO: {"tenant": "courses"}, f"/{VO}/Role=operator": {"tenant": "courses-ops"}}
    assert community.read(f"/vos/{VO}/voms.json", "CESNET").json == {VO: {"tenant": VO}}


def test_the_bundle_has_the_same_bytes_each_time_and_is_for_everybody(community: Community) -> None:
    path = f"/vos/{VO}/vomsdir.tar.gz"
    other = {"host": "voms2.example.org", "port": 15002, "dn": "/DC=org/CN=voms2", "ca_dn": "/DC=org/CN=CA"}
    climbing = {**other, "host": "../../etc/cron.d/x"}
    card = {"authorities": [other, climbing]}
    saved = community.house.browser("Marta Kowalska").call("PUT", f"/api/v1/vos/{VO}/card", card)
    assert saved.status_code == 200
    first, second = community.read(path, None), community.read(path, None)
    assert first.data == second.data
    assert first.headers["ETag"] == second.headers["ETag"]
    with tarfile.open(fileobj=io.BytesIO(first.data)) as archive:
        held = {one.name: (one.mode, archive.extractfile(one).read().decode()) for one in archive}  # type: ignore[union-attr]
    assert set(held) == {
        f"vomsdir/{VO}/localhost.lsc",
        f"vomsdir/{VO}/voms2.example.org.lsc",
        f"vomses/{VO}-localhost",
        f"vomses/{VO}-voms2.example.org",
    }
    assert {mode for mode, _ in held.values()} == {0o644}
    assert held[f"vomsdir/{VO}/voms2.example.org.lsc"][1] == "/DC=org/CN=voms2\n/DC=org/CN=CA\n"
    assert held[f"vomses/{VO}-voms2.example.org"][1] == (
        f'"{VO}" "voms2.example.org" "15002" "/DC=org/CN=voms2" "{VO}"\n'
    )


def test_a_long_name_of_a_host_stands_in_the_bundle() -> None:
    name = "vomsdir/vo/" + ".".join(["h" * 60] * 4) + ".lsc"
    with tarfile.open(fileobj=io.BytesIO(vomsdir.packed({name: "x"}))) as archive:
        assert archive.getnames() == [name]


def test_somebody_in_two_vos_gets_the_accounts_of_both() -> None:
    anna, rule = Admitted("/CN=Anna", ("/a", "/a/g")), Rule("/a/g", "ga", "")
    first = OfVo("a", (anna,), (rule, Rule("/a", ".a", "")), ())
    second = OfVo("b", (Admitted("/CN=Anna", ("/b",)),), (Rule("/b", ".b,ga", ""),), ())
    text = FEEDS["grid-mapfile"].render([first, second]).decode()
    assert text.splitlines()[1:] == ['"/CN=Anna" ga,.b']


# --- the site's own rules -----------------------------------------------------------------------------------------


def test_the_site_keeps_its_rules_and_its_machines_fetch_by_them(community: Community) -> None:
    house = community.house
    house.grant("Eliška Malá", "site_administrator", "site:CESNET")
    admin, at = house.browser("Eliška Malá"), "/api/v1/sites/CESNET/rules"
    given = [
        {"fqan": f"/{VO}/schools/Role=operator", "account": "ops", "tenant": "ops"},
        {"fqan": f"/{VO}", "account": ".training", "tenant": "training"},
        {"fqan": "/chipster", "account": ".chip"},
    ]
    saved = admin.call("PUT", at, {"rules": given})
    assert saved.status_code == 200, saved.text
    assert [one["fqan"] for one in admin.get(at).json["items"]] == [one["fqan"] for one in given]
    held = lines_of(community.read("/sites/CESNET/files/grid-mapfile", "CESNET"))
    assert held == [f'"{ANNA}" ops', f'"{GORAN}" .chip,.training', f'"{TOMAS}" .training']
    tenants = community.read("/sites/CESNET/files/voms.json", "CESNET").json
    assert tenants == {
        f"/{VO}/schools/Role=operator": {"tenant": "ops"},
        VO: {"tenant": "training"},
        "chipster": {"tenant": "chipster"},
    }
    assert community.read("/sites/CESNET/files/vomsdir.tar.gz", "CESNET").status_code == 200
    assert community.read("/sites/CESNET/files/passwd", "CESNET").status_code == 404
    assert community.read("/sites/CESNET/files/grid-mapfile", "BIFI").status_code == 403
    for fault, field in (
        ({"fqan": "/other/g", "account": "a"}, "rules.0.fqan"),
        ({"fqan": f"/{VO}/..", "account": "a"}, "rules.0.fqan"),
        ({"fqan": f"/{VO}", "account": "root"}, "rules.0.account"),
        ({"fqan": f"/{VO}"}, "rules.0"),
    ):
        refused = admin.call("PUT", at, {"rules": [fault]})
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, field), refused.json
    twice = admin.call("PUT", at, {"rules": [given[1], given[1]]})
    assert twice.json["errors"][0]["reason"] == "stands twice"
    assert house.browser("Marta Kowalska").call("PUT", at, {"rules": []}).status_code == 403
    with house.db.transaction() as session:
        assert [row.fqan for row in site_files.rules_of(session, "CESNET")] == [one["fqan"] for one in given]


def test_the_commands_of_the_page_work_in_a_shell_and_keep_what_is_there(
    community: Community, tmp_path: Path
) -> None:
    house, host, here = community.house, community.house.cast.host("CESNET"), tmp_path / "grid-security"
    here.mkdir()
    shutil.copy(host.cert_path, here / "hostcert.pem")
    shutil.copy(host.key_path, here / "hostkey.pem")
    with serving(house.app, house.settings) as url:
        shown = site_file_pages.fetching("CESNET", url, str(house.settings.trust_dir))
        for one in (shown[0], shown[2]):
            command = one.command.replace("/etc/grid-security", str(here)).replace("/root/", f"{tmp_path}/")
            done = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
    assert ANNA in (here / "grid-mapfile").read_text()
    assert (here / f"vomsdir/{VO}/localhost.lsc").exists()
    again = shown[0].command.replace("/etc/grid-security", str(here))  # nobody answers any more
    failed = subprocess.run(["bash", "-c", again], capture_output=True, timeout=60, check=False)
    assert failed.returncode != 0
    assert ANNA in (here / "grid-mapfile").read_text()


def test_the_page_of_the_site_gives_commands_and_keeps_the_rules(community: Community) -> None:
    house = community.house
    house.grant("Eliška Malá", "site_administrator", "site:CESNET")
    admin, at = house.browser("Eliška Malá"), "/sites/CESNET/old-means"
    text = f"/{VO}/schools/Role=operator ops tenant-ops\n/{VO} .training\n/chipster - chip\n"
    assert admin.post(at, rules=text).status_code == 303
    shown = admin.get(at).text
    assert f"/{VO} .training -" in shown
    assert "/sites/CESNET/files/grid-mapfile" in shown
    assert f"group vomss://127.0.0.1:{house.settings.tls_port}/voms/{VO}?/{VO}" in shown
    refused = admin.post(at, rules=f"/{VO} root")
    assert refused.status_code == 422
    assert "line 1" in refused.text
    assert f"/{VO} root" in refused.text
    assert admin.post(at, rules="one").status_code == 422
    assert house.browser("Marta Kowalska").get(at).status_code == 403
    card = house.browser(None).get(f"/vos/{VO}").text
    assert f"/vos/{VO}/vomsdir.tar.gz" in card
