"""The sensor in its three ways of waiting: in the triggerer, in the worker, and coming back; alike in what counts."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout, TaskDeferred

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.exceptions import (
    SaagieAuthError,
    SaagieInfrastructureError,
    SaagieInstanceGone,
    SaagieJobFailed,
)
from airflow_provider_saagie.links.saagie import SaagieLink
from airflow_provider_saagie.sensors.saagie import SaagieJobInstanceSensor
from tests.integration.airflow.operators.conftest import connection
from tests.support.scripted_jobs import job_that_ends

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_saagie.client.saagie import SaagieClient
    from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger
    from tests.integration.airflow.operators.conftest import TaskResult
    from airflow_provider_saagie.emulator.testing import Emulator

LONG = "import time\ntime.sleep(60)"
NOBODY = "00000000-0000-4000-8000-000000000000"
MODES: dict[str, dict[str, Any]] = {
    "deferred": {"deferrable": True},
    "in the worker": {"deferrable": False},
    "coming back": {"deferrable": False, "mode": "reschedule"},
}
# Airflow's alarm raises wherever Python is, also in a finalizer, which can only tell of it.
SWALLOWED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
in_each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
in_both_modes = pytest.mark.parametrize("mode", list(MODES.values())[:2], ids=list(MODES)[:2])


@dataclass
class Seen:
    """How a sensor ended, and what it raised where it failed."""

    result: TaskResult
    raised: list[BaseException]
    shown: str


@pytest.fixture
def sense(
    run_dag: Callable[[DAG], dict[str, TaskResult]],
    new_dag: Callable[[], DAG],
    emulator: Emulator,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Seen]:
    """A function that runs one sensor, over a connection that repeats no request."""

    def run(sensor: type[SaagieJobInstanceSensor] = SaagieJobInstanceSensor, **given: Any) -> Seen:
        extra = {"realm": emulator.realm, "platform_id": emulator.platform, "retries": 0}
        os.environ["AIRFLOW_CONN_SAAGIE_IMPATIENT"] = connection(emulator, extra=extra)
        raised: list[BaseException] = []

        def see(context: Any) -> None:
            raised.append(context["exception"])

        with new_dag() as dag:
            task: dict[str, Any] = {"poke_interval": 0.5, "saagie_conn_id": "saagie_impatient", "timeout": 60}
            sensor(task_id="wait", on_failure_callback=see, **{**task, **given})
        return Seen(run_dag(dag)["wait"], raised, "".join(capfd.readouterr()))

    return run


@in_each_mode
def test_an_outage_is_waited_out(
    sense: Callable[..., Seen], make_job: Any, client: SaagieClient, emulator: Emulator, mode: Any
) -> None:
    instance_id = client.jobs.run(make_job("print(1)"))["runJob"]["id"]

    def begin_once(context: Any) -> None:
        if not emulator.faults():
            emulator.fault("outage", seconds=2)

    seen = sense(instance_id=instance_id, pre_execute=begin_once, **mode)
    assert (seen.result.state, seen.result.xcoms["return_value"]) == ("success", instance_id)
    assert "Saagie is away; waiting goes on" in seen.shown


@in_each_mode
@pytest.mark.parametrize("soft_fail", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_bad_end_says_what_happened(
    sense: Callable[..., Seen],
    make_job: Any,
    client: SaagieClient,
    emulator: Emulator,
    mode: Any,
    soft_fail: bool,
) -> None:
    job_id = job_that_ends(make_job, emulator, "FAILED", "GENERIC_ERROR", details="as told", seconds=0.7)
    instance_id = client.jobs.run(job_id)["runJob"]["id"]
    seen = sense(instance_id=instance_id, soft_fail=soft_fail, retries=1, **mode)
    words = r"Saagie's instance 1 ended as FAILED (GENERIC_ERROR: as told), not as SUCCEEDED."
    assert words in seen.shown
    assert seen.result.xcoms["instance_status"] == "FAILED"
    if soft_fail:
        assert (seen.result.state, seen.raised) == ("skipped", [])
        return
    (error,) = seen.raised
    assert (type(error), type(error.__cause__)) == (AirflowFailException, SaagieJobFailed)
    assert str(error) == f"{words}\n{seen.result.xcoms['_link_SaagieLink']}"


@pytest.mark.long
@in_each_mode
def test_an_instance_that_is_not_there_fails(sense: Callable[..., Seen], mode: Any) -> None:
    seen = sense(instance_id=NOBODY, **mode)
    (error,) = seen.raised
    assert (type(error), type(error.__cause__)) == (AirflowFailException, SaagieInstanceGone)
    assert sense(instance_id=NOBODY, soft_fail=True, **mode).result.state == "skipped"


@pytest.mark.long
@in_each_mode
@pytest.mark.parametrize(("given", "state"), [({"soft_fail": True}, "failed"), ({"never_fail": True}, "skipped")])
def test_a_refused_login_is_no_reason_to_skip_softly(
    sense: Callable[..., Seen], emulator: Emulator, mode: Any, given: Any, state: str
) -> None:
    os.environ["AIRFLOW_CONN_SAAGIE_WRONG"] = connection(emulator, password="wrong")
    seen = sense(instance_id=NOBODY, saagie_conn_id="saagie_wrong", **given, **mode)
    assert seen.result.state == state
    assert [type(error) for error in seen.raised] == ([SaagieAuthError] if state == "failed" else [])


@in_each_mode
def test_never_fail_is_no_reason_to_skip_what_is_still_on_its_way(
    sense: Callable[..., Seen], make_job: Any, client: SaagieClient, mode: Any
) -> None:
    instance_id = client.jobs.run(make_job("import time\ntime.sleep(2)"))["runJob"]["id"]
    seen = sense(instance_id=instance_id, never_fail=True, **mode)
    assert (seen.result.state, seen.result.xcoms.get("return_value")) == ("success", instance_id)


def test_silent_fail_looks_on_whatever_is_wrong_and_says_what(sense: Callable[..., Seen], emulator: Emulator) -> None:
    os.environ["AIRFLOW_CONN_SAAGIE_WRONG"] = connection(emulator, password="wrong")
    seen = sense(instance_id=NOBODY, saagie_conn_id="saagie_wrong", silent_fail=True, timeout=1, deferrable=False)
    assert [type(error) for error in seen.raised] == [AirflowSensorTimeout]
    assert "The look failed, and silent_fail has the sensor look on." in seen.shown
    assert "refused the login" in seen.shown
    assert "Saagie is away" not in seen.shown


@in_both_modes
def test_the_timeout_tells_the_times_and_stops_nothing(
    sense: Callable[..., Seen], make_job: Any, client: SaagieClient, mode: Any
) -> None:
    instance_id = client.jobs.run(make_job(LONG))["runJob"]["id"]
    (error,) = sense(instance_id=instance_id, timeout=1, **mode).raised
    assert type(error) is AirflowSensorTimeout
    assert re.search(r"did not end in time.* The timeout of 1 s passed: the try began \d+(\.\d)? s ago\.$", str(error))
    found = client.session.run(instances.read_instance(instance_id))
    assert found
    assert found.end_time is None
    client.jobs.stop(instance_id)


@SWALLOWED
@in_both_modes
@pytest.mark.parametrize(
    ("soft_fail", "state"), [(False, "failed"), pytest.param(True, "skipped", marks=pytest.mark.long)]
)
def test_execution_timeout_bounds_the_wait(
    sense: Callable[..., Seen], make_job: Any, client: SaagieClient, mode: Any, soft_fail: bool, state: str
) -> None:
    instance_id = client.jobs.run(make_job(LONG))["runJob"]["id"]
    seen = sense(instance_id=instance_id, execution_timeout=timedelta(seconds=1), soft_fail=soft_fail, **mode)
    assert seen.result.state == state
    assert [type(error) for error in seen.raised] == ([] if soft_fail else [AirflowTaskTimeout])
    client.jobs.stop(instance_id)


@in_each_mode
def test_unknown_that_passes_is_waited_out(
    sense: Callable[..., Seen], make_job: Any, client: SaagieClient, emulator: Emulator, mode: Any
) -> None:
    instance_id = client.jobs.run(make_job(LONG))["runJob"]["id"]
    emulator.set_instance(instance_id, "UNKNOWN")
    passes = threading.Timer(1.5, emulator.set_instance, [instance_id, "SUCCEEDED"])
    passes.start()
    seen = sense(instance_id=instance_id, **mode)
    passes.join()
    assert (seen.result.state, seen.result.xcoms["instance_status"]) == ("success", "SUCCEEDED")


class ShortGrace(SaagieJobInstanceSensor):
    """A sensor that believes UNKNOWN soon."""

    def _trigger(self, *given: Any) -> SaagieJobInstanceTrigger:
        trigger = super()._trigger(*given)
        trigger.unknown_grace = 0.5
        return trigger


@pytest.mark.parametrize(("targets", "state"), [(["SUCCEEDED"], "failed"), (["UNKNOWN"], "success")])
def test_unknown_that_lasts_is_an_end(
    sense: Callable[..., Seen], make_job: Any, client: SaagieClient, emulator: Emulator, targets: Any, state: str
) -> None:
    instance_id = client.jobs.run(make_job(LONG))["runJob"]["id"]
    emulator.set_instance(instance_id, "UNKNOWN")
    seen = sense(ShortGrace, instance_id=instance_id, target_statuses=targets, deferrable=True)
    assert (seen.result.state, seen.result.xcoms["instance_status"]) == (state, "UNKNOWN")
    assert [type(error.__cause__) for error in seen.raised] == [SaagieInfrastructureError] * (state == "failed")


class NoTriggerer(SaagieJobInstanceSensor):
    """A deferred sensor that no triggerer takes up: Airflow's backstop resumes it."""

    def execute(self, context: Any) -> Any:
        """Defer, and be resumed as Airflow does where a triggerer is stuck."""
        with pytest.raises(TaskDeferred):
            super().execute(context)
        self.hook.jobs.stop(self.instance_id)
        while self.hook.jobs.get_instance(self.instance_id)["jobInstance"]["status"] == "KILLING":
            pass
        return self.resume_execution("__fail__", {"error": "Trigger timeout"}, context)


@pytest.mark.parametrize(("targets", "state"), [(["KILLED"], "success"), (["SUCCEEDED"], "failed")])
def test_an_end_that_airflows_backstop_finds_counts(
    sense: Callable[..., Seen], make_job: Any, client: SaagieClient, targets: list[str], state: str
) -> None:
    instance_id = client.jobs.run(make_job(LONG))["runJob"]["id"]
    seen = sense(NoTriggerer, instance_id=instance_id, deferrable=True, target_statuses=targets)
    assert (seen.result.state, seen.result.xcoms["instance_status"]) == (state, "KILLED")
    if state == "failed":
        assert ", stopped by airflow, not as SUCCEEDED." in str(seen.raised[0])


def test_the_next_look_of_a_deferred_sensor_has_its_deadline_and_its_link(
    sense: Callable[..., Seen], make_job: Any, client: SaagieClient, emulator: Emulator
) -> None:
    links: list[str] = []

    class GoesOnElsewhere(SaagieJobInstanceSensor):
        """A sensor that another process goes on with, as Airflow has it after a deferral."""

        def execute(self, context: Any) -> Any:
            with pytest.raises(TaskDeferred) as first:
                super().execute(context)
            left = first.value.kwargs["deadline"] - time.time()
            assert 400 < left < 600
            emulator.fault("outage", seconds=60)
            links.append(str(self.shown_link))
            self.shown_link = None
            with pytest.raises(TaskDeferred) as second:
                self.resume_execution(first.value.method_name, {**first.value.kwargs, "event": None}, context)
            links.append(SaagieLink().get_link(self, ti_key=None))
            emulator.clear_faults()
            over = {**second.value.kwargs, "event": None, "deadline": time.time() - 1}
            return self.resume_execution(second.value.method_name, over, context)

    instance_id = client.jobs.run(make_job(LONG))["runJob"]["id"]
    seen = sense(GoesOnElsewhere, instance_id=instance_id, deferrable=True, target_statuses=["KILLING"], timeout=600)
    client.jobs.stop(instance_id)
    assert [type(error) for error in seen.raised] == [AirflowSensorTimeout]
    assert links[0].endswith(f"/instances/{instance_id}")
    assert links[1] == links[0]
