"""The event trigger over real HTTP, in a loop whose time skips ahead, run as Airflow's triggerer runs it."""

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

from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.waiter import Ended, Failed, Waiter
from tests.support.fake_job import JOB, Run, SmallJob
from tests.support.fake_saagie import PROJECT, SmallSaagie, connection, instance, row, small_saagie
from tests.support.fake_triggerer import Database, Triggerer
from tests.support.recording_logger import Recorder
from tests.support.virtual_time import run
from tests.unit.triggers.test_free_loop import WhoWrites

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from airflow_provider_saagie.triggers.poller import Poller

HOUR = 3600.0


class Scene:
    """A Saagie with a job, Airflow's database, and the triggerers that come and go."""

    def __init__(self, saagie: SmallSaagie, monkeypatch: pytest.MonkeyPatch) -> None:
        self.saagie = saagie
        self.monkeypatch = monkeypatch
        self.conn_id = connection(saagie.url, monkeypatch)
        self.job = SmallJob()
        self.job.serve(saagie)
        self.database = Database()

    def start(self, *, assets: tuple[str, ...] = ("report",), **more: Any) -> Triggerer:
        arguments = {"saagie_conn_id": self.conn_id, "job_id": JOB, "poll_interval": 10, **more}
        return Triggerer(self.database, arguments, self.monkeypatch, assets)

    async def until(self, at: float) -> None:
        """Wait until so many seconds since the beginning."""
        await asyncio.sleep(max(0.0, at - self.saagie.now()))

    @property
    def numbers(self) -> list[int | None]:
        return [event["instance_number"] for event in self.database.events]

    @property
    def poller(self) -> Poller:
        return watcher._watchers[asyncio.get_running_loop()][self.conn_id].poller

    def edit_connection(self, **changes: Any) -> None:
        connection(self.saagie.url, self.monkeypatch, conn_id=self.conn_id, **changes)

    def stored(self, asset: str = "report") -> dict[str, Any]:
        (state,) = [json.loads(value) for (name, _), value in self.database.state.items() if name == asset]
        return dict(state)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that runs a scene; at its end the watcher has to be gone, its session closed."""

    async def whole(scene: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
        async with small_saagie() as saagie:
            await scene(Scene(saagie, monkeypatch))
            await asyncio.sleep(0.1)
        assert not watcher._watchers.get(asyncio.get_running_loop())

    return lambda scene, *, debug=True: run(whole(scene), debug=debug)


def test_it_begins_with_what_ends_from_now_on(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(*(Run(n, ends=-1) for n in range(1, 4)), Run(4, ends=50), Run(5, ends=-1), Run(6, starts=60, ends=65))
        triggerer = s.start()
        await s.until(120)
        await triggerer.end()
        assert s.numbers == [4, 6]
        assert triggerer.lines == []
        assert s.saagie.looks == []  # the job's list has said it all
        assert s.stored() == {"listed": 6, "open": []}

    play(scene)


def test_the_payload_tells_which_instance_ended_how_and_when(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=20))
        triggerer = s.start()
        await s.until(60)
        await triggerer.end()
        (event,) = s.database.events
        assert event.pop("start_time")
        assert event == {
            "instance_id": instance(1),
            "instance_number": 1,
            "job_id": JOB,
            "project_id": PROJECT,
            "status": "SUCCEEDED",
            "reason": None,
            "end_time": "end 20",
            "url": f"{s.saagie.url}/projects/platform/1/project/{PROJECT}/job/{JOB}/instances/{instance(1)}",
        }

    play(scene)


def test_other_ends_are_told_where_they_are_asked_for(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        ends = ["SUCCEEDED", "FAILED", "KILLED", "FAILED"]
        s.job.add(*(Run(n, starts=20, ends=30, status=status) for n, status in enumerate(ends, start=1)))
        triggerer = s.start(statuses=("failed", "KILLED"))
        await s.until(60)
        await triggerer.end()
        assert s.numbers == [2, 3, 4]

    play(scene)


def test_instances_may_end_in_any_order_also_long_after_they_left_the_newest(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=1500), *(Run(n, starts=10 * n, ends=10 * n + 15) for n in range(2, 100)))
        triggerer = s.start()
        await s.until(900)
        assert s.stored()["open"][0] == instance(1)
        assert len(s.stored()["open"]) <= 5
        assert len(s.poller.waiters) <= 6  # of instances that are on their way
        await s.until(1600)
        await triggerer.end()
        assert Counter(s.numbers) == Counter(range(1, 100))
        assert s.numbers[-1] == 1
        assert s.stored() == {"listed": 99, "open": []}

    play(scene, debug=False)


@pytest.mark.parametrize("size", [9, 10, 11, 500, 1300])
def test_a_burst_of_any_size_between_two_looks_is_told_whole_and_in_order(play: Callable[..., None], size: int) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=-1), *(Run(n, starts=21, ends=22) for n in range(2, size + 2)))
        triggerer = s.start()
        await s.until(60)
        await triggerer.end()
        assert s.numbers == list(range(2, size + 2))

    play(scene, debug=False)


def test_a_platform_that_gives_shorter_pages_than_asked_hides_nothing(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.longest_page = 100
        s.job.add(Run(3, ends=-1, deleted=15), *(Run(n, starts=21, ends=22) for n in range(5, 400)))
        triggerer = s.start()
        await s.until(60)
        await triggerer.end()
        assert s.numbers == list(range(5, 400))
        assert len(s.saagie.lists) < 30

    play(scene, debug=False)


def test_deletions_while_a_long_list_is_read_hide_nothing(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=-1), *(Run(n, starts=21, ends=22) for n in range(2, 1400)))

        def delete(asked: Any) -> None:
            # Between the first and the second large page the newest go, more of them than the pages overlap.
            if asked.operation == "watchJobs" and asked.variables["s0"] == 450 and not gone:
                gone.extend(s.job.runs[-600:])
                del s.job.runs[-600:]

        gone: list[Run] = []
        s.saagie.refuse = delete
        triggerer = s.start()
        await s.until(60)
        await triggerer.end()
        assert gone
        assert s.numbers == list(range(2, 800))

    play(scene, debug=False)


def test_gaps_in_the_numbers_are_nothing_to_wait_for(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(3, ends=-1), Run(7, starts=20, ends=30), Run(90, starts=25, ends=26))
        triggerer = s.start()
        await s.until(60)
        await triggerer.end()
        assert sorted(n for n in s.numbers if n) == [7, 90]
        assert s.stored() == {"listed": 90, "open": []}

    play(scene)


def test_an_instance_that_is_deleted_is_not_waited_for_any_longer(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, deleted=50), Run(2, starts=100, ends=110))
        triggerer = s.start()
        await s.until(200)
        await triggerer.end()
        assert s.numbers == [2]
        assert len(triggerer.lines) == 1
        assert "deleted before its end was seen" in triggerer.lines[0]
        assert s.stored() == {"listed": 2, "open": []}

    play(scene)


def test_numbers_that_are_given_again_after_a_deletion_are_told(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(*(Run(n, ends=-1, deleted=40) for n in range(1, 8)), Run(1, starts=100, ends=130))
        triggerer = s.start()
        await s.until(200)
        await triggerer.end()
        assert s.database.told == [instance(8)]

    play(scene)


def test_a_list_with_gaps_for_a_moment_repeats_nothing(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(*(Run(n, ends=n) for n in range(1, 8)))
        whole = s.job.list
        s.saagie.list_job = lambda _, at: [] if 40 < at < 50 else whole(at)
        triggerer = s.start()
        await s.until(200)
        await triggerer.end()
        assert len(s.numbers) == len(set(s.numbers))

    play(scene)


@pytest.mark.parametrize("how", ["away", "failing", "hidden"])
def test_a_job_that_goes_and_comes_back_loses_no_end(play: Callable[..., None], how: str) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=100), Run(2, ends=1200), *(Run(n, ends=-1) for n in range(3, 15)))
        s.job.add(Run(15, starts=200, ends=300))
        setattr(s.job, how, (30.0, 900.0))
        triggerer = s.start()
        await s.until(899)
        assert len(triggerer.lines) == 1 + 2 * (how == "failing")  # two of its instances can't be told of either
        assert s.numbers == []
        await s.until(970)
        assert sorted(n for n in s.numbers if n) == [1, 15]
        await s.until(1300)
        await triggerer.end()
        assert s.numbers[2:] == [2]
        assert "again" in triggerer.lines[-1]

    play(scene)


def test_a_job_that_is_not_there_yet_is_waited_for(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.away = (0, 300)
        s.job.add(Run(1, ends=400))
        triggerer = s.start()
        await s.until(500)
        await triggerer.end()
        assert s.numbers == [1]
        assert len([asked for asked in s.saagie.lists if 60 < asked.at < 240]) <= 7

    play(scene)


def test_unknown_passes_or_is_believed_after_its_grace(play: Callable[..., None]) -> None:
    def tell(number: int, at: float) -> dict[str, Any]:
        passing = {1: 60, 2: 0}[number]
        status = "RUNNING" if at < 20 else "UNKNOWN" if not passing or at < passing else "SUCCEEDED"
        return row(status, number=number) | {"id": instance(number)}

    async def scene(s: Scene) -> None:
        s.saagie.list_job = lambda _, at: [tell(2, at), tell(1, at)]
        triggerer = s.start(statuses=("SUCCEEDED", "UNKNOWN"), unknown_grace=100)
        await s.until(90)
        assert s.numbers == [1]
        await s.until(160)
        await triggerer.end()
        assert s.numbers == [1, 2]

    play(scene)


@pytest.mark.long  # it waits for real jobs, through crashes
def test_what_ends_while_no_triggerer_runs_is_told_by_the_next(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=-1), Run(2, ends=HOUR / 2), Run(3, ends=2 * HOUR), Run(4, starts=600, ends=700))
        await s.start().end()
        await s.until(HOUR)
        second = s.start()
        await s.until(HOUR + 60)
        await second.end()
        assert Counter(s.numbers) == Counter([2, 4])
        third = s.start()
        await s.until(2 * HOUR + 60)
        await third.end()
        assert Counter(s.numbers) == Counter([2, 3, 4])

    play(scene)


def test_an_event_that_airflow_lost_is_told_again(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=25))
        triggerer = s.start()
        await triggerer.has_yielded.wait()
        await asyncio.sleep(0.5)
        await triggerer.crash()
        assert s.numbers == []
        again = s.start()
        await s.until(100)
        await again.end()
        assert s.numbers == [1]

    play(scene)


def test_a_supervisor_that_stands_still_has_to_have_the_event_before_it_is_written_down(
    play: Callable[..., None],
) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=25))
        triggerer = s.start()
        await s.until(20)
        triggerer.awake.clear()
        await triggerer.has_yielded.wait()
        await asyncio.sleep(300)
        triggerer.awake.set()
        await asyncio.sleep(0.5)
        await triggerer.crash()
        assert s.numbers == []
        again = s.start()
        await s.until(500)
        await again.end()
        assert s.numbers == [1]
        assert s.stored()["open"] == []

    play(scene)


def test_an_outage_is_told_once_and_loses_nothing(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=100), *(Run(n, starts=n, ends=1000 + n) for n in range(2, 40)))
        s.saagie.refuse = lambda asked: web.Response(status=503) if 30 < asked.at < HOUR else None
        triggerer = s.start()
        await s.until(HOUR + 120)
        await triggerer.end()
        assert Counter(s.numbers) == Counter(range(1, 40))
        lost, back = triggerer.lines
        assert "away" in lost
        assert "answers again" in back

    play(scene)


def test_a_refused_login_is_tried_until_it_is_mended_though_tasks_give_up(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=100), Run(2))
        triggerer = s.start()
        task = asyncio.create_task(watcher.wait(s.conn_id, Waiter(instance_id=instance(2), log=Recorder())))
        await s.until(30)
        s.saagie.password = "changed"
        s.saagie.tokens.clear()
        verdict = await task
        assert isinstance(verdict, Failed)
        assert 630 <= s.saagie.now() < 720
        late = asyncio.create_task(watcher.wait(s.conn_id, Waiter(instance_id=instance(2), log=Recorder())))
        await s.until(1200)
        assert not late.done()  # it has ten minutes of its own
        await s.until(2 * HOUR)
        assert isinstance(await late, Failed)
        assert len(s.saagie.logins) < 2 * 60 + 5
        assert len(triggerer.lines) == 1
        assert "once a minute." in triggerer.lines[0]
        s.edit_connection(password="changed")
        await s.until(2 * HOUR + 130)
        await triggerer.end()
        assert s.numbers == [1]
        assert "answers again" in triggerer.lines[-1]
        assert "changed" not in str(triggerer.lines)

    play(scene)


def test_triggers_and_tasks_share_one_session_and_requests_of_a_hundred(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 90 else "SUCCEEDED", age=HOUR)
        triggerers = [s.start(job_id=instance(n), statuses=("FAILED",)) for n in range(1, 251)]
        task = asyncio.create_task(watcher.wait(s.conn_id, Waiter(instance_id=instance(1), log=Recorder())))
        await s.until(61)
        # At the beginning a hundred instances of each job are looked at, so that ten jobs fill a request.
        assert max(len(asked.ids) for asked in s.saagie.lists if asked.at < 5) == 10
        rounds: dict[float, list[int]] = {}
        for asked in s.saagie.lists:
            if asked.at >= 5:
                rounds.setdefault(round(asked.at), []).append(len(asked.ids))
        assert set(map(tuple, rounds.values())) == {(100, 100, 50)}
        assert len(rounds) in (5, 6)
        assert isinstance(await task, Ended)
        assert len(s.saagie.logins) == 1
        await asyncio.gather(*(one.crash() for one in triggerers))

    play(scene, debug=False)


def test_a_job_that_spoils_a_request_spoils_it_for_nobody_else(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        bad = instance(77)
        s.job.add(Run(1, ends=50))
        s.saagie.refuse = lambda asked: (
            web.json_response({"errors": [{"message": "odd job"}]}) if bad in asked.ids else None
        )
        good, spoiling = s.start(), s.start(job_id=bad)
        await s.until(300)
        assert s.numbers == [1]
        assert good.lines == []
        assert ["odd job" in line for line in spoiling.lines] == [True]
        await asyncio.gather(good.end(), spoiling.crash())

    play(scene)


def test_state_that_cannot_be_read_is_waited_for_not_begun_anew(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=100))
        await s.start().end()
        await s.until(200)
        s.database.away = RuntimeError("API server away")
        triggerer = s.start()
        await s.until(500)
        assert s.numbers == []
        assert len(triggerer.lines) == 1
        s.database.away = None
        await s.until(700)
        await triggerer.end()
        assert s.numbers == [1]

    play(scene)


def test_state_that_cannot_be_written_is_written_later(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=40), Run(2, ends=400))
        triggerer = s.start()
        await s.until(30)
        s.database.away = RuntimeError("API server away")
        await s.until(300)
        assert s.stored()["open"] == [instance(1), instance(2)]
        assert len(triggerer.lines) == 1
        s.database.away = None
        await s.until(500)
        await triggerer.end()
        assert s.numbers == [1, 2]
        assert s.stored() == {"listed": 2, "open": []}

    play(scene)


def test_a_job_that_only_fails_is_not_listed_anew_from_its_beginning(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(*(Run(n, starts=20 * n, ends=20 * n + 5, status="FAILED") for n in range(1, 100)))
        triggerer = s.start()
        await s.until(1500)
        assert s.stored()["listed"] >= 55
        assert s.database.writes <= 4
        await triggerer.crash()

    play(scene)


def test_foreign_state_is_passed_over_with_a_warning(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=-1), Run(2, ends=100))
        await s.start().end()
        (key,) = s.database.state
        s.database.state[key] = '{"listed": "many"}'
        triggerer = s.start()
        await s.until(200)
        await triggerer.end()
        assert s.numbers == [2]
        assert "not written by this provider" in triggerer.lines[0]

    play(scene)


def test_a_trigger_of_several_assets_keeps_its_state_in_each(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=40), Run(2, ends=400))
        await s.start(assets=("old",)).end()
        await s.until(200)
        both = s.start(assets=("old", "new"))
        await s.until(250)
        await both.end()
        assert s.numbers == [1]
        assert s.stored("old") == s.stored("new") == {"listed": 2, "open": [instance(2)]}

    play(scene)


def test_without_a_store_it_says_so_and_tells_what_it_sees(play: Callable[..., None]) -> None:
    """As Airflow 3.0 to 3.2: no state, so that each start begins with what ends from then on."""

    async def scene(s: Scene) -> None:
        s.job.add(Run(1, ends=40), Run(2, ends=150), Run(3, ends=250))
        first = s.start(assets=())
        await s.until(100)
        await first.crash()
        await s.until(200)
        second = s.start(assets=())
        await s.until(300)
        await second.crash()
        assert s.numbers == [1, 3]
        assert ["3.3" in line for line in first.lines] == [True]

    play(scene)


def test_what_is_wrong_with_the_state_is_logged_by_a_thread(play: Callable[..., None]) -> None:
    """The triggerer's log may take no line for now, and its loop is that of all triggers."""

    async def scene(s: Scene) -> None:
        without_a_store, in_trouble = s.start(assets=()), s.start()
        logs = [WhoWrites(), WhoWrites()]
        for events, log in zip((without_a_store, in_trouble), logs, strict=True):
            events.trigger.recorder = log
        s.database.away = RuntimeError("no database")
        await s.until(30)
        s.database.away = None
        await without_a_store.crash()
        await in_trouble.end()
        for log in logs:
            assert log.threads
            assert threading.get_ident() not in {thread for _, thread in log.threads}

    play(scene)


def test_it_ends_while_airflow_has_yet_to_take_an_event(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.job.add(Run(1, starts=20, ends=21), Run(2, starts=20, ends=21))
        events = s.start(assets=())
        await events.crash()
        running = events.trigger.run()
        one = await anext(running)
        assert one.payload["instance_number"] == 1
        await running.aclose()

    play(scene)


def test_a_mistake_of_ours_ends_the_trigger_which_airflow_begins_anew(play: Callable[..., None]) -> None:
    """Else it would wait for ever, and its asset would hear of nothing."""

    async def scene(s: Scene) -> None:
        events = s.start(assets=())
        await events.crash()
        running = events.trigger.run()
        first = asyncio.ensure_future(anext(running))
        await s.until(30)
        (feed,) = s.poller.waiters
        feed.poll_interval = "ten"  # type: ignore[assignment]
        with pytest.raises(TypeError):
            await first
        s.job.add(Run(1, starts=60, ends=61))
        assert (await anext(events.trigger.run())).payload["instance_number"] == 1

    play(scene)


def test_the_last_one_out_closes_and_the_next_one_opens_anew(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        one, two = s.start(), s.start(statuses=("FAILED",))
        await s.until(30)
        await one.crash()
        assert watcher._watchers[asyncio.get_running_loop()]
        await two.crash()
        assert not watcher._watchers[asyncio.get_running_loop()]
        await s.start().end()
        assert len(s.saagie.logins) == 2

    play(scene)


def test_a_trigger_that_has_ended_is_not_asked_for_any_longer(play: Callable[..., None]) -> None:
    """Neither its job, nor the instances that it has waited for."""

    async def scene(s: Scene) -> None:
        s.job.add(*(Run(number) for number in range(1, 21)))  # ten are on no page that is looked at
        stays, ends = s.start(job_id=instance(77)), s.start()
        await s.until(60)
        assert s.saagie.looks
        await ends.crash()
        s.saagie.asked.clear()
        await s.until(120)
        assert {one for asked in s.saagie.asked for one in asked.ids} == {instance(77)}
        await stays.crash()

    play(scene)


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


@pytest.mark.parametrize("crashes", [False, True], ids=["undisturbed", "crashing"])
@given(data=st.data())
@settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.long  # it waits for real jobs, through crashes
def test_each_good_end_is_told_once_and_after_crashes_at_least_once(
    play: Callable[..., None], data: st.DataObject, crashes: bool
) -> None:
    runs = data.draw(RUNS, "runs")
    outage, missing = data.draw(SPANS, "outage"), data.draw(SPANS, "missing")
    moments = st.lists(st.integers(30, 500), max_size=4 if crashes else 0, unique=True)
    crashes_at = sorted(data.draw(moments, "crashes at"))

    async def scene(s: Scene) -> None:
        for number, one in enumerate(sorted(runs, key=lambda one: one.starts), start=1):
            one.number, one.ends = number, max(one.ends, one.starts + 1)
            one.deleted = one.deleted if one.deleted > one.ends else float("inf")  # only ended ones can be deleted
            s.job.add(one)
        s.job.away = missing
        s.saagie.refuse = lambda asked: web.Response(status=503) if outage[0] <= asked.at < outage[1] else None
        triggerer = s.start()
        await s.database.has_state.wait()  # it begins when it is first answered
        begun = s.saagie.now()
        for moment in crashes_at:
            await s.until(moment)
            await triggerer.crash()
            triggerer = s.start()
        await s.until(800)
        await triggerer.end()
        told = Counter(s.database.told)
        good = [one for one in runs if one.status == "SUCCEEDED"]
        # What was deleted may never have been seen ended.
        surely = {one.id for one in good if one.ends > begun and one.deleted == float("inf")}
        never = {one.id for one in runs if one.status != "SUCCEEDED" or one.ends < 0}
        assert surely <= told.keys()
        assert not never & told.keys()
        if not crashes:
            assert max(told.values(), default=1) == 1

    play(scene, debug=False)
