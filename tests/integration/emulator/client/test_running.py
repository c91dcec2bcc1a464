"""A lost answer to `runJob` leads to an error that names the instances which may have been started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import deployment, instances, running
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.exceptions import SaagieOutcomeUnknown
from tests.support.clients import settings_for
from tests.support.errors import error_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_saagie.client.deployment import JobChange
    from airflow_provider_saagie.emulator.testing import Emulator


@pytest.fixture
def job_id(run: Callable[..., Any], project_id: str, change: Callable[..., JobChange]) -> str:
    created: str = run(deployment.create(project_id, change()))["data"]["createJob"]["id"]
    return created


def test_lost_answer_names_the_instances_of_the_job(run: Callable[..., Any], emulator: Emulator, job_id: str) -> None:
    emulator.fault("status", "runJob", status=500)
    message = error_message(SaagieOutcomeUnknown, run, running.run(job_id))
    assert "HTTP 500" in message
    assert message.endswith("The job has no instance.")
    for number, fault in ((1, "drop"), (2, "cut")):
        emulator.fault(fault, "runJob")
        with pytest.raises(SaagieOutcomeUnknown) as caught:
            run(running.run(job_id))
        newest, *older = run(instances.list_instances(job_id, limit=5))
        assert len(older) == number - 1
        assert caught.value.operation == "runJob"
        _, _, listed = str(caught.value).partition("The job's newest instances: ")
        assert listed.startswith(f"number {number} ")
        assert ", started by airflow" in listed
        assert all(instance.id in listed for instance in (newest, *older))


def test_lost_answer_stays_unknown_when_nothing_answers(emulator: Emulator, job_id: str) -> None:
    emulator.fault("status", "*", status=500, times=0, occurrence=2)  # after the login
    with Session(settings_for(emulator), sleep=lambda _: None) as session:
        message = error_message(SaagieOutcomeUnknown, session.run, running.run(job_id))
    assert "could not be read either" in message
    assert [row["operation"] for row in emulator.requests()].count("runJob") <= 1
