"""What a trigger tells: to the task that it wakes, checked where it arrives, or to an asset's events."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.exceptions import SaagieError

if TYPE_CHECKING:
    from airflow_provider_saagie.client.instances import JobInstance

__all__ = ["InstanceEvent", "JobEvent"]

STATUSES = ("success", "error", "timeout")
DEADLINE_KINDS = ("timeout", "execution_timeout")
ERROR_KINDS = ("auth", "gone", "api")


@dataclass(frozen=True)
class InstanceEvent:
    """How the waiting for an instance ended.

    :param status: ``"success"``, ``"error"`` (any other end, or an error that stops the waiting), or ``"timeout"``.
    :param instance_id: the instance.
    :param message: what happened, in a sentence.
    :param job_id: its job, where the trigger was told.
    :param project_id: the job's project, where the trigger was told.
    :param owned: whether the task started the instance, and may stop it.
    :param instance_status: as it was read last; None where it never was.
    :param reason: the platform's reason, where it gives one.
    :param details: the platform's details, where it gives any.
    :param stopped_by: the login that stopped it, where known.
    :param start_time: when it started, as the platform writes it.
    :param end_time: when it ended, as the platform writes it.
    :param number: its number within its job.
    :param log_lines_seen: how many lines of the job are in the task's log.
    :param outputs: what the job hands on; the trigger doesn't ask for it, so None.
    :param deadline_kind: which deadline passed: ``"timeout"`` or ``"execution_timeout"``; None where none did.
    :param error_kind: ``"auth"``, ``"gone"`` or ``"api"``; None where the instance came to an end.
    """

    status: str
    instance_id: str
    message: str
    job_id: str | None = None
    project_id: str | None = None
    owned: bool = False
    instance_status: str | None = None
    reason: str | None = None
    details: str | None = None
    stopped_by: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    number: int | None = None
    log_lines_seen: int = 0
    outputs: dict[str, str | None] | None = None
    deadline_kind: str | None = None
    error_kind: str | None = None

    def as_event(self) -> dict[str, Any]:
        """Give the payload of a ``TriggerEvent``."""
        return asdict(self)

    @classmethod
    def from_event(cls, event: object) -> InstanceEvent:
        """Check what arrived, and read it. Keys that a later version may add are passed over.

        :param event: the payload.
        :raises SaagieError: saying what is wrong with it.
        """
        if not isinstance(event, dict):
            raise _malformed(f"it is a {type(event).__name__}, no dict")
        if event.get("status") not in STATUSES:
            raise _malformed(f"its status is {event.get('status')!r}, none of {', '.join(STATUSES)}")
        for key in ("instance_id", "message"):
            if not isinstance(event.get(key), str) or not event[key]:
                raise _malformed(f"its `{key}` is {event.get(key)!r}, no text")
        if event["status"] == "success" and event.get("instance_status") != "SUCCEEDED":
            raise _malformed(f"it says success, and the instance's status is {event.get('instance_status')!r}")
        if event["status"] == "error" and not (event.get("instance_status") or event.get("error_kind")):
            raise _malformed("it is an error that names neither a status nor a kind")
        for key, allowed in (("deadline_kind", DEADLINE_KINDS), ("error_kind", ERROR_KINDS)):
            if event.get(key) is not None and event[key] not in allowed:
                raise _malformed(f"its `{key}` is {event[key]!r}, none of {', '.join(allowed)}")
        for key in ("log_lines_seen", "number"):
            if event.get(key) is not None and not isinstance(event[key], int):
                raise _malformed(f"its `{key}` is {event[key]!r}, no number")
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in event.items() if key in known})

    def seen_as(self, instance: JobInstance) -> InstanceEvent:
        """Give the same event with what was read of the instance; :meth:`as_instance` is the way back."""
        return replace(
            self,
            instance_status=instance.status,
            reason=instance.reason,
            details=instance.details,
            stopped_by=instance.stopped_by,
            start_time=instance.start_time,
            end_time=instance.end_time,
            number=instance.number,
        )

    def as_instance(self) -> JobInstance:
        """Give the instance as the trigger read it last."""
        from airflow_provider_saagie.client.instances import JobInstance

        return JobInstance(
            id=self.instance_id,
            number=self.number,
            job_id=self.job_id,
            status=self.instance_status or "UNKNOWN",
            reason=self.reason,
            details=self.details,
            start_time=self.start_time,
            end_time=self.end_time,
            stopped_by=self.stopped_by,
            outputs=self.outputs,
        )


@dataclass(frozen=True)
class JobEvent:
    """The end of an instance, as an asset event's ``extra["payload"]`` holds it.

    Keys are added at most, since DAGs read them.

    :param instance_id: the instance; it tells a repeat.
    :param instance_number: its number within its job.
    :param job_id: its job.
    :param project_id: the job's project, where the platform names it.
    :param status: how it ended.
    :param reason: the platform's reason, where it gives one.
    :param start_time: when it started, as the platform writes it.
    :param end_time: when it ended, as the platform writes it.
    :param url: its page in Saagie.
    """

    instance_id: str
    instance_number: int | None
    job_id: str
    project_id: str | None
    status: str
    reason: str | None
    start_time: str | None
    end_time: str | None
    url: str

    def as_event(self) -> dict[str, Any]:
        """Give the payload of a ``TriggerEvent``."""
        return asdict(self)


def _malformed(what: str) -> SaagieError:
    return SaagieError(
        f"The trigger's event can't be used: {what}. Does the triggerer have the same version of this provider as the "
        "workers?"
    )
