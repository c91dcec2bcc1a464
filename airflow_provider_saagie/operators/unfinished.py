"""What becomes of an instance whose end its task does not see: a deadline passed, or something of ours failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_saagie.exceptions import SaagieAuthError, SaagieError, SaagieInstanceGone, SaagieWaitTimeout
from airflow_provider_saagie.operators import own_instance
from airflow_provider_saagie.operators.deadlines import time_passed

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.submit import Submission
    from airflow_provider_saagie.hooks.saagie import SaagieHook
    from airflow_provider_saagie.triggers.events import InstanceEvent

__all__ = ["LeavesInstance", "error_without_end", "give_up", "is_stopped_at", "is_taken_up_later", "past_deadline"]

KINDS = {"auth": SaagieAuthError, "gone": SaagieInstanceGone}
"""Errors by what a trigger says of why it gave up; any other is a plain one."""


class LeavesInstance(Protocol):
    """The parameters that say what becomes of an instance that goes on."""

    reattach: bool
    stop_on_kill: bool
    on_timeout: Any
    timeout: float | timedelta | None
    execution_timeout: timedelta | None

    @property
    def hook(self) -> SaagieHook:
        """The hook of the task's connection."""

    @property
    def log(self) -> Any:
        """The task's logger."""


def is_taken_up_later(task: LeavesInstance, context: Context) -> bool:
    """Say whether a try comes that goes on with the instance of this one."""
    return task.reattach and context["ti"].try_number <= (context["ti"].max_tries or 0)


def is_stopped_at(task: LeavesInstance, deadline_kind: str | None, mine: Submission) -> bool:
    """Say whether the instance is to be stopped when a deadline passes."""
    wanted = task.stop_on_kill if deadline_kind == "execution_timeout" else task.on_timeout == "stop"
    return mine.owned and wanted


def past_deadline(
    task: LeavesInstance, context: Context, event: InstanceEvent, mine: Submission, stopped: bool | None
) -> BaseException:
    """Make the error of a task whose deadline has passed.

    :param event: which one passed, and how the instance did.
    :param stopped: whether Saagie took the request to stop the instance; None where there was none.
    """
    of_the_task = event.deadline_kind == "execution_timeout"
    passed = time_passed(context, event.deadline_kind, task.execution_timeout if of_the_task else task.timeout)
    left = "was left as it is" if stopped is None else _told(stopped)
    settings = task.hook.settings
    message = f"{event.message} {passed} The instance {left}.\n{own_instance.instance_url(settings, mine)}"
    if of_the_task:
        return AirflowTaskTimeout(message)
    return SaagieWaitTimeout(message, host=settings.base_url, instance_id=mine.instance_id)


def error_without_end(task: LeavesInstance, event: InstanceEvent, mine: Submission) -> SaagieError:
    """Make the error of a task whose trigger gave up before it saw an end."""
    settings = task.hook.settings
    url = own_instance.instance_url(settings, mine)
    kind = KINDS.get(event.error_kind or "", SaagieError)
    message = event.message if url in event.message else f"{event.message}\n{url}"
    if kind is SaagieInstanceGone:
        message += " The job is not run again by itself, since nobody knows how it ended; clear the task to run it."
    return kind(message, host=settings.base_url)


def give_up(task: LeavesInstance, context: Context, mine: Submission, error: Exception) -> None:
    """Leave the instance to the next try where something of ours failed; without one, stop it.

    :param error: what failed; what became of the instance is noted on it.
    """
    settings = task.hook.settings
    url = own_instance.instance_url(settings, mine)
    if is_taken_up_later(task, context):
        told = f"The instance goes on, and the next try takes it up: {url}"
    elif mine.owned and task.stop_on_kill:
        told = f"The instance {_told(own_instance.stop(settings, mine, _why(error), task.log))}: {url}"
    else:
        told = f"The instance goes on, though the task failed: {url}"
    task.log.warning("%s", told)
    error.add_note(told)


def _why(error: Exception) -> str:
    return f"the task failed ({type(error).__name__})"


def _told(stopped: bool) -> str:
    return "was asked to stop" if stopped else "could not be stopped"
