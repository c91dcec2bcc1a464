"""The instance that a task has started itself: where it is, and how it is stopped from the worker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.exceptions import SaagieError

if TYPE_CHECKING:
    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.client.submit import Submission

__all__ = ["instance_url", "quick", "stop"]

KILL_TIMEOUT = 2.0
"""Seconds for each request of a stop from the signal handler: Airflow sends SIGKILL after five."""


def instance_url(settings: Settings, submission: Submission) -> str:
    """Give the address of the instance's page in Saagie."""
    return settings.instance_url(submission.project_id, submission.job_id, str(submission.instance_id))


def stop(settings: Settings, submission: Submission, why: str, log: Any) -> bool:
    """Ask for the instance to be stopped, over a session of its own; a failure is only logged.

    :param why: the reason, to stand behind "since".
    :return: whether Saagie took the request.
    """
    from airflow_provider_saagie.client import instances
    from airflow_provider_saagie.client.session import Session

    url = instance_url(settings, submission)
    try:
        with Session(settings) as session:
            session.run(instances.stop(str(submission.instance_id)))
    except SaagieError as error:
        log.warning("The instance could not be stopped, though %s: %s (%s)", why, error, url)
        return False
    log.info("Asked Saagie to stop the instance, since %s: %s", why, url)
    return True


def quick(settings: Settings) -> Settings:
    """Give settings for a signal handler: short time limits, no repetition, no call to Airflow."""
    return replace(settings, timeout=KILL_TIMEOUT, retries=0, mask=_no_call)


def _no_call(_: str) -> None:
    """Mask nothing: a signal handler must not wait for Airflow."""
