"""Delete a job, also where the answer is lost."""

from __future__ import annotations

from airflow_provider_saagie.client.calls import Steps
from airflow_provider_saagie.client.definitions import delete, read_summary
from airflow_provider_saagie.exceptions import SaagieApiError, SaagieError, SaagieNotFound, SaagieOutcomeUnknown

__all__ = ["is_gone", "remove"]

TRIES = 2


def is_gone(error: SaagieNotFound) -> bool:
    """Say whether an error means that a job is not there, rather than its project, or the whole platform (404)."""
    return error.status is None and error.operation != "projects"


def remove(job_id: str) -> Steps[None]:
    """Delete a job with its versions and instances (``deleteJob``), and see that it is gone where that is in doubt.

    :param job_id: the job's UUID.
    :raises SaagieError: the kind that fits, where the job is still there.
    """
    doubt: SaagieApiError | SaagieOutcomeUnknown | None = None
    for _ in range(TRIES):
        try:
            if (yield from delete(job_id)).get("deleteJob"):
                return
            doubt = SaagieApiError(
                "deleteJob: the platform did not say that it deleted the job, and still has it. It may belong to a "
                "pipeline: look at its page.",
                operation="deleteJob",
            )
        except SaagieOutcomeUnknown as error:
            doubt = error
        try:
            yield from read_summary(job_id)
        except SaagieError as error:
            if isinstance(error, SaagieNotFound) and is_gone(error):
                return
            raise doubt from error
    if doubt is not None:
        raise doubt
