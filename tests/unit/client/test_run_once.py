"""Submit once, carried out on a simulated platform: single histories, then any sequence of tries, clears and faults."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import definitions
from airflow_provider_saagie.client.run_once import SUBMISSIONS, Taken, TaskSide, Wishes, run_once
from airflow_provider_saagie.client.submit import Submission, TheTry
from tests.unit.client.simulated_platform import JOB, LOGIN, Fate, Instance, SimulatedSaagie, WorkerDied


@dataclass
class Task:
    """A task instance, as Airflow stores it.

    :param clock_is_off: seconds by which the worker's idea of the platform's time is wrong.
    :param forgets: whether the worker dies before it stores what `run_once` returned.
    """

    saagie: SimulatedSaagie
    wishes: Wishes = field(default_factory=Wishes)
    remembered: list[Submission] = field(default_factory=list)
    max_tries: int = 2
    clear_number: int = 0
    clock_is_off: float = 0.0
    forgets: bool = False

    @property
    def stored(self) -> Submission | None:
        return self.remembered[-1] if self.remembered else None

    def attempt(self) -> Taken:
        """Do what a try does until it waits for the instance."""
        job = self.saagie.run(definitions.read_summary(JOB))
        side = TaskSide(
            login=LOGIN,
            time_limit=self.saagie.time_limit,
            now=lambda: self.saagie.now + self.clock_is_off,
            doubt=lambda: 5.0,
            link="https://saagie/{}".format,
            remember=self.remembered.append,
        )
        this_try = TheTry(self.max_tries, self.clear_number)
        taken = self.saagie.run(run_once(job, self.stored, this_try, self.wishes, side))
        if self.forgets:
            raise WorkerDied
        if taken.is_new:
            self.remembered.append(taken.submission)
        return taken

    def die(self) -> None:
        with pytest.raises(WorkerDied):
            self.attempt()

    def die_before_storing(self) -> None:
        self.forgets = True
        self.die()
        self.forgets = False

    def clear(self) -> None:
        self.max_tries, self.clear_number = self.max_tries + 1, self.clear_number + 1

    def clear_sibling(self) -> None:
        self.clear_number += 1


# Single histories ----------------------------------------------------------------------------------------------------

NEW, ATTACHED, ENDED = "new", "attached", "ended"
GONE, RUNNING = errors.SaagieInstanceGone, errors.SaagieAlreadyRunning
TIMED_OUT, UNKNOWN = errors.SaagieWaitTimeout, errors.SaagieOutcomeUnknown
ENDLESS = Fate(ends_after=None)
LOST, NEVER_ARRIVED = Fate(answered=False), Fate(starts=False, answered=False)
LATE, DIES = replace(LOST, after=39), replace(ENDLESS, dies=True)
WAIT = 10 + 40 + 5  # seconds from an intent until an instance of it must have appeared
TIMEOUT = 120  # the default of stop_timeout
TRY, DIE, CLEAR = Task.attempt, Task.die, Task.clear


def change(number: int = 1, **fields: Any) -> Callable[[Task], None]:
    """Return an event that changes fields of the instance of this number."""
    return lambda task: vars(task.saagie.instances[number - 1]).update(fields)


def stop(seconds_ago: float) -> Callable[[Task], None]:
    return lambda task: change(stopped_at=task.saagie.now - seconds_ago)(task)


def start(login: str | None, after: float = 0.0, **fields: Any) -> Callable[[Task], None]:
    """Return an event after which an instance is started that is not the task's."""
    return lambda task: task.saagie.later(after, lambda: task.saagie.start(login, **fields))


# What happens to the task's `runJob` requests, the task's parameters, what precedes its last try (numbers: seconds that
# pass); then that try's result or error, how many `runJob` and stops there were, the least seconds that it takes.
HISTORIES: dict[str, tuple[list[Fate], dict[str, Any], list[Any], Any, int, int, float]] = {
    "first try": ([], {}, [], NEW, 1, 0, 0),
    "retry, running": ([], {}, [TRY, 20], ATTACHED, 1, 0, 0),
    "retry, succeeded": ([], {}, [TRY, 100], ENDED, 1, 0, 0),
    "retry, failed": ([Fate(ends_as="FAILED")], {}, [TRY, 100], NEW, 2, 0, 0),
    "retry, gone": ([], {}, [TRY, change(deleted=True)], (GONE, "clear the task"), 1, 0, 0),
    "retry, unknown": ([ENDLESS], {}, [TRY, change(lost_at=0), 100], NEW, 2, 1, 3),
    "retry, unknown and never stopped": (
        [ENDLESS], {}, [TRY, change(lost_at=0, obeys_stops=False), 100],
        (TIMED_OUT, "still UNKNOWN after 120 s"), 1, 1, TIMEOUT,
    ),
    "clear, running": ([], {}, [TRY, 10, CLEAR], NEW, 2, 1, 3),
    "clear, succeeded": ([], {}, [TRY, 100, CLEAR], NEW, 2, 0, 0),
    "clear, gone": ([], {}, [TRY, change(deleted=True), CLEAR], NEW, 2, 0, 0),
    "clear, not to be stopped": (
        [ENDLESS], {"stop_on_kill": False, "stop_timeout": 30}, [TRY, CLEAR],
        (TIMED_OUT, "https://saagie/"), 1, 0, 30,
    ),
    # A lost answer; the worker may have died meanwhile, or the task was cleared.
    "lost": ([LOST], {}, [], ATTACHED, 1, 0, WAIT),
    "lost, arrives late": ([LATE], {}, [], ATTACHED, 1, 0, WAIT),
    "never arrived": ([NEVER_ARRIVED], {}, [], NEW, 2, 0, WAIT),
    "dies, lost": ([replace(LOST, dies=True)], {}, [DIE], ATTACHED, 1, 0, WAIT),
    "dies, arrives late": ([replace(LATE, dies=True)], {}, [DIE], ATTACHED, 1, 0, WAIT),
    "dies, never arrived": ([replace(NEVER_ARRIVED, dies=True)], {}, [DIE], NEW, 2, 0, WAIT),
    "dies before it stores the answer": ([], {}, [Task.die_before_storing], ATTACHED, 1, 0, WAIT),
    "never arrives": ([NEVER_ARRIVED] * 3, {}, [], (UNKNOWN, "sound answer"), SUBMISSIONS, 0, WAIT),
    "lost, another may be it": ([LOST], {}, [start(LOGIN, 3)], (UNKNOWN, "only a person"), 1, 0, WAIT),
    "never arrived, others started": ([NEVER_ARRIVED], {}, [start("a.person", 2), start(None, 2)], NEW, 2, 0, WAIT),
    "lost, fail": ([LOST], {"on_lost_submit": "fail"}, [], (UNKNOWN, "only a person"), 1, 0, WAIT),
    "lost, submit": ([LOST], {"on_lost_submit": "submit"}, [], NEW, 2, 0, 0),
    "dies, cleared": ([DIES], {}, [DIE, CLEAR], NEW, 2, 1, WAIT),
    "dies, cleared, another may be it": ([DIES], {}, [DIE, start(LOGIN, ends_after=None), CLEAR], NEW, 2, 0, WAIT),
    # What a dead try started has ended, perhaps since the try itself stopped it before it died.
    **{
        f"dies, {status}, {cleared or 'retry'}": (
            [DIES], {}, [DIE, 2 * WAIT, event, *([Task.clear_sibling] if cleared else [])],
            *((ENDED, 1) if status == "succeeded" and not cleared else (result, runs)), 0, 0,
        )
        for status, event, result, runs in (
            ("succeeded", change(ends_after=5), ENDED, 1),
            ("failed", change(ends_after=5, ends_as="FAILED"), NEW, 2),
            ("killed", stop(10), NEW, 2),
            ("killing", stop(0.5), NEW, 2),
        )
        for cleared in ("", "a sibling cleared")
    },
    "no reattach": ([], {"reattach": False}, [TRY], NEW, 2, 0, 0),
    "no reattach, lost": ([Fate(), LOST], {"reattach": False}, [TRY], (UNKNOWN, "sound answer"), 2, 0, 0),
    # Instances that are not the task's.
    **{
        f"job is running, {wish}, started by {login}": ([], {"if_running": wish}, [start(login), 0], result, runs, 0, 0)
        for wish, result, runs in (
            ("submit", NEW, 1),
            ("attach", ATTACHED, 0),
            ("skip", (RUNNING, "https://saagie/"), 0),
            ("fail", (RUNNING, "https://saagie/"), 0),
        )
        for login in (LOGIN, "a.person", None)
    },
    "attached, cleared": ([], {"if_running": "attach"}, [start(None), 0, TRY, CLEAR], ATTACHED, 0, 0, 0),
    **{
        f"{wish}, {history}": ([], {"if_running": wish}, [start("a.person", ends_after=1), 5, *events], *expected)
        for wish in ("attach", "skip", "fail")
        for history, events, expected in (
            ("job has run", [], (NEW, 1, 0, 0)),
            ("retry, running", [TRY], (ATTACHED, 1, 0, 0)),
            ("clear, running", [TRY, CLEAR], (NEW, 2, 1, 3)),
        )
    },
}  # fmt: skip
OVERLAPPING = {"lost, submit", "no reattach", "no reattach, lost", "dies, cleared, another may be it"}


@pytest.mark.parametrize("name", HISTORIES)
def test_try_takes_the_right_instance(name: str) -> None:
    fates, wishes, events, expected, runs, stops, seconds = HISTORIES[name]
    saagie = SimulatedSaagie(fates=[*fates])
    task = Task(saagie, Wishes(**wishes))
    began = saagie.now
    for event in events:
        if callable(event):
            event(task)
        else:
            saagie.advance(event)
            began += event
    if isinstance(expected, tuple):
        error, text = expected
        with pytest.raises(error, match=text) as caught:
            task.attempt()
        if text == "only a person":
            assert all(f"https://saagie/{instance.id}" in str(caught.value) for instance in saagie.instances)
    else:
        taken = task.attempt()
        assert (NEW if taken.is_new else ENDED if taken.has_ended else ATTACHED) == expected
        instance = saagie.own[-1] if saagie.own else saagie.instances[0]
        assert taken.submission.instance_id == instance.id
        assert taken.submission.owned is instance.is_own
        assert expected == ENDED or task.stored == taken.submission
        assert taken.status == instance.status(saagie.now)
    assert (saagie.runs, len(saagie.stops)) == (runs, stops)
    assert seconds <= saagie.now - began <= seconds * runs + 15
    overlaps = any(first.is_unfinished(second.created) for first, second in pairwise(saagie.own))
    assert overlaps is (name in OVERLAPPING)


def test_intent_is_written_again_if_sending_has_to_wait() -> None:
    """As after a 429, or if the token had to be renewed: `before_send` is called before each sending."""
    for seconds, count in ((0.0, 1), (4.9, 1), (5.1, 2), (60.0, 2)):
        task = Task(SimulatedSaagie(sending_takes=seconds))
        task.attempt()
        intents = task.remembered[:-1]  # the last submission has the instance
        assert len(intents) == count, seconds
        assert task.saagie.own[0].created - intents[-1].at <= 10


# Any history ---------------------------------------------------------------------------------------------------------

fates = st.builds(
    Fate,
    starts=st.booleans(),
    after=st.sampled_from([0.0, 1.0, 20.0, 39.0]),
    answered=st.booleans(),
    dies=st.booleans(),
    ends_after=st.sampled_from([2.0, 60.0, 300.0, None]),
    ends_as=st.sampled_from(["SUCCEEDED", "FAILED", "ERROR", "KILLED"]),
)
# What happens between two tries, and during the second one.
chapters = st.builds(
    SimpleNamespace,
    event=st.sampled_from(["retry", "retry", "retry", "clear", "sibling cleared"]),
    pause=st.sampled_from([0.0, 1.0, 30.0, 400.0]),
    fates=st.lists(fates, max_size=3),
    dies_at=st.none() | st.integers(0, 8),
    forgets=st.booleans(),
    waits=st.sampled_from([0.0, 5.0, 100.0]),
    clock_is_off=st.floats(-2.5, 2.5),
    old_trigger_stops_after=st.none() | st.floats(0, 3),
    person_starts_after=st.none() | st.floats(0, 60),
    purged=st.booleans(),
    person_stops_it=st.booleans(),
)


class Watched(SimulatedSaagie):
    """Asserts at each start of the task's own that submit-once allows it."""

    def start_own(self, fate: Fate, epoch: int) -> Instance:
        assert not [one for one in self.own if one.is_unfinished(self.now)], "two own instances overlap"
        earlier = [one for one in self.own if one.epoch == epoch and not one.deleted]
        assert not [one for one in earlier if one.status(self.now) == "SUCCEEDED"], "run again after a success"
        return super().start_own(fate, epoch)


@settings(max_examples=int(os.environ.get("SAAGIE_TEST_EXAMPLES", "200")), deadline=None)
@given(history=st.lists(chapters, min_size=1, max_size=7))
def test_any_history_submits_once(history: list[SimpleNamespace]) -> None:
    """Two own instances never overlap, a success is never run again, no task is green without a run since its clear."""
    saagie = Watched()
    task = Task(saagie)
    cleared_at = saagie.now
    for chapter in history:
        saagie.advance(chapter.pause)
        for instance in saagie.instances if chapter.purged else []:
            instance.deleted |= instance.status(saagie.now) in ("FAILED", "ERROR", "KILLED")
        if chapter.event != "retry":
            saagie.epoch += 1
            old = task.stored.instance_id if task.stored else None
            if old and chapter.old_trigger_stops_after is not None:
                saagie.later(chapter.old_trigger_stops_after, lambda old=old: saagie.stop(old))  # type: ignore[misc]
        if chapter.event == "clear":
            task.clear()
            cleared_at = saagie.now
        elif chapter.event == "sibling cleared":
            task.clear_sibling()
        if chapter.person_starts_after is not None:
            saagie.later(chapter.person_starts_after, lambda: saagie.start("a.person"))
        saagie.fates, saagie.dies_at = list(chapter.fates), chapter.dies_at
        task.clock_is_off, task.forgets = chapter.clock_is_off, chapter.forgets
        runs, taken = saagie.runs, None
        try:
            taken = task.attempt()
        except WorkerDied:
            saagie.fates = []
        except errors.SaagieError as error:
            if "only a person" in str(error):  # no other task runs the job with this login: there is no doubt
                raise
        if taken is None:
            continue
        instance = saagie.find(taken.submission.instance_id)
        assert instance.is_own
        assert taken.submission.owned
        if saagie.runs == runs:
            assert instance.status(saagie.now) in ("RUNNING", "SUCCEEDED"), "ends with a failure of an earlier try"
        saagie.advance(chapter.waits)
        if chapter.person_stops_it:
            saagie.stop(instance.id)
        if taken.has_ended or instance.status(saagie.now) == "SUCCEEDED":
            assert instance.created >= cleared_at, "green, and the job has not run since the clear"
