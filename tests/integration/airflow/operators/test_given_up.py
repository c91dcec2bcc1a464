"""A try that Airflow may have given up: its supervisor was suspended, or its heartbeats fail."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from airflow_provider_saagie import airflow_compat
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.operators import pulse
from airflow_provider_saagie.operators.saagie import SaagieRunJobOperator
from tests.integration.airflow.operators.conftest import Statuses
from tests.support.api_server import BOTH, HEALTH, Airflow, serving
from tests.support.executed_tasks import run_task
from tests.support.held_jobs import Hold
from tests.support.waiting import wait_until


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts context switches")
def test_suspended_supervisor_is_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT", "1")
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")
    monkeypatch.setattr(pulse, "TICK", 0.05)
    monkeypatch.setattr(pulse, "ROUND_TRIP", 0.0)
    supervisor = subprocess.Popen([sys.executable, "-c", "import time\nwhile True: time.sleep(0.02)"])
    monkeypatch.setattr(airflow_compat, "supervisor_pid", lambda: supervisor.pid)
    try:
        with pulse.beating(lambda: True) as detector:
            wait_until(lambda: detector.stillness() == 0)
            supervisor.send_signal(signal.SIGSTOP)
            wait_until(lambda: detector.stillness() > 0)
            supervisor.send_signal(signal.SIGCONT)
            wait_until(lambda: detector.stillness() == 0)
            supervisor.send_signal(signal.SIGSTOP)
            wait_until(lambda: detector.stillness() > 0)
            supervisor.kill()
            supervisor.wait()
            wait_until(lambda: detector.stillness() == 0)  # nothing is known of a process that is gone
    finally:
        supervisor.kill()
        supervisor.wait()


@pytest.mark.parametrize(("retries", "status"), [(1, "SUCCEEDED"), (0, "KILLED")])
def test_failed_heartbeats_leave_the_instance_to_a_retry(
    make_job: Callable[..., str], hold: Hold, emulator: Emulator, set_connection: object, statuses: Statuses,
    monkeypatch: pytest.MonkeyPatch, retries: int, status: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(pulse, "TICK", 0.05)
    monkeypatch.setattr(pulse, "ASKED_AGAIN", 0.05)
    emulator.fault("delay", "watchInstances", seconds=0, times=0)  # counts the polls
    job_id = make_job(hold.code())
    task = SaagieRunJobOperator(task_id="run", job_id=job_id, deferrable=False, poll_interval=0.2, retries=retries)

    def is_waiting() -> bool:
        """Return whether the task polls, and has probed the API server if it ever does."""
        probing = any(thread.name == "saagie-api-server" for thread in threading.enumerate())
        return not probing and bool(emulator.faults()[0]["struck"])

    def lose_the_api_server(airflow: Airflow) -> None:
        wait_until(is_waiting)
        airflow.pages[HEALTH] = (503, "")
        task.on_kill()
        hold.release()

    with serving(BOTH) as airflow:
        monkeypatch.setattr(airflow_compat, "api_server_url", lambda: airflow.url)
        supervisor = threading.Thread(target=lose_the_api_server, args=(airflow,))
        supervisor.start()
        run_task(task)
        supervisor.join()
        assert bool(airflow.requests) is bool(retries)
    assert statuses(job_id) == [status]
