"""What the end of an instance means for its task, in words that say what to do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_saagie.exceptions import SaagieError

if TYPE_CHECKING:
    from airflow_provider_saagie.client.session import Session
    from airflow_provider_saagie.client.status import Outcome
    from airflow_provider_saagie.triggers.events import InstanceEvent

__all__ = ["raise_unless_good", "read_outputs"]

LAST_LINES = 10
READ_TIMEOUT = 3.0


def raise_unless_good(
    event: InstanceEvent,
    *,
    session: Session,
    url: str,
    retry_killed: bool,
    skip_on: Collection[str],
    stopped_by_us: bool = False,
) -> None:
    """Raise what a bad end means.

    :param event: the end.
    :param session: to read the last lines of stderr with.
    :param url: the instance's page.
    :param retry_killed: whether an instance that somebody stopped may be retried.
    :param skip_on: statuses or reasons at which the task is skipped.
    :param stopped_by_us: whether this very task has stopped it, since it was killed.
    :raises SaagieInstanceFailed: of the kind that fits, so that the task is retried as it says.
    :raises AirflowFailException: from it, where no retry can help.
    :raises AirflowSkipException: from it, where the task is to be skipped.
    """
    from airflow_provider_saagie.client.status import Meaning, outcome_of

    outcome = outcome_of(event.as_instance(), retry_killed=retry_killed, skip_on=skip_on, stopped_by_us=stopped_by_us)
    if outcome.error is None:
        return
    error = outcome.error(
        _message(event, outcome, url, _last_of_stderr(session, event.instance_id)),
        host=session.settings.base_url,
        instance_id=event.instance_id,
        status=event.instance_status,
        reason=event.reason,
        details=event.details,
        stopped_by=event.stopped_by,
        url=url,
    )
    if outcome.meaning is Meaning.SKIP:
        raise AirflowSkipException(str(error)) from error
    if outcome.meaning is Meaning.FAIL:
        raise AirflowFailException(str(error)) from error
    raise error


def read_outputs(session: Session, instance_id: str) -> dict[str, str | None]:
    """Read the variables that the job hands on, passwords left out."""
    from airflow_provider_saagie.client import instances

    instance = session.run(instances.read_instance(instance_id))
    return (instance.outputs if instance else None) or {}


def _message(event: InstanceEvent, outcome: Outcome, url: str, stderr: list[str]) -> str:
    number = f" {event.number}" if event.number is not None else ""
    why = ": ".join(part for part in (event.reason, event.details) if part)
    took = _seconds_between(event.start_time, event.end_time)
    text = f"Saagie's instance{number} ended as {event.instance_status}"
    text += f" ({why})" if why else ""
    text += f", stopped by {event.stopped_by}" if event.stopped_by else ""
    text += f", after {took:.{0 if took >= 10 else 1}f} s." if took is not None else "."
    text += f"\n{outcome.advice}" if outcome.advice else ""
    text += f"\n{url}"
    if stderr:
        text += "\nThe last lines of its stderr:\n" + "\n".join(f"  {line}" for line in stderr)
    return text


def _last_of_stderr(session: Session, instance_id: str) -> list[str]:
    """Read the last lines of stderr, without letting the task's end wait for them."""
    from airflow_provider_saagie.client import logs
    from airflow_provider_saagie.client.session import Session as QuickSession

    settings = replace(session.settings, timeout=READ_TIMEOUT, retries=0)
    try:
        with QuickSession(settings) as quick:
            lines = quick.run(logs.read_last_lines(instance_id, LAST_LINES, streams=("STDERR",)))
    except SaagieError:
        return []  # the message does without them
    return [line.text for line in lines]


def _seconds_between(start: str | None, end: str | None) -> float | None:
    try:
        return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))).total_seconds()
    except (ValueError, TypeError):  # no time, or only one of the two has a timezone
        return None
