"""Submit once, carried out against a simulated platform: single stories, then any history of tries."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.client import definitions
from airflow_provider_saagie.client.run_once import SUBMISSIONS, Taken, TaskSide, Wishes, run_once
from airflow_provider_saagie.client.submit import Submission, TheTry
from airflow_provider_saagie.exceptions import (
    SaagieAlreadyRunning,
    SaagieError,
    SaagieInstanceGone,
    SaagieOutcomeUnknown,
    SaagieWaitTimeout,
)
from tests.unit.client.simulated_platform import JOB, KILLING_TAKES, LOGIN, Fate, Instance, SimulatedSaagie, WorkerDied

LOST = Fate(answered=False)
NEVER_ARRIVED = Fate(starts=False, answered=False)
WAIT = 10 + 40 + 5  # seconds from an intent until an instance of it must have shown up


@dataclass
class Task:
    """One task instance, as Airflow has it."""

    saagie: SimulatedSaagie = field(default_factory=SimulatedSaagie)
    wishes: Wishes = field(default_factory=Wishes)
    stored: Submission | None = None
    max_tries: int = 2
    clear_number: int = 0
    clock_is_off: float = 0.0
    forgets: bool = False

    def attempt(self) -> Taken:
        """Run what a try does until it waits."""
        job = self.saagie.run(definitions.read_summary(JOB))
        side = TaskSide(
            login=LOGIN,
            time_limit=self.saagie.time_limit,
            now=lambda: self.saagie.now + self.clock_is_off,
            doubt=lambda: 5.0,
            link=lambda instance_id: f"https://saagie/{instance_id}",
            remember=self._remember,
        )
        this_try = TheTry(self.max_tries, self.clear_number)
        taken = self.saagie.run(run_once(job, self.stored, this_try, self.wishes, side))
        if self.forgets:
            raise WorkerDied
        if taken.is_new:
            self._remember(taken.submission)
        return taken

    def clear(self) -> None:
        self.max_tries, self.clear_number = self.max_tries + 1, self.clear_number + 1

    def clear_a_sibling(self) -> None:
        self.clear_number += 1

    def _remember(self, submission: Submission) -> None:
        self.stored = submission

    def dies(self) -> None:
        with pytest.raises(WorkerDied):
            self.attempt()


def ours(task: Task) -> list[Instance]:
    return [one for one in task.saagie.instances if one.is_ours]


def test_a_first_try_submits_and_remembers() -> None:
    task = Task()
    taken = task.attempt()
    assert taken.is_new
    assert task.stored
    assert task.stored.instance_id == taken.submission.instance_id == ours(task)[0].id
    assert task.stored.owned


def test_a_retry_attaches_to_what_runs() -> None:
    task = Task()
    first = task.attempt()
    task.saagie.advance(20)
    again = task.attempt()
    assert (again.submission.instance_id, again.is_new) == (first.submission.instance_id, False)
    assert task.saagie.runs == 1


def test_a_retry_ends_with_what_has_succeeded() -> None:
    task = Task()
    task.attempt()
    task.saagie.advance(100)
    again = task.attempt()
    assert again.has_ended
    assert again.status == "SUCCEEDED"
    assert task.saagie.runs == 1


def test_a_retry_runs_again_what_has_failed() -> None:
    task = Task(SimulatedSaagie(fates=[Fate(ends_as="FAILED")]))
    task.attempt()
    task.saagie.advance(100)
    assert task.attempt().is_new
    assert task.saagie.runs == 2


def test_a_clear_stops_what_runs_and_waits_for_its_end() -> None:
    task = Task()
    task.attempt()
    task.saagie.advance(10)
    task.clear()
    assert task.attempt().is_new
    first, second = ours(task)
    assert first.status(task.saagie.now) == "KILLED"
    assert second.created >= first.created + 10 + 3
    assert task.saagie.stops == [first.id]


def test_a_clear_runs_again_what_has_succeeded() -> None:
    task = Task()
    task.attempt()
    task.saagie.advance(100)
    task.clear()
    assert task.attempt().is_new


def test_two_never_overlap_silently() -> None:
    task = Task(SimulatedSaagie(fates=[Fate(ends_after=None)]), Wishes(stop_on_kill=False, stop_timeout=30))
    task.attempt()
    task.clear()
    began = task.saagie.now
    with pytest.raises(SaagieWaitTimeout, match="https://saagie/"):
        task.attempt()
    assert 30 <= task.saagie.now - began <= 40
    assert (task.saagie.runs, task.saagie.stops) == (1, [])


@pytest.mark.parametrize("hears_stops", [True, False])
def test_what_the_platform_has_lost_sight_of_never_overlaps_with_another(hears_stops: bool) -> None:
    task = Task(SimulatedSaagie(fates=[Fate(ends_after=None)]))
    task.attempt()
    (first,) = ours(task)
    first.lost_at, first.hears_stops = task.saagie.now, hears_stops
    task.saagie.advance(100)
    if hears_stops:
        assert task.attempt().is_new
        assert first.stopped_at
        assert ours(task)[1].created >= first.stopped_at + KILLING_TAKES
    else:
        with pytest.raises(SaagieWaitTimeout, match="still UNKNOWN after 120 s"):
            task.attempt()
        assert task.saagie.runs == 1
    assert task.saagie.stops == [first.id]


def test_an_instance_that_is_gone_is_not_silently_run_again() -> None:
    task = Task()
    task.attempt()
    ours(task)[0].deleted = True
    with pytest.raises(SaagieInstanceGone, match="clear the task"):
        task.attempt()
    assert task.saagie.runs == 1
    task.clear()
    assert task.attempt().is_new


@pytest.mark.parametrize("when", ["at once", "a retry"])
def test_a_lost_answer_is_searched_for_and_adopted(when: str) -> None:
    task = Task(SimulatedSaagie(fates=[replace(LOST, dies=when == "a retry")]))
    began = task.saagie.now
    if when == "a retry":
        task.dies()
    taken = task.attempt()
    assert taken.submission.instance_id == ours(task)[0].id
    assert taken.submission.owned
    assert task.saagie.runs == 1
    assert task.saagie.now - began >= WAIT
    assert task.stored == taken.submission


@pytest.mark.parametrize("when", ["at once", "a retry"])
def test_a_request_that_never_arrived_is_sent_again_once_that_is_sure(when: str) -> None:
    task = Task(SimulatedSaagie(fates=[replace(NEVER_ARRIVED, dies=when == "a retry")]))
    began = task.saagie.now
    if when == "a retry":
        task.dies()
    assert task.attempt().is_new
    assert task.saagie.runs == 2
    assert ours(task)[0].created - began >= WAIT


def test_a_request_that_arrives_late_is_still_found() -> None:
    task = Task(SimulatedSaagie(fates=[replace(LOST, after=39)]))
    assert not task.attempt().is_new
    assert len(ours(task)) == 1


def test_answers_that_are_lost_again_and_again_end_the_try() -> None:
    task = Task(SimulatedSaagie(fates=[NEVER_ARRIVED] * SUBMISSIONS))
    with pytest.raises(SaagieOutcomeUnknown):
        task.attempt()
    assert task.saagie.runs == SUBMISSIONS


def test_a_worker_that_dies_between_the_answer_and_the_storing_loses_nothing() -> None:
    task = Task(forgets=True)
    task.dies()
    task.forgets = False
    assert not task.attempt().is_new
    assert len(ours(task)) == 1


@pytest.mark.parametrize("cleared_beside", [False, True])
@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "KILLED", "KILLING"])
def test_what_a_dead_try_has_started_and_was_ended_meanwhile_is_no_end_of_its_retry(
    status: str, cleared_beside: bool
) -> None:
    """Such as by the try itself, which was told to end, stopped it, and died before it could store it."""
    task = Task(SimulatedSaagie(fates=[replace(LOST, dies=True, ends_after=None)]))
    task.dies()
    (first,) = ours(task)
    task.saagie.advance(2 * WAIT)
    if status in ("SUCCEEDED", "FAILED"):
        first.ends_after, first.ends_as = 5, status
    else:
        first.stopped_at = task.saagie.now - (0.5 if status == "KILLING" else 10)
    assert first.status(task.saagie.now) == status
    if cleared_beside:
        task.clear_a_sibling()
    taken = task.attempt()
    if status == "SUCCEEDED":
        assert (taken.submission.instance_id, taken.has_ended) == (first.id, True)
        return
    assert taken.is_new
    second = ours(task)[1]
    assert first.status(second.created) in ("FAILED", "KILLED")


def test_several_that_may_be_it_are_an_error_that_lists_them() -> None:
    task = Task(SimulatedSaagie(fates=[LOST]))
    task.saagie.later(3, lambda: task.saagie.start() and None)
    with pytest.raises(SaagieOutcomeUnknown) as caught:
        task.attempt()
    for one in task.saagie.instances:
        assert f"https://saagie/{one.id}" in str(caught.value)
    assert task.saagie.runs == 1


def test_other_peoples_instances_are_never_adopted() -> None:
    task = Task(SimulatedSaagie(fates=[NEVER_ARRIVED]))
    for who in ("a.person", None):  # None: Saagie's own schedule
        task.saagie.later(2, lambda who=who: task.saagie.start(who) and None)
    assert task.attempt().is_new


@pytest.mark.parametrize(("wish", "runs"), [("adopt", 1), ("fail", 1), ("submit", 2)])
def test_the_task_may_wish_otherwise(wish: str, runs: int) -> None:
    task = Task(SimulatedSaagie(fates=[LOST]), Wishes(on_lost_submit=wish))
    if wish == "fail":
        with pytest.raises(SaagieOutcomeUnknown, match="only a person"):
            task.attempt()
    else:
        assert task.attempt().is_new is (wish == "submit")
    assert task.saagie.runs == runs


def test_after_a_clear_what_a_lost_answer_started_is_stopped() -> None:
    task = Task(SimulatedSaagie(fates=[replace(LOST, dies=True, ends_after=None)]))
    task.dies()
    task.clear()
    assert task.attempt().is_new
    assert task.saagie.stops == [ours(task)[0].id]
    assert len(task.saagie.ours_on_their_way()) == 1


def test_after_a_clear_several_are_left_and_the_job_is_run() -> None:
    task = Task(SimulatedSaagie(fates=[replace(LOST, dies=True, ends_after=None)]))
    task.dies()
    task.saagie.start(ends_after=None)
    task.clear()
    assert task.attempt().is_new
    assert task.saagie.stops == []


def test_without_reattach_each_try_starts_the_job() -> None:
    task = Task(wishes=Wishes(reattach=False))
    task.attempt()
    assert task.attempt().is_new
    task.saagie.fates = [LOST]
    with pytest.raises(SaagieOutcomeUnknown):
        task.attempt()
    assert task.saagie.runs == 3


@pytest.mark.parametrize("who", [LOGIN, "a.person", None])
@pytest.mark.parametrize("wish", ["submit", "attach", "skip", "fail"])
def test_what_is_done_where_the_job_runs_already(wish: str, who: str | None) -> None:
    task = Task(wishes=Wishes(if_running=wish))
    theirs = task.saagie.start(who)
    if wish in ("skip", "fail"):
        with pytest.raises(SaagieAlreadyRunning, match=theirs.id):
            task.attempt()
        assert task.saagie.runs == 0
        return
    taken = task.attempt()
    assert taken.is_new is (wish == "submit")
    assert taken.submission.owned is (wish == "submit")
    assert task.stored == taken.submission
    if wish == "attach":
        assert taken.submission.instance_id == theirs.id
        task.clear()
        assert task.attempt().submission.instance_id == theirs.id  # after a clear it is attached to anew
        assert task.saagie.stops == []


@pytest.mark.parametrize("wish", ["attach", "skip", "fail"])
def test_what_has_ended_or_is_the_tasks_own_is_no_reason_to_hold_back(wish: str) -> None:
    task = Task(wishes=Wishes(if_running=wish))
    task.saagie.start("a.person", ends_after=1)
    task.saagie.advance(5)
    assert task.attempt().is_new
    assert not task.attempt().is_new
    task.clear()
    assert task.attempt().is_new


@pytest.mark.parametrize("seconds", [0.0, 4.9, 5.1, 60.0])
def test_an_intent_is_written_anew_where_sending_has_to_wait(seconds: float) -> None:
    """Such as after a 429, or where the token had to be renewed: `before_send` is called before each sending."""
    task = Task()
    times: list[float] = []
    remember = Task._remember

    def note(self: Task, submission: Submission) -> None:
        times.append(submission.at)
        remember(self, submission)

    class Waits(SimulatedSaagie):
        def _take(self, step: Any, count: int) -> dict[str, Any]:
            if getattr(step, "before_send", None):
                step.before_send()
                self.advance(seconds)
            return super()._take(step, count)

    task.saagie = Waits()
    Task._remember = note  # type: ignore[method-assign]
    try:
        task.attempt()
    finally:
        Task._remember = remember  # type: ignore[method-assign]
    sent_at = ours(task)[0].created
    intents = times[:-1]  # the last one holds the instance
    assert len(intents) == (1 if seconds < 5 else 2)
    assert sent_at - intents[-1] <= 10


# Any history -------------------------------------------------------------------------------------------------------

fates = st.builds(
    Fate,
    starts=st.booleans(),
    after=st.sampled_from([0.0, 1.0, 20.0, 39.0]),
    answered=st.booleans(),
    dies=st.booleans(),
    ends_after=st.sampled_from([2.0, 60.0, 300.0, None]),
    ends_as=st.sampled_from(["SUCCEEDED", "FAILED", "ERROR", "KILLED"]),
)


@dataclass
class Chapter:
    """What happens between two tries, and in the next one."""

    event: str
    pause: float
    fates: list[Fate]
    dies_at: int | None
    forgets: bool
    waits: float
    clock_is_off: float
    old_trigger_stops_after: float | None
    person_starts_after: float | None
    purged: bool
    person_stops_it: bool


chapters = st.builds(
    Chapter,
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
    """Asserts at each start what is promised of it."""

    def _start_ours(self, fate: Fate, epoch: int) -> Instance:
        assert not self.ours_on_their_way(), "two of the task's own on their way"
        earlier = [one for one in self.instances if one.is_ours and one.epoch == epoch and not one.deleted]
        assert not [one for one in earlier if one.status(self.now) == "SUCCEEDED"], "run again, though it succeeded"
        return super()._start_ours(fate, epoch)


@settings(max_examples=int(os.environ.get("SAAGIE_TEST_EXAMPLES", "200")), deadline=None)
@given(history=st.lists(chapters, min_size=1, max_size=7))
def test_any_history_keeps_the_promise(history: list[Chapter]) -> None:
    """Never two owned instances at a time, never run again what has succeeded, never green without a run."""
    saagie = Watched()
    task = Task(saagie)
    cleared_at = saagie.now
    for chapter in history:
        saagie.advance(chapter.pause)
        if chapter.purged:
            for one in saagie.instances:
                one.deleted |= not one.is_on_its_way(saagie.now) and one.status(saagie.now) != "SUCCEEDED"
        if chapter.event != "retry":
            saagie.epoch += 1
            task.clear() if chapter.event == "clear" else task.clear_a_sibling()
            if task.stored and task.stored.instance_id and chapter.old_trigger_stops_after is not None:
                old = task.stored.instance_id
                saagie.later(chapter.old_trigger_stops_after, lambda old=old: saagie.stop(old))
            if chapter.event == "clear":
                cleared_at = saagie.now
        if chapter.person_starts_after is not None:
            saagie.later(chapter.person_starts_after, lambda: saagie.start("a.person") and None)
        saagie.fates, saagie.dies_at = list(chapter.fates), chapter.dies_at
        task.clock_is_off, task.forgets = chapter.clock_is_off, chapter.forgets
        runs = saagie.runs
        try:
            taken = task.attempt()
        except WorkerDied:
            saagie.fates = []
            continue
        except SaagieError as error:
            if "only a person" in str(error):  # one task for the job and login: there is no doubt
                raise
            continue
        instance = next(one for one in saagie.instances if one.id == taken.submission.instance_id)
        assert instance.is_ours
        assert taken.submission.owned
        if saagie.runs == runs:  # it is an earlier try's
            assert instance.status(saagie.now) in ("RUNNING", "SUCCEEDED"), "ends with a bad end of an earlier try's"
        saagie.advance(chapter.waits)
        if chapter.person_stops_it:
            saagie.stop(instance.id)
        green = taken.has_ended or instance.status(saagie.now) == "SUCCEEDED"
        if green:
            assert instance.created >= cleared_at, "green, and the job did not run since the clear"
