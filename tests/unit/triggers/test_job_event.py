"""The event trigger over real HTTP and in virtual time, run as Airflow's triggerer runs it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from math import inf
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.triggers.job_feed import JobFeed
from airflow_provider_saagie.triggers.waiter import Ended, Failed
from tests.support.fake_saagie import JOB, PROJECT, ends_at, fails, instance, refusal
from tests.support.fake_triggerer import Database, FakeJob, Run, Triggerer
from tests.support.watcher_scenario import Scenario


class EventScenario(Scenario):
    """A Saagie with a job, Airflow's database, and the triggerers that come and go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.job = FakeJob()
        self.saagie.list_instances = lambda job_id, at: self.job.list_rows(at) if job_id == JOB else []
        self.saagie.get_instance = self.job.get
        self.database = Database()

    def watch(self, *, assets: tuple[str, ...] = ("report",), **more: Any) -> Triggerer:
        arguments = {"saagie_conn_id": self.conn_id, "job_id": JOB, "poll_interval": 10, **more}
        return Triggerer(self.database, arguments, self.monkeypatch, assets)

    async def until(self, at: float) -> None:
        """Wait until that many seconds since the beginning."""
        await asyncio.sleep(max(0.0, at - self.saagie.now()))

    async def run_triggerer(self, until: float, **more: Any) -> Triggerer:
        """Run a triggerer from now on; events of the last seconds are stored too."""
        triggerer = self.watch(**more)
        await self.until(until)
        await triggerer.end()
        return triggerer

    @property
    def numbers(self) -> list[int]:
        """The instances whose ends were reported, each as often as it was."""
        return [event["instance_number"] for event in self.database.events]

    @property
    def stored(self) -> dict[str, Any]:
        (state,) = [json.loads(value) for value in self.database.state.values()]
        return dict(state)


@pytest.fixture
def s(monkeypatch: pytest.MonkeyPatch) -> EventScenario:
    return EventScenario(monkeypatch)


async def test_first_start_reports_what_ends_from_then_on(s: EventScenario) -> None:
    s.job.add(*(Run(n, ends=-1) for n in range(1, 4)), Run(4, ends=50), Run(5, ends=-1))
    for number, status in ((90, "SUCCEEDED"), (91, "FAILED"), (92, "KILLED"), (93, "UNKNOWN")):
        s.job.add(Run(number, starts=52, ends=55, status=status))
    triggerer = await s.run_triggerer(105, statuses=("succeeded", "KILLED", "UNKNOWN"), unknown_grace=30)
    assert s.numbers == [4, 90, 92, 93]
    assert triggerer.lines == []
    assert s.saagie.polls == []  # the job's list is enough
    assert s.stored == {"listed": 93, "open": []}
    event = s.database.events[0]
    assert event.pop("start_time")
    assert event == {
        "instance_id": instance(4),
        "instance_number": 4,
        "job_id": JOB,
        "project_id": PROJECT,
        "status": "SUCCEEDED",
        "reason": None,
        "end_time": "end 50",
        "url": f"{s.saagie.url}/projects/platform/1/project/{PROJECT}/job/{JOB}/instances/{instance(4)}",
    }


async def test_old_instance_is_reported_after_many_newer_ones(s: EventScenario) -> None:
    s.job.add(Run(1, ends=1500), *(Run(n, starts=10 * n, ends=10 * n + 15) for n in range(2, 100)))
    triggerer = s.watch()
    await s.until(900)
    assert s.stored["open"][0] == instance(1)
    assert len(s.stored["open"]) <= 5
    assert {id_ for poll in s.saagie.polls for id_ in poll.ids} == {instance(1)}  # the others end on the job's list
    await s.until(1600)
    await triggerer.end()
    assert Counter(s.numbers) == Counter(range(1, 100))
    assert s.numbers[-1] == 1
    assert s.stored == {"listed": 99, "open": []}


async def test_bursts_are_reported_completely_and_in_order(s: EventScenario) -> None:
    s.job.add(Run(1, ends=-1))
    triggerer = s.watch()
    for n, (size, longest_page) in enumerate([(9, 500), (10, 500), (11, 500), (500, 500), (1300, 500), (400, 100)]):
        s.saagie.longest_page = longest_page
        first, at = len(s.job.runs) + 1, 30.0 * n + 31
        s.job.add(*(Run(number, starts=at, ends=at + 1) for number in range(first, first + size)))
        await s.until(at + 29)
    await triggerer.end()
    assert s.numbers == list(range(2, len(s.job.runs) + 1))
    assert len(s.saagie.job_polls) < 60


@pytest.mark.parametrize("how", ["missing", "failing", "hidden", "outage"])
async def test_unavailable_job_is_logged_once_and_loses_no_end(s: EventScenario, how: str) -> None:
    s.job.add(Run(1, ends=100), Run(2, ends=1200), *(Run(n, ends=-1) for n in range(3, 15)))
    s.job.add(Run(15, starts=200, ends=300))
    if how == "outage":
        s.saagie.intercept = fails(503, 30, 900)
    else:
        setattr(s.job, how, (30.0, 900.0))
    triggerer = s.watch()
    await s.until(899)
    assert len(triggerer.lines) == 1 + 2 * (how == "failing")  # two unfinished instances fail too
    assert s.numbers == []
    await s.until(970)
    assert sorted(s.numbers) == [1, 15]
    await s.until(1300)
    await triggerer.end()
    assert s.numbers[2:] == [2]
    assert "again" in triggerer.lines[-1]


async def test_event_that_airflow_lost_is_reported_again(s: EventScenario) -> None:
    """The supervisor stores events within a second; only then may they count as reported. More in test_ledger."""
    s.job.add(Run(1, ends=25))
    triggerer = s.watch()
    await triggerer.has_yielded.wait()
    await asyncio.sleep(0.5)
    await triggerer.crash()
    assert s.numbers == []
    await s.run_triggerer(500)
    assert s.numbers == [1]
    assert s.stored["open"] == []


async def test_rejected_login_is_retried_although_tasks_give_up(s: EventScenario) -> None:
    s.job.add(Run(1, ends=100), Run(2))
    triggerer, early = s.watch(), s.wait(2)
    await s.until(30)
    s.saagie.change_password()
    assert isinstance(await early.verdict(), Failed)
    assert 630 <= s.saagie.now() < 720
    late = s.wait(2)
    await s.until(1200)
    assert not late.task.done()  # it has ten minutes of its own
    assert isinstance(await late.verdict(), Failed)
    await s.until(1800)
    assert len(s.saagie.logins) < 1800 / 60 + 5
    (line,) = triggerer.lines
    assert "once a minute." in line
    s.edit_connection(password="changed")
    await s.until(1930)
    await triggerer.end()
    assert s.numbers == [1]
    assert "answers again" in triggerer.lines[-1]
    assert "changed" not in str(triggerer.lines)


async def test_triggers_and_tasks_share_a_session_and_batches(s: EventScenario) -> None:
    s.saagie.get_instance = ends_at(90)
    triggerers = [s.watch(job_id=instance(n), statuses=("FAILED",)) for n in range(1, 251)]
    task = s.wait(1)
    await s.until(61)
    # At first a hundred instances of each job are listed, so that ten jobs fill a request.
    assert max(len(poll.ids) for poll in s.saagie.job_polls if poll.at < 5) == 10
    assert [len(poll.ids) for poll in s.saagie.job_polls if poll.at >= 5] == [100, 100, 50] * 6
    assert isinstance(await task.verdict(), Ended)
    assert len(s.saagie.logins) == 1
    await asyncio.gather(*(triggerer.crash() for triggerer in triggerers))


async def test_job_that_spoils_a_batch_harms_no_other(s: EventScenario) -> None:
    s.job.add(Run(1, ends=50))
    s.saagie.intercept = lambda request: refusal("odd job") if instance(77) in request.ids else None
    good, spoiling = s.watch(), s.watch(job_id=instance(77))
    await s.until(300)
    assert s.numbers == [1]
    assert good.lines == []
    assert ["odd job" in line for line in spoiling.lines] == [True]
    await asyncio.gather(good.end(), spoiling.crash())


async def test_checkpoint_moves_on_without_any_report(s: EventScenario) -> None:
    s.job.add(*(Run(n, starts=20 * n, ends=20 * n + 5, status="FAILED") for n in range(1, 100)))
    triggerer = s.watch()
    await s.until(1500)
    assert s.stored["listed"] >= 55
    assert s.database.writes <= 4
    await triggerer.crash()


async def test_defect_ends_the_trigger(s: EventScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow starts it again; else it would wait forever. It can also end before Airflow takes all events."""
    triggerer = s.watch(assets=())
    await triggerer.crash()
    with monkeypatch.context() as defect:
        defect.setattr(JobFeed, "look", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await anext(triggerer.trigger.run())
    s.job.add(Run(1, starts=60, ends=61), Run(2, starts=60, ends=61))
    events = triggerer.trigger.run()
    assert (await anext(events)).payload["instance_number"] == 1
    await events.aclose()


async def test_ended_trigger_is_not_polled_for(s: EventScenario) -> None:
    """Neither its job, nor unfinished instances; the last one closes the session."""
    s.job.add(*(Run(number) for number in range(1, 21)))  # ten of them are on no page that is read
    stays, ends = s.watch(job_id=instance(77)), s.watch()
    await s.until(60)
    assert s.saagie.polls
    await ends.crash()
    s.saagie.requests.clear()
    await s.until(120)
    assert {id_ for request in s.saagie.requests for id_ in request.ids} == {instance(77)}
    await stays.crash()
    assert s.saagie.connections() == 0
    await s.run_triggerer(130)
    assert len(s.saagie.logins) == 2


RUNS = st.lists(
    st.builds(
        Run,
        number=st.just(0),
        starts=st.integers(-50, 400),
        ends=st.integers(0, 500),
        status=st.sampled_from(["SUCCEEDED", "SUCCEEDED", "FAILED", "KILLED"]),
        deleted=st.sampled_from([inf, inf, inf, 300.0]),
    ),
    max_size=40,
)
SPANS = st.tuples(st.integers(0, 400), st.integers(0, 120)).map(lambda span: (span[0], sum(span)))
CRASHES = st.lists(st.tuples(st.integers(30, 500), st.sampled_from([0, 0, 60])), max_size=4).map(sorted)


@given(RUNS, SPANS, SPANS, CRASHES)
@settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_end_is_reported_whatever_happens(
    monkeypatch: pytest.MonkeyPatch, runs: list[Run], outage: Any, missing: Any, crashes: list[tuple[int, int]]
) -> None:
    """Once, or at least once after crashes."""
    s = EventScenario(monkeypatch)
    for number, run in enumerate(sorted(runs, key=lambda run: run.starts), start=1):
        run.number, run.ends = number, max(run.ends, run.starts + 1)
        run.deleted = run.deleted if run.deleted > run.ends else inf  # only ended ones can be deleted
        s.job.add(run)
    s.job.missing = missing
    s.saagie.intercept = fails(503, *outage)

    async def main() -> None:
        triggerer = s.watch()
        await s.database.has_state.wait()  # it begins with the first response
        began = s.saagie.now()
        for moment, downtime in crashes:
            await s.until(moment)
            await triggerer.crash()
            await asyncio.sleep(downtime)
            triggerer = s.watch()
        await s.until(800)
        await triggerer.end()
        reported = Counter(event["instance_id"] for event in s.database.events)
        good = [run for run in runs if run.status == "SUCCEEDED"]
        # The end of a deleted one may never have been seen.
        certain = {run.id for run in good if run.ends > began and run.deleted == inf}
        assert certain <= reported.keys() <= {run.id for run in good if run.ends >= 0}
        assert crashes or max(reported.values(), default=1) == 1

    s.run(main)
