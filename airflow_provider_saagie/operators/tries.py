"""What a task remembers from one try to the next, so that a retry goes on with what the try before has begun.

It is kept in the task's state store (Airflow 3.3 and newer), and forgotten when a user clears the task: a clear starts
afresh. Before Airflow 3.3 nothing is remembered across tries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["forget", "recall", "remember"]

MAX_TRIES = "max_tries"
"""Airflow sets it anew at each clear, and leaves it at each retry."""


def remember(context: Context, key: str, what: Mapping[str, str | int]) -> None:
    """Keep something for the tries to come, in place of what was kept under this key before.

    :param context: the task's context.
    :param key: its name.
    :param what: plain values; no secret, since Airflow's API shows them.
    """
    store = _store(context)
    if store is not None:
        store.set(key, {**what, MAX_TRIES: _max_tries(context)})


def recall(context: Context, key: str) -> dict[str, Any] | None:
    """Give what an earlier try has kept; None where none has, or where the task was cleared since."""
    store = _store(context)
    kept = store.get(key) if store is not None else None
    if not isinstance(kept, Mapping) or kept.get(MAX_TRIES) != _max_tries(context):
        return None
    return {name: value for name, value in kept.items() if name != MAX_TRIES}


def forget(context: Context, key: str) -> None:
    """Drop what was kept under a key."""
    store = _store(context)
    if store is not None:
        store.delete(key)


def _store(context: Context) -> Any:
    return context.get("task_state_store")


def _max_tries(context: Context) -> int:
    return int(context["ti"].max_tries)
