"""Ends of the waiting that no trigger has told: Airflow's alarm in the worker, and its backstop for a deferral."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_saagie.exceptions import SaagieError

if TYPE_CHECKING:
    from airflow_provider_saagie.client.session import Session
    from airflow_provider_saagie.client.submit import Submission
    from airflow_provider_saagie.triggers.events import InstanceEvent

__all__ = ["alarm", "look"]


def alarm(submission: Submission) -> InstanceEvent:
    """Make the event of Airflow's own ``execution_timeout``, which interrupts a worker wherever it is."""
    return _timeout(submission, "execution_timeout", f"The job instance {submission.instance_id} did not end in time.")


def look(session: Session, submission: Submission, deadline_kind: str) -> InstanceEvent:
    """Read how the instance does, after Airflow has ended the deferral: an end counts, though it is heard of late.

    :param session: to read with.
    :param submission: whose instance.
    :param deadline_kind: which deadline passed.
    """
    from airflow_provider_saagie.client import instances
    from airflow_provider_saagie.client.stopping import has_ended
    from airflow_provider_saagie.triggers.events import InstanceEvent

    instance_id = str(submission.instance_id)
    told = f"No triggerer has told how the job instance {instance_id} does, and Airflow ended the waiting"
    try:
        seen = session.run(instances.read_instance(instance_id))
    except SaagieError as error:
        return _timeout(submission, deadline_kind, f"{told}; its status could not be read: {error}")
    if seen is None or not has_ended(seen):
        status = f"its status is {seen.status}" if seen else "Saagie does not know it"
        return _timeout(submission, deadline_kind, f"{told}; {status}.", seen.status if seen else None)
    return InstanceEvent(
        status="success" if seen.status == "SUCCEEDED" else "error",
        instance_id=instance_id,
        message=f"The job instance {instance_id} had ended.",
        job_id=submission.job_id,
        project_id=submission.project_id,
        owned=submission.owned,
    ).seen_as(seen)


def _timeout(
    submission: Submission, deadline_kind: str, message: str, instance_status: str | None = None
) -> InstanceEvent:
    from airflow_provider_saagie.triggers.events import InstanceEvent

    return InstanceEvent(
        status="timeout",
        instance_id=str(submission.instance_id),
        message=message,
        job_id=submission.job_id,
        project_id=submission.project_id,
        owned=submission.owned,
        instance_status=instance_status,
        deadline_kind=deadline_kind,
    )
