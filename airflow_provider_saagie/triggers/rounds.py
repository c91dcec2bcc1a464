"""Decides, without I/O: what a batch's answer says of each waiter, and what that means for it."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from airflow_provider_saagie.client import core, outcomes
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.settings import Settings
from airflow_provider_saagie.client.status import InstanceStatus, is_final, known_status
from airflow_provider_saagie.exceptions import SaagieAuthError, SaagieError, SaagieNotFound
from airflow_provider_saagie.triggers.questions import Question, Record
from airflow_provider_saagie.triggers.waiter import Ended, Failed, Verdict, Waiter

__all__ = [
    "Away",
    "Denied",
    "Row",
    "RowError",
    "Rows",
    "TooMuch",
    "age_of",
    "errors_by_alias",
    "judge",
    "meant",
    "pause",
    "read",
    "unreadable",
]

PATIENCE = 600.0
"""Seconds for which a trouble that a person can mend (a changed password, a right) may last before waiters end."""
SHORT_PATIENCE = 60.0
"""The same where the trouble surely concerns one instance only."""
UNREADABLE = {"message": "the answer says nothing of it that can be read"}
DENIED_PAUSE = 60.0
LONGEST_PAUSE = 60.0
LONGEST_RETRY_AFTER = 600.0


@dataclass(frozen=True)
class RowError:
    """The platform can't say how one instance, or one job, does.

    :param error: what it said.
    :param patience: seconds for which this may last.
    """

    error: SaagieError
    patience: float


Row: TypeAlias = Record | RowError | None
"""What a batch says of one that was asked about; None where the platform doesn't have it."""


@dataclass(frozen=True)
class Rows:
    """An answer, in the order of the question."""

    rows: tuple[Row, ...]


@dataclass(frozen=True)
class TooMuch:
    """The request was refused as a whole: something in it, or its size, is at fault."""

    error: SaagieError


@dataclass(frozen=True)
class Away:
    """Saagie is away, whoever asks.

    :param error: how that showed.
    :param retry_after: seconds that it asks to wait.
    """

    error: SaagieError
    retry_after: float | None = None


@dataclass(frozen=True)
class Denied:
    """Saagie refuses us, or our own connection is at fault: waiting alone won't mend it."""

    error: SaagieError


Reading: TypeAlias = Rows | TooMuch | Away | Denied


def read(
    outcome: outcomes.Outcome | SaagieError,
    question: Question[Any],
    known: Sequence[JobInstance | None],
    settings: Settings,
) -> Reading:
    """Read what came of a batch.

    :param outcome: the answer, or the error that logging in ended with.
    :param question: what was asked.
    :param known: what was read last of each that was asked about, where anything was.
    :param settings: whose host and login the errors name.
    """
    aliases = question.fields(len(known))
    if isinstance(outcome, SaagieError):
        return Denied(outcome) if isinstance(outcome, SaagieAuthError) else Away(outcome)
    if isinstance(outcome, outcomes.Answer) and isinstance(outcome.data, Mapping):
        concerned = errors_by_alias(outcome.errors)
        stray = any(alias not in aliases for alias in concerned)
        if not stray or any(outcome.data.get(alias) is not None for alias in aliases):
            return Rows(_rows(outcome.data, concerned, question, aliases, known, settings, stray=stray))
    try:
        core.meaning(question.operation, outcome, settings, is_mutation=False)
    except SaagieError as error:
        return _refusal(outcome, error)
    raise AssertionError("an answer without usable data has a meaning other than data")


def _refusal(outcome: outcomes.Outcome, error: SaagieError) -> TooMuch | Away | Denied:
    if isinstance(error, SaagieAuthError):
        return Denied(error)
    if isinstance(outcome, outcomes.Answer):
        return TooMuch(error) if outcome.errors else Away(error)
    if isinstance(outcome, outcomes.Refused):
        if outcome.status in (400, 413, 414, 422):
            return TooMuch(error)
        return Away(error, core.retry_after(outcome))
    return Away(error)


def errors_by_alias(errors: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    """Sort errors by the field that they concern; those that name none stand under the empty name.

    :param errors: as they stand in the answer.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for given in errors:
        error = given if isinstance(given, Mapping) else {}
        path = error.get("path")
        found.setdefault(str(path[0]) if isinstance(path, list) and path else "", error)
    return found


def _rows(
    data: Mapping[str, Any],
    concerned: Mapping[str, Mapping[str, Any]],
    question: Question[Any],
    aliases: Sequence[str],
    known: Sequence[JobInstance | None],
    settings: Settings,
    *,
    stray: bool,
) -> tuple[Row, ...]:
    records = [
        # Of thousands that wait, few have changed since the last round: their records are kept, and no new ones made.
        before if before is not None and before.is_told_by(data.get(alias)) else _record(data.get(alias), question)
        for alias, before in zip(aliases, known, strict=True)
    ]
    if not concerned and None not in records:
        return tuple(records)
    rows: list[Row] = []
    for alias, record in zip(aliases, records, strict=True):
        error = concerned.get(alias)
        if record is not None and not (error and not question.is_whole(record)):
            rows.append(record)
        elif error is None and alias in data and data[alias] is None and not stray:
            rows.append(None)
        else:
            told = meant(question.operation, error or UNREADABLE, settings)
            gone = isinstance(told, SaagieNotFound)
            rows.append(None if gone else RowError(told, _patience(told, others_are_sound=any(records))))
    return tuple(rows)


def _patience(error: SaagieError, *, others_are_sound: bool) -> float:
    if others_are_sound:
        return SHORT_PATIENCE
    # Where nobody's row is sound, the platform is likelier in trouble than the instance: that is waited out.
    return PATIENCE if isinstance(error, SaagieAuthError) else math.inf


def _record(row: object, question: Question[Any]) -> Record | None:
    if not isinstance(row, Mapping):
        return None
    try:
        return question.parse(row)
    except (AttributeError, KeyError, TypeError):  # fields of another shape than the schema's
        return None


def meant(operation: str, error: Mapping[str, Any], settings: Settings) -> SaagieError:
    """Give an error of an answer as one of ours.

    :param operation: the operation's name.
    :param error: as it stands in the answer.
    :param settings: whose host and login it names.
    """
    try:
        core.meaning(operation, outcomes.Answer(None, (error,)), settings, is_mutation=False)
    except SaagieError as ours:
        return ours
    raise AssertionError("an answer with an error has a meaning other than data")


def unreadable(operation: str, settings: Settings) -> RowError:
    """Give what an answer comes to that says nothing of what was asked: the platform's trouble, and waited out.

    :param operation: the operation's name.
    :param settings: whose host the error names.
    """
    return RowError(meant(operation, UNREADABLE, settings), math.inf)


def judge(waiter: Waiter, row: JobInstance | RowError | None, now: float, *, link: Callable[[], str]) -> Verdict | None:
    """Say what a row means for its waiter, and keep in the waiter what later rounds need.

    :param waiter: who waits.
    :param row: what the platform said.
    :param now: the loop's time.
    :param link: gives the instance's page, for messages.
    :return: the verdict; None where the waiting goes on.
    """
    if waiter.first_seen is None:
        waiter.first_seen = now
    if isinstance(row, RowError):
        return _judge_error(waiter, row, now, link)
    waiter.error_since = None
    if row is None:
        waiter.nulls += 1
        if waiter.nulls < 2:
            return None
        return Failed(
            "gone", f"The platform no longer has the job instance {waiter.instance_id}: it was deleted. ({link()})"
        )
    waiter.nulls = 0
    if row is waiter.instance and waiter.unknown_since is None:
        return None  # as it was when it was judged last: on its way
    waiter.instance, waiter.started_at = row, _epoch(row.start_time)
    if row.status == InstanceStatus.UNKNOWN:
        if waiter.unknown_since is None:
            waiter.unknown_since = now
        return Ended(row) if now - waiter.unknown_since >= waiter.unknown_grace else None
    waiter.unknown_since = None
    if known_status(row.status) is None and waiter.odd_status != row.status:
        waiter.odd_status = row.status
        waiter.say(
            logging.WARNING, "The status %r is not known to this provider: taken for one on its way.", row.status
        )
    return Ended(row) if is_final(row.status) else None


def _judge_error(waiter: Waiter, row: RowError, now: float, link: Callable[[], str]) -> Verdict | None:
    if waiter.error_since is None:
        waiter.error_since = now
        waiter.say(logging.WARNING, "Saagie can't say how the instance does; it is asked again. %s", row.error)
    if waiter.endless or now - waiter.error_since < row.patience:
        return None
    kind = "auth" if isinstance(row.error, SaagieAuthError) else "api"
    return Failed(
        kind,
        f"For {row.patience:.0f} s Saagie could not say how the instance does, which was left as it is ({link()}). "
        f"It said last: {row.error}",
    )


def age_of(waiter: Waiter, now: float, epoch: float) -> float:
    """Give the seconds since an instance started, or, where that is not known, since it was first seen.

    :param now: the loop's time.
    :param epoch: the time of day, in seconds since 1970.
    """
    watched = now - (waiter.first_seen if waiter.first_seen is not None else now)
    return watched if waiter.started_at is None else max(watched, epoch - waiter.started_at)


def _epoch(moment: str | None) -> float | None:
    """Give a moment of the platform's in seconds since 1970; None where it says none that can be read."""
    try:
        read = datetime.fromisoformat(moment) if moment else None
    except (TypeError, ValueError):
        return None
    return read.timestamp() if read and read.tzinfo else None


def pause(trouble: Away | Denied, attempt: int) -> float:
    """Give the seconds to wait before Saagie is tried again: as it asks, else longer each time, with jitter.

    :param trouble: why.
    :param attempt: how many tries have failed, from 1.
    """
    if isinstance(trouble, Denied):
        return DENIED_PAUSE
    if trouble.retry_after is not None:
        return min(max(trouble.retry_after, 1.0), LONGEST_RETRY_AFTER)
    longest = min(LONGEST_PAUSE, 2.0 ** min(attempt, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter is no secret
