"""What a run task remembers of its instance, so that whoever goes on with it finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie import airflow_compat

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_saagie.client.submit import Submission, TheTry
    from airflow_provider_saagie.triggers.events import InstanceEvent

__all__ = ["from_event", "load", "store", "this_try"]

KEY = "saagie_run"


def store(context: Context, submission: Submission) -> None:
    """Remember it: in the task's state store, which outlives the try; before Airflow 3.3, in an XCom of this try."""
    state_store = _state_store(context)
    if state_store is not None:
        airflow_compat.store_for_ever(state_store, KEY, asdict(submission))
    else:
        context["ti"].xcom_push(key=KEY, value=asdict(submission))


def load(context: Context) -> Submission | None:
    """Find what this task remembers; None where that is nothing, or nothing that can be read."""
    from airflow_provider_saagie.client.submit import Submission, TheTry

    state_store = _state_store(context)
    found = state_store.get(KEY) if state_store is not None else context["ti"].xcom_pull(key=KEY)
    if not isinstance(found, Mapping) or not {"job_id", "project_id"} <= found.keys():
        return None
    tried_by = found.get("tried_by")
    known_try = TheTry(**_known(TheTry, tried_by)) if isinstance(tried_by, Mapping) else TheTry()
    return Submission(**{**_known(Submission, found), "tried_by": known_try})


def from_event(event: InstanceEvent) -> Submission:
    """Make a record of what the trigger knew, where nothing was stored."""
    from airflow_provider_saagie.client.submit import Submission

    return Submission(str(event.job_id), str(event.project_id), instance_id=event.instance_id, owned=event.owned)


def this_try(context: Context) -> TheTry:
    """Read what tells this try from another one, a retry or one after a clear."""
    from airflow_provider_saagie.client.submit import TheTry

    run = context.get("dag_run")
    return TheTry(
        max_tries=int(getattr(context["ti"], "max_tries", None) or 0),
        clear_number=int(getattr(run, "clear_number", None) or 0),
    )


def _known(kind: type[Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a later version may have stored more."""
    return {field.name: found[field.name] for field in fields(kind) if field.name in found}


def _state_store(context: Context) -> Any:
    return context.get("task_state_store")
