"""Site files of the federated cloud's catch-all services: one YAML file a site, its Keystone and its VOs' projects."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, model_validator

from registry.renderings.plain_yaml import parse_as
from registry.schemas.fields import Line, SiteName, VoName, WebUrl, Wire

MAX_CHARACTERS: Final = 100_000


def _as_text(value: object) -> object:
    """A project id of digits alone is read as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ProjectId = Annotated[Line, BeforeValidator(_as_text)]


class FedcloudProject(Wire):
    """The project of a VO."""

    project_id: ProjectId


class FedcloudVo(Wire):
    """A VO that the site supports."""

    name: VoName
    auth: FedcloudProject


class FedcloudImages(Wire):
    """Whether images are copied to the site, and in which formats."""

    sync: bool = False
    formats: Annotated[list[Line], Field(max_length=50)] = Field(default=[])


class FedcloudAccounting(Wire):
    """Whether usage is collected for the site, and under which name it is counted."""

    enabled: bool = True
    site_name: Line | None = None


class FedcloudSite(Wire):
    """A site file; `gocdb` is the site's name in the registry."""

    gocdb: SiteName
    endpoint: WebUrl
    auth: Line | None = None
    region: Line | None = None
    protocol: Line = "openid"
    vos: Annotated[list[FedcloudVo], Field(max_length=1000)] = Field(default=[])
    images: FedcloudImages = FedcloudImages()
    accounting: FedcloudAccounting = FedcloudAccounting()

    @model_validator(mode="after")
    def _vos_once(self) -> Self:
        names = [vo.name for vo in self.vos]
        if len(set(names)) != len(names):
            raise ValueError("vos names the same VO twice")
        return self


def parse(text: str) -> FedcloudSite:
    """Read a site file. Raises TooLarge, or Refused with the line or the field of every fault."""
    return parse_as(FedcloudSite, text, MAX_CHARACTERS)
