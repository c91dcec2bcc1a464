"""Running a job, stopping an instance, and waiting for ends, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_saagie.client import instances, running, stopping
from airflow_provider_saagie.client.calls import Call, Pause
from airflow_provider_saagie.client.status import UNKNOWN_GRACE
from airflow_provider_saagie.exceptions import SaagieApiError, SaagieInstanceGone, SaagieWaitTimeout
from tests.support.clients import drive

JOB, INSTANCE = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d", "4f5fce22-2152-4a01-8c6a-4c2eb4808b6d"


@dataclass
class Platform:
    """Answers `runJob`, then each poll with the next status (None: no instance); the last one stays.

    It refuses to stop the instance.

    :param now: advances with each pause; nothing else takes time.
    """

    statuses: list[str | None]
    end_time: str | None = None
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)
    stops: int = 0

    def __call__(self, step: Call | Pause) -> dict[str, Any]:
        if isinstance(step, Pause):
            self.now += step.seconds
            self.pauses.append(step.seconds)
            return {}
        if step.operation == "stopJobInstance":
            self.stops += 1
            raise SaagieApiError("no", operation="stopJobInstance")
        if step.operation == "runJob":
            return {"runJob": self.row("REQUESTED")}
        assert step.operation == "watchedInstance", "neither stopped nor started again"
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"jobInstance": self.row(status) if status else None}

    def row(self, status: str) -> dict[str, Any]:
        current = {"currentStatus": {"status": status}}
        return {"id": INSTANCE, "number": 1, "endTime": self.end_time, "history": current}


def follow(platform: Platform, freq: float = 10, timeout: float = -1) -> tuple[str, str]:
    return drive(running.run_with_callback(JOB, freq, timeout, now=lambda: platform.now), platform)


def wait(platform: Platform, timeout: float = 300) -> str:
    steps = stopping.wait_for_ends([INSTANCE], timeout=timeout, now=lambda: platform.now)
    return drive(steps, platform)[INSTANCE].status


def test_run_with_callback_ends_with_every_final_status() -> None:
    for status in ("SUCCEEDED", "FAILED", "KILLED", "ERROR", "SKIPPED"):
        platform = Platform(["REQUESTED", "QUEUED", "AWAITING", "RUNNING", "KILLING", "A_LATER_STATUS", status])
        assert follow(platform) == (status, INSTANCE)
        assert platform.pauses == [10] * 6


def test_unknown_is_an_end_if_it_lasts_or_has_an_end_time() -> None:
    assert follow(Platform(["UNKNOWN", "RUNNING", "SUCCEEDED"])) == ("SUCCEEDED", INSTANCE)
    platform = Platform(["UNKNOWN"])
    assert follow(platform) == ("UNKNOWN", INSTANCE)
    assert platform.now == UNKNOWN_GRACE
    platform = Platform(["KILLING", "UNKNOWN", "KILLING", "UNKNOWN"])
    assert wait(platform) == "UNKNOWN"
    assert 60 <= platform.now < 70
    platform = Platform(["UNKNOWN"], end_time="2026-06-01T00:00:00Z")
    assert (wait(platform), platform.now) == ("UNKNOWN", 0)


def test_timeout_counts_seconds_and_leaves_instance() -> None:
    platform = Platform(["RUNNING"])
    with pytest.raises(TimeoutError, match="still RUNNING after 25 s") as caught:
        follow(platform, freq=10, timeout=25)
    assert isinstance(caught.value, SaagieWaitTimeout)
    assert caught.value.instance_id == INSTANCE
    assert (platform.now, platform.pauses) == (25, [10, 10, 5])
    assert follow(Platform(["RUNNING", "RUNNING", "SUCCEEDED"]), freq=10, timeout=15) == ("SUCCEEDED", INSTANCE)
    with pytest.raises(SaagieWaitTimeout, match=f"{INSTANCE} is KILLING"):
        wait(Platform(["KILLING"]), timeout=30)


def test_instance_is_gone_after_two_nulls() -> None:
    assert follow(Platform(["RUNNING", None, "RUNNING", None, "SUCCEEDED"])) == ("SUCCEEDED", INSTANCE)
    assert wait(Platform([None, "KILLED"])) == "KILLED"
    for take, statuses in ((follow, ["RUNNING", None]), (wait, [None])):
        with pytest.raises(SaagieInstanceGone):
            take(Platform(statuses))
    for statuses, status in (([None, "RUNNING"], "RUNNING"), ([None], None), (["QUEUED", None], "QUEUED")):
        found = drive(instances.read_twice(INSTANCE), Platform([*statuses]))
        assert (found.status if found else None) == status, statuses


def test_refused_stop_is_an_error_only_if_instance_runs_on() -> None:
    """A platform may refuse to stop an instance that it has lost sight of: then the wait for its end decides."""
    for status, stops in [("UNKNOWN", 2), ("KILLING", 1), ("KILLED", 1)]:
        platform = Platform(["RUNNING", status])
        assert drive(stopping.ask_to_stop(INSTANCE), platform).status == status
        assert platform.stops == stops, status
    platform = Platform(["RUNNING"])
    with pytest.raises(SaagieApiError):
        drive(stopping.ask_to_stop(INSTANCE), platform)
    assert platform.stops == 2
