"""Running a job and waiting for its end, and an instance that seems to be gone, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_saagie.client import instances, running
from airflow_provider_saagie.client.calls import Call, Pause
from airflow_provider_saagie.client.status import UNKNOWN_GRACE
from airflow_provider_saagie.exceptions import SaagieInstanceGone, SaagieWaitTimeout
from tests.support.clients import drive

JOB, INSTANCE = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d", "4f5fce22-2152-4a01-8c6a-4c2eb4808b6d"


@dataclass
class Platform:
    """Answers `runJob`, then each poll with the next status (None: no instance); the last one stays.

    :param now: advances with each pause; nothing else takes time.
    """

    statuses: list[str | None]
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self, step: Call | Pause) -> dict[str, Any]:
        if isinstance(step, Pause):
            self.now += step.seconds
            self.pauses.append(step.seconds)
            return {}
        if step.operation == "runJob":
            return {"runJob": {"id": INSTANCE, "history": {"currentStatus": {"status": "REQUESTED"}}}}
        assert step.operation == "watchedInstance", "neither stopped nor started again"
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"jobInstance": {"id": INSTANCE, "history": {"currentStatus": {"status": status}}} if status else None}


def follow(platform: Platform, freq: float = 10, timeout: float = -1) -> tuple[str, str]:
    return drive(running.run_with_callback(JOB, freq, timeout, now=lambda: platform.now), platform)


def test_run_with_callback_ends_with_every_final_status() -> None:
    for status in ("SUCCEEDED", "FAILED", "KILLED", "ERROR", "SKIPPED"):
        platform = Platform(["REQUESTED", "QUEUED", "AWAITING", "RUNNING", "KILLING", "A_LATER_STATUS", status])
        assert follow(platform) == (status, INSTANCE)
        assert platform.pauses == [10] * 6


def test_run_with_callback_ends_with_unknown_after_its_grace() -> None:
    assert follow(Platform(["UNKNOWN", "RUNNING", "SUCCEEDED"])) == ("SUCCEEDED", INSTANCE)
    platform = Platform(["UNKNOWN"])
    assert follow(platform) == ("UNKNOWN", INSTANCE)
    assert platform.now == UNKNOWN_GRACE


def test_run_with_callback_timeout_counts_seconds_and_leaves_instance() -> None:
    platform = Platform(["RUNNING"])
    with pytest.raises(TimeoutError, match="still RUNNING after 25 s") as caught:
        follow(platform, freq=10, timeout=25)
    assert isinstance(caught.value, SaagieWaitTimeout)
    assert caught.value.instance_id == INSTANCE
    assert (platform.now, platform.pauses) == (25, [10, 10, 5])
    assert follow(Platform(["RUNNING", "RUNNING", "SUCCEEDED"]), freq=10, timeout=15) == ("SUCCEEDED", INSTANCE)


def test_run_with_callback_takes_instance_for_gone_after_two_nulls() -> None:
    assert follow(Platform(["RUNNING", None, "RUNNING", None, "SUCCEEDED"])) == ("SUCCEEDED", INSTANCE)
    with pytest.raises(SaagieInstanceGone):
        follow(Platform(["RUNNING", None]))


def test_read_twice_returns_none_after_two_nulls() -> None:
    for statuses, status in (([None, "RUNNING"], "RUNNING"), ([None], None), (["QUEUED", None], "QUEUED")):
        found = drive(instances.read_twice(INSTANCE), Platform([*statuses]))
        assert (found.status if found else None) == status, statuses
