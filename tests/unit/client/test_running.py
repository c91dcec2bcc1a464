"""Runs: a lost answer names what could be the run, and waiting ends on every final status."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import core, deployment, instances, projects, running
from airflow_provider_saagie.client.calls import Call, Pause
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.status import UNKNOWN_GRACE
from airflow_provider_saagie.exceptions import SaagieInstanceGone, SaagieOutcomeUnknown, SaagieWaitTimeout

if TYPE_CHECKING:
    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.emulator.testing import Emulator
    from tests.unit.client.conftest import Run

JOB, INSTANCE = "5f5fce22-2152-4a01-8c6a-4c2eb4808b6d", "4f5fce22-2152-4a01-8c6a-4c2eb4808b6d"


class Saagie:
    """Answers `runJob`, then gives one status after the other; the last one stays. Its clock runs while one waits."""

    def __init__(self, *statuses: str | None) -> None:
        self.statuses, self.now, self.pauses = list(statuses), 0.0, []

    def __call__(self, step: Call | Pause) -> dict[str, Any]:
        if isinstance(step, Pause):
            self.now += step.seconds
            self.pauses.append(step.seconds)
            return {}
        if step.operation == "runJob":
            return {"runJob": {"id": INSTANCE, "history": {"currentStatus": {"status": "REQUESTED"}}}}
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        row = {"id": INSTANCE, "history": {"currentStatus": {"status": status}}}
        return {"jobInstance": row if status else None}

    def follow(self, freq: float = 10, timeout: float = -1) -> tuple[str, str]:
        steps = running.run_with_callback(JOB, freq, timeout, now=lambda: self.now)
        step = next(steps)
        try:
            while True:
                step = core.advance(steps, self(step), after=step)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "KILLED", "ERROR", "SKIPPED"])
def test_waiting_ends_on_every_final_status(status: str) -> None:
    saagie = Saagie("REQUESTED", "QUEUED", "AWAITING", "RUNNING", "KILLING", status)
    assert saagie.follow() == (status, INSTANCE)
    assert saagie.pauses == [10] * 5


def test_a_status_that_nobody_knows_is_on_its_way() -> None:
    assert Saagie("RUNNING", "MOVING", "SUCCEEDED").follow() == ("SUCCEEDED", INSTANCE)


def test_unknown_is_believed_after_a_while_only() -> None:
    assert Saagie("UNKNOWN", "RUNNING", "SUCCEEDED").follow() == ("SUCCEEDED", INSTANCE)
    saagie = Saagie("UNKNOWN")
    assert saagie.follow() == ("UNKNOWN", INSTANCE)
    assert saagie.now == UNKNOWN_GRACE


def test_the_timeout_counts_seconds_of_waiting_and_not_looks() -> None:
    saagie = Saagie("RUNNING")
    with pytest.raises(SaagieWaitTimeout, match="still RUNNING after 25 s") as caught:
        saagie.follow(freq=10, timeout=25)
    assert (saagie.now, saagie.pauses) == (25, [10, 10, 5])
    assert caught.value.instance_id == INSTANCE


def test_an_end_in_the_last_interval_counts() -> None:
    assert Saagie("RUNNING", "RUNNING", "SUCCEEDED").follow(freq=10, timeout=15) == ("SUCCEEDED", INSTANCE)


def test_an_instance_that_is_null_once_is_not_gone() -> None:
    assert Saagie("RUNNING", None, "SUCCEEDED").follow() == ("SUCCEEDED", INSTANCE)
    with pytest.raises(SaagieInstanceGone):
        Saagie("RUNNING", None).follow()


@pytest.fixture
def job_id(run: Run, tmp_path: Any) -> str:
    project_id = run(projects.get_project_id("Demo"))
    change = JobChange(job_name=tmp_path.name, technology="bash", runtime_version="debian12-bookworm", command_line=":")
    return run(deployment.create_or_upgrade(project_id, change))["data"]["createJob"]["id"]


@pytest.mark.parametrize("what", ["drop", "cut"])
def test_a_lost_answer_names_the_instances_that_could_be_it(
    run: Run, emulator: Emulator, job_id: str, what: str
) -> None:
    emulator.fault(what, "runJob")
    with pytest.raises(SaagieOutcomeUnknown) as caught:
        run(running.run(job_id))
    (newest,) = run(instances.list_instances(job_id, limit=5))
    said = re.search(
        r"The job's newest instances: number 1 [A-Z]+, started by (\w+)(?: at \S+)?: (\S+)\.", str(caught.value)
    )
    assert said
    assert said.groups() == ("airflow", newest.id)
    assert caught.value.operation == "runJob"


def test_a_lost_answer_that_started_nothing_says_so(run: Run, emulator: Emulator, job_id: str) -> None:
    emulator.fault("status", "runJob", status=500)
    with pytest.raises(SaagieOutcomeUnknown, match=r"HTTP 500.*The job has no instance"):
        run(running.run(job_id))


def test_a_platform_that_stays_away_is_still_an_unknown_outcome(
    transport: Callable[..., Any], settings: Settings, emulator: Emulator, job_id: str
) -> None:
    emulator.fault("status", "*", status=500, times=0, occurrence=2)  # after the login
    before = sum(row["operation"] == "runJob" for row in emulator.requests())
    with pytest.raises(SaagieOutcomeUnknown, match="could not be read either"):
        transport(settings, running.run(job_id))
    emulator.clear_faults()
    assert sum(row["operation"] == "runJob" for row in emulator.requests()) <= before + 1


@pytest.mark.parametrize(("seen", "status"), [([None, "RUNNING"], "RUNNING"), ([None], None), (["QUEUED"], "QUEUED")])
def test_an_instance_is_gone_only_where_it_is_null_twice(seen: list[str | None], status: str | None) -> None:
    saagie, steps = Saagie(*seen), instances.read_twice(INSTANCE)
    step = next(steps)
    try:
        while True:
            step = steps.send(saagie(step))
    except StopIteration as end:
        found = end.value
    assert (found.status if found else None) == status
