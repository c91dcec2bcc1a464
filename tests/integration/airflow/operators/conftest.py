"""Fixtures for runs of operators against the emulator."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider_saagie.emulator.testing import Emulator, LocalInstance
from tests.support.waiting import wait_until

Instances = Callable[[str], list["LocalInstance"]]
Statuses = Callable[[str], list[str]]
Alarm = Callable[[Callable[[], Any]], None]


@pytest.fixture
def instances(emulator: Emulator) -> Instances:
    """A function that returns the instances of a job, newest first."""
    return lambda job_id: [one for job in emulator.jobs().values() if job.id == job_id for one in job.instances]


@pytest.fixture
def statuses(instances: Instances) -> Statuses:
    """A function that returns the statuses of a job's instances, once each of them runs or has ended."""

    def read(job_id: str) -> list[str]:
        passing = {"REQUESTED", "QUEUED", "AWAITING", "KILLING"}
        return wait_until(lambda: not passing & set(now := [one.status for one in instances(job_id)]) and now)

    return read


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    """A function that lets Airflow's alarm strike the main thread as soon as a condition is true."""
    threads: list[threading.Thread] = []

    def strike(*_: object) -> None:
        raise AirflowTaskTimeout("Timeout")

    def strike_when(condition: Callable[[], Any]) -> None:
        def wait() -> None:
            wait_until(condition)
            os.kill(os.getpid(), signal.SIGUSR1)

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    before = signal.signal(signal.SIGUSR1, strike)
    yield strike_when
    for thread in threads:
        thread.join()
    signal.signal(signal.SIGUSR1, before)
