"""The event trigger over real HTTP and in virtual time, run as Airflow's triggerer runs it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.triggers.job_feed import JobFeed
from airflow_provider_saagie.triggers.waiter import Ended, Failed
from tests.support.fake_job import JOB, FakeJob, Run
from tests.support.fake_saagie import HOUR, PROJECT, Request, ends_at, fails, instance, row
from tests.support.fake_triggerer import Database, Triggerer
from tests.support.watcher_scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class EventScenario(Scenario):
    """A Saagie with a job, Airflow's database, and the triggerers that come and go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.job = FakeJob()
        self.database = Database()

    def run(self, main: Callable[[], Coroutine[Any, Any, None]], **more: Any) -> None:
        async def with_job() -> None:
            self.job.serve(self.saagie)
            await main()

        super().run(with_job, **more)

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
def scenario(monkeypatch: pytest.MonkeyPatch) -> EventScenario:
    return EventScenario(monkeypatch)


async def test_first_start_reports_what_ends_from_then_on(scenario: EventScenario) -> None:
    s = scenario
    s.job.add(*(Run(n, ends=-1) for n in range(1, 4)), Run(4, ends=50), Run(5, ends=-1), Run(90, starts=60, ends=65))
    triggerer = await s.run_triggerer(120)
    assert s.numbers == [4, 90]
    assert triggerer.lines == []
    assert s.saagie.polls == []  # the job's list is enough
    assert s.stored == {"listed": 90, "open": []}
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


async def test_only_wanted_statuses_are_reported(scenario: EventScenario) -> None:
    ends = enumerate(["SUCCEEDED", "FAILED", "KILLED", "FAILED"], start=1)
    scenario.job.add(*(Run(n, starts=20, ends=30, status=status) for n, status in ends))
    await scenario.run_triggerer(60, statuses=("failed", "KILLED"))
    assert scenario.numbers == [2, 3, 4]


async def test_old_instance_is_reported_after_many_newer_ones(scenario: EventScenario) -> None:
    s = scenario
    s.job.add(Run(1, ends=1500), *(Run(n, starts=10 * n, ends=10 * n + 15) for n in range(2, 100)))
    triggerer = s.watch()
    await s.until(900)
    assert s.stored["open"][0] == instance(1)
    assert len(s.stored["open"]) <= 5
    assert {id_ for poll in s.saagie.polls for id_ in poll.ids} == {
        instance(1)
    }  # the others end while the list has them
    await s.until(1600)
    await triggerer.end()
    assert Counter(s.numbers) == Counter(range(1, 100))
    assert s.numbers[-1] == 1
    assert s.stored == {"listed": 99, "open": []}


async def test_bursts_are_reported_completely_and_in_order(scenario: EventScenario) -> None:
    s = scenario
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


async def test_deletions_during_the_reading_hide_no_end(scenario: EventScenario) -> None:
    s = scenario
    s.job.add(Run(1, ends=-1), *(Run(n, starts=21, ends=22) for n in range(2, 1400)))

    def delete(request: Request) -> None:
        # Between the first and the second large page: more of the newest than two pages overlap.
        if request.operation == "watchJobs" and request.variables["s0"] == 450:
            del s.job.runs[799:]

    s.saagie.intercept = delete
    await s.run_triggerer(60)
    assert len(s.job.runs) == 799
    assert s.numbers == list(range(2, 800))


async def test_deleted_instance_is_dropped_and_its_number_reused(scenario: EventScenario) -> None:
    s = scenario
    s.job.add(*(Run(n, ends=-1, deleted=40) for n in range(1, 8)), Run(8, deleted=50), Run(1, starts=100, ends=130))
    triggerer = await s.run_triggerer(200)
    assert [event["instance_id"] for event in s.database.events] == [instance(9)]
    assert ["deleted before its end was seen" in line for line in triggerer.lines] == [True]
    assert s.stored == {"listed": 1, "open": []}


@pytest.mark.parametrize("how", ["missing", "failing", "hidden"])
async def test_unavailable_job_loses_no_end(scenario: EventScenario, how: str) -> None:
    s = scenario
    s.job.add(Run(1, ends=100), Run(2, ends=1200), *(Run(n, ends=-1) for n in range(3, 15)))
    s.job.add(Run(15, starts=200, ends=300))
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


async def test_job_that_does_not_exist_yet_is_waited_for(scenario: EventScenario) -> None:
    s = scenario
    s.job.missing = (0, 300)
    s.job.add(Run(1, ends=400))
    await s.run_triggerer(500)
    assert s.numbers == [1]
    assert len([poll for poll in s.saagie.job_polls if 60 < poll.at < 240]) <= 3


async def test_unknown_is_reported_after_its_grace_only(scenario: EventScenario) -> None:
    s = scenario

    def unknown_since_20(number: int, at: float, until: float) -> dict[str, Any]:
        status = "RUNNING" if at < 20 else "UNKNOWN" if at < until else "SUCCEEDED"
        return row(status, number=number) | {"id": instance(number)}

    s.saagie.list_instances = lambda _, at: [unknown_since_20(2, at, HOUR), unknown_since_20(1, at, 60)]
    triggerer = s.watch(statuses=("SUCCEEDED", "UNKNOWN"), unknown_grace=100)
    await s.until(90)
    assert s.numbers == [1]
    await s.until(160)
    await triggerer.end()
    assert s.numbers == [1, 2]


async def test_next_triggerer_reports_what_ended_without_one(scenario: EventScenario) -> None:
    s = scenario
    s.job.add(Run(1, ends=-1), Run(2, ends=600), Run(3, ends=1500), Run(4, starts=200, ends=300))
    await s.run_triggerer(100)
    await s.until(1000)
    await s.run_triggerer(1060)
    assert sorted(s.numbers) == [2, 4]
    await s.until(2000)
    await s.run_triggerer(2060)
    assert sorted(s.numbers) == [2, 3, 4]


@pytest.mark.parametrize("suspended", [False, True])
async def test_event_that_airflow_lost_is_reported_again(scenario: EventScenario, suspended: bool) -> None:
    """The supervisor stores events within a second, unless it is suspended; only then may they count as reported."""
    s = scenario
    s.job.add(Run(1, ends=25))
    triggerer = s.watch()
    await s.until(20)
    if suspended:
        triggerer.awake.clear()
    await triggerer.has_yielded.wait()
    if suspended:
        await asyncio.sleep(300)
        triggerer.awake.set()
    await asyncio.sleep(0.5)
    await triggerer.crash()
    assert s.numbers == []
    await s.run_triggerer(500)
    assert s.numbers == [1]
    assert s.stored["open"] == []


async def test_outage_is_logged_once_and_loses_no_end(scenario: EventScenario) -> None:
    s = scenario
    s.job.add(Run(1, ends=100), *(Run(n, starts=n, ends=300 + n) for n in range(2, 40)))
    s.saagie.intercept = fails(503, 30, 1000)
    triggerer = await s.run_triggerer(1120)
    assert Counter(s.numbers) == Counter(range(1, 40))
    lost, back = triggerer.lines
    assert "away" in lost
    assert "answers again" in back


async def test_rejected_login_is_retried_although_tasks_give_up(scenario: EventScenario) -> None:
    s = scenario
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


async def test_triggers_and_tasks_share_a_session_and_batches(scenario: EventScenario) -> None:
    s = scenario
    s.saagie.get_instance = ends_at(90)
    triggerers = [s.watch(job_id=instance(n), statuses=("FAILED",)) for n in range(1, 251)]
    task = s.wait(1)
    await s.until(61)
    # At first a hundred instances of each job are listed, so that ten jobs fill a request.
    assert max(len(poll.ids) for poll in s.saagie.job_polls if poll.at < 5) == 10
    rounds: dict[int, list[int]] = {}
    for poll in s.saagie.job_polls:
        if poll.at >= 5:
            rounds.setdefault(round(poll.at), []).append(len(poll.ids))
    assert list(rounds.values()) == [[100, 100, 50]] * 6
    assert isinstance(await task.verdict(), Ended)
    assert len(s.saagie.logins) == 1
    await asyncio.gather(*(triggerer.crash() for triggerer in triggerers))


async def test_job_that_spoils_a_batch_harms_no_other(scenario: EventScenario) -> None:
    s = scenario
    s.job.add(Run(1, ends=50))
    spoiled = web.json_response, {"errors": [{"message": "odd job"}]}
    s.saagie.intercept = lambda request: spoiled[0](spoiled[1]) if instance(77) in request.ids else None
    good, spoiling = s.watch(), s.watch(job_id=instance(77))
    await s.until(300)
    assert s.numbers == [1]
    assert good.lines == []
    assert ["odd job" in line for line in spoiling.lines] == [True]
    await asyncio.gather(good.end(), spoiling.crash())


async def test_trigger_waits_until_its_state_can_be_read(scenario: EventScenario) -> None:
    s = scenario
    s.job.add(Run(1, ends=100))
    await s.run_triggerer(0)
    await s.until(200)
    s.database.away = RuntimeError("API server away")
    triggerer = s.watch()
    await s.until(500)
    assert (s.numbers, len(triggerer.lines)) == ([], 1)
    assert threading.get_ident() not in triggerer.trigger.log.threads  # a log may block
    s.database.away = None
    await s.until(700)
    await triggerer.end()
    assert s.numbers == [1]


async def test_trigger_without_a_store_reports_what_it_sees(scenario: EventScenario) -> None:
    """On Airflow 3.0 to 3.2 each start begins with what ends from then on."""
    s = scenario
    s.job.add(Run(1, ends=40), Run(2, ends=150), Run(3, ends=250))
    for until in (100, 300):
        triggerer = s.watch(assets=())
        await s.until(until)
        await triggerer.crash()
        assert ["3.3" in line for line in triggerer.lines] == [True]
        assert threading.get_ident() not in triggerer.trigger.log.threads
        await s.until(200)
    assert s.numbers == [1, 3]


async def test_checkpoint_moves_on_without_any_report(scenario: EventScenario) -> None:
    s = scenario
    s.job.add(*(Run(n, starts=20 * n, ends=20 * n + 5, status="FAILED") for n in range(1, 100)))
    triggerer = s.watch()
    await s.until(1500)
    assert s.stored["listed"] >= 55
    assert s.database.writes <= 4
    await triggerer.crash()


async def test_trigger_can_end_before_airflow_takes_the_event(scenario: EventScenario) -> None:
    s = scenario
    s.job.add(Run(1, starts=20, ends=21), Run(2, starts=20, ends=21))
    triggerer = s.watch(assets=())
    await triggerer.crash()
    events = triggerer.trigger.run()
    assert (await anext(events)).payload["instance_number"] == 1
    await events.aclose()


async def test_defect_ends_the_trigger(scenario: EventScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow starts it again; else it would wait forever."""
    s = scenario
    triggerer = s.watch(assets=())
    await triggerer.crash()
    with monkeypatch.context() as defect:
        defect.setattr(JobFeed, "look", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await anext(triggerer.trigger.run())
    s.job.add(Run(1, starts=60, ends=61))
    events = triggerer.trigger.run()
    assert (await anext(events)).payload["instance_number"] == 1
    await events.aclose()


async def test_ended_trigger_is_not_polled_for(scenario: EventScenario) -> None:
    """Neither its job, nor unfinished instances; the last one closes the session."""
    s = scenario
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
        starts=st.integers(-50, 400).map(float),
        ends=st.integers(0, 500).map(float),
        status=st.sampled_from(["SUCCEEDED", "SUCCEEDED", "FAILED", "KILLED"]),
        deleted=st.sampled_from([float("inf"), float("inf"), float("inf"), 300.0]),
    ),
    max_size=40,
)
SPANS = st.tuples(st.integers(0, 400), st.integers(0, 120)).map(lambda span: (float(span[0]), float(sum(span))))
CRASHES = st.lists(st.integers(30, 500), max_size=4, unique=True).map(sorted)


@given(RUNS, SPANS, SPANS, CRASHES)
@settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_end_is_reported_whatever_happens(
    monkeypatch: pytest.MonkeyPatch,
    runs: list[Run],
    outage: tuple[float, float],
    missing: tuple[float, float],
    crashes: list[int],
) -> None:
    """Once, or at least once after crashes."""
    s = EventScenario(monkeypatch)

    async def main() -> None:
        for number, run in enumerate(sorted(runs, key=lambda run: run.starts), start=1):
            run.number, run.ends = number, max(run.ends, run.starts + 1)
            run.deleted = run.deleted if run.deleted > run.ends else float("inf")  # only ended ones can be deleted
            s.job.add(run)
        s.job.missing = missing
        s.saagie.intercept = fails(503, *outage)
        triggerer = s.watch()
        await s.database.has_state.wait()  # it begins with the first response
        began = s.saagie.now()
        for moment in crashes:
            await s.until(moment)
            await triggerer.crash()
            triggerer = s.watch()
        await s.until(800)
        await triggerer.end()
        reported = Counter(event["instance_id"] for event in s.database.events)
        good = [run for run in runs if run.status == "SUCCEEDED"]
        # The end of a deleted one may never have been seen.
        certain = {run.id for run in good if run.ends > began and run.deleted == float("inf")}
        assert certain <= reported.keys() <= {run.id for run in good if run.ends >= 0}
        assert crashes or max(reported.values(), default=1) == 1

    s.run(main)
