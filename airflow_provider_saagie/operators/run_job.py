"""SaagieRunJobOperator: run a job, wait for its end, and say what it means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowSkipException,
    AirflowTaskTimeout,
    conf,
)

from airflow_provider_saagie import airflow_compat
from airflow_provider_saagie.client.checks import seconds
from airflow_provider_saagie.exceptions import (
    SaagieAlreadyRunning,
    SaagieError,
    SaagieValidationError,
)
from airflow_provider_saagie.operators import late, own_instance, run_record, submission, unfinished
from airflow_provider_saagie.operators.deadlines import Deadline, earlier_deadline
from airflow_provider_saagie.operators.job_reference import JOB_FIELDS, find_job
from airflow_provider_saagie.operators.saagie_task import SaagieTask, show_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_saagie.client.run_once import Taken
    from airflow_provider_saagie.client.settings import Settings
    from airflow_provider_saagie.client.submit import Submission
    from airflow_provider_saagie.operators.given_up import Signs
    from airflow_provider_saagie.triggers.events import InstanceEvent
    from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger

__all__ = ["SaagieRunJobOperator"]


class SaagieRunJobOperator(SaagieTask):
    """Run a Saagie job and wait for its end.

    The job is named by ``job_id``, by ``job_name`` and ``project_name``, or by ``job_alias`` and ``project_id``.
    Saagie's ``runJob`` takes no parameters: what a run works on is set in the job's own settings.

    On Airflow 3.3 a job is submitted once: a retry takes up the instance of the earlier try, or ends with it if it
    has succeeded meanwhile; a clear stops it and runs the job again. The docs have the whole table, and its limits.

    The task returns the instance's id. XComs: ``job_id``, ``instance_status``, ``instance_url``, and ``outputs``, the
    job's output variables (passwords left out).

    .. code-block:: python

        run = SaagieRunJobOperator(task_id="run", job_name="nightly", project_name="Sales", deferrable=True)

    :param job_id: the job's UUID (templated).
    :param job_name: the job's name (templated).
    :param project_name: the name of its project (templated).
    :param job_alias: the job's alias (templated).
    :param project_id: the UUID of its project (templated).
    :param deferrable: whether to wait in the triggerer, without a worker slot; by ``[operators] default_deferrable``.
    :param wait_for_completion: whether to wait at all; False never defers, and succeeds once the job is started.
    :param poll_interval: seconds between two looks at most, or a timedelta; young instances are looked at more often.
    :param timeout: seconds or a timedelta to wait, from the try's start; None for no limit but ``execution_timeout``.
    :param on_timeout: what to do with the instance when ``timeout`` passes: ``"stop"`` it or ``"leave"`` it.
    :param stop_on_kill: whether to stop the instance when the task is marked failed or success or is cleared, gets
        SIGTERM, or when ``execution_timeout`` passes.
    :param stop_timeout: seconds or a timedelta to wait for the end of an earlier try's instance before another starts.
    :param reattach: whether a try takes up what an earlier one has started; False starts the job each time.
    :param on_lost_submit: what to do if the answer to ``runJob`` was lost: ``"adopt"`` the instance that it must
        have started (several possible ones are an error that lists them), ``"fail"`` if there is any instance that it
        may have started, or ``"submit"`` again.
    :param if_running: what to do if the job is running already, not started by this task: ``"submit"`` all the same,
        ``"attach"`` to that instance (it is never stopped), ``"skip"`` or ``"fail"``.
    :param retry_killed: whether a run that somebody stopped in Saagie is retried; by default it is not.
    :param skip_on: statuses or reasons, such as ``"KILLED"``, at which the task is skipped rather than failed.
    :param stream_logs: whether the job's lines are shown in the task's log, as they come.
    :param saagie_conn_id: the connection's id (templated).
    :raises SaagieInstanceFailed: of the kind that says whose fault it was; see ``exceptions.py``.
    :raises SaagieWaitTimeout: when ``timeout`` passes, or ``stop_timeout`` before the job could be started.
    :raises SaagieOutcomeUnknown: where only a person can tell which instance is this task's.
    :raises SaagieAlreadyRunning: with ``if_running="fail"``.
    """

    template_fields: Sequence[str] = (*JOB_FIELDS, "saagie_conn_id")

    def __init__(
        self,
        *,
        job_id: str | None = None,
        job_name: str | None = None,
        project_name: str | None = None,
        job_alias: str | None = None,
        project_id: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        wait_for_completion: bool = True,
        poll_interval: float | timedelta = 10,
        timeout: float | timedelta | None = None,
        on_timeout: Literal["stop", "leave"] = "stop",
        stop_on_kill: bool = True,
        stop_timeout: float | timedelta = 120,
        reattach: bool = True,
        on_lost_submit: Literal["adopt", "fail", "submit"] = "adopt",
        if_running: Literal["submit", "attach", "skip", "fail"] = "submit",
        retry_killed: bool = False,
        skip_on: Collection[str] = (),
        stream_logs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.job_name = job_name
        self.project_name = project_name
        self.job_alias = job_alias
        self.project_id = project_id
        self.deferrable = deferrable
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.on_timeout = on_timeout
        self.stop_on_kill = stop_on_kill
        self.stop_timeout = stop_timeout
        self.reattach = reattach
        self.on_lost_submit = on_lost_submit
        self.if_running = if_running
        self.retry_killed = retry_killed
        self.skip_on = skip_on
        self.stream_logs = stream_logs
        self._running: tuple[Settings, Submission] | None = None
        self._mine: Submission | None = None
        self._killed = False
        self._signs: Signs | None = None

    def execute(self, context: Context) -> str:
        """Start the job, or take up what an earlier try has started, and wait for its end here or in the triggerer.

        :return: the instance's id.
        """
        from airflow_provider_saagie.operators import given_up

        with given_up.watching(unfinished.is_taken_up_later(self, context)) as self._signs:
            return self._run(context)

    def _run(self, context: Context) -> str:
        self._check()
        client = self.hook.get_conn()
        job = find_job(self, client)
        if job.is_streaming and self.wait_for_completion:
            raise SaagieValidationError(
                f"The job {job.name!r} is a streaming job, which never ends: set wait_for_completion=False."
            )
        try:
            taken = submission.take(self, context, client, job)
        except SaagieAlreadyRunning as error:
            if self.if_running == "skip":
                raise AirflowSkipException(str(error)) from error
            raise
        except AirflowTaskTimeout:
            if self.stop_on_kill and not unfinished.is_taken_up_later(self, context):
                submission.clear_away_lost(self, context, client, job)
            raise
        mine = taken.submission
        self._running = (self.hook.settings, mine)
        self._mine = mine
        if self._killed:  # while runJob was under way: only now is there something to stop
            self.on_kill()
        try:
            if taken.is_new:
                submission.remember(self, context, mine)
                self.log.info("Started the job %r of the project %r: %s", job.name, job.project_name, self._url(mine))
            return self._go_on(context, taken)
        except AirflowTaskTimeout:  # our own, which has seen to the instance; or Airflow's alarm, which may come first
            if self._running:
                self._end_at_deadline(context, late.alarm(mine), mine)
            raise
        except Exception as error:
            if self._running:
                self._give_up(context, mine, error)
            raise

    def execute_complete(self, context: Context, event: dict[str, Any], try_number: int | None = None) -> str:
        """Say what the end of the instance means.

        :param event: what the trigger found.
        :param try_number: the try that deferred.
        :return: the instance's id.
        """
        if airflow_compat.is_another_try(context, try_number):
            return self.execute(context)
        from airflow_provider_saagie.triggers.events import InstanceEvent

        mine = run_record.load(context)
        try:
            found = InstanceEvent.from_event(event)
        except SaagieError as error:
            if mine is not None and mine.instance_id is not None:
                self._give_up(context, mine, error)
            raise
        if mine is None or mine.instance_id != found.instance_id:
            mine = run_record.from_event(found)
        self._mine = mine
        if found.status == "timeout":
            self._end_at_deadline(context, found, mine)
        self._running = None  # from here on there is nothing left to stop
        if found.instance_status is not None:
            context["ti"].xcom_push(key="instance_status", value=found.instance_status)
        if found.error_kind is not None:
            raise unfinished.error_without_end(self, found, mine)
        return self._end(context, found, mine)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """See to the instance also where Airflow's own backstop ends the deferral, or the trigger broke."""
        from airflow_provider_saagie.operators import given_up

        with given_up.watching(unfinished.is_taken_up_later(self, context)) as self._signs:
            return self._resume(next_method, next_kwargs, context)

    def _resume(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        if next_method != "__fail__":
            return super().resume_execution(next_method, next_kwargs, context)
        self._mine = mine = run_record.load(context)
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception as error:
            if mine is None or mine.instance_id is None:
                raise
            if not airflow_compat.is_deferral_timeout(error):
                self._give_up(context, mine, error)
                raise
            deadline = self._deadline(context)
            found = late.look(self.hook.get_conn().session, mine, deadline.kind if deadline else "timeout")
            return self.execute_complete(context, found.as_event())

    def on_kill(self) -> None:
        """Stop the instance of a task that is killed while it runs.

        Airflow calls this in a signal handler, five seconds before SIGKILL: hence a session of its own, short time
        limits, no repetition, and no call to Airflow but the question whether it is well.
        """
        self._killed = True
        if self._running is None or not self.stop_on_kill:
            return
        settings, mine = self._running
        self._running = None
        if mine.owned and not self._is_left_to_the_retry(mine, killed=True):
            own_instance.stop(own_instance.quick(settings), mine, "the task was killed", self.log)

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """Tell OpenLineage which job it is. Its provider's listener calls this, where it is installed."""
        from airflow_provider_saagie.operators import lineage

        return lineage.of_job(self)

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any]:  # noqa: ARG002 - Airflow's
        """Tell OpenLineage which version of the job ran, and where to look at the instance."""
        from airflow_provider_saagie.operators import lineage

        if self._mine is None or self._mine.instance_id is None:
            return lineage.of_job(self)
        return lineage.of_run(self.hook.settings, self._mine, self.log)

    def get_openlineage_facets_on_failure(self, task_instance: object) -> OperatorLineage[Any, Any]:
        """Tell OpenLineage the same of a task that failed, as far as it got."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _check(self) -> None:
        """Check what no template fills, before the job is started: a mistake must not leave an instance behind."""
        submission.check(self)
        if self.on_timeout not in ("stop", "leave"):
            raise SaagieValidationError(f"`on_timeout` is {self.on_timeout!r}: it should be 'stop' or 'leave'.")
        seconds("poll_interval", self.poll_interval)
        if self.timeout is not None:
            seconds("timeout", self.timeout)
        if isinstance(self.skip_on, str) or not isinstance(self.skip_on, Collection):
            raise SaagieValidationError(
                f"`skip_on` is {self.skip_on!r}: it should be a list of statuses or reasons, such as ['KILLED']."
            )
        for wanted in self.skip_on:
            if not isinstance(wanted, str) or wanted != wanted.upper():
                raise SaagieValidationError(
                    f"`skip_on` holds {wanted!r}: statuses and reasons are written in capitals, such as 'KILLED'."
                )

    def _go_on(self, context: Context, taken: Taken) -> str:
        mine = taken.submission
        show_link(context, self._url(mine))
        ti = context["ti"]
        ti.xcom_push(key="job_id", value=mine.job_id)
        ti.xcom_push(key="instance_url", value=self._url(mine))
        if not self.wait_for_completion:
            ti.xcom_push(key="instance_status", value=taken.status)
            self._end_if_stopped(mine)
            return str(mine.instance_id)
        deadline = self._deadline(context)
        trigger = self._trigger(mine, deadline)
        if self.deferrable and not taken.has_ended:
            # From here on Airflow defers the task, told to end or not: a stop now would be taken for somebody's wish by
            # whoever resumes. One that came before is known to `_end_if_stopped`.
            self._running = None
            self._end_if_stopped(mine)
            self.log.info("Waiting in the triggerer, without a worker slot.")
            self.defer(
                trigger=trigger,
                method_name="execute_complete",
                kwargs={"try_number": ti.try_number},
                timeout=deadline.backstop if deadline else None,
            )
        from airflow_provider_saagie.operators.inline import run_inline

        # An instance that has ended comes this way too: the log of the try that ends with it holds its lines.
        return self.execute_complete(context, run_inline(trigger))

    def _trigger(self, mine: Submission, deadline: Deadline | None) -> SaagieJobInstanceTrigger:
        from airflow_provider_saagie.triggers.saagie import SaagieJobInstanceTrigger

        return SaagieJobInstanceTrigger(
            saagie_conn_id=self.saagie_conn_id,
            instance_id=str(mine.instance_id),
            job_id=mine.job_id,
            project_id=mine.project_id,
            poll_interval=seconds("poll_interval", self.poll_interval),
            deadline=deadline.at if deadline else None,
            deadline_kind=deadline.kind if deadline else "timeout",
            owned=mine.owned,
            stop_on_kill=self.stop_on_kill,
            stream_logs=self.stream_logs,
        )

    def _deadline(self, context: Context) -> Deadline | None:
        return earlier_deadline(context, timeout=self.timeout, execution_timeout=self.execution_timeout)

    def _url(self, mine: Submission) -> str:
        return own_instance.instance_url(self.hook.settings, mine)

    def _end_at_deadline(self, context: Context, event: InstanceEvent, mine: Submission) -> NoReturn:
        stopped = None
        if unfinished.is_stopped_at(self, event.deadline_kind, mine) and not self._is_left_to_the_retry(mine):
            self._running = (self.hook.settings, mine)  # Airflow's alarm may come in the midst of the stop
            stopped = own_instance.stop(self.hook.settings, mine, f"the {event.deadline_kind} passed", self.log)
        self._running = None
        raise unfinished.past_deadline(self, context, event, mine, stopped)

    def _end(self, context: Context, event: InstanceEvent, mine: Submission) -> str:
        from airflow_provider_saagie.operators.ending import raise_unless_good, read_outputs

        raise_unless_good(
            event,
            session=self.hook.get_conn().session,
            url=self._url(mine),
            retry_killed=self.retry_killed,
            # Airflow goes on for some seconds after on_kill: what was stopped then is no reason against a retry.
            stopped_by_us=self._has_stopped(mine),
            skip_on=self.skip_on,
        )
        try:
            outputs = read_outputs(self.hook.get_conn().session, event.instance_id)
        except SaagieError as error:  # failing here would have a retry run the job again, though it has done its work
            self.log.warning("The job ended well, but its outputs could not be read: no XCom `outputs`. %s", error)
            outputs = {}
        if outputs:
            context["ti"].xcom_push(key="outputs", value=outputs)
        return event.instance_id

    def _has_stopped(self, mine: Submission) -> bool:
        """Say whether the instance was stopped because this process was told to end, such as by a drain."""
        return self._killed and mine.owned and self.stop_on_kill

    def _end_if_stopped(self, mine: Submission) -> None:
        """Let a retry go on where nobody else would know that this process has stopped the instance itself."""
        if self._has_stopped(mine):
            raise SaagieError(
                "The task was told to end as it started the job, as where a worker is drained. A retry sees to what it "
                f"has started: {self._url(mine)}"
            )

    def _is_left_to_the_retry(self, mine: Submission, *, killed: bool = False) -> bool:
        """Say whether Airflow may have given this try up by itself, so that a retry takes the instance up."""
        why = self._signs and (self._signs.stood_still() or (self._signs.heartbeats_fail() if killed else None))
        if why:
            self.log.warning("%s %s", why, self._url(mine))
        return bool(why)

    def _give_up(self, context: Context, mine: Submission, error: Exception) -> None:
        self._running = None
        unfinished.give_up(self, context, mine, error)
