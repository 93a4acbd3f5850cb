"""Settings: from file, environment and secret files; a wrong one is a sentence that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from hanse.settings import ServiceSettings, SettingsError

BASE = """
[common]
secret_key = "sixteen characters"
federation = "Research Cloud Federation · demo"

[accounting]
database_url = "postgresql://hanse@db/accounting"
"""


class AccountingSettings(ServiceSettings):
    topic: str = Field("eu-egi-cloud-accounting", description="AMS topic.")
    days: list[int] = Field(default_factory=list, description="Days.")


def load(tmp_path: Path, text: str = BASE, **environ: str) -> AccountingSettings:
    config = tmp_path / "hanse.toml"
    config.write_text(text, encoding="utf-8")
    return AccountingSettings.load("accounting", config, environ)


def fault(tmp_path: Path, text: str = BASE, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, **environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_file_gives_common_and_own_keys(tmp_path: Path) -> None:
    settings = load(tmp_path, BASE + "port = 7020\ntls_port = 7021\n")
    assert settings.service == "accounting"
    assert settings.federation == "Research Cloud Federation · demo"
    assert (settings.url, settings.tls_url) == ("http://127.0.0.1:7020", "https://127.0.0.1:7021")
    assert settings.topic == "eu-egi-cloud-accounting"


def test_without_a_tls_port_there_is_no_tls_address(tmp_path: Path) -> None:
    assert load(tmp_path).tls_url == ""


def test_an_address_that_is_given_stays(tmp_path: Path) -> None:
    settings = load(tmp_path, BASE + 'port = 7020\nurl = "https://usage.example/"\n')
    assert settings.url == "https://usage.example/"


def test_later_sources_win(tmp_path: Path) -> None:
    text = BASE.replace("[accounting]", "port = 1\n[accounting]")
    assert load(tmp_path, text).port == 1
    assert load(tmp_path, text + "port = 2\n").port == 2
    assert load(tmp_path, text + "port = 2\n", HANSE_PORT="3").port == 3
    assert load(tmp_path, text + "port = 2\n", HANSE_PORT="3", HANSE_ACCOUNTING_PORT="4").port == 4
    assert load(tmp_path, text, HANSE_REGISTRY_PORT="5").port == 1


def test_the_environment_alone_is_enough() -> None:
    environ = {"HANSE_SECRET_KEY": "sixteen characters", "HANSE_ACCOUNTING_DATABASE_URL": "postgresql://db/a"}
    settings = AccountingSettings.load("accounting", None, {**environ, "HANSE_DAYS": "[1, 2]"})
    assert settings.days == [1, 2]


def test_secrets_stand_in_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the key of the cookie\n")
    (tmp_path / "tokens").write_text('{"registry": "s3cret"}')
    text = BASE.replace('secret_key = "sixteen characters"', 'secret_key_file = "key"')
    settings = load(tmp_path, text, HANSE_SERVICE_TOKENS_FILE=str(tmp_path / "tokens"))
    assert settings.secret_key.get_secret_value() == "the key of the cookie"
    assert settings.service_tokens["registry"].get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings)


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, BASE + 'trust_dir = "trust"\ndata_dir = "/srv/hanse"\n')
    assert settings.trust_dir == tmp_path / "trust"
    assert settings.data_dir == Path("/srv/hanse")


def test_settings_do_not_change(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path).port = 9  # type: ignore[misc]


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    message = fault(tmp_path, BASE.replace("database_url", "database_uri_"), HANSE_X="1")
    assert "database_uri_" in message or "database_url" in message
    assert "HANSE_ACCOUNTING_DATABASE_URL" in fault(tmp_path, BASE.split("[accounting]")[0])


def test_a_key_that_nobody_knows_is_named(tmp_path: Path) -> None:
    assert "no setting prot" in fault(tmp_path, BASE + "prot = 7020\n")
    assert "[common] has no key prot" in fault(tmp_path, BASE.replace("[common]", "[common]\nprot = 1"))


def test_a_wrong_value_is_named(tmp_path: Path) -> None:
    assert "setting port cannot be used" in fault(tmp_path, BASE + 'port = "many"\n')
    assert "postgresql://" in fault(tmp_path, BASE.replace("postgresql://", "mysql://"))
    assert "16 characters" in fault(tmp_path, BASE.replace("sixteen characters", "short"))
    assert "HANSE_SERVICE_TOKENS must be JSON" in fault(tmp_path, HANSE_SERVICE_TOKENS="registry=tok")


def test_a_secret_is_not_in_the_sentence(tmp_path: Path) -> None:
    assert "hunter2" not in fault(tmp_path, BASE.replace("sixteen characters", "hunter2"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml cannot be read"):
        AccountingSettings.load("accounting", tmp_path / "nowhere.toml", {})
    assert "is not TOML" in fault(tmp_path, "[common")
    assert "must be a table" in fault(tmp_path, "accounting = 1")
    assert "secret_key_file names" in fault(tmp_path, BASE.replace("secret_key =", "secret_key_file ="))


def test_every_key_says_what_it_is() -> None:
    for name, field in ServiceSettings.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize("address", ["443", ":443", "host:", "host:https", "host:0", "host:70000"])
def test_a_further_address_that_is_none_is_said(tmp_path: Path, address: str) -> None:
    assert f"listen_extra cannot be used: holds {address}, " in fault(
        tmp_path, BASE + f'listen_extra = ["{address}"]\n'
    )
