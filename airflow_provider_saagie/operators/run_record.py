"""What a run task remembers of its instance, so that whoever goes on with it finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.triggers.events import InstanceEvent

__all__ = ["RunRecord", "load", "store"]

KEY = "saagie_run"


@dataclass(frozen=True)
class RunRecord:
    """An instance, and whether it is this task's own.

    :param owned: whether we started it: nothing of ours ever stops an instance that we don't own.
    """

    job_id: str
    project_id: str
    instance_id: str
    owned: bool = True

    @classmethod
    def from_event(cls, event: InstanceEvent) -> RunRecord:
        """Make a record of what the trigger knew, where nothing was stored."""
        return cls(str(event.job_id), str(event.project_id), event.instance_id, owned=event.owned)


def store(context: Context, record: RunRecord) -> None:
    """Remember the record: in the task's state store, or, before Airflow 3.3, in an XCom of this try."""
    state_store = _state_store(context)
    if state_store is not None:
        state_store.set(KEY, asdict(record))
    else:
        context["ti"].xcom_push(key=KEY, value=asdict(record))


def load(context: Context) -> RunRecord | None:
    """Find the record that this try has stored."""
    state_store = _state_store(context)
    found = state_store.get(KEY) if state_store is not None else context["ti"].xcom_pull(key=KEY)
    return RunRecord(**found) if isinstance(found, Mapping) else None


def _state_store(context: Context) -> Any:
    return context.get("task_state_store")
