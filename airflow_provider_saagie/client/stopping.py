"""Stop instances, and see that they have ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.calls import Pause, Steps
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.looks import Looks
from airflow_provider_saagie.client.status import is_final
from airflow_provider_saagie.exceptions import (
    SaagieApiError,
    SaagieInstanceGone,
    SaagieNotFound,
    SaagieOutcomeUnknown,
    SaagieWaitTimeout,
)

__all__ = ["ask_to_stop", "has_ended", "list_on_their_way", "wait_for_ends"]

PAGE = 200
TRIES = 2
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two looks: most instances end soon after they are asked to."""

log = logging.getLogger(__name__)


def has_ended(instance: JobInstance) -> bool:
    """Say whether an instance has ended for good; UNKNOWN without an end may be a passing state."""
    return is_final(instance.status) and (instance.status != "UNKNOWN" or instance.end_time is not None)


def list_on_their_way(job_id: str) -> Steps[list[JobInstance]]:
    """List all instances of a job that have not ended, the newest first (``job.instances``)."""
    found: dict[str, JobInstance] = {}
    skip = 0
    while True:
        page = yield from instances.list_instances(job_id, limit=PAGE, skip=skip)
        # Instances that start meanwhile move the pages: none counts twice.
        found |= {instance.id: instance for instance in page if not has_ended(instance)}
        if len(page) < PAGE:
            return list(found.values())
        skip += PAGE


def ask_to_stop(instance_id: str) -> Steps[JobInstance]:
    """Ask for an instance to be stopped, unless it has ended or is being stopped (``stopJobInstance``).

    Where the answer is lost or a refusal, the instance is looked at again: it may have ended at that very moment, or
    have heard. Asking twice does no harm, so it is asked once more where neither is so.

    :param instance_id: the instance's UUID.
    :return: the instance, as it was seen last.
    :raises SaagieNotFound: where there is no such instance.
    :raises SaagieError: the kind that fits, where it goes on.
    """
    instance = yield from _read(instance_id)
    doubt: SaagieApiError | SaagieOutcomeUnknown | None = None
    for _ in range(TRIES):
        if has_ended(instance):
            log.info("The instance %s has ended: it is %s.", _shown(instance), instance.status)
            return instance
        if instance.status == "KILLING":
            log.info("The instance %s is being stopped.", _shown(instance))
            return instance
        try:
            yield from instances.stop(instance_id)
            doubt = None
        except (SaagieApiError, SaagieOutcomeUnknown) as error:
            doubt = error
        instance = yield from _read(instance_id)
        if doubt is None:
            log.info("Asked Saagie to stop the instance %s: it is %s.", _shown(instance), instance.status)
            return instance
    if doubt is not None and not has_ended(instance) and instance.status not in ("KILLING", "UNKNOWN"):
        raise doubt
    return instance


def wait_for_ends(
    instance_ids: Collection[str], *, timeout: float, now: Callable[[], float] = time.monotonic
) -> Steps[dict[str, JobInstance]]:
    """Look at instances until each has ended, however it ends.

    :param instance_ids: their UUIDs.
    :param timeout: seconds to wait at most, for all of them.
    :param now: the clock (tests pass their own).
    :return: the instances by their ids, as they ended.
    :raises SaagieWaitTimeout: when ``timeout`` passes.
    :raises SaagieInstanceGone: where one is deleted meanwhile.
    """
    begin, pause = now(), FIRST_PAUSE
    last: dict[str, JobInstance] = {}
    looks = {instance_id: Looks("not to be seen") for instance_id in instance_ids}
    pending = list(looks)
    while True:
        for instance_id in list(pending):
            instance = yield from instances.read_instance(instance_id)
            is_over = looks[instance_id].have_seen_its_end(instance, now())
            if looks[instance_id].is_gone:
                raise SaagieInstanceGone(f"The instance {instance_id} was deleted while it was being stopped.")
            if instance is None:
                continue
            last[instance_id] = instance
            if is_over or has_ended(instance):
                log.info("The instance %s ended as %s.", _shown(instance), instance.status)
                pending.remove(instance_id)
        if not pending:
            return last
        left = begin + timeout - now()
        if left <= 0:
            seen = ", ".join(f"{one} is {looks[one].status}" for one in pending)
            raise SaagieWaitTimeout(
                f"Asked to stop, but not ended after {timeout:g} s: {seen}. Look at it in Saagie; a longer "
                "stop_timeout gives it more time.",
                instance_id=pending[0],
            )
        yield Pause(min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _read(instance_id: str) -> Steps[JobInstance]:
    instance = yield from instances.read_instance(instance_id)
    if instance is None:
        raise SaagieNotFound(
            f"jobInstance: the platform has no job instance {instance_id}, or this login may not see it. Check the id, "
            "and that the connection's platform is the one that has it.",
            operation="jobInstance",
        )
    return instance


def _shown(instance: JobInstance) -> str:
    return f"{instance.number} ({instance.id})" if instance.number is not None else instance.id
