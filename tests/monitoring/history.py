"""Timelines that tests put as if they had been written when it happened."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select

from monitoring.algebra import State
from monitoring.figures import daily
from monitoring.models import Check, StatusChange
from tests.monitoring.federation import Federation

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
LATELY = TODAY - timedelta(days=3)  # so that a midnight during the tests changes nothing
DAY = LATELY.date()
HOUR = timedelta(hours=1)
CONSUMER = "hpt_of-a-consumer-of-figures"


def write_line(
    federation: Federation, endpoint: str, probe: str, changes: list[tuple[datetime, State]]
) -> None:
    """The timeline of a check."""
    with federation.session() as session:
        check = session.scalars(
            select(Check.id).where(Check.endpoint_id == endpoint, Check.probe == probe)
        ).one()
        session.execute(
            insert(StatusChange),
            [
                {"level": "check", "subject": str(check), "at": at, "written_at": at, "state": state}
                for at, state in changes
            ],
        )


def make(federation: Federation) -> str:
    """Run the job that counts the days."""
    return daily.make(federation.db, federation.settings)


def well_but_for_a_morning(federation: Federation) -> Federation:
    """BIFI and CESNET, well for days but for BIFI's TCP on DAY from 6 to 12."""
    for site in ("BIFI", "CESNET"):
        federation.endpoint(site, f"http://occi.{site.lower()}.example:8787/")
    federation.adopt()
    for endpoint in ("bifi", "cesnet"):
        for probe in ("tcp", "occi-categories"):
            write_line(federation, endpoint, probe, [(LATELY - timedelta(days=1), State.OK)])
    write_line(
        federation,
        "bifi",
        "tcp",
        [(LATELY + 6 * HOUR, State.CRITICAL), (LATELY + 12 * HOUR, State.OK)],
    )
    return federation


def two_ngis(federation: Federation) -> Federation:
    """The same, counted: BIFI in NGI_ES, CESNET in NGI_CZ."""
    well_but_for_a_morning(federation)
    for site, ngi in (("BIFI", "NGI_ES"), ("CESNET", "NGI_CZ")):
        federation.put("site", site, {"id": site, "name": site, "ngi": ngi, "contacts": []})
    make(federation)
    return federation
