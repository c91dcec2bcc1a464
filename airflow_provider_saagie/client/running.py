"""Run a job and wait for its end, for those who wait in their own process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from airflow_provider_saagie.client import checks, instances
from airflow_provider_saagie.client.calls import Pause, Steps
from airflow_provider_saagie.client.looks import Looks
from airflow_provider_saagie.exceptions import (
    SaagieError,
    SaagieInstanceGone,
    SaagieOutcomeUnknown,
    SaagieWaitTimeout,
)

__all__ = ["run", "run_with_callback"]

log = logging.getLogger(__name__)


SHOWN_CANDIDATES = 3


def run(job_id: str) -> Steps[dict[str, Any]]:
    """Start a job, once; where the answer is lost, say which instances could be the one.

    :return: ``{"runJob": {"id": …, "status": "REQUESTED"}}``.
    :raises SaagieOutcomeUnknown: with the job's newest instances.
    """
    try:
        return (yield from instances.run(job_id))
    except SaagieOutcomeUnknown as error:
        found = yield from _newest(job_id)
        raise SaagieOutcomeUnknown(f"{error} {found}", operation=error.operation, host=error.host) from (
            error.__cause__ or error
        )


def _newest(job_id: str) -> Steps[str]:
    try:
        found = yield from instances.list_instances(job_id, limit=SHOWN_CANDIDATES)
    except SaagieError:  # what was lost is the news
        return "The job's instances could not be read either."
    if not found:
        return "The job has no instance."
    listed = "; ".join(
        f"number {one.number} {one.status}, started by {one.run_by or 'somebody'}"
        f"{f' at {one.start_time}' if one.start_time else ''}: {one.id}"
        for one in found
    )
    return f"The job's newest instances: {listed}."


def run_with_callback(
    job_id: str, freq: float, timeout: float, *, now: Callable[[], float] = time.monotonic
) -> Steps[tuple[str, str]]:
    """Start a job and look at it until it has ended, however it ends.

    :param job_id: the job's UUID.
    :param freq: seconds between two looks.
    :param timeout: seconds to wait at most; -1 for no limit.
    :param now: the clock (tests pass their own).
    :return: the last status and the instance's id.
    :raises SaagieWaitTimeout: when ``timeout`` passes; the instance is left running.
    :raises SaagieInstanceGone: where the instance is deleted meanwhile.
    """
    freq = checks.seconds("freq", freq)
    if isinstance(timeout, bool) or timeout not in (-1, 0, float("inf")):
        timeout = checks.seconds("timeout", timeout, else_take="or -1 for no limit")
    started = yield from run(job_id)
    instance_id = str(started["runJob"]["id"])
    begin = now()
    looks = Looks(str(started["runJob"]["status"]))
    log.info("The job %s runs as the instance %s.", job_id, instance_id)
    while True:
        instance = yield from instances.read_instance(instance_id)
        if instance and instance.status != looks.status:
            log.info("The instance %s is %s, after %.0f s.", instance_id, instance.status, now() - begin)
        if looks.have_seen_its_end(instance, now()):
            return looks.status, instance_id
        if looks.is_gone:
            raise SaagieInstanceGone(f"The instance {instance_id} of the job {job_id} was deleted while it ran.")
        left = float("inf") if timeout == -1 else begin + timeout - now()
        if left <= 0:
            raise SaagieWaitTimeout(
                f"The instance {instance_id} of the job {job_id} was still {looks.status} after {timeout:g} s. It "
                "goes on; stop it with jobs.stop() if it is not wanted any more.",
                instance_id=instance_id,
            )
        yield Pause(min(freq, left))
