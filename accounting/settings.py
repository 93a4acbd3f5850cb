"""What accounting can be told beyond the settings of every service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from hanse.settings import ServiceSettings


class AccountingSettings(ServiceSettings):
    """Settings of accounting."""

    ams_project: str = Field("accounting", description="Project under which messages are published (AMS).")
    ams_topics: tuple[str, ...] = Field(
        ("eu-egi-cloud-accounting", "eu-egi-storage-accounting", "gLite-APEL"),
        description="Topics to which messages may be published (AMS).",
    )
    ams_token_hours: float = Field(
        24,
        gt=0,
        le=24 * 31,
        description="How long a token holds that was given for a certificate (authx509), in hours.",
    )
    unsigned_sites: tuple[str, ...] = Field(
        (),
        description="Sites whose machines may send messages without a signature by HTTPS POST, beside those that say so"
        " in the registry (extension property accounting.unsigned); the others sign theirs.",
    )
    pull_url: str = Field(
        "", description="Address of an AMS that `hanse accounting pull` empties, https://HOST; empty = none."
    )
    pull_project: str = Field("accounting", description="Project at that AMS.")
    pull_subscription: str = Field("", description="Subscription of that project.")
    pull_token: SecretStr = Field(
        SecretStr(""), description="Token that may pull from it; best as pull_token_file."
    )
    pull_ca: Path | None = Field(
        None,
        description="File or hashed folder of CAs for the certificate of that AMS; empty = the public ones.",
    )
    pull_at_most: int = Field(100, ge=1, le=1000, description="Messages asked for in one pull.")
    pull_poll_s: float = Field(5, gt=0, description="Seconds between two pulls while nothing waits.")
    forward_url: str = Field(
        "", description="Address of the AMS of a higher federation that month summaries go to; empty = none."
    )
    forward_project: str = Field("accounting", description="Project at that AMS.")
    forward_cloud_topic: str = Field(
        "eu-egi-cloud-accounting", description="Topic there for summaries of clouds; empty = they stay here."
    )
    forward_job_topic: str = Field(
        "gLite-APEL", description="Topic there for summaries of jobs; empty = they stay here."
    )
    forward_token: SecretStr = Field(
        SecretStr(""), description="Token that may publish there; best as forward_token_file."
    )
    forward_ca: Path | None = Field(
        None,
        description="File or hashed folder of CAs for the certificate of that AMS; empty = the public ones.",
    )
    forward_cert: Path | None = Field(
        None,
        description="Certificate that signs what is forwarded, PEM; empty = that of this service (tls_cert).",
    )
    forward_key: Path | None = Field(None, description="Its key, PEM; empty = tls_key.")
    forward_from: str = Field(
        "",
        pattern=r"^(\d{4}-(0[1-9]|1[0-2]))?$",
        description="First month that is forwarded, YYYY-MM; empty = all.",
    )
    forward_at: str = Field(
        "04:30",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="Time of day (UTC) at which is forwarded, HH:MM.",
    )
    future_tolerance_s: int = Field(
        3600, ge=0, description="How far a record's times may lie ahead of its receipt, in seconds."
    )
    inbox_max_waiting: int = Field(
        1_000_000, ge=1, description="Messages that may wait for a loader; beyond, publishing answers 503."
    )
    worker_poll_s: float = Field(
        1.0, gt=0, description="Seconds a loader waits when the inbox is empty before it looks again."
    )
    publishing_warning_days: int = Field(7, ge=1, description="Days of silence after which a site is late.")
    publishing_critical_days: int = Field(
        31, ge=1, description="Days of silence after which a site's usage is missing."
    )
    cross_check_interval_s: float = Field(
        21_600,
        gt=0,
        description="Seconds between two looks of the cross-checks (members, certification, VOs, gaps).",
    )
    cross_check_months: int = Field(
        3,
        ge=1,
        le=120,
        description="Months of usage that the cross-checks look at, the current one included.",
    )
    silent_days: int = Field(
        14,
        ge=1,
        description="Days without a report after which a running machine is a finding of the cross-checks.",
    )
    mail_interval_s: float = Field(10, gt=0, description="Seconds between two looks at the queue of mails.")
    replay_interval_s: float = Field(
        5, gt=0, description="Seconds between two looks for replays of many records that were asked for."
    )
    keep_raw_months: int = Field(
        0,
        ge=0,
        description="Whole months of raw messages and records that stay in the database; older ones are archived daily."
        " 0 = all stay.",
    )
    archive_dir: Path | None = Field(
        None, description="Folder of the archive (Parquet files, one a month); empty = `archive` in data_dir."
    )
    pseudonym_key: SecretStr = Field(
        SecretStr(""),
        description="Key under which names become pseudonyms: the same for ever, kept apart from the database;"
        " 16 characters or more; empty = no name can be replaced.",
    )

    @field_validator("pseudonym_key")
    @classmethod
    def _no_guess(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 16:
            raise ValueError("needs 16 characters or more, so that nobody finds names by guessing the key")
        return value

    @property
    def archive_folder(self) -> Path:
        """Where archive files lie."""
        return self.archive_dir or self.data_dir / "archive"
