"""Instance statuses, and what an end means: the table of the contract, as data.

``docs/`` draws the table from :data:`OUTCOMES`; a test walks the published enums, so that none is left out.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from airflow_provider_saagie import exceptions
from airflow_provider_saagie.client.instances import JobInstance

__all__ = ["OUTCOMES", "InstanceStatus", "Meaning", "Outcome", "is_final", "outcome_of"]

UNKNOWN_GRACE = 60.0
"""Seconds for which UNKNOWN is taken for a passing state."""


class InstanceStatus(enum.StrEnum):
    """The statuses of the schema."""

    AWAITING = "AWAITING"
    REQUESTED = "REQUESTED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    KILLING = "KILLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    ERROR = "ERROR"
    SKIPPED = "SKIPPED"
    UNKNOWN = "UNKNOWN"

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it (of UNKNOWN: once its grace is over)."""
        return self in _ENDS

    @property
    def is_good(self) -> bool:
        """Whether it is the good end."""
        return self is InstanceStatus.SUCCEEDED


_ENDS = {
    InstanceStatus.SUCCEEDED,
    InstanceStatus.FAILED,
    InstanceStatus.KILLED,
    InstanceStatus.ERROR,
    InstanceStatus.SKIPPED,
    InstanceStatus.UNKNOWN,
}


class Meaning(enum.Enum):
    """What an end means for the task that waited for it."""

    SUCCESS = "the task succeeds"
    RETRY = "the task fails, retried as it says"
    FAIL = "the task fails without a retry"
    SKIP = "the task is skipped"


@dataclass(frozen=True)
class Outcome:
    """A row of the table.

    :param meaning: what it means for the task.
    :param error: the error that says so; None for a success.
    :param advice: what to do, to stand at the end of the message.
    """

    meaning: Meaning
    error: type[exceptions.SaagieInstanceFailed] | None
    advice: str = ""


_SUCCESS = Outcome(Meaning.SUCCESS, None)
_JOB_FAILED = Outcome(
    Meaning.RETRY, exceptions.SaagieJobFailed, "Look at the job's log: it is the job itself that failed."
)
_PLATFORM = Outcome(
    Meaning.RETRY,
    exceptions.SaagieInfrastructureError,
    "The platform ended it, not the job: a retry may do; if not, ask the platform's administrator.",
)
_LOST = Outcome(
    Meaning.RETRY,
    exceptions.SaagieInfrastructureError,
    "The platform has lost sight of it, and it may still run: look at it in Saagie. A retry stops it first.",
)
_IMAGE_PULL = Outcome(
    Meaning.RETRY,
    exceptions.SaagieInfrastructureError,
    "The job's image could not be fetched: check that it exists and that the project may read its registry.",
)
_MEMORY = Outcome(
    Meaning.RETRY,
    exceptions.SaagieOutOfMemory,
    "Give the job more memory (resources: memory limit), or have it use less.",
)
_IMAGE_NAME = Outcome(
    Meaning.FAIL, exceptions.SaagieInvalidImage, "Correct the image's name in the job's settings (docker_info)."
)
_KILLED = Outcome(
    Meaning.FAIL,
    exceptions.SaagieInstanceKilled,
    "It is not run again by itself; clear the task to do so, or set retry_killed=True.",
)
_SKIPPED = Outcome(Meaning.SKIP, exceptions.SaagieInstanceSkipped)

# (status, reason): the row; a reason of None stands for "none, or one that is not listed".
OUTCOMES: dict[tuple[InstanceStatus, str | None], Outcome] = {
    (InstanceStatus.SUCCEEDED, None): _SUCCESS,
    (InstanceStatus.FAILED, None): _JOB_FAILED,
    (InstanceStatus.FAILED, "GENERIC_ERROR"): _JOB_FAILED,
    (InstanceStatus.FAILED, "EVICTED"): _PLATFORM,
    (InstanceStatus.FAILED, "EVICTED_EXEC_VARS"): _PLATFORM,
    (InstanceStatus.FAILED, "CREATE_AGGREGATED_EXEC_VARS_ERROR"): _PLATFORM,
    (InstanceStatus.FAILED, "CONTAINER_CREATION_ERROR"): _PLATFORM,
    (InstanceStatus.FAILED, "IMAGE_PULL_ERROR"): _IMAGE_PULL,
    (InstanceStatus.FAILED, "WORKFLOW_DELETED"): _PLATFORM,
    (InstanceStatus.FAILED, "UNEXPECTED_DELETION"): _PLATFORM,
    (InstanceStatus.FAILED, "OUT_OF_MEMORY"): _MEMORY,
    (InstanceStatus.FAILED, "INVALID_IMAGE_NAME"): _IMAGE_NAME,
    (InstanceStatus.ERROR, None): _PLATFORM,
    (InstanceStatus.ERROR, "OUT_OF_MEMORY"): _MEMORY,
    (InstanceStatus.ERROR, "IMAGE_PULL_ERROR"): _IMAGE_PULL,
    (InstanceStatus.ERROR, "INVALID_IMAGE_NAME"): _IMAGE_NAME,
    (InstanceStatus.UNKNOWN, None): _LOST,
    (InstanceStatus.KILLED, None): _KILLED,
    (InstanceStatus.SKIPPED, None): _SKIPPED,
}


def known_status(status: str) -> InstanceStatus | None:
    """Give the status as ours; None where the platform has one that the schema doesn't know."""
    return InstanceStatus.__members__.get(status)


def is_final(status: str) -> bool:
    """Say whether an instance has ended; a status that the schema doesn't know is on its way."""
    known = known_status(status)
    return known is not None and known.is_final


def outcome_of(
    instance: JobInstance, *, retry_killed: bool = False, skip_on: Collection[str] = (), stopped_by_us: bool = False
) -> Outcome:
    """Look an end up in the table.

    :param instance: an instance that has ended.
    :param retry_killed: whether an instance that somebody stopped may be retried.
    :param skip_on: statuses or reasons at which the task is to be skipped.
    :param stopped_by_us: whether our own record says that we stopped it.
    """
    status = InstanceStatus(instance.status)
    row = OUTCOMES.get((status, instance.reason)) or OUTCOMES[(status, None)]
    if not status.is_good and (instance.status in skip_on or (instance.reason and instance.reason in skip_on)):
        return Outcome(Meaning.SKIP, row.error, row.advice)
    if status is InstanceStatus.KILLED and stopped_by_us:
        return Outcome(Meaning.RETRY, row.error, "The task itself had it stopped, since the task was killed.")
    if status is InstanceStatus.KILLED and retry_killed:
        return Outcome(Meaning.RETRY, row.error)
    return row
