"""Submit once, carried out on a simulated platform: single histories, then any sequence of tries, clears and faults."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

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
from tests.support.errors import error_message
from tests.unit.client.simulated_platform import JOB, KILLING_TAKES, LOGIN, Fate, Instance, SimulatedSaagie, WorkerDied

LOST = Fate(answered=False)
NEVER_ARRIVED = Fate(starts=False, answered=False)
ENDLESS = Fate(ends_after=None)
DIES = Fate(dies=True, ends_after=None)
WAIT = 10 + 40 + 5  # seconds from an intent until an instance of it must have appeared


@dataclass
class Task:
    """A task instance, as Airflow stores it.

    :param clock_is_off: seconds by which the worker's idea of the platform's time is wrong.
    :param forgets: whether the worker dies before it stores what `run_once` returned.
    """

    saagie: SimulatedSaagie = field(default_factory=SimulatedSaagie)
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
            link=lambda instance_id: f"https://saagie/{instance_id}",
            remember=self.remembered.append,
        )
        this_try = TheTry(self.max_tries, self.clear_number)
        taken = self.saagie.run(run_once(job, self.stored, this_try, self.wishes, side))
        if self.forgets:
            raise WorkerDied
        if taken.is_new:
            self.remembered.append(taken.submission)
        return taken

    def attempt_and_die(self) -> None:
        with pytest.raises(WorkerDied):
            self.attempt()

    def clear(self) -> None:
        self.max_tries, self.clear_number = self.max_tries + 1, self.clear_number + 1

    def clear_sibling(self) -> None:
        self.clear_number += 1


def make_task(*fates: Fate, **wishes: object) -> Task:
    return Task(SimulatedSaagie(fates=[*fates]), Wishes(**wishes))  # type: ignore[arg-type]


def test_retry_attaches_ends_or_submits() -> None:
    for pause, ends_as, is_new, has_ended in (
        (20, "SUCCEEDED", False, False),
        (100, "SUCCEEDED", False, True),
        (100, "FAILED", True, False),
    ):
        task = make_task(Fate(ends_as=ends_as))
        first = task.attempt()
        assert first.is_new
        assert task.stored == first.submission
        assert first.submission.owned
        assert first.submission.instance_id == task.saagie.own[0].id
        task.saagie.advance(pause)
        again = task.attempt()
        assert (again.is_new, again.has_ended) == (is_new, has_ended), (pause, ends_as)
        assert task.saagie.runs == 1 + is_new
        assert (again.submission.instance_id == first.submission.instance_id) is not is_new
        assert is_new or again.status == ("SUCCEEDED" if has_ended else "RUNNING")


def test_clear_submits_after_the_end_of_the_earlier_instance() -> None:
    for pause, stops in ((10, True), (100, False)):
        task = make_task()
        task.attempt()
        task.saagie.advance(pause)
        task.clear()
        assert task.attempt().is_new
        first, second = task.saagie.own
        assert task.saagie.stops == [first.id] * stops
        assert first.status(second.created) == ("KILLED" if stops else "SUCCEEDED")
        assert second.created >= first.created + pause + KILLING_TAKES * stops


def test_clear_without_stop_waits_for_the_end_until_stop_timeout() -> None:
    task = make_task(ENDLESS, stop_on_kill=False, stop_timeout=30)
    task.attempt()
    task.clear()
    began = task.saagie.now
    assert "https://saagie/" in error_message(SaagieWaitTimeout, task.attempt)
    assert 30 <= task.saagie.now - began <= 40
    assert (task.saagie.runs, task.saagie.stops) == (1, [])


def test_retry_never_overlaps_with_an_instance_that_is_unknown() -> None:
    for obeys in (True, False):
        task = make_task(ENDLESS)
        task.attempt()
        (first,) = task.saagie.own
        first.lost_at, first.obeys_stops = task.saagie.now, obeys
        task.saagie.advance(100)
        if obeys:
            assert task.attempt().is_new
            assert first.stopped_at
            assert task.saagie.own[1].created >= first.stopped_at + KILLING_TAKES
        else:
            assert "still UNKNOWN after 120 s" in error_message(SaagieWaitTimeout, task.attempt)
            assert task.saagie.runs == 1
        assert task.saagie.stops == [first.id]


def test_retry_fails_if_the_instance_is_gone_until_a_clear() -> None:
    task = make_task()
    task.attempt()
    task.saagie.own[0].deleted = True
    assert "clear the task" in error_message(SaagieInstanceGone, task.attempt)
    assert task.saagie.runs == 1
    task.clear()
    assert task.attempt().is_new


def test_lost_answer_leads_to_a_search_then_to_adoption_or_a_new_run() -> None:
    for dies in (False, True):
        for fate, runs in ((LOST, 1), (replace(LOST, after=39), 1), (NEVER_ARRIVED, 2)):
            task = make_task(replace(fate, dies=dies))
            began = task.saagie.now
            if dies:
                task.attempt_and_die()
            taken = task.attempt()
            (instance,) = task.saagie.own
            row = (dies, fate)
            assert (taken.is_new, task.saagie.runs) == (runs == 2, runs), row
            assert taken.submission.instance_id == instance.id, row
            assert taken.submission.owned
            assert task.stored == taken.submission, row
            assert (instance.created if taken.is_new else task.saagie.now) - began >= WAIT, row


def test_answers_lost_again_and_again_end_the_try() -> None:
    task = make_task(*[NEVER_ARRIVED] * SUBMISSIONS)
    with pytest.raises(SaagieOutcomeUnknown):
        task.attempt()
    assert task.saagie.runs == SUBMISSIONS


def test_worker_that_dies_before_it_stores_the_answer_loses_nothing() -> None:
    task = make_task()
    task.forgets = True
    task.attempt_and_die()
    task.forgets = False
    assert not task.attempt().is_new
    assert len(task.saagie.own) == 1


def test_retry_ignores_stopped_instance_of_a_dead_try() -> None:
    """The dead try may have stopped it itself, when it was asked to end, and died before it stored that."""
    for sibling_cleared in (False, True):
        for status in ("SUCCEEDED", "FAILED", "KILLED", "KILLING"):
            task = make_task(DIES)
            task.attempt_and_die()
            (first,) = task.saagie.own
            task.saagie.advance(2 * WAIT)
            if status in ("SUCCEEDED", "FAILED"):
                first.ends_after, first.ends_as = 5, status
            else:
                first.stopped_at = task.saagie.now - (0.5 if status == "KILLING" else 10)
            assert first.status(task.saagie.now) == status
            if sibling_cleared:
                task.clear_sibling()
            taken = task.attempt()
            if status == "SUCCEEDED":
                assert (taken.submission.instance_id, taken.has_ended) == (first.id, True)
            else:
                assert taken.is_new, (status, sibling_cleared)
                assert first.status(task.saagie.own[1].created) in ("FAILED", "KILLED")


def test_search_adopts_only_what_is_surely_the_tasks_own() -> None:
    task = make_task(LOST)
    task.saagie.later(3, task.saagie.start)
    message = error_message(SaagieOutcomeUnknown, task.attempt)
    assert all(f"https://saagie/{instance.id}" in message for instance in task.saagie.instances)
    assert (len(task.saagie.instances), task.saagie.runs) == (2, 1)

    task = make_task(NEVER_ARRIVED)
    for login in ("a.person", None):  # None: Saagie's own schedule
        task.saagie.later(2, lambda login=login: task.saagie.start(login))  # type: ignore[misc]
    assert task.attempt().is_new


def test_lost_answer_is_treated_as_on_lost_submit_says() -> None:
    for wish, runs in (("adopt", 1), ("submit", 2)):
        task = make_task(LOST, on_lost_submit=wish)
        assert task.attempt().is_new is (wish == "submit")
        assert task.saagie.runs == runs
    task = make_task(LOST, on_lost_submit="fail")
    assert "only a person" in error_message(SaagieOutcomeUnknown, task.attempt)
    assert task.saagie.runs == 1


def test_clear_stops_what_a_lost_answer_started_unless_there_are_several() -> None:
    for several in (False, True):
        task = make_task(DIES)
        task.attempt_and_die()
        if several:
            task.saagie.start(ends_after=None)
        task.clear()
        assert task.attempt().is_new
        assert task.saagie.stops == ([] if several else [task.saagie.own[0].id])


def test_try_without_reattach_always_submits() -> None:
    task = make_task(reattach=False)
    assert task.attempt().is_new
    assert task.attempt().is_new
    task.saagie.fates = [LOST]
    with pytest.raises(SaagieOutcomeUnknown):
        task.attempt()
    assert task.saagie.runs == 3


def test_running_instance_of_another_user_is_treated_as_if_running_says() -> None:
    for login in (LOGIN, "a.person", None):
        for wish in ("submit", "attach", "skip", "fail"):
            task = make_task(if_running=wish)
            other = task.saagie.start(login)
            if wish in ("skip", "fail"):
                assert other.id in error_message(SaagieAlreadyRunning, task.attempt), (wish, login)
                assert task.saagie.runs == 0
                continue
            taken = task.attempt()
            assert (taken.is_new, taken.submission.owned) == (wish == "submit",) * 2, (wish, login)
            assert task.stored == taken.submission
            if wish == "attach":
                assert taken.submission.instance_id == other.id
                task.clear()
                assert task.attempt().submission.instance_id == other.id  # attached to again, not stopped
                assert task.saagie.stops == []


def test_if_running_ignores_finished_and_own_instances() -> None:
    for wish in ("attach", "skip", "fail"):
        task = make_task(if_running=wish)
        task.saagie.start("a.person", ends_after=1)
        task.saagie.advance(5)
        assert task.attempt().is_new, wish
        assert not task.attempt().is_new
        task.clear()
        assert task.attempt().is_new


def test_intent_is_written_again_if_sending_has_to_wait() -> None:
    """As after a 429, or if the token had to be renewed: `before_send` is called before each sending."""
    for seconds, count in ((0.0, 1), (4.9, 1), (5.1, 2), (60.0, 2)):
        task = Task(SimulatedSaagie(sending_takes=seconds))
        task.attempt()
        intents = task.remembered[:-1]  # the last submission has the instance
        assert len(intents) == count, seconds
        assert task.saagie.own[0].created - intents[-1].at <= 10


# Any history ---------------------------------------------------------------------------------------------------------


@dataclass
class Chapter:
    """What happens between two tries, and during the second one."""

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


fates = st.builds(
    Fate,
    starts=st.booleans(),
    after=st.sampled_from([0.0, 1.0, 20.0, 39.0]),
    answered=st.booleans(),
    dies=st.booleans(),
    ends_after=st.sampled_from([2.0, 60.0, 300.0, None]),
    ends_as=st.sampled_from(["SUCCEEDED", "FAILED", "ERROR", "KILLED"]),
)
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
    """Asserts at each start of the task's own that submit-once allows it."""

    def start_own(self, fate: Fate, epoch: int) -> Instance:
        assert not [one for one in self.own if one.is_unfinished(self.now)], "two own instances overlap"
        earlier = [one for one in self.own if one.epoch == epoch and not one.deleted]
        assert not [one for one in earlier if one.status(self.now) == "SUCCEEDED"], "run again after a success"
        return super().start_own(fate, epoch)


@settings(max_examples=int(os.environ.get("SAAGIE_TEST_EXAMPLES", "200")), deadline=None)
@given(history=st.lists(chapters, min_size=1, max_size=7))
def test_any_history_submits_once(history: list[Chapter]) -> None:
    """Two own instances never overlap, a success is never run again, no task is green without a run since its clear."""
    saagie = Watched()
    task = Task(saagie)
    cleared_at = saagie.now
    for chapter in history:
        saagie.advance(chapter.pause)
        if chapter.purged:
            for instance in saagie.instances:
                if not instance.is_unfinished(saagie.now) and instance.status(saagie.now) != "SUCCEEDED":
                    instance.deleted = True
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
        except SaagieError as error:
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
