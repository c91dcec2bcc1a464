"""What Airflow's public names can't do, and where its versions differ: all of it stands here, each with its reason."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection, Context

__all__ = [
    "api_server_url",
    "asset_state_stores",
    "async_connection",
    "current_context",
    "is_another_try",
    "is_deferral_timeout",
    "is_reschedule",
    "mask_locally",
    "store_for_ever",
    "supervisor_pid",
    "task_state",
    "triggerer_stats",
]

LOCK_INTERVAL = 0.01
"""Seconds between two looks at whether the triggerer's channel is free."""


async def async_connection(conn_id: str) -> Connection:
    """Look a connection up from an event loop.

    In the triggerer of Airflow 3.0.0 to 3.0.2 the event loop and the thread that looks a connection up read from one
    pipe, and where the loop is quicker the look-up never ends and holds up all triggers. There it is done in the loop
    itself, which stands still for those milliseconds.

    :param conn_id: the connection's id.
    """
    from airflow.providers.common.compat.connection import get_async_connection
    from airflow.providers.common.compat.sdk import BaseHook
    from airflow.sdk.execution_time import task_runner

    channel: Any = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if not (hasattr(channel, "get_message") and hasattr(channel, "lock")):
        return await get_async_connection(conn_id)
    # It may be the loop itself that holds the lock: it could not give it back while it stands still.
    while channel.lock.locked():  # noqa: ASYNC110 - the lock tells nobody when it is free
        await asyncio.sleep(LOCK_INTERVAL)
    return BaseHook.get_connection(conn_id)


def mask_locally(secret: str) -> None:
    """Have this process mask a secret in its logs.

    Airflow's ``mask_secret`` also tells the supervisor, over a channel that a signal handler or the triggerer's event
    loop must not wait for; only an inner name of ``airflow.sdk.log`` does without. Where that is missing, nothing is
    masked: no message of ours holds a secret anyway.
    """
    try:
        from airflow.sdk.log import _secrets_masker  # type: ignore[attr-defined]  # an inner name: see above
    except ImportError:
        return
    _secrets_masker().add_mask(secret)


def current_context() -> Context | None:
    """Give the context of the task that runs in this process; None outside a task (Airflow raises there)."""
    from airflow.providers.common.compat.sdk import get_current_context

    try:
        return get_current_context()
    except RuntimeError:
        return None


def store_for_ever(state_store: Any, key: str, value: dict[str, Any]) -> None:
    """Store a value in a task's state store until its DAG run is deleted.

    The store and the name of this retention came together, with Airflow 3.3: it can't be imported before.

    :param state_store: the context's ``task_state_store``.
    """
    from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # its stub file leaves it out

    state_store.set(key, value, retention=NEVER_EXPIRE)


def supervisor_pid() -> int | None:
    """Give the process that tells Airflow that this task is alive; None where none does, as in ``dag.test()``."""
    from airflow.sdk.execution_time import task_runner

    channel = getattr(task_runner, "SUPERVISOR_COMMS", None)
    # In dag.test() the task runs in the process that asks, over a channel without a socket.
    return os.getppid() if getattr(channel, "socket", None) is not None else None


def api_server_url() -> str | None:
    """Give the address of the API server to which this task's supervisor sends heartbeats; None where none does.

    Airflow's executors make it of two settings, each in its own code, and tell the task nothing of it.
    """
    from airflow.providers.common.compat.sdk import conf

    if supervisor_pid() is None:
        return None
    base_url = conf.get("api", "base_url", fallback="/") or "/"
    if base_url.startswith("/"):
        base_url = f"http://localhost:8080{base_url}"
    url = conf.get("core", "execution_api_server_url", fallback=None) or f"{base_url.rstrip('/')}/execution/"
    return str(url).rstrip("/").removesuffix("/execution")


def is_deferral_timeout(error: BaseException) -> bool:
    """Say whether an error is Airflow's own end of a deferral, by ``defer(timeout=)``.

    Airflow's versions keep the class in different modules, and no public one has it.
    """
    return type(error).__name__ == "TaskDeferralTimeout"


def is_reschedule(error: BaseException) -> bool:
    """Say whether an error is no failure, but how a sensor with ``mode="reschedule"`` says when it looks again.

    Airflow's versions keep the class in different modules, and no public one has it.
    """
    return type(error).__name__ == "AirflowRescheduleException"


def is_another_try(context: Context, try_number: int | None) -> bool:
    """Say whether a task resumes with what an earlier try of it was waiting for.

    Airflow 3.0 does not forget what a deferred try has come to: the retry after it resumes with the same event, where
    it should begin afresh.

    :param context: the task's context.
    :param try_number: the try that deferred; None where Airflow has not handed it on, as in ``dag.test()``.
    """
    return try_number is not None and try_number != context["ti"].try_number


async def task_state(task_instance: Any) -> str | None:
    """Ask Airflow from a triggerer's event loop for a task's state; None where it has none, as after a clear.

    No public name does this: the SDK's own ways block, or look at the current context's task only. The triggerer
    answers ``GetTaskStates`` over the channel that its triggers use for connections.

    :param task_instance: a trigger's ``task_instance``.
    :raises RuntimeError: where there is no task, or Airflow gives no answer.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetTaskStates

    if task_instance is None:
        raise RuntimeError("the trigger belongs to no task")
    mapped = task_instance.map_index is not None and task_instance.map_index >= 0
    answer = await task_runner.SUPERVISOR_COMMS.asend(
        GetTaskStates(
            dag_id=task_instance.dag_id,
            task_ids=[task_instance.task_id],
            run_ids=[task_instance.run_id],
            map_index=task_instance.map_index if mapped else None,
        )
    )
    states = getattr(answer, "task_states", None)
    if states is None:
        raise RuntimeError("Airflow did not give the task's state")
    key = f"{task_instance.task_id}_{task_instance.map_index}" if mapped else task_instance.task_id
    state = (states.get(task_instance.run_id) or {}).get(key)
    return str(state) if state else None


def asset_state_stores(trigger: Any) -> list[Any]:
    """Give the state stores of the assets that an event trigger feeds, each with ``aget`` and ``aset``.

    Airflow has them from 3.3 on; before, and in a trigger that feeds no asset, there are none. Equal watchers of
    several assets share a trigger, and no public name lists its assets then.

    :param trigger: an event trigger, as the triggerer has set it up.
    """
    accessors = getattr(trigger, "asset_state_store", None)
    if accessors is None:
        return []
    by_asset = [store for name in ("_by_name", "_by_uri") for store in getattr(accessors, name, {}).values()]
    return by_asset or [accessors]


def triggerer_stats() -> Any | None:
    """Give what takes metrics, where this is a triggerer's process; None in any other.

    It is not the compat package's ``Stats``: that is the Task SDK's, which Airflow sets up in workers only, so that in
    a triggerer of Airflow 3.2 or newer it drops what it is given. Airflow's own moved with 3.2.
    """
    from airflow.sdk.execution_time import task_runner

    if "airflow.jobs.triggerer_job_runner" not in sys.modules or not hasattr(task_runner, "SUPERVISOR_COMMS"):
        return None
    try:
        from airflow.observability.stats import Stats
    except ImportError:
        from airflow.stats import Stats  # type: ignore[assignment]  # the same, where it was before 3.2
    return Stats
