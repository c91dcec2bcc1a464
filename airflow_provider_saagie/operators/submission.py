"""How a run task comes by its instance: from an earlier try, from somebody else, or by starting one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_saagie.client.checks import one_of, seconds
from airflow_provider_saagie.exceptions import SaagieError
from airflow_provider_saagie.operators import run_record

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.definitions import JobSummary
    from airflow_provider_saagie.client.run_once import Taken, TaskSide, Wishes
    from airflow_provider_saagie.client.saagie import SaagieClient
    from airflow_provider_saagie.client.submit import Submission

__all__ = ["IF_RUNNING", "ON_LOST_SUBMIT", "Submits", "check", "clear_away_lost", "remember", "take"]

ON_LOST_SUBMIT = ("adopt", "fail", "submit")
IF_RUNNING = ("submit", "attach", "skip", "fail")
MEASURED_DOUBT = 5.0
"""Seconds by which the platform's clock may differ from what its answers say: they are cut to the second, and late."""
DOUBT = 60.0
"""The same where no answer said what time it is."""


class Submits(Protocol):
    """The parameters that say how a task comes by its instance."""

    reattach: bool
    stop_on_kill: bool
    on_lost_submit: Any
    if_running: Any
    stop_timeout: float | timedelta

    @property
    def log(self) -> Any:
        """The task's logger."""


def check(task: Submits) -> None:
    """Check the parameters, before anything is sent.

    :raises SaagieValidationError: naming the one that is wrong.
    """
    one_of("on_lost_submit", task.on_lost_submit, ON_LOST_SUBMIT)
    one_of("if_running", task.if_running, IF_RUNNING)
    seconds("stop_timeout", task.stop_timeout)


def take(task: Submits, context: Context, client: SaagieClient, job: JobSummary) -> Taken:
    """Take up the instance of an earlier try, or start one.

    :param task: the operator, its parameters checked.
    :param job: the job, as it was just read.
    :return: the instance; it may still have to be stored, see :func:`remember`.
    :raises SaagieError: of the kinds that ``client/run_once.py`` lists.
    """
    from airflow_provider_saagie.client.run_once import run_once

    steps = run_once(
        job, run_record.load(context), run_record.this_try(context), _wishes(task), _side(context, client, job)
    )
    return client.session.run(steps)


def clear_away_lost(task: Submits, context: Context, client: SaagieClient, job: JobSummary) -> None:
    """Stop what ``runJob`` has started where Airflow's alarm struck before its answer, and no try comes to adopt it.

    :param task: the operator.
    :param context: the try's.
    :param client: to search with.
    :param job: the job.
    """
    from airflow_provider_saagie.client.run_once import clear_away_lost

    intent = run_record.load(context)
    if intent is None or intent.instance_id is not None or intent.tried_by != run_record.this_try(context):
        return
    task.log.warning("The answer to runJob did not come in time; looking for what it has started, to stop it.")
    try:
        client.session.run(clear_away_lost(intent, _wishes(task), _side(context, client, job)))
    except SaagieError as error:
        task.log.warning("An instance of the job %r may go on. %s", job.name, error)


def remember(task: Submits, context: Context, submission: Submission) -> None:
    """Store which instance it is; where that fails, the intent that is stored finds it too, so the task goes on."""
    try:
        run_record.store(context, submission)
    except Exception as error:  # noqa: BLE001 - whatever Airflow raises, the instance runs and is waited for
        task.log.warning(
            "The instance %s could not be stored in Airflow: a retry would have to search for it. %s",
            submission.instance_id,
            error,
        )


def _wishes(task: Submits) -> Wishes:
    from airflow_provider_saagie.client.run_once import Wishes

    return Wishes(
        reattach=task.reattach,
        on_lost_submit=task.on_lost_submit,
        if_running=task.if_running,
        stop_on_kill=task.stop_on_kill,
        stop_timeout=seconds("stop_timeout", task.stop_timeout),
    )


def _side(context: Context, client: SaagieClient, job: JobSummary) -> TaskSide:
    from airflow_provider_saagie.client.run_once import TaskSide

    session, settings = client.session, client.settings
    return TaskSide(
        login=settings.login,
        time_limit=session.request_limit,
        now=session.platform_time,
        doubt=lambda: DOUBT if session.clock_ahead is None else MEASURED_DOUBT,
        link=lambda instance_id: settings.instance_url(job.project_id, job.id, instance_id),
        remember=lambda submission: run_record.store(context, submission),
    )
