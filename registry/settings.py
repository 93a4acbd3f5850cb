"""What the registry can be told beyond the settings of every service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from hanse.settings import ServiceSettings


class RegistrySettings(ServiceSettings):
    """Settings of the registry."""

    default_scopes: tuple[str, ...] = Field(
        ("EGI",), description="Scopes that the GOCDB interface means when a question names none."
    )
    portal_url: str = Field(
        "", description="Address in the portal links of the GOCDB interface; empty = the registry's own."
    )
    restrict_personal_data: bool = Field(
        False,
        description="Whether the GOCDB interface tells personal data only to registered API credentials and people "
        "with a role; off = to every trusted credential, as GOCDB does when it is new.",
    )
    gocdb_all_realms: bool = Field(
        False,
        description="Whether the GOCDB interface lists the identities of people in all realms (EGICHECKIN, IRISIAM).",
    )
    gocdb_answers_mb: int = Field(
        256, ge=0, description="Megabytes of answers of the GOCDB interface that are kept on disk; 0 = none."
    )
    clock_interval_s: float = Field(
        10, gt=0, description="Seconds between two looks at downtimes that begin or end and tokens that end."
    )
    propose_downtime_after_s: float = Field(
        7200,
        ge=0,
        description="Seconds of an outage outside every downtime after which one is proposed; 0 = never.",
    )
    card_deadline_s: float = Field(
        2,
        gt=0,
        le=30,
        description="Seconds that another service has to fill its card on the operator's page.",
    )
    card_reuse_s: float = Field(
        5, ge=0, le=60, description="Seconds for which an answer of another service is shown again unasked."
    )
    read_only: bool = Field(
        False,
        description="Fail-over copy: everything can be read, every change is refused with read_only_reason.",
    )
    read_only_reason: str = Field(
        "This copy of the registry answers while the first one is away; changes are taken again when it is back.",
        description="What a refused change and the banner of the pages say when read_only is set.",
    )
    banner: str = Field("", description="A sentence on top of every page of the registry; empty = none.")
    webhook_interval_s: float = Field(
        5, gt=0, description="Seconds between two looks at the queue of webhooks."
    )
    webhook_deadline_s: float = Field(
        10, gt=0, le=60, description="Seconds that a webhook's receiver has to answer."
    )
    webhook_give_up_days: float = Field(
        3, gt=0, description="Days without a single answer of 2xx after which a webhook is stopped."
    )
    webhook_log_days: float = Field(
        30, gt=0, description="Days for which the deliveries of webhooks are kept and can be sent again."
    )
    webhook_private_addresses: bool = Field(
        False,
        description="Let webhooks go to private and loopback addresses, over plain http too; for demos and tests.",
    )
    previous_secret_keys: tuple[SecretStr, ...] = Field(
        (),
        description="Values that secret_key had before: secrets of webhooks that they sealed can still be read;"
        " `hanse registry reseal` seals them anew, then take these away.",
    )
    digest_at: str = Field(
        "06:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Time (UTC) of the daily digest by mail."
    )
    policy_interval_s: float = Field(
        3600, gt=0, description="Seconds between two looks at the evidence for every site's certification."
    )
    mail_interval_s: float = Field(10, gt=0, description="Seconds between two looks at the queue of mails.")
    mail_days: float = Field(
        90, gt=0, description="Days after which mails that were delivered or given up are forgotten."
    )
    api_credential_unused_days: float = Field(
        365,
        gt=0,
        description="Days without use after which the owner of an API credential is warned by mail.",
    )
    api_credential_renew_days: float = Field(
        395,
        gt=0,
        description="Days after which an API credential must be renewed; its owner is warned by mail.",
    )
    api_credential_warning_days: float = Field(
        30, gt=0, description="Days between the warning and the deletion of an API credential."
    )
    personal_read_days: float = Field(
        365, gt=0, description="Days for which it is kept who read which personal data."
    )
    oidc_realms: dict[str, str] = Field(
        {"EGI Check-in": "https://aai.egi.eu/auth/realms/egi"},
        description="Identity providers whose subjects may be linked to people and API credentials: name and issuer.",
    )
    cloudinfo_project: str = Field(
        "egi_cloud_info", description="AMS project under which clouds publish what they offer."
    )
    cloudinfo_days: float = Field(
        400,
        gt=0,
        description="Days for which one cloud-info document a day is kept of each cloud, for looks at the past; of the"
        " last 24 all are kept.",
    )
    disciplines_file: Path | None = Field(
        None,
        description="JSON list of scientific disciplines that `/disciplines/` answers; none = an empty list.",
    )
