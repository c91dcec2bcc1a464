"""Submit once: what a try does with what earlier tries have left. Pure: nothing here sends, waits or stores.

``run_once.py`` carries it out; the docs draw the table from :data:`TABLE`.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.status import UNKNOWN_GRACE, InstanceStatus, is_final

__all__ = [
    "FRESH",
    "TABLE",
    "Do",
    "Found",
    "Since",
    "Submission",
    "TheTry",
    "candidates",
    "decide",
    "is_on_its_way",
    "resolve",
    "search_over_at",
    "since",
    "what_is_found",
]

FRESH = 10.0
"""Seconds after the writing of an intent within which ``runJob`` is sent; later, it is written anew."""


@dataclass(frozen=True)
class TheTry:
    """What tells a try from a retry, and a retry from a clear.

    :param max_tries: the task instance's; a clear of the task changes it, a retry doesn't.
    :param clear_number: the DAG run's; each clear of any of its tasks raises it.
    """

    max_tries: int = 0
    clear_number: int = 0


@dataclass(frozen=True)
class Submission:
    """What a task remembers of a submission: first that it is about to happen, then what came of it.

    :param job_id: the job.
    :param project_id: the job's project.
    :param last_number: the number of the job's newest instance before; ours has a higher one.
    :param at: when it was about to be sent, in seconds since 1970 by the platform's clock.
    :param doubt: seconds by which the platform's clock may differ from what we take it for.
    :param time_limit: seconds that the request may take.
    :param tried_by: the try that wrote this.
    :param instance_id: the instance; None as long as no answer came.
    :param owned: whether this task started it: nothing of ours ever stops an instance that it doesn't own.
    """

    job_id: str
    project_id: str
    last_number: int = 0
    at: float = 0.0
    doubt: float = 0.0
    time_limit: float = 0.0
    tried_by: TheTry = TheTry()
    instance_id: str | None = None
    owned: bool = True


class Since(enum.Enum):
    """What happened to the task since something was stored."""

    RETRY = "a retry"
    CLEAR = "after a clear"
    UNCLEAR = "unclear: perhaps another task was cleared"


class Found(enum.Enum):
    """What is stored, and how the instance does."""

    NOTHING = "nothing is stored, or it is about another job"
    INTENT = "an intent only: the answer to `runJob` was lost"
    ON_ITS_WAY = "an instance on its way"
    SUCCEEDED = "an instance that succeeded"
    ENDED = "an instance that ended otherwise"
    ENDING = "an instance that is being stopped"
    LOST = "an instance that is UNKNOWN past its grace"
    GONE = "an instance that is gone"


class Do(enum.Enum):
    """What the try does."""

    SUBMIT = "submits"
    SEARCH = "searches; one: adopted; none: submits; several: `on_lost_submit`"
    SEARCH_TO_STOP = "searches; one on its way: stopped; then submits"
    ATTACH = "attaches"
    END_WITH_IT = "ends with it at once"
    STOP_THEN_SUBMIT = "stops it, waits for its end, submits"
    WAIT_THEN_SUBMIT = "waits for its end, submits"
    FAIL_AS_GONE = "fails (`SaagieInstanceGone`)"


_AFTER = tuple(Since)
TABLE: dict[Found, dict[Since, Do]] = {
    found: dict(zip(_AFTER, row, strict=True))
    for found, row in {
        #                   a retry,             after a clear,       unclear
        Found.NOTHING: (Do.SUBMIT, Do.SUBMIT, Do.SUBMIT),
        Found.INTENT: (Do.SEARCH, Do.SEARCH_TO_STOP, Do.SEARCH),
        Found.ON_ITS_WAY: (Do.ATTACH, Do.STOP_THEN_SUBMIT, Do.ATTACH),
        Found.SUCCEEDED: (Do.END_WITH_IT, Do.SUBMIT, Do.SUBMIT),
        Found.ENDED: (Do.SUBMIT, Do.SUBMIT, Do.SUBMIT),
        Found.ENDING: (Do.WAIT_THEN_SUBMIT, Do.WAIT_THEN_SUBMIT, Do.WAIT_THEN_SUBMIT),
        Found.LOST: (Do.STOP_THEN_SUBMIT, Do.STOP_THEN_SUBMIT, Do.STOP_THEN_SUBMIT),
        Found.GONE: (Do.FAIL_AS_GONE, Do.SUBMIT, Do.FAIL_AS_GONE),
    }.items()
}


def since(stored: Submission, this_try: TheTry) -> Since:
    """Tell a retry from a clear.

    :param stored: what an earlier try has stored.
    :param this_try: this one.
    """
    if stored.tried_by.clear_number == this_try.clear_number:
        return Since.RETRY
    return Since.CLEAR if stored.tried_by.max_tries != this_try.max_tries else Since.UNCLEAR


def what_is_found(stored: Submission | None, instance: JobInstance | None, job_id: str, now: float) -> Found:
    """Sort what is known into the table's rows.

    :param stored: what an earlier try has stored.
    :param instance: the stored instance as it is now; None where the platform no longer has it.
    :param job_id: the task's job as it is now.
    :param now: seconds since 1970, by the platform's clock.
    """
    if stored is None or stored.job_id != job_id:
        return Found.NOTHING
    if stored.instance_id is None:
        return Found.INTENT
    if instance is None:
        return Found.GONE
    if instance.status == InstanceStatus.UNKNOWN:
        known_since = _seconds(instance.status_since)
        return Found.LOST if known_since is None or now - known_since >= UNKNOWN_GRACE else Found.ON_ITS_WAY
    if instance.status == InstanceStatus.KILLING:
        return Found.ENDING
    if not is_final(instance.status):
        return Found.ON_ITS_WAY
    return Found.SUCCEEDED if instance.status == InstanceStatus.SUCCEEDED else Found.ENDED


def decide(
    stored: Submission | None,
    instance: JobInstance | None,
    this_try: TheTry,
    *,
    job_id: str,
    now: float,
    stop_on_kill: bool = True,
) -> Do:
    """Say what this try does: the table, and that nothing of ours stops what it may not stop.

    :param stored: what an earlier try has stored.
    :param instance: the stored instance as it is now.
    :param this_try: this one.
    :param job_id: the task's job as it is now.
    :param now: seconds since 1970, by the platform's clock.
    :param stop_on_kill: whether the task's own instance may be stopped.
    """
    found = what_is_found(stored, instance, job_id, now)
    if stored is None or found is Found.NOTHING:
        return Do.SUBMIT
    do = TABLE[found][since(stored, this_try)]
    if do is Do.STOP_THEN_SUBMIT and not stored.owned:
        return Do.SUBMIT  # somebody else's goes on: what then counts is `if_running`
    if do is Do.STOP_THEN_SUBMIT and not stop_on_kill:
        return Do.WAIT_THEN_SUBMIT
    return do


def search_over_at(intent: Submission) -> float:
    """Say when an instance of the intent must have shown up, in seconds since 1970 by the platform's clock."""
    return intent.at + FRESH + intent.time_limit + intent.doubt


def candidates(intent: Submission, instances: Iterable[JobInstance], login: str) -> list[JobInstance]:
    """Find the instances that a lost ``runJob`` may have started: newer, by this login, in its window.

    Whatever the platform leaves open (who, when) counts as possible: a doubt must not end in a second run.

    :param intent: what was about to be sent.
    :param instances: the job's newest ones.
    :param login: who sent it.
    """
    earliest, latest = intent.at - intent.doubt, search_over_at(intent)

    def possible(instance: JobInstance) -> bool:
        if instance.number is not None and instance.number <= intent.last_number:
            return False
        if instance.is_authored is False or (instance.run_by or login).casefold() != login.casefold():
            return False
        made = _seconds(instance.created_at)
        return made is None or earliest <= made <= latest

    return [instance for instance in instances if possible(instance)]


def resolve(found: Collection[JobInstance], on_lost_submit: str) -> JobInstance | Do | None:
    """Say what a retry does with what a search found.

    :param found: the candidates.
    :param on_lost_submit: ``"adopt"``, ``"fail"`` or ``"submit"``.
    :return: the instance to adopt; ``Do.SUBMIT``; or None, where only a person can tell.
    """
    if not found or on_lost_submit == "submit":
        return Do.SUBMIT
    if on_lost_submit == "fail" or len(found) > 1:
        return None
    return next(iter(found))


def is_on_its_way(instance: JobInstance) -> bool:
    """Say whether an instance has not ended, also where its status is one that the schema doesn't know."""
    return not is_final(instance.status)


def _seconds(moment: str | None) -> float | None:
    try:
        parsed = datetime.fromisoformat(moment) if moment else None
    except (TypeError, ValueError):
        return None
    return parsed.timestamp() if parsed and parsed.tzinfo else None
