"""SaagieStopInstanceOperator, run by Airflow against the emulator; waiting for ends also with a clock of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import instances, stopping
from airflow_provider_saagie.client.calls import Call, Pause
from airflow_provider_saagie.operators.saagie import SaagieStopInstanceOperator

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator

NOBODY = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"
LONG = "import time\ntime.sleep(120)"


@pytest.fixture
def stopping_of(run_dag: Any, new_dag: Callable[[], DAG]) -> Callable[..., TaskResult]:
    """A function that runs one stop operator, and tells how it ended."""

    def run(**given: Any) -> TaskResult:
        dag = new_dag()
        with dag:
            SaagieStopInstanceOperator(task_id="stop", **given)
        return run_dag(dag)["stop"]

    return run


@pytest.fixture
def long_job(make_job: Any, client: SaagieClient) -> Iterator[str]:
    """A job whose instances run until they are stopped."""
    job_id = make_job(LONG)
    yield job_id
    for instance in client.session.run(stopping.list_on_their_way(job_id)):
        client.jobs.stop(instance.id)


def start(client: SaagieClient, job_id: str) -> str:
    return client.jobs.run(job_id)["runJob"]["id"]


def stops(emulator: Emulator) -> int:
    return len([request for request in emulator.requests() if request["operation"] == "stopJobInstance"])


def status(client: SaagieClient, instance_id: str) -> str:
    instance = client.session.run(instances.read_instance(instance_id))
    assert instance is not None
    return instance.status


def test_an_instance_is_stopped_and_its_end_waited_for(stopping_of: Any, long_job: str, client: SaagieClient) -> None:
    one, other = start(client, long_job), start(client, long_job)
    result = stopping_of(instance_id=one)
    assert (result.state, result.xcoms["return_value"]) == ("success", {one: "KILLED"})
    assert (status(client, one), result.xcoms["instance_status"], result.xcoms["job_id"]) == (
        "KILLED", "KILLED", long_job,
    )  # fmt: skip
    assert result.xcoms["instance_url"].endswith(f"/job/{long_job}/instances/{one}")
    assert result.xcoms["_link_SaagieLink"] == result.xcoms["instance_url"]
    assert not stopping.has_ended(client.session.run(instances.read_instance(other)))  # type: ignore[arg-type]


def test_all_instances_of_a_job_on_their_way_are_stopped(stopping_of: Any, long_job: str, client: Any) -> None:
    ended = start(client, long_job)
    stopping_of(instance_id=ended)
    running = [start(client, long_job) for _ in range(2)]
    name = client.jobs.get_info(long_job)["job"]["name"]
    result = stopping_of(job_name=name, project_name="Demo")
    assert result.state == "success"
    assert result.xcoms["return_value"] == dict.fromkeys(running, "KILLED")
    assert result.xcoms["_link_SaagieLink"] == result.xcoms["job_url"]


def test_what_has_ended_is_left_as_it_is(stopping_of: Any, make_job: Any, client: Any, emulator: Any) -> None:
    job_id = make_job("print(1)")
    instance_id = start(client, job_id)
    client.session.run(stopping.wait_for_ends([instance_id], timeout=60))
    before = stops(emulator)
    assert stopping_of(instance_id=instance_id).xcoms["return_value"] == {instance_id: "SUCCEEDED"}
    assert stopping_of(job_id=job_id).xcoms["return_value"] == {}
    assert stops(emulator) == before


@pytest.mark.parametrize("what", ["drop", "garbage"])
def test_a_lost_answer_is_looked_after(
    stopping_of: Any, long_job: str, client: SaagieClient, emulator: Emulator, what: str
) -> None:
    """`drop` has stopped it, `garbage` has not: the instance tells."""
    instance_id = start(client, long_job)
    emulator.fault(what, "stopJobInstance")
    result = stopping_of(instance_id=instance_id)
    assert (result.state, result.xcoms["return_value"]) == ("success", {instance_id: "KILLED"})


def test_a_refusal_to_stop_what_goes_on_is_told(
    stopping_of: Any, long_job: str, client: Any, emulator: Emulator, capfd: Any
) -> None:
    instance_id = start(client, long_job)
    emulator.fault("error", "stopJobInstance", times=0, message="Not today")
    result = stopping_of(instance_id=instance_id)
    assert (result.state, "return_value" in result.xcoms) == ("failed", False)
    assert result.xcoms["_link_SaagieLink"].endswith(instance_id)
    assert "Not today" in "".join(capfd.readouterr())
    emulator.clear_faults()  # before the job is cleaned up


def test_without_waiting_the_task_only_asks(stopping_of: Any, long_job: str, client: Any) -> None:
    instance_id = start(client, long_job)
    result = stopping_of(instance_id=instance_id, wait_for_stop=False)
    assert result.state == "success"
    assert result.xcoms["return_value"][instance_id] in ("KILLING", "KILLED")


def test_an_instance_that_does_not_end_in_time_fails_the_task(
    stopping_of: Any, long_job: str, client: Any, emulator: Emulator, capfd: Any
) -> None:
    instance_id = start(client, long_job)
    emulator.set_instance(instance_id, "KILLING")
    before = stops(emulator)
    result = stopping_of(instance_id=instance_id, stop_timeout=0.2)
    assert (result.state, result.xcoms["_link_SaagieLink"]) == ("failed", result.xcoms["instance_url"])
    assert f"Asked to stop, but not ended after 0.2 s: {instance_id} is KILLING" in "".join(capfd.readouterr())
    assert stops(emulator) == before  # it is being stopped already


BAD = [
    ({}, "what to stop"),
    ({"instance_id": ""}, "what to stop"),
    ({"instance_id": "{{ dag.dag_id }}"}, "UUID"),
    ({"instance_id": NOBODY}, "no job instance"),
    ({"instance_id": NOBODY, "job_id": NOBODY}, "not both"),
    ({"job_id": NOBODY}, "no job"),
    ({"job_name": "nothing", "project_name": "Demo"}, "no job named"),
    ({"job_id": NOBODY, "stop_timeout": 0}, "stop_timeout"),
]


def test_a_wrong_name_stops_nothing(run_dag: Any, new_dag: Any, emulator: Emulator, capfd: Any) -> None:
    dag = new_dag()
    with dag:
        for number, (given, _) in enumerate(BAD):
            SaagieStopInstanceOperator(task_id=f"bad_{number}", **given)
    before = emulator.requests()
    assert {result.state for result in run_dag(dag).values()} == {"failed"}
    shown = "".join(capfd.readouterr())
    assert [said for _, said in BAD if said not in shown] == []
    assert emulator.requests() == before


def row(status: str, end: str | None = None) -> dict[str, Any]:
    return {
        "jobInstance": {"id": NOBODY, "number": 1, "endTime": end, "history": {"currentStatus": {"status": status}}}
    }


def play(answers: list[dict[str, Any]], timeout: float) -> tuple[str, float]:
    """Run the waiting against answers that follow each other, the last one for ever; tell the end and its time."""
    clock = 0.0
    steps = stopping.wait_for_ends([NOBODY], timeout=timeout, now=lambda: clock)
    step: Any = next(steps)
    try:
        while True:
            if isinstance(step, Pause):
                clock += step.seconds
                step = steps.send({})
            else:
                assert isinstance(step, Call)
                step = steps.send(answers.pop(0) if len(answers) > 1 else answers[0])
    except StopIteration as end:
        return end.value[NOBODY].status, clock


def refuse_to_stop(status: str, asked: list[str]) -> str:
    """Run a stop that is refused each time, of an instance that is of this status from then on."""
    steps = stopping.ask_to_stop(NOBODY)
    step: Any = next(steps)
    try:
        while True:
            if step.operation == "stopJobInstance":
                asked.append(NOBODY)
                step = steps.throw(errors.SaagieApiError("no", operation="stopJobInstance"))
            else:
                step = steps.send(row(status if asked else "RUNNING"))
    except StopIteration as end:
        return str(end.value.status)


@pytest.mark.parametrize(("status", "times"), [("UNKNOWN", 2), ("KILLING", 1), ("KILLED", 1)])
def test_a_refusal_is_none_where_the_instance_may_have_ended(status: str, times: int) -> None:
    """A platform may refuse to stop what it has lost sight of: then the wait for its end decides."""
    asked: list[str] = []
    assert refuse_to_stop(status, asked) == status
    assert len(asked) == times


def test_a_refusal_is_told_where_the_instance_goes_on() -> None:
    asked: list[str] = []
    with pytest.raises(errors.SaagieApiError):
        refuse_to_stop("RUNNING", asked)
    assert len(asked) == 2


def test_unknown_is_an_end_once_it_lasts() -> None:
    status, took = play([row("KILLING"), row("UNKNOWN"), row("KILLING"), row("UNKNOWN")], timeout=300)
    assert status == "UNKNOWN"
    assert 60 <= took < 70


def test_an_unknown_end_with_its_time_is_one_at_once() -> None:
    assert play([row("UNKNOWN", end="2026-06-01T00:00:00Z")], timeout=300) == ("UNKNOWN", 0)


def test_an_instance_that_is_null_twice_is_gone() -> None:
    assert play([{"jobInstance": None}, row("KILLED")], timeout=300)[0] == "KILLED"
    with pytest.raises(errors.SaagieInstanceGone):
        play([{"jobInstance": None}], timeout=300)


def test_waiting_ends_when_its_time_is_over() -> None:
    with pytest.raises(errors.SaagieWaitTimeout, match=f"{NOBODY} is KILLING"):
        play([row("KILLING")], timeout=30)
