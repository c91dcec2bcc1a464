"""Submit once, carried out: reads, waits, stops and starts as ``submit.py`` decides, in steps that any session runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from airflow_provider_saagie.client import definitions, instances, submit
from airflow_provider_saagie.client.calls import Pause, Steps
from airflow_provider_saagie.client.definitions import JobSummary
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.status import InstanceStatus
from airflow_provider_saagie.client.submit import Do, Found, Since, Submission, TheTry
from airflow_provider_saagie.exceptions import (
    SaagieAlreadyRunning,
    SaagieApiError,
    SaagieInstanceGone,
    SaagieOutcomeUnknown,
    SaagieWaitTimeout,
)

__all__ = ["Taken", "TaskSide", "Wishes", "run_once"]

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between two looks at an instance that is to end."""
SUBMISSIONS = 3
"""How often one try sends ``runJob`` at most, where the answer is lost and nothing was started, each time."""
NEWEST = 100
"""How many of a job's newest instances are looked through for one that is on its way."""


@dataclass(frozen=True)
class Wishes:
    """What the task wants; the names are the operator's parameters.

    :param stop_timeout: seconds to wait for the end of an instance before another is started.
    """

    reattach: bool = True
    on_lost_submit: str = "adopt"
    if_running: str = "submit"
    stop_on_kill: bool = True
    stop_timeout: float = 120.0


@dataclass(frozen=True)
class TaskSide:
    """What the task lends.

    :param login: who sends.
    :param time_limit: seconds that a request may take.
    :param now: the time of day by the platform's clock, in seconds since 1970.
    :param doubt: seconds by which that may be wrong.
    :param link: gives the address of an instance's page.
    :param remember: stores a submission, so that a later try finds it.
    """

    login: str
    time_limit: float
    now: Callable[[], float]
    doubt: Callable[[], float]
    link: Callable[[str], str]
    remember: Callable[[Submission], None]


@dataclass(frozen=True)
class Taken:
    """The instance that the task has now.

    :param submission: whose ``instance_id`` it is.
    :param status: its status, as far as known.
    :param has_ended: whether it had succeeded before this try.
    :param is_new: whether it was started just now, and is not stored yet.
    """

    submission: Submission
    status: str | None = None
    has_ended: bool = False
    is_new: bool = False


def run_once(
    job: JobSummary, stored: Submission | None, this_try: TheTry, wishes: Wishes, side: TaskSide
) -> Steps[Taken]:
    """Take up the instance of an earlier try, or start one; see the contract's table in ``submit.py``.

    :param job: the job, as it was just read.
    :param stored: what earlier tries have stored.
    :param this_try: this one.
    :param wishes: the task's parameters.
    :param side: the task's memory, clock and links.
    :return: the instance.
    :raises SaagieOutcomeUnknown: where a person has to tell which instance is this task's; it lists them.
    :raises SaagieWaitTimeout: where an instance that has to end first did not.
    :raises SaagieInstanceGone: where the instance of an earlier try was deleted.
    :raises SaagieAlreadyRunning: where somebody else's is on its way, and ``if_running`` is not to start another.
    """
    if stored and not wishes.reattach:
        log.info("Not looking at what earlier tries have started: reattach is off.")
        stored = None
    if stored and stored.job_id != job.id:
        log.info("An earlier try ran another job (%s): that is left alone.", stored.job_id)
        stored = None
    instance = (yield from instances.read_twice(stored.instance_id)) if stored and stored.instance_id else None
    if stored and submit.what_is_found(stored, instance, job.id, side.now()) is Found.LOST:
        yield Pause(LOOK)  # the platform may know it again: it is read once more before it is given up
        instance = yield from instances.read_twice(str(stored.instance_id))
    do = submit.decide(stored, instance, this_try, job_id=job.id, now=side.now(), stop_on_kill=wishes.stop_on_kill)
    own = None
    if stored:
        what_this_is = _WHAT_THIS_IS[submit.since(stored, this_try)]
        _tell(do, stored, instance, what_this_is, side)
        takes_time = do is not Do.SUBMIT
        mine = replace(stored, tried_by=this_try)
        if do is Do.SEARCH and (adopted := (yield from _search(mine, wishes, side))):
            mine, instance = adopted
            # As if its id had been stored: what was stopped or has failed meanwhile is no end of this try's.
            do = submit.decide(
                mine, instance, this_try, job_id=job.id, now=side.now(), stop_on_kill=wishes.stop_on_kill
            )
            _tell(do, mine, instance, what_this_is, side)
        match do:
            case Do.ATTACH:
                side.remember(mine)
                return Taken(mine, instance.status if instance else None)
            case Do.END_WITH_IT:
                return Taken(mine, instance.status if instance else None, has_ended=True)
            case Do.FAIL_AS_GONE:
                raise SaagieInstanceGone(
                    f"The platform no longer has the instance {mine.instance_id}, which an earlier try of this task "
                    f"started: it was deleted ({side.link(str(mine.instance_id))}). The job is not run again by "
                    "itself, since nobody knows how it ended; clear the task to run it."
                )
            case Do.STOP_THEN_SUBMIT | Do.WAIT_THEN_SUBMIT:
                yield from _see_its_end(str(mine.instance_id), wishes, side, stop=do is Do.STOP_THEN_SUBMIT)
            case Do.SEARCH_TO_STOP:
                yield from _clear_away(mine, wishes, side)
        if takes_time:  # others may have run the job meanwhile
            job = yield from definitions.read_summary(job.id)
        own = mine.instance_id if mine.owned else None
    return (yield from _start(job, own, this_try, wishes, side))


def clear_away_lost(intent: Submission, wishes: Wishes, side: TaskSide) -> Steps[None]:
    """Stop what a ``runJob`` has started whose answer nobody waited for, as after a clear: exactly one, else none.

    :param intent: what was stored before it was sent.
    :param wishes: the task's parameters.
    :param side: the task's memory, clock and links.
    :raises SaagieWaitTimeout: where it does not end within ``stop_timeout``.
    """
    yield from _clear_away(intent, replace(wishes, on_lost_submit="adopt"), side)


def _start(job: JobSummary, own: str | None, this_try: TheTry, wishes: Wishes, side: TaskSide) -> Steps[Taken]:
    lost: SaagieOutcomeUnknown | None = None
    for _ in range(SUBMISSIONS):
        other = yield from _already_running(job, own, this_try, wishes, side)
        if other:
            return other
        intents: list[Submission] = []
        try:
            started = yield from instances.run(job.id, before_send=_writer(intents, job, this_try, side))
        except SaagieOutcomeUnknown as error:
            if not wishes.reattach:
                raise
            lost = error
            log.warning("The answer to runJob was lost, so that an instance may have been started. %s", error)
            adopted = yield from _search(intents[-1], wishes, side)
            if adopted:
                return Taken(adopted[0], adopted[1].status)
            job = yield from definitions.read_summary(job.id)
            continue
        mine = replace(intents[-1], instance_id=str(started["runJob"]["id"]))
        return Taken(mine, started["runJob"]["status"], is_new=True)
    assert lost is not None  # noqa: S101 - the loop ends without a return only where each answer was lost
    raise lost


def _writer(intents: list[Submission], job: JobSummary, this_try: TheTry, side: TaskSide) -> Callable[[], None]:
    """Make the function that stores the intent before ``runJob`` is sent, and anew where the last one is old."""

    def write() -> None:
        # Storing may take so long that the time in the intent is no longer true: then once more.
        while not intents or side.now() - intents[-1].at >= submit.FRESH / 2:
            intent = Submission(
                job_id=job.id,
                project_id=job.project_id,
                last_number=job.last_number,
                at=side.now(),
                doubt=side.doubt(),
                time_limit=side.time_limit,
                tried_by=this_try,
            )
            side.remember(intent)
            intents.append(intent)

    return write


def _look_for(intent: Submission, wishes: Wishes, side: TaskSide) -> Steps[list[JobInstance]]:
    """Look for what a lost ``runJob`` has started, once it must have shown up."""
    longest = submit.FRESH + intent.time_limit + intent.doubt
    left = min(submit.search_over_at(intent) - side.now(), longest)
    if left > 0 and wishes.on_lost_submit != "submit":
        log.info("Waiting %.0f s, until an instance that was started would have shown up.", left)
        yield Pause(left)
    newer = yield from instances.list_newer(intent.job_id, intent.last_number)
    return submit.candidates(intent, newer, side.login)


def _search(intent: Submission, wishes: Wishes, side: TaskSide) -> Steps[tuple[Submission, JobInstance] | None]:
    """Adopt what a lost ``runJob`` has started.

    :return: what is stored now, and its instance; None where a new one is to be started.
    """
    found = yield from _look_for(intent, wishes, side)
    chosen = submit.resolve(found, wishes.on_lost_submit)
    if isinstance(chosen, JobInstance):
        mine = replace(intent, instance_id=chosen.id, owned=True)
        side.remember(mine)
        log.info("Found the instance that was started, and adopted it: %s", side.link(chosen.id))
        return mine, chosen
    if chosen is None:
        _raise_doubt(found, side)
    log.info("Nothing was started then." if not found else f"Not looking at {len(found)} that may be: as told.")
    return None


def _clear_away(intent: Submission, wishes: Wishes, side: TaskSide) -> Steps[None]:
    found = yield from _look_for(intent, wishes, side)
    on_their_way = [instance for instance in found if submit.is_on_its_way(instance)]
    if len(found) == 1 and on_their_way:
        yield from _see_its_end(found[0].id, wishes, side, stop=wishes.stop_on_kill)
    elif on_their_way:
        log.warning(
            "Several instances may be the one that the earlier try started; they are left as they are:%s",
            _listed(found, side),
        )


def _raise_doubt(found: Sequence[JobInstance], side: TaskSide) -> NoReturn:
    raise SaagieOutcomeUnknown(
        "The answer to runJob was lost, and only a person can tell whether one of these instances is this task's. "
        f"Stop those that are not wanted, then clear the task to run the job again:{_listed(found, side)}",
        operation="runJob",
    )


def _already_running(
    job: JobSummary, own: str | None, this_try: TheTry, wishes: Wishes, side: TaskSide
) -> Steps[Taken | None]:
    """Look for somebody else's instance on its way, where the task cares.

    :return: the one to attach to; None where a new one is to be started.
    """
    if wishes.if_running == "submit":
        return None
    newest = yield from instances.list_instances(job.id, limit=NEWEST)
    others = [one for one in newest if submit.is_on_its_way(one) and one.id != own]
    if not others:
        return None
    if wishes.if_running != "attach":
        raise SaagieAlreadyRunning(
            f"The job {job.name!r} is on its way already, and if_running is {wishes.if_running!r}:"
            + _listed(others, side)
        )
    running = next((one for one in others if one.status != InstanceStatus.KILLING), None)
    if running is None:
        return None
    theirs = Submission(
        job_id=job.id, project_id=job.project_id, tried_by=this_try, instance_id=running.id, owned=False
    )
    side.remember(theirs)
    log.info(
        "The job is on its way already: waiting for that instance, which is not stopped by us: %s",
        side.link(running.id),
    )
    return Taken(theirs, running.status)


def _see_its_end(instance_id: str, wishes: Wishes, side: TaskSide, *, stop: bool) -> Steps[None]:
    """Wait for an instance's end, so that two never overlap; stop it first where that is ours to do."""
    deadline = side.now() + wishes.stop_timeout
    while True:
        found = yield from instances.read_twice(instance_id)
        if found is None or (not submit.is_on_its_way(found) and found.status != InstanceStatus.UNKNOWN):
            return
        if stop and found.status != InstanceStatus.KILLING:
            stop = not (yield from _stopped(instance_id))
        if side.now() >= deadline:
            raise SaagieWaitTimeout(
                f"The instance {instance_id} of an earlier try is still {found.status} after {wishes.stop_timeout:g} s "
                f"(stop_timeout); no other was started beside it: {side.link(instance_id)}",
                instance_id=instance_id,
            )
        yield Pause(LOOK)


def _stopped(instance_id: str) -> Steps[bool]:
    try:
        yield from instances.stop(instance_id)
    except (SaagieOutcomeUnknown, SaagieApiError) as error:  # it may have ended by itself: the next look tells
        log.warning("The stop failed, and may be tried again: %s", error)
        return False
    return True


def _listed(found: Sequence[JobInstance], side: TaskSide) -> str:
    return "".join(f"\n  number {one.number}, {one.status}: {side.link(one.id)}" for one in found)


_TOLD = {
    Do.ATTACH: "it is waited for, and no other is started",
    Do.END_WITH_IT: "the task ends with it",
    Do.STOP_THEN_SUBMIT: "it is stopped; the job is run again after its end",
    Do.WAIT_THEN_SUBMIT: "the job is run again after its end",
    Do.SUBMIT: "the job is run again",
}
_WHAT_THIS_IS = {
    Since.RETRY: "This is a retry",
    Since.CLEAR: "The task was cleared",
    Since.UNCLEAR: "A task of this run was cleared, perhaps another than this",
}


def _tell(do: Do, stored: Submission, instance: JobInstance | None, what: str, side: TaskSide) -> None:
    if stored.instance_id is None:
        log.info("%s, and what came of the earlier try's runJob is not known.", what)
    elif do in _TOLD:
        status = instance.status if instance else "gone"
        log.info(
            "%s. The instance of the earlier try is %s: %s. %s", what, status, _TOLD[do], side.link(stored.instance_id)
        )
