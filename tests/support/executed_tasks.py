"""Execute a task in the test's process, without a DAG run, which costs Airflow a tenth of a second per task.

The task, its hook, its connection and its requests are the real ones; only the context that Airflow hands to a task is
made here. What Airflow itself does (templates, retries, states, stored links) is tested with `dag.test()`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk._shared.secrets_masker import reset_secrets_masker
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred

from airflow_provider_saagie.operators.inline import run_inline


class StateStore(dict[str, Any]):
    """A task's state store, which outlives its tries."""

    def set(self, key: str, value: Any, *, retention: object = None) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


@dataclass
class TaskInstance:
    """The attributes of a task instance that the provider uses; `xcoms` are the pushed values by key."""

    task: Any
    start_date: datetime
    max_tries: int = 0
    try_number: int = 1
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def get_first_reschedule_date(self, context: Any) -> datetime:
        """Return when a sensor with `mode="reschedule"` began to wait."""
        return self.start_date


class TaskRun:
    """The tries of one task.

    `result` is the value that the last call returned, `error` is what it raised; one of them is None.

    :param task: the operator.
    :param age: seconds since the try began.
    :param dag_file: the DAG's file, next to which relative paths are looked for.
    """

    def __init__(self, task: Any, *, age: float = 0.0, dag_file: Path | None = None) -> None:
        reset_secrets_masker()  # it is compiled anew for each token, and grows with each login of this process
        start = datetime.now(UTC) - timedelta(seconds=age)
        self._new_task = copy(task)  # each process of a task begins with such a one
        self.task = task
        self.ti = TaskInstance(task, start, max_tries=task.retries or 0)
        self.context: Any = {
            "ti": self.ti,
            "dag": SimpleNamespace(fileloc=str(dag_file)),
            "dag_run": SimpleNamespace(start_date=start),
            "task_state_store": StateStore(),
        }
        self.result: Any = None
        self.error: BaseException | None = None

    @property
    def xcoms(self) -> dict[str, Any]:
        return self.ti.xcoms

    @property
    def link(self) -> str:
        """The target of the "Open in Saagie" button."""
        return str(self.xcoms.get("_link_SaagieLink", ""))

    def execute(self) -> TaskRun:
        return self._call(self.task.execute, self.context)

    def retry(self) -> TaskRun:
        """Execute the next try, in a process of its own."""
        self.task = copy(self._new_task)
        self.ti = replace(self.ti, task=self.task, try_number=self.ti.try_number + 1, xcoms={})
        self.context["ti"] = self.ti
        return self.execute()

    def poke(self) -> TaskRun:
        return self._call(self.task.poke, self.context)

    def resume(self, **kwargs: Any) -> TaskRun:
        """Continue after a deferral, with arguments that replace its own; without an `event`, its trigger is run."""
        deferral = self.error
        assert isinstance(deferral, TaskDeferred), deferral
        event = kwargs.pop("event", None) or run_inline(deferral.trigger)
        return self.resume_at(deferral.method_name, **{**(deferral.kwargs or {}), "event": event, **kwargs})

    def resume_at(self, method: str, **kwargs: Any) -> TaskRun:
        """Continue with a method of the task, as in another process."""
        return self._call(self.task.resume_execution, method, kwargs, self.context)

    def end_deferral(self) -> TaskRun:
        """Continue as Airflow does when a deferral has taken longer than its timeout."""
        return self.resume_at("__fail__", error="Trigger timeout")

    def _call(self, function: Callable[..., Any], *args: Any) -> TaskRun:
        self.result = self.error = None
        try:
            self.result = function(*args)
        except (Exception, AirflowTaskTimeout, TaskDeferred) as error:  # noqa: BLE001 - the test decides what it should be
            self.error = error
        return self


def run_task(task: Any, **options: Any) -> TaskRun:
    """Execute a task once; the options are those of `TaskRun`."""
    return TaskRun(task, **options).execute()
