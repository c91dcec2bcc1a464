"""Tests of the example DAGs: Airflow runs them, a local Saagie runs their jobs."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("saagie_connection")


def test_the_quickstart_deploys_runs_and_cleans_up(saagie_emulator):
    from saagie_quickstart import run

    assert run.dag.test().state == "success"

    job = saagie_emulator.jobs()["Airflow quickstart"]
    (instance,) = job.instances
    assert instance.status == "SUCCEEDED"
    assert "Hello from Saagie!" in saagie_emulator.log(instance.id)


def test_the_quickstart_survives_a_platform_that_stumbles(saagie_emulator):
    from saagie_quickstart import run

    saagie_emulator.fault("status", "projects", status=503, times=2)
    saagie_emulator.fault("expire", "runJob")

    assert run.dag.test().state == "success"

    assert [fault["struck"] for fault in saagie_emulator.faults()] == [2, 1]
    assert len(saagie_emulator.jobs()["Airflow quickstart"].instances) == 1


def test_a_job_that_fails_fails_its_task(saagie_emulator):
    from saagie_failure import run_failing_job

    dag_run = run_failing_job.dag.test()

    states = {task.task_id: task.state for task in dag_run.get_task_instances()}
    assert states == {"deploy_failing_job": "success", "run_failing_job": "failed"}
    (instance,) = saagie_emulator.jobs()["Airflow failure"].instances
    assert (instance.status, instance.details) == ("FAILED", "exit code 1")
