"""What the membership service can be told beyond the common settings."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from hanse.settings import ServiceSettings


class VomsdbSettings(ServiceSettings):
    """Settings of the table [vomsdb]."""

    port: int = Field(7040, ge=0, le=65535, description="Port of the plain HTTP side, for a proxy in front.")
    tls_port: int = Field(
        7041,
        ge=0,
        le=65535,
        description="Port of the side that ends TLS and asks for certificates; 0 = none.",
    )
    aa_host: str = Field(
        "localhost",
        description="Name of the attribute authority in vomses lines, .lsc file names and certificates.",
    )
    aa_bind: str = Field("127.0.0.1", description="Address the attribute authority listens on.")
    aa_port: int = Field(15001, ge=1, le=65535, description="Port of the attribute authority.")
    aa_cert: Path = Field(
        Path("/etc/grid-security/vomscert.pem"), description="The attribute authority's certificate, PEM."
    )
    aa_key: Path = Field(
        Path("/etc/grid-security/vomskey.pem"),
        description="Its RSA key, PEM, readable by the attribute authority's user alone.",
    )
    aa_next_cert: Path | None = Field(
        None, description="The certificate that follows aa_cert when the key is renewed, PEM."
    )
    aa_next_key: Path | None = Field(
        None,
        description="Its RSA key; not needed where the second host is another machine, which holds it alone.",
    )
    aa_next_host: str = Field(
        "",
        description="Second host of the attribute authority, which serves with aa_next_cert beside the first.",
    )
    aa_next_port: int = Field(0, ge=0, le=65535, description="Port of the second host; 0 = aa_port.")
    aa_next_from: datetime | None = Field(
        None,
        description="Without a second host: the moment, with its zone, from which aa_host signs with aa_next_key.",
    )
    client_certificates_dir: str = Field(
        "",
        description="Folder of CA certificates that the commands shown to members name; empty = the usual one.",
    )
    aa_processes: int = Field(2, ge=1, le=64, description="Processes of the attribute authority.")
    aa_threads: int = Field(8, ge=1, le=256, description="Requests each of them answers at the same time.")
    aa_connections: int = Field(
        512, ge=1, le=65535, description="Open connections of each of them; beyond, the oldest is closed."
    )
    aa_timeout_s: float = Field(
        5, gt=0, le=60, description="Seconds in which a client must finish its handshake, then its request."
    )
    ac_lifetime_s: int = Field(
        43200, ge=600, le=86400, description="Longest life of an attribute certificate, in seconds."
    )
    gridmap_old_email: bool = Field(
        False, description="Write Email= for emailAddress= in the answers to getGridmapUsers."
    )
    membership_days: int = Field(
        365, ge=1, le=3660, description="Days a membership lasts in VOs that do not say otherwise."
    )
    membership_grace_days: float = Field(
        30, ge=0, description="Days after its end in which a membership can be prolonged; then it is removed."
    )
    confirmation_hours: float = Field(
        72, gt=0, description="Hours in which an applicant must confirm the e-mail address."
    )
    request_days: float = Field(
        30, gt=0, description="Days after which a request that nobody decided expires."
    )
    mail_interval_s: float = Field(10, gt=0, description="Seconds between two looks at the queue of mails.")
    signing_key: Path | None = Field(
        None,
        description="Ed25519 key (PEM) that signs the documents for sites; "
        "made on first use; empty = <data_dir>/federation-signing.pem.",
    )
    signing_key_next: Path | None = Field(
        None, description="The key that will sign after it; all sites learn it within a day."
    )
    signing_key_previous: Path | None = Field(
        None,
        description="The key that signed before it, for sites that were away when the keys changed; "
        "leave it out once all sites are in step, or when it is lost to somebody.",
    )
    signing_key_days: float = Field(
        3650, gt=0, description="Days for which a joining site may trust the keys it learns."
    )
    replication_daily_at: str = Field(
        "03:00", pattern="^[0-2][0-9]:[0-5][0-9]$", description="Time (UTC) of the daily run to all sites."
    )
    replication_interval_s: float = Field(
        86400, gt=0, description="Seconds between two full runs; a day = at the time of replication_daily_at."
    )
    replication_jitter_s: float = Field(
        300, ge=0, description="The daily run tells the sites spread over this many seconds."
    )
    publish_interval_s: float = Field(
        2,
        gt=0,
        description="Seconds until a change is in a signed snapshot and waiting pushes are looked at.",
    )
    push_timeout_s: float = Field(10, gt=0, description="Seconds a site's agent has to take a push.")
    push_retry_s: float = Field(
        30, gt=0, description="Seconds before the first retry of a failed push; doubles."
    )
    push_retry_max_s: float = Field(7200, gt=0, description="Longest pause between two retries, in seconds.")
    manifest_valid_s: float = Field(
        259200, gt=0, description="Seconds for which a site may keep what it holds without hearing more."
    )
    digest_daily_at: str = Field(
        "06:30",
        pattern="^[0-2][0-9]:[0-5][0-9]$",
        description="Time (UTC) of the mail to managers of VOs that are not at every site in time.",
    )
    join_code_hours: float = Field(24, gt=0, description="Hours in which a join code must be used.")
    late_after_s: float = Field(
        64800, gt=0, description="Age of an unacknowledged change that warns, seconds."
    )
    breach_after_s: float = Field(86400, gt=0, description="Age at which the promise is broken, in seconds.")

    @model_validator(mode="after")
    def _one_way_to_the_next_key(self) -> Self:
        if self.aa_next_cert is None:
            if self.aa_next_key or self.aa_next_host or self.aa_next_from:
                raise ValueError("aa_next_cert names the certificate that follows; give it too")
            return self
        if bool(self.aa_next_host) == bool(self.aa_next_from):
            raise ValueError("give with aa_next_cert either aa_next_host or aa_next_from, and not both")
        if self.aa_next_host == self.aa_host:
            raise ValueError(
                "aa_next_host must be another name than aa_host: a site has one .lsc file a host"
            )
        if self.aa_next_from is not None and (self.aa_next_from.tzinfo is None or self.aa_next_key is None):
            raise ValueError(
                "aa_next_from needs its zone, as 2027-01-31T08:00:00Z, and aa_next_key beside it"
            )
        return self

    @property
    def signing_key_path(self) -> Path:
        """Where the key for documents is."""
        return self.signing_key or self.data_dir / "federation-signing.pem"

    @property
    def signing_keys(self) -> dict[str, Path]:
        """Where the keys for documents are, by setting."""
        others = {
            "signing_key_next": self.signing_key_next,
            "signing_key_previous": self.signing_key_previous,
        }
        return {"signing_key": self.signing_key_path} | {key: path for key, path in others.items() if path}
