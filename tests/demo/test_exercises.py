"""The two exercises of a course on federated clouds, done with `hanse occi` as a learner does: a wiki on a machine of
its own with a public address, and then the same with its data on a volume that outlives the machine.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hanse.cli import main

from .conftest import Cloud, mapped

WIKI = "#cloud-config\npackages: [apache2, mediawiki]\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample anna@laptop"


class Learner:
    """Somebody with a VOMS proxy at a command line."""

    def __init__(self, cloud: Cloud, issued: Any) -> None:
        proxy, _ = cloud.proxy(issued, cloud.attributes(issued))
        self._options = ["-e", cloud.url, "-n", "x509", "-x", str(proxy), "-X", "-f", str(cloud.ca.bundle)]

    def fails(self, *words: str) -> str:
        result = CliRunner().invoke(main, ["occi", *self._options, *words])
        assert result.exit_code in (1, 2), result.output
        return " ".join(result.output.split())

    def __call__(self, *words: str) -> str:
        result = CliRunner().invoke(main, ["occi", *self._options, *words])
        assert result.exit_code == 0, result.output
        return result.output.strip()

    def described(self, place: str) -> dict[str, Any]:
        (one,) = json.loads(self("-a", "describe", "-r", place, "-o", "json"))
        assert isinstance(one, dict)
        return one


@pytest.fixture
def learner(cloud: Cloud, cast: Any) -> Learner:
    anna = cast["Anna Lindqvist"]
    cloud.map(mapped(anna))
    return Learner(cloud, anna)


@pytest.fixture
def context(tmp_path: Path) -> list[str]:
    (tmp_path / "wiki.yaml").write_text(WIKI)
    (tmp_path / "id.pub").write_text(KEY + "\n")
    return ["-T", f"user_data=file://{tmp_path}/wiki.yaml", "-T", f"public_key=file://{tmp_path}/id.pub"]


def test_a_wiki_with_a_public_address(cloud: Cloud, learner: Learner, context: list[str]) -> None:
    assert "#debian13" in learner("-a", "list", "-r", "os_tpl")
    assert "1 vCPU, 2 GB" in learner("-a", "describe", "-r", "resource_tpl#small")
    create = ["-a", "create", "-r", "compute", "-M", "os_tpl#debian13", "-M", "resource_tpl#small", *context]
    wiki = learner(*create, "-t", "occi.core.title=wiki")
    assert learner("-a", "list", "-r", "compute") == wiki
    (machine,) = cloud.reopen().all()
    assert (machine.title, machine.public_key) == ("wiki", KEY)
    assert base64.b64decode(machine.user_data).decode() == WIKI
    public = next(
        place for place in learner("-a", "list", "-r", "network").split() if place.endswith("public")
    )
    learner("-a", "link", "-r", wiki, "-j", public)
    addresses = [
        one["attributes"].get("occi.networkinterface.address") for one in learner.described(wiki)["links"]
    ]
    assert "192.0.2.1" in addresses
    assert "takes stop" in learner("-a", "describe", "-r", wiki)
    learner("-a", "trigger", "-r", wiki, "-g", "stop")
    assert learner.described(wiki)["attributes"]["occi.compute.state"] == "inactive"
    assert "it takes: start" in learner.fails("-a", "trigger", "-r", wiki, "-g", "stop")
    assert learner("-a", "delete", "-r", wiki).endswith("is deleted")
    assert learner("-a", "list", "-r", "compute") == ""


def test_the_same_wiki_with_its_data_on_a_volume(cloud: Cloud, learner: Learner, context: list[str]) -> None:
    data = learner(
        "-a", "create", "-r", "storage", "-t", "occi.core.title=data", "-t", "occi.storage.size=10"
    )
    create = ["-a", "create", "-r", "compute", "-M", "os_tpl#debian13", "-M", "resource_tpl#small", *context]
    first = learner(*create, "-j", data)
    (disk,) = [one for one in learner.described(first)["links"] if one["target"] == data]
    assert "unlink it first" in learner.fails("-a", "delete", "-r", data)
    assert learner("-a", "unlink", "-r", disk["location"]).endswith("is deleted")
    learner("-a", "link", "-r", first, "-j", data)
    learner("-a", "delete", "-r", first)
    assert learner.described(data)["attributes"]["occi.storage.size"] == 10
    second = learner(*create)
    learner("-a", "link", "-r", second, "-j", data, "-t", "occi.storagelink.deviceid=/dev/vdx")
    (machine,) = cloud.reopen().all()
    assert [one.device for one in machine.disks] == ["/dev/vdx"]
    said = learner.fails(*create, "-j", data)
    assert "was created, and" in said
    assert "could not be linked" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-a", "describe"), "--resource says what to work with"),
        (("-a", "create", "-r", "compute", "-M", "os_tpl#none"), "offers no mixins called os_tpl#none"),
        (("-a", "create", "-r", "compute", "-T", "cloud=x"), "knows user_data and public_key, not cloud"),
        (("-a", "create", "-r", "compute", "-T", "user_data=file:///nowhere/x"), "cannot be read"),
        (("-a", "create", "-r", "compute", "-t", "novalue"), "takes NAME=VALUE"),
        (("-a", "link", "-r", "/compute/1"), "--link says what to link"),
        (("-a", "link", "-r", "/compute/1", "-j", "/compute/2"), "is neither below"),
        (("-a", "delete", "-r", "compute"), "is a collection"),
        (("-a", "describe", "-r", "/compute/none"), "answered 404"),
    ],
)
def test_wrong_use_is_said(learner: Learner, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in learner.fails(*words)


def test_the_model_and_a_proxy_without_attributes(cloud: Cloud, learner: Learner, cast: Any) -> None:
    model = json.loads(learner("-m", "-o", "json"))
    assert {one["identifier"].rpartition("#")[2] for one in model["kinds"]} >= {"compute", "storagelink"}
    assert "KINDS" in learner("-m")
    bare, _ = cloud.proxy(cast["Anna Lindqvist"])
    result = CliRunner().invoke(main, ["occi", "-e", cloud.url, "-n", "x509", "-x", str(bare), "-X"])
    assert result.exit_code == 2
    assert "carries no VOMS attributes" in " ".join(result.output.split())
