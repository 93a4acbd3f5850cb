"""What monitoring can be told."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from hanse.settings import ServiceSettings
from monitoring.flapping import FlapRule
from monitoring.judgement import Rules
from monitoring.notifiers.ticket import DEFAULT, FIELDS, filled
from monitoring.probes import BY_SERVICE_TYPE, DEFAULT_PROBES, PROBES


class MonitoringSettings(ServiceSettings):
    """Settings of monitoring: how often to probe, when to believe it, whom to tell."""

    port: int = Field(7030, ge=0, le=65535, description="Port of the plain HTTP side, for a proxy in front.")
    time_scale: float = Field(
        1.0,
        gt=0,
        le=100,
        description=(
            "Multiplies every probe's period and retry (1 s is the floor), and the times by which flapping is judged;"
            " 0.1 = ten times as often."
        ),
    )
    failures_to_confirm: int = Field(2, ge=1, le=10, description="Failures in a row that confirm an outage.")
    successes_to_recover: int = Field(
        2, ge=1, le=10, description="Successes in a row that confirm a recovery."
    )
    probes_by_service_type: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Probes of a service type, replacing the built-in row; the type * is for all others.",
    )
    probe_options: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="Options of a probe by its name, such as occi-categories = {kinds = 'compute'}.",
    )
    probe_cert: Path | None = Field(
        None, description="Certificate or proxy (PEM) that probes show to TLS servers."
    )
    probe_key: Path | None = Field(
        None, description="Key of probe_cert; empty = in the same file, as in a proxy."
    )
    probe_slots: int = Field(
        200, ge=1, le=10_000, description="Checks that one worker runs at the same time."
    )
    per_host: int = Field(
        4, ge=1, le=100, description="Checks that one worker runs at the same time on one host."
    )
    webhook_urls: list[str] = Field(
        default_factory=list,
        description="Addresses that every alert is POSTed to as JSON (federation's own).",
    )
    webhook_token: SecretStr = Field(
        SecretStr(""), description="Sent to the webhooks as Authorization: Bearer; empty = not sent."
    )
    alert_mail: list[str] = Field(
        default_factory=list, description="Addresses of the federation's operators; mailed with every alert."
    )
    mail_sites: bool = Field(
        True, description="Mail alerts to the contacts that the registry holds for the site."
    )
    alertmanager_urls: list[str] = Field(
        default_factory=list,
        description="Addresses of Alertmanagers that every alert is sent to, such as http://alertmanager:9093.",
    )
    chat_urls: list[str] = Field(
        default_factory=list,
        description="Incoming webhooks of chat rooms (Slack, Mattermost, Matrix) that every alert is sent to.",
    )
    ticket_url: str = Field(
        "", description="Address of a help desk that tickets are POSTed to; empty = none."
    )
    ticket_token: SecretStr = Field(
        SecretStr(""), description="Sent to the help desk as Authorization: Bearer; empty = not sent."
    )
    ticket_template: str = Field(
        "",
        description="JSON of a ticket with $key, $action, $subject, $text, ... (no quotes); empty = the built-in one.",
    )
    escalate_after_min: float = Field(
        30,
        ge=0,
        le=10_080,
        description="Minutes without acknowledgement after which an outage is told again; 0 = never.",
    )
    escalation_mail: list[str] = Field(
        default_factory=list,
        description="Addresses that are mailed when an outage is escalated, beside all others.",
    )
    remind_after_h: float = Field(
        24,
        ge=0,
        le=720,
        description="Hours after which an incident that is still open is told again; 0 = never.",
    )
    flap_changes: int = Field(
        4, ge=2, le=100, description="Changes of an endpoint within an hour from which on it is flapping."
    )
    calm_min: float = Field(
        30, ge=1, le=1440, description="Minutes without a change after which flapping is over."
    )
    digest: bool = Field(False, description="Mail alert_mail each morning what is open and what was over.")
    keep_results_days: int = Field(
        30, ge=1, le=3650, description="Days that single results are kept; timelines stay."
    )

    @field_validator("probes_by_service_type")
    @classmethod
    def _known_probes(cls, rows: dict[str, list[str]]) -> dict[str, list[str]]:
        for name in {name for row in rows.values() for name in row}:
            if name not in PROBES:
                raise ValueError(f"there is no probe {name}; there are {', '.join(PROBES)}")
        return rows

    @field_validator("ticket_template")
    @classmethod
    def _fillable(cls, template: str) -> str:
        filled(template or DEFAULT, dict.fromkeys(FIELDS, ""))
        return template

    @property
    def rules(self) -> Rules:
        """How many measurements in a row turn a judgement."""
        return Rules(self.failures_to_confirm, self.successes_to_recover)

    @property
    def flaps(self) -> FlapRule:
        """When an endpoint flaps: who is probed more often may change more often."""
        minutes = timedelta(minutes=self.calm_min) * self.time_scale
        return FlapRule(self.flap_changes, minutes, timedelta(hours=1) * self.time_scale)

    @property
    def credential(self) -> tuple[Path, Path] | None:
        """The certificate and key that probes show; None = none."""
        return (self.probe_cert, self.probe_key or self.probe_cert) if self.probe_cert else None

    def probes_for(self, service_type: str) -> tuple[str, ...]:
        """Names of the probes that endpoints of this type get."""
        rows = self.probes_by_service_type
        if service_type in rows:
            return tuple(rows[service_type])
        return BY_SERVICE_TYPE.get(service_type) or tuple(rows.get("*", DEFAULT_PROBES))
