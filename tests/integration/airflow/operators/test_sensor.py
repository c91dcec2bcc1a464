"""SaagieJobInstanceSensor, run by Airflow against the emulator, deferred and not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator

SLOW = "import time\ntime.sleep(1.5)"
LONG = "import time\ntime.sleep(60)"
NOBODY = "00000000-0000-4000-8000-000000000000"

pytestmark = pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])


@pytest.fixture
def sense(run_dag: Any, new_dag: Callable[[], DAG]) -> Callable[..., TaskResult]:
    """A function that runs one sensor, and tells how it ended."""

    def run(**given: Any) -> TaskResult:
        dag = new_dag()
        with dag:
            SaagieJobInstanceSensor(task_id="wait", **{"poke_interval": 0.5, **given})
        return run_dag(dag)["wait"]

    return run


def test_an_instance_is_waited_for(sense: Any, make_job: Any, client: SaagieClient, deferrable: bool) -> None:
    instance_id = client.jobs.run(make_job(SLOW))["runJob"]["id"]
    result = sense(instance_id=instance_id, deferrable=deferrable)
    assert (result.state, result.xcoms["return_value"]) == ("success", instance_id)
    assert result.xcoms["instance_status"] == "SUCCEEDED"
    assert result.xcoms["_link_SaagieLink"].endswith(instance_id)


def test_the_latest_instance_of_a_job_is_waited_for(sense: Any, make_job: Any, client: Any, deferrable: bool) -> None:
    job_id = make_job(SLOW)
    client.jobs.run(job_id)
    latest = client.jobs.run(job_id)["runJob"]["id"]
    assert sense(job_id=job_id, deferrable=deferrable).xcoms["return_value"] == latest


def test_an_instance_that_is_not_there_yet_is_waited_for(
    sense: Any, make_job: Any, client: SaagieClient, deferrable: bool
) -> None:
    job_id = make_job("print(1)")
    client.jobs.run(job_id)  # before the DAG run: does not count
    thread = threading.Timer(2, client.jobs.run, [job_id])
    thread.start()
    result = sense(job_id=job_id, newer_than_run=True, deferrable=deferrable)
    thread.join()
    newest = client.session.run(instances.list_instances(job_id, limit=1))[0]
    assert (result.state, result.xcoms["return_value"], newest.number) == ("success", newest.id, 2)


def test_a_status_on_the_way_can_be_waited_for(sense: Any, make_job: Any, client: Any, deferrable: bool) -> None:
    instance_id = client.jobs.run(make_job(LONG))["runJob"]["id"]
    result = sense(instance_id=instance_id, target_statuses=["RUNNING"], deferrable=deferrable)
    assert (result.state, result.xcoms["instance_status"]) == ("success", "RUNNING")
    client.jobs.stop(instance_id)


@pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
def test_another_end_fails_or_skips(
    sense: Any, make_job: Any, client: SaagieClient, deferrable: bool, soft_fail: bool, state: str, capfd: Any
) -> None:
    instance_id = client.jobs.run(make_job(f"{SLOW}\nraise SystemExit(4)"))["runJob"]["id"]
    result = sense(instance_id=instance_id, deferrable=deferrable, soft_fail=soft_fail)
    assert (result.state, result.xcoms["instance_status"]) == (state, "FAILED")
    assert "exit code 4" in "".join(capfd.readouterr())


@pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
def test_the_timeout_fails_or_skips_and_stops_nothing(
    sense: Any, make_job: Any, client: SaagieClient, deferrable: bool, soft_fail: bool, state: str
) -> None:
    instance_id = client.jobs.run(make_job(LONG))["runJob"]["id"]
    assert sense(instance_id=instance_id, deferrable=deferrable, soft_fail=soft_fail, timeout=1).state == state
    time.sleep(0.2)
    assert client.session.run(instances.read_instance(instance_id)).status == "RUNNING"
    client.jobs.stop(instance_id)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"instance_id": NOBODY}, NOBODY),
        ({"instance_id": "x"}, "`instance_id` is 'x': it should be a UUID"),
        ({"instance_id": "{{ ti.xcom_pull(task_ids='nobody') }}"}, "its template found nothing"),
        ({}, "it gives none of them"),
        ({"instance_id": NOBODY, "target_statuses": ["DONE"]}, "DONE"),
        ({"instance_id": NOBODY, "target_statuses": [None]}, "`target_statuses` is None: it should be one of"),
        ({"instance_id": NOBODY, "target_statuses": 5}, "`target_statuses` is 5: it should be a list"),
        ({"instance_id": NOBODY, "target_statuses": []}, "target_statuses"),
    ],
    ids=str,
)
def test_bad_input_says_what_is_wrong(
    sense: Any, emulator: Emulator, deferrable: bool, given: dict[str, Any], said: str, capfd: Any
) -> None:
    assert sense(deferrable=deferrable, **given).state == "failed"
    assert said in "".join(capfd.readouterr())
