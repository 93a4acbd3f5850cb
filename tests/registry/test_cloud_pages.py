"""The pages: finding a cloud, a site's drift, the card of the site's page."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from .clouds import cloud_document, encoded
from .conftest import Registry


def publish(registry: Registry, site: str = "CESNET", cores: int = 20, minutes: int = 5) -> None:
    document = cloud_document(site, cores=cores, age=timedelta(minutes=minutes))
    document["Share"][0]["OtherInfo"]["used"] = {"cores": 6}
    document["CloudComputingImage"][0]["Name"] = "Debian <13> & “friends”"
    answer = registry.ask("PUT", f"/v1/sites/{site}/cloudinfo", data=encoded(document))
    assert answer.status_code == 202, answer.text


def test_a_visitor_finds_a_cloud_and_its_command(registry: Registry) -> None:
    publish(registry)
    shown = registry.ask("GET", "/clouds?vo=training.egi.eu&image=debian&cores=2", None)
    assert shown.status_code == 200
    assert "1 site can run it for training.egi.eu." in shown.text
    assert "Most room: <b>14 vCPU</b> at CESNET" in shown.text
    assert "14 of 20 vCPU" in shown.text
    assert "resource_tpl#medium" in shown.text
    assert "Debian &lt;13&gt; &amp; “friends”" in shown.text
    assert 'href="/api/v1/clouds.csv?vo=training.egi.eu' in shown.text.replace("&amp;", "&")


def test_a_place_can_be_chosen_and_what_cannot_be_read_is_told(registry: Registry) -> None:
    publish(registry)
    publish(registry, "BIFI", cores=8)
    chosen = registry.ask(
        "GET", "/clouds?at=BIFI+training.egi.eu+https://occi.bifi.example:11443/", None
    ).text
    assert "at BIFI for training.egi.eu" in chosen
    odd = registry.ask("GET", "/clouds?cores=many&vo=training.egi.eu&nonsense=1", None)
    assert odd.status_code == 200
    assert "The filter by cores cannot be read and was left out." in odd.text


def test_the_size_and_image_of_the_command_can_be_chosen(registry: Registry) -> None:
    publish(registry)
    ubuntu = "bbbb0000-0000-4000-8000-000000000001"
    shown = registry.ask("GET", f"/clouds?vo=training.egi.eu&size=gpu.large&os={ubuntu}", None).text
    assert "resource_tpl#gpu.large" in shown
    assert f"os_tpl#{ubuntu}" in shown
    assert "1 x NVIDIA A100 40 GB" in shown


def test_nothing_fits_and_nothing_is_there(registry: Registry) -> None:
    assert "UKIM" in registry.ask("GET", "/clouds", None).text
    nothing = registry.ask("GET", "/clouds?gpu=true", None).text
    assert "No cloud fits" in nothing
    assert "No site publishes a size and an image that fit." in nothing


def test_the_site_page_counts_what_differs_for_its_own_people(registry: Registry) -> None:
    assert "Nothing is published" in registry.ask("GET", "/sites/CESNET", None).text
    publish(registry)
    assert "differences" not in registry.ask("GET", "/sites/CESNET", None).text
    own = registry.ask("GET", "/sites/CESNET", "Eliška Malá").text
    assert '<a href="/sites/CESNET/drift">2 differences</a>' in own
    registry.ask("PUT", "/v1/sites/CESNET/cloudinfo", data=b"{}")
    assert "The newest document was refused" in registry.ask("GET", "/sites/CESNET", "Eliška Malá").text
    assert "The newest document was refused" not in registry.ask("GET", "/sites/CESNET", None).text


@pytest.fixture
def eliska(registry: Registry) -> FlaskClient:
    """Eliška Malá in a browser."""
    client = registry.client
    answer = client.post("/signin", data={"token": registry.tokens["Eliška Malá"]})
    assert answer.status_code in (200, 302, 303), answer.text
    return client


def send(client: FlaskClient, path: str, **fields: str) -> str:
    """Post a form of the page as a browser would; the page that is shown in the end."""
    shown = client.get("/sites/CESNET/drift").text
    secret = re.search(r'name="csrf_token" value="([^"]+)"', shown)
    assert secret
    answer = client.post(path, data={**fields, "csrf_token": secret[1]}, follow_redirects=True)
    assert answer.status_code in (200, 422), answer.text
    return answer.text


def test_accept_ignore_and_look_again_in_the_browser(registry: Registry, eliska: FlaskClient) -> None:
    publish(registry)
    shown = eliska.get("/sites/CESNET/drift").text
    assert "2 things differ" in shown
    assert "training.egi.eu: 16 vCPU declared, a quota of 20 published." in shown
    base, fact = "/sites/CESNET/drift", "vo training.egi.eu vcpu"
    refused = send(eliska, f"{base}/ignore", fact=fact, reason="", until="2030-01-31")
    assert "say why the difference is in order" in refused
    assert 'value="2030-01-31"' in refused
    assert "lie in the future" in send(eliska, f"{base}/ignore", fact=fact, reason="x", until="2020-01-31")
    assert "must be a time" in send(eliska, f"{base}/ignore", fact=fact, reason="x", until="soon")
    ignored = send(eliska, f"{base}/ignore", fact=fact, reason="grows on Monday", until="2030-01-31")
    assert "1 thing differs" in ignored
    assert "grows on Monday" in ignored
    assert "2 things differ" in send(eliska, f"{base}/notice", fact=fact)
    assert "1 thing differs" in send(eliska, f"{base}/accept", fact=fact)
    assert "does not differ in this any more" in send(eliska, f"{base}/accept", fact=fact)
    assert registry.get("/api/v1/sites/CESNET")["supports"][0]["vcpu"] == 20


def test_refused_documents_are_shown_with_their_faults(registry: Registry) -> None:
    registry.ask("PUT", "/v1/sites/CESNET/cloudinfo", data=b'{"Share": "<b>"}')
    shown = registry.ask("GET", "/sites/CESNET/drift", "Eliška Malá").text
    assert "must be a list of objects" in shown
    assert "CESNET publishes nothing of its clouds" in shown


def test_the_operators_list(registry: Registry) -> None:
    assert "No site publishes its clouds yet" in registry.ask("GET", "/drift").text
    publish(registry)
    shown = registry.ask("GET", "/drift").text
    assert "2 differences are</b> open at 1 of 1 sites" in shown
    assert registry.ask("GET", "/drift", None).status_code == 401
    assert registry.ask("GET", "/sites/CESNET/drift", "Goran Petrov").status_code == 403
