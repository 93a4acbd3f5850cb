"""What the settings say of an OpenID Connect provider by which people sign in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

#: What a provider is called in addresses, and so in the redirect address that is registered there.
NAME: Final = r"^[a-z0-9][a-z0-9-]{0,31}$"


class SignInProvider(BaseModel):
    """One provider, `[common.sign_in.NAME]` of the file. `client_secret_file` names a file with the secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(max_length=255, description="The issuer's address, spelt as in its tokens (`iss`).")
    client_id: str = Field(min_length=1, max_length=255, description="Who we are there.")
    client_secret: SecretStr = Field(SecretStr(""), description="Empty = a public client, by PKCE alone.")
    scopes: tuple[str, ...] = Field(("openid", "email", "profile"), description="What is asked for.")
    button: str = Field("", max_length=80, description="Text of the button; empty = `Sign in with` the host.")
    audience: str = Field(
        "", max_length=255, description="Access tokens for this audience are taken by the APIs; empty = none."
    )
    ca: Path | None = Field(None, description="CAs of the provider's server; empty = those of the system.")
    nearby: bool = Field(
        False, description="The provider may be on this machine or in a private network, also without TLS."
    )

    @model_validator(mode="before")
    @classmethod
    def _secret_from_file(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "client_secret_file" not in given:
            return given
        rest = {key: value for key, value in given.items() if key != "client_secret_file"}
        path = Path(str(given["client_secret_file"]))
        try:
            return {**rest, "client_secret": path.read_text(encoding="utf-8").strip()}
        except (OSError, UnicodeDecodeError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
            raise ValueError(f"names {path}, which cannot be read: {reason}") from None

    @field_validator("scopes")
    @classmethod
    def _openid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise ValueError('must hold "openid", which makes it OpenID Connect')
        return value

    @model_validator(mode="after")
    def _sound(self) -> SignInProvider:
        parts = urlsplit(self.issuer)
        schemes = ("https", "http") if self.nearby else ("https",)
        if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("issuer must be an https address without ? and # (http only with nearby = true)")
        if self.audience == self.client_id:
            raise ValueError("audience must differ from client_id: that one is the audience of sign-ins")
        return self

    @property
    def label(self) -> str:
        """What stands on the button."""
        return self.button or f"Sign in with {urlsplit(self.issuer).hostname}"
