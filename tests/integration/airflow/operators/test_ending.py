"""What a task says of an end whose times are odd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_saagie.exceptions import SaagieJobFailed
from airflow_provider_saagie.operators.ending import raise_unless_good
from airflow_provider_saagie.triggers.events import InstanceEvent

if TYPE_CHECKING:
    from airflow_provider_saagie.client.saagie import SaagieClient

NOBODY = "00000000-0000-0000-0000-000000000000"
AT = "2026-11-26T08:00:00"


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (f"{AT}Z", "2026-11-26T08:00:05Z", ", after 5.0 s."),
        (f"{AT}Z", AT, "FAILED."),
        (f"{AT}Z", None, "FAILED."),
        (None, None, "FAILED."),
        ("yesterday", f"{AT}Z", "FAILED."),
    ],
)
def test_times_that_cannot_be_read_are_left_out(
    client: SaagieClient, start: str | None, end: str | None, told: str
) -> None:
    event = InstanceEvent(
        status="error", instance_id=NOBODY, message="", instance_status="FAILED", start_time=start, end_time=end
    )
    with pytest.raises(SaagieJobFailed) as caught:
        raise_unless_good(event, session=client.session, url="https://saagie", retry_killed=False, skip_on=())
    assert told in str(caught.value).splitlines()[0]
