"""The simulated clouds: who gets in, what a machine does, what is refused, and how they fail on demand."""

from __future__ import annotations

import base64
import time

import pytest

from hanse.occi.client import OcciError
from hanse.occi.context import FIRST, SECOND, context, generations
from hanse.occi.model import (
    COMPUTE,
    COMPUTE_ACTION,
    NETWORK,
    NETWORK_INTERFACE,
    OS_TPL,
    RESOURCE_TPL,
    STORAGE,
    STORAGE_LINK,
)
from hanse.occi.renderings import JSON, OCCI, PLAIN

from .conftest import Cloud, mapped


def template(client, parent: str, term: str) -> str:
    return next(one.identifier for one in client.query().children_of(parent) if one.term == term)


def start(client, size: str = "small", title: str = "mine") -> str:
    mixins = [template(client, OS_TPL, "debian13"), template(client, RESOURCE_TPL, size)]
    return client.create(
        COMPUTE, mixins=mixins, attributes={"occi.core.title": title, "occi.core.id": "a-client-s-own-id"}
    )


def test_the_query_interface_is_for_any_certificate_of_the_ca_and_says_that_it_is_simulated(
    cloud: Cloud, cast
) -> None:
    anna = cast["Anna Lindqvist"]
    with cloud.client((anna.cert_path, anna.key_path)) as client:
        model = client.query()
    kind = model.find(COMPUTE)
    assert kind is not None
    assert "simulated" in kind.title
    sizes = {one.term for one in model.children_of(RESOURCE_TPL)}
    assert sizes == {"small", "medium", "large", "huge", "gpu"}


def test_nobody_looks_without_a_certificate(cloud: Cloud) -> None:
    with cloud.client(None) as client, pytest.raises(OcciError) as refused:
        client.query()
    assert refused.value.status == 401


@pytest.mark.parametrize("media", [PLAIN, OCCI, JSON])
def test_a_machine_lives_and_ends(cloud: Cloud, cast, media: str) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    with cloud.member(anna) as client:
        client.accept = media
        client._http.headers = {**client._http.headers, "Accept": media}
        where = start(client)
        described = client.describe(where)
        assert described.attributes["occi.compute.state"] == "active"
        assert described.attributes["occi.compute.cores"] == 1
        assert client.list(COMPUTE) == (where,)
        client.act(where, COMPUTE_ACTION + "stop")
        assert client.describe(where).attributes["occi.compute.state"] == "inactive"
        client.act(where, COMPUTE_ACTION + "start")
        assert client.delete(where)
        assert client.list(COMPUTE) == ()
        with pytest.raises(OcciError) as gone:
            client.describe(where)
    assert gone.value.status == 404


def test_a_member_without_a_voms_proxy_may_look_but_not_run(cloud: Cloud, cast) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    with cloud.client((anna.cert_path, anna.key_path)) as client, pytest.raises(OcciError) as refused:
        start(client)
    assert refused.value.status == 403
    assert "voms-proxy-init" in str(refused.value)


def test_somebody_whom_the_site_agent_did_not_apply_is_refused(cloud: Cloud, cast) -> None:
    cloud.map(mapped(cast["Anna Lindqvist"]))
    with cloud.member(cast["Tomás Vidal"]) as client, pytest.raises(OcciError, match="is not mapped"):
        start(client)


def test_an_entry_past_its_end_admits_nobody(cloud: Cloud, cast) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna, hours=-1))
    with cloud.member(anna) as client, pytest.raises(OcciError, match="is not mapped"):
        start(client)


def test_attributes_of_somebody_else_or_of_an_unknown_authority_are_refused(cloud: Cloud, cast) -> None:
    anna, tomas = cast["Anna Lindqvist"], cast["Tomás Vidal"]
    cloud.map(mapped(anna), mapped(tomas))
    with (
        cloud.client(cloud.proxy(anna, cloud.attributes(tomas))) as client,
        pytest.raises(OcciError, match="attributes are not accepted"),
    ):
        start(client)
    cloud.map(mapped(anna, vo="chipster"))
    with (
        cloud.client(cloud.proxy(anna, cloud.attributes(anna, "chipster"))) as client,
        pytest.raises(OcciError, match="No attribute authority is known"),
    ):
        start(client)


def test_a_limited_proxy_runs_nothing(cloud: Cloud, cast) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    with (
        cloud.client(cloud.proxy(anna, cloud.attributes(anna), limited=True)) as client,
        pytest.raises(OcciError, match="limited proxy"),
    ):
        start(client)


def test_capacity_is_refused_with_what_is_short(cloud: Cloud, cast) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    with cloud.member(anna) as client:
        first = start(client, "huge")
        start(client)
        with pytest.raises(OcciError, match=r"32 vCPU asked for, 33 of (64|50) are in use"):
            start(client, "huge")
        client.delete(first)
        start(client, "huge")


def test_machines_of_others_are_not_there(cloud: Cloud, cast) -> None:
    anna, tomas = cast["Anna Lindqvist"], cast["Tomás Vidal"]
    cloud.map(mapped(anna), mapped(tomas, account="training002"))
    with cloud.member(anna) as hers, cloud.member(tomas) as his:
        where = start(hers)
        assert his.list(COMPUTE) == ()
        with pytest.raises(OcciError, match="not yours"):
            his.describe(where)
        assert not his.delete(where)
        assert hers.list(COMPUTE) == (where,)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("refuse", "refuses connections"),
        ("hang", "did not finish|did not answer"),
        ("tls", "certificate has expired"),
        ("error", "answered 500"),
    ],
)
def test_a_cloud_fails_on_demand_and_heals(cloud: Cloud, cast, how: str, sentence: str) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.fault.set(how)
    time.sleep(0.4)
    with cloud.client((anna.cert_path, anna.key_path)) as client:
        client._http.deadline_s = 1.5
        with pytest.raises(OcciError, match=sentence):
            client.query()
    cloud.fault.clear()
    time.sleep(0.4)
    with cloud.client((anna.cert_path, anna.key_path)) as client:
        assert client.query().kinds


SCRIPT = b"#cloud-config\npackages: [mediawiki]\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample anna"


def test_a_volume_is_kept_when_its_machine_goes(cloud: Cloud, cast) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    with cloud.member(anna) as client:
        attributes = {"occi.core.title": "data", "occi.storage.size": 10, "occi.core.id": "any"}
        volume = client.create(STORAGE, attributes=attributes)
        assert client.describe(volume).attributes["occi.storage.size"] == 10
        assert client.list(STORAGE) == (volume,)
        first = start(client)
        link = client.link(STORAGE_LINK, first, volume, {"occi.storagelink.deviceid": "/dev/vdx"})
        assert client.list(STORAGE_LINK) == (link,)
        described = client.describe(link)
        assert described.attributes["occi.core.target"] == volume
        assert described.attributes["occi.storagelink.deviceid"] == "/dev/vdx"
        (disk,) = [one for one in client.describe(first).links if STORAGE in one.rel]
        assert (client.resolve(disk.target), client.resolve(disk.location)) == (volume, link)
        with pytest.raises(OcciError, match="unlink it first") as held:
            client.delete(volume)
        assert held.value.status == 409
        client.delete(first)
        second = start(client)
        again = client.link(STORAGE_LINK, second, volume)
        assert client.delete(again)
        assert client.delete(volume)
        assert client.list(STORAGE) == ()
        with pytest.raises(OcciError, match="whole number of GB"):
            client.create(STORAGE, attributes={**attributes, "occi.storage.size": "much"})
        with pytest.raises(OcciError, match="no such volume"):
            client.link(STORAGE_LINK, second, volume)
        with pytest.raises(OcciError, match="must be the address of a compute"):
            client.link(STORAGE_LINK, volume, volume)


def test_a_public_address_is_linked_and_counted(cloud: Cloud, cast) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    with cloud.member(anna) as client:
        networks = {place.rpartition("/")[2]: place for place in client.list(NETWORK)}
        assert set(networks) == {"public", "private"}
        assert client.describe(networks["public"]).attributes["occi.core.title"] == "Public addresses"
        where = start(client)
        assert [one.address for one in cloud.reopen().all()[0].interfaces] == []
        link = client.link(NETWORK_INTERFACE, where, networks["public"])
        address = client.describe(link).attributes["occi.networkinterface.address"]
        assert address == "192.0.2.1"
        found = [one for one in client.describe(where).links if client.resolve(one.location) == link]
        assert [one.attributes["occi.networkinterface.address"] for one in found] == [address]
        for one in client.describe(where).links:
            assert client.describe(one.location).kind is not None
        assert client.delete(link)
        with pytest.raises(OcciError, match="in the private network already"):
            client.link(NETWORK_INTERFACE, where, networks["private"])


@pytest.mark.parametrize("generation", [FIRST, SECOND])
def test_a_machine_is_contextualised_in_either_generation(cloud: Cloud, cast, generation: str) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    with cloud.member(anna) as client:
        assert generations(client.query()) == (FIRST, SECOND)
        given = context(client.query(), SCRIPT, KEY, server=client.server, generation=generation)
        mixins = [
            template(client, OS_TPL, "debian13"),
            template(client, RESOURCE_TPL, "small"),
            *given.mixins,
        ]
        client.create(COMPUTE, mixins=mixins, attributes={"occi.core.id": "any", **given.attributes})
        (machine,) = cloud.reopen().all()
        assert (base64.b64decode(machine.user_data), machine.public_key) == (SCRIPT, KEY)
        wrong = dict.fromkeys(given.attributes, "no base64 and no key!")
        with pytest.raises(OcciError, match="must be base64"):
            client.create(COMPUTE, mixins=mixins, attributes={"occi.core.id": "any", **wrong})


def test_both_generations_at_once_are_for_rocci_alone(cloud: Cloud, cast) -> None:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    with cloud.member(anna) as client:
        model = client.query()
        first, second = (
            context(model, SCRIPT, server=client.server, generation=each) for each in (FIRST, SECOND)
        )
        mixins = [template(client, OS_TPL, "debian13"), template(client, RESOURCE_TPL, "small")]
        attributes = {"occi.core.id": "any", **first.attributes, **second.attributes}
        if "rOCCI" in client.server:
            assert client.create(
                COMPUTE, mixins=[*mixins, *first.mixins, *second.mixins], attributes=attributes
            )
        else:
            with pytest.raises(OcciError, match="cannot be used together") as refused:
                client.create(COMPUTE, mixins=[*mixins, *first.mixins, *second.mixins], attributes=attributes)
            assert refused.value.status == 409
        with pytest.raises(OcciError, match="needs the mixin"):
            client.create(COMPUTE, mixins=mixins, attributes=attributes)


def test_an_unknown_fault_is_refused(tmp_path) -> None:
    from demo.cloud.faults import FaultFile

    with pytest.raises(ValueError, match="there are refuse, hang, tls, error"):
        FaultFile(tmp_path).set("explode")
    assert FaultFile(tmp_path).now() == ""


def test_rocci_and_ooi_differ_as_the_real_ones_do(cloud: Cloud, cast) -> None:
    from hanse.http import Client

    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    cert = cloud.proxy(anna, cloud.attributes(anna))
    with Client(cloud.url, cert=cert, ca=cloud.ca.bundle) as http:
        anything = http.fetch("GET", "-/", headers={"Accept": "*/*"})
        empty = http.fetch("GET", "compute/", headers={"Accept": "text/plain"})
        bad = http.fetch("POST", "compute/", headers={"Accept": "text/plain"}, body=b"nonsense")
    rocci = "rOCCI" in anything.headers["Server"]
    assert (anything.status, empty.status, bad.status) == ((406, 200, 400) if rocci else (200, 204, 500))
    assert "simulated" in anything.headers["Server"]
