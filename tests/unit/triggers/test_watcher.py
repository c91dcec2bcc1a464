"""The watcher against a fake Saagie in virtual time: batches, verdicts, deadlines, stops, waiters that come and go."""

from __future__ import annotations

import asyncio
import gc
import itertools
import math
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.waiter import Ended, StillOnItsWay, Waiter
from tests.support.fake_saagie import (
    FakeSaagie,
    ItemError,
    Request,
    Row,
    connection,
    ends_at,
    fails,
    fake_saagie,
    instance,
    refusal,
    row,
)
from tests.support.recording_logger import RecordingLogger
from tests.support.watcher_scenario import HOUR, Scenario, all_end, cancel_all


async def test_250_waiters_take_three_requests_a_round(scenario: Scenario, saagie: FakeSaagie) -> None:
    """And a login at the start, and one after the platform has forgotten the token."""
    saagie.get_instance = ends_at(60)
    asyncio.get_running_loop().call_later(25, saagie.tokens.clear)
    waiting = scenario.wait_many(1, 250)
    assert await all_end(waiting)
    rounds: dict[int, list[int]] = {}
    for poll in saagie.polls:
        rounds.setdefault(round(poll.at), []).append(len(poll.ids))
    assert rounds == {at: [100, 100, 50] for at in range(0, 61, 10)}
    assert (len(saagie.logins), waiting[0].log.lines) == (2, [])
    assert len({poll.peer for poll in saagie.polls}) <= 4  # kept connections, one per request at a time


async def test_poll_interval_grows_with_age(scenario: Scenario, saagie: FakeSaagie) -> None:
    ends = {instance(1): 200, instance(2): 1200}
    saagie.get_instance = lambda id_, at: row("RUNNING" if at < ends[id_] else "SUCCEEDED", age=at)
    short, long = scenario.wait(1, poll_interval=10), scenario.wait(2, poll_interval=3600)
    assert await all_end([short])
    assert saagie.now() < 211
    times = [poll.at for poll in saagie.polls if instance(1) in poll.ids]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert max(gaps) <= 10.1
    assert [round(gap) for gap in gaps[1:9]] == [1] * 8
    assert await all_end([long])
    assert saagie.now() < 1200 * 1.25


@pytest.mark.parametrize("scenario", [0.0, 2.5, 5.0, 7.5], indirect=True)
async def test_item_error_fails_its_waiter_after_a_minute(scenario: Scenario, saagie: FakeSaagie) -> None:
    """The polls of an item with an error may never coincide with the healthy ones, which absolve the platform."""

    def get_instance(id_: str, at: float) -> Row:
        if id_ in (instance(2), instance(3)):
            raise ItemError("no right to see it", "FORBIDDEN")
        return row("RUNNING" if at < 400 else "SUCCEEDED", age=HOUR)

    saagie.get_instance = get_instance
    healthy = scenario.wait(1)
    for latency in (0.01, 0.2):
        saagie.latency = latency
        await asyncio.sleep(20)
        came = saagie.now()
        suspects = [scenario.wait(n) for n in (2, 3)]
        for suspect in suspects:
            assert await suspect.failure("no right to see it") == "auth"
            assert ["no right" in line for line in suspect.log.lines] == [True]
        assert 60 <= saagie.now() - came <= 91
    assert not healthy.task.done()
    assert await all_end([healthy])
    assert healthy.log.lines == []


@pytest.mark.parametrize(("until_1", "until_2"), [(700, 700), (135, 150)])
async def test_errors_of_all_items_are_waited_out(
    scenario: Scenario, saagie: FakeSaagie, until_1: float, until_2: float
) -> None:
    """As those of a platform in trouble are. One that recovers answers some of the batches earlier than others."""

    def get_instance(id_: str, at: float) -> Row:
        if 15 < at < (until_1 if id_ <= instance(100) else until_2):
            raise ItemError("database away", "INTERNAL_ERROR")
        return row("RUNNING" if at < until_2 + 50 else "SUCCEEDED", age=HOUR)

    saagie.get_instance = get_instance
    waiting = scenario.wait_many(1, 120)
    assert await all_end(waiting)
    assert {len(one.log.lines) for one in waiting} == {1}


async def test_refused_batch_is_bisected_to_the_culprits(scenario: Scenario, saagie: FakeSaagie) -> None:
    bad = {instance(7), instance(77)}
    saagie.intercept = lambda request: refusal("Variable has an invalid value") if bad & {*request.ids} else None
    saagie.get_instance = ends_at(120)
    waiting = scenario.wait_many(1, 100)
    assert [await waiting.pop(n).failure("invalid value") for n in (76, 6)] == ["api"] * 2
    assert 60 <= saagie.now() < 90
    assert {len(poll.ids) for poll in saagie.polls if 1 < poll.at < 55} == {98, 1}  # each culprit is polled alone
    assert await all_end(waiting)
    assert waiting[0].log.lines == []


async def test_refusal_of_the_only_item_lasts_ten_minutes(scenario: Scenario, saagie: FakeSaagie) -> None:
    """It may be the platform's fault."""
    saagie.intercept = lambda _: refusal("Variable has an invalid value")
    assert await scenario.wait(1).failure() == "api"
    assert 600 <= saagie.now() < 680


@pytest.mark.parametrize("intervals", [[10.0] * 64, [10.0, 50.0]], ids=["many", "polled apart"])
async def test_refusal_of_every_document_is_an_outage(
    scenario: Scenario, saagie: FakeSaagie, intervals: list[float]
) -> None:
    saagie.intercept = lambda request: refusal("Internal error") if 30 < request.at < 1000 else None
    saagie.get_instance = ends_at(1010)
    waiting = [scenario.wait(number, poll_interval=seconds) for number, seconds in enumerate(intervals)]
    assert await all_end(waiting)
    assert len(saagie.polls) < 400
    lost, back = waiting[0].log.lines[-2:]
    assert ("away" in lost, "again" in back, len(waiting[-1].log.lines)) == (True, True, 2)


async def test_batch_size_shrinks_and_recovers(scenario: Scenario, saagie: FakeSaagie) -> None:
    def intercept(request: Request) -> web.Response | None:
        return web.Response(status=413) if request.at < 130 and len(request.ids) > 9 else None

    saagie.intercept = intercept
    waiting = scenario.wait_many(1, 100, poll_interval=60)
    await asyncio.sleep(HOUR)
    later = [poll for poll in saagie.polls if 5 < poll.at < 130]
    assert later
    assert not any(intercept(poll) for poll in later)
    assert len(saagie.polls[-1].ids) == 100
    await cancel_all(waiting)


async def test_unusable_responses_end_no_waiter(scenario: Scenario, saagie: FakeSaagie) -> None:
    async def drops() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" "
            await asyncio.sleep(10)

    unusable = [
        web.Response(body=b'{"data": {}}x', headers={"Content-Type": f"application/json; charset={charset}"})
        for charset in ("rot13", "hex", "nonsense", "utf-16")
    ]
    unusable.append(web.json_response({"data": {"i0": {**row("SUCCEEDED"), "id": instance(7)}}}))  # another instance's
    saagie.intercept = lambda request: unusable.pop() if request.at > 15 and unusable else None
    saagie.get_instance = ends_at(100, "FAILED")
    assert (await scenario.wait(1).status(), unusable) == ("FAILED", [])
    slow = [web.Response(body=drops())]  # is abandoned after twice the time limit of a request
    saagie.intercept = lambda _: slow.pop() if slow else None
    began = saagie.now()
    assert await all_end([scenario.wait(1)])
    assert 40 <= saagie.now() - began < 60
    await asyncio.sleep(200)  # until the server's tasks have ended


async def test_instance_is_gone_if_null_twice(scenario: Scenario, saagie: FakeSaagie) -> None:
    """After the first null it is polled again within a minute, however long the interval is."""
    saagie.get_instance = lambda id_, at: None if at < 4 or id_ == instance(2) else row("SUCCEEDED")
    passing, lasting = (scenario.wait(n, poll_interval=3600) for n in (1, 2))
    assert await all_end([passing])
    assert await lasting.failure() == "gone"
    assert saagie.now() < 65
    assert len([poll for poll in saagie.polls if instance(2) in poll.ids]) == 2


@pytest.mark.parametrize("doubt", ["null", "UNKNOWN", "error"])
async def test_outage_resets_doubts(scenario: Scenario, saagie: FakeSaagie, doubt: str) -> None:
    """A platform that stops or starts gives odd answers."""
    odd: list[float] = []

    def get_instance(id_: str, at: float) -> Row:
        is_odd = id_ == instance(1) and at > (15 if not odd else HOUR) and len(odd) < 2
        if not is_odd:
            return row("SUCCEEDED" if len(odd) == 2 else "RUNNING", age=HOUR)
        odd.append(at)
        if doubt == "error":
            raise ItemError("database away")
        return None if doubt == "null" else row("UNKNOWN", age=HOUR)

    saagie.get_instance = get_instance
    saagie.intercept = lambda request: web.Response(status=503) if odd and request.at < HOUR else None
    assert [await waiting.status() for waiting in (scenario.wait(1), scenario.wait(2))] == ["SUCCEEDED"] * 2
    assert len(odd) == 2


# Deadlines


async def test_deadline_polls_once_more(scenario: Scenario, saagie: FakeSaagie) -> None:
    """Deadlines at about the same time share the poll."""
    saagie.get_instance = lambda id_, at: row("SUCCEEDED" if id_ == instance(1) and at > 2 else "RUNNING", age=HOUR)
    ends = scenario.wait(1, deadline=4, poll_interval=600)
    others = [scenario.wait(n, deadline=33 + n / 1000, poll_interval=600) for n in range(3, 93)]
    assert await scenario.wait(2, deadline=-60).verdict() == StillOnItsWay(was_read=True)
    assert saagie.now() < 0.5
    assert await all_end([ends])
    assert saagie.now() < 4.5
    assert {await one.verdict() for one in others} == {StillOnItsWay(was_read=True)}
    assert len([poll for poll in saagie.polls if poll.at > 30]) <= 5


async def test_deadline_in_a_pause_polls_and_ends_the_outage(scenario: Scenario, saagie: FakeSaagie) -> None:
    saagie.get_instance = ends_at(90)
    saagie.intercept = fails(429, 15, 50, retry_after=300)
    others = scenario.wait_many(3, 4)
    late = scenario.wait(1, deadline=60)
    await asyncio.sleep(25)
    assert ["away" in line for line in late.log.lines] == [True]  # so long a pause is logged at once
    assert await late.verdict() == StillOnItsWay(was_read=True)
    assert next(poll.ids for poll in saagie.polls if poll.at > 25) == [instance(1)]
    assert await all_end(others)
    assert saagie.now() < 105


# Waiters come and go


async def test_last_waiter_closes_the_connections(scenario: Scenario, saagie: FakeSaagie) -> None:
    """The others leave at once, during a request."""
    saagie.latency = 0.5
    stays, *others = [scenario.wait(n, stream_logs=n % 2 == 0) for n in range(1, 501)]
    await asyncio.sleep(20.2)
    await cancel_all(others)
    saagie.requests.clear()
    await asyncio.sleep(40)
    assert {len(poll.ids) for poll in saagie.polls[4:]} == {1}
    assert (stays.log.lines, len(saagie.logins), saagie.connections() > 0) == ([], 1, True)
    await stays.leave()
    await asyncio.sleep(1)
    assert saagie.connections() == 0
    saagie.get_instance = ends_at(0)
    assert await all_end([scenario.wait(1)])
    assert len(saagie.logins) == 2


async def test_waiter_that_comes_as_the_last_leaves_is_served(scenario: Scenario, saagie: FakeSaagie) -> None:
    for turns in range(6):
        saagie.get_instance = ends_at(math.inf)
        last = scenario.wait(1)
        await asyncio.sleep(5)
        saagie.get_instance = ends_at(0)
        last.task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert await all_end([scenario.wait(2)]), turns


async def test_waiter_that_left_is_freed(scenario: Scenario, saagie: FakeSaagie) -> None:
    """Long before its deadline, while others wait for the same instance."""
    saagie.get_instance = lambda id_, at: row("SUCCEEDED" if id_ == instance(2) and at > 60 else "RUNNING", age=HOUR)
    saagie.get_log = lambda _, at: [("STDOUT", f"line {n}") for n in range(int(at) // 10)]
    stays, ends, same, leaves = (scenario.wait(n, deadline=HOUR, stream_logs=True) for n in (1, 2, 2, 2))
    await asyncio.sleep(30)
    await leaves.leave()
    assert await all_end([ends, same])
    assert ends.log.lines == same.log.lines != []
    ended, left = weakref.ref(ends.log), weakref.ref(leaves.log)
    del ends, same, leaves
    await asyncio.sleep(20)  # a round in which they may still take part
    gc.collect()
    assert ended() is left() is None
    await stays.leave()


async def test_bug_in_the_watcher_reaches_its_waiters_only(scenario: Scenario, saagie: FakeSaagie) -> None:
    """Neither one that reads the last lines of its job, nor those that come later."""
    saagie.get_instance = lambda id_, at: row("SUCCEEDED" if id_ != instance(1) and at > 20 else "RUNNING", age=HOUR)
    saagie.intercept = fails(500, operation="watchLogs")
    errors: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    one, two, ended = scenario.wait(1, poll_interval=1), scenario.wait(1), scenario.wait(2, stream_logs=True)
    await asyncio.wait({ended.waiter.verdict})
    one.waiter.poll_interval = "ten"  # type: ignore[assignment]
    for waiting in (one, two):
        with pytest.raises(TypeError):
            await waiting.verdict()
    assert not ended.task.done()
    stays = scenario.wait(1)
    assert await all_end([scenario.wait(3), ended])
    assert await all_end([scenario.wait(4)])
    assert (len(saagie.logins), errors) == (2, [])
    # A loop that is shut down cancels all tasks.
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == f"saagie watcher {scenario.conn_id}"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stays.verdict()
    assert await all_end([scenario.wait(5)])


def test_each_loop_has_a_watcher(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(conn_id: str, number: int) -> bool:
        waiter = Waiter(instance_id=instance(number), log=RecordingLogger(), poll_interval=0.1)
        return isinstance(await watcher.wait(conn_id, waiter), Ended)

    async def main() -> None:
        saagie = FakeSaagie()
        async with fake_saagie(saagie):
            saagie.get_instance = lambda *_: row("SUCCEEDED" if len(saagie.logins) == 2 else "RUNNING", age=HOUR)
            conn_id = connection(saagie.url, monkeypatch)
            ends = await asyncio.gather(*(asyncio.to_thread(asyncio.run, wait(conn_id, n)) for n in (1, 2)))
            assert (ends, len(saagie.logins)) == ([True, True], 2)

    asyncio.run(main(), debug=True)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")]


# Stops


async def test_stop_is_sent_once_and_its_failure_logged(scenario: Scenario, saagie: FakeSaagie) -> None:
    assert await scenario.stop(1) == ["Saagie was asked to stop it."]
    assert saagie.stopped == [instance(1)]
    saagie.intercept = fails(500, operation="stopJobInstance")
    (line,) = await scenario.stop(2, job_id="j", project_id="p")
    assert f"/project/p/job/j/instances/{instance(2)}" in line
    assert "HTTP 500" in line
    assert [request.operation for request in saagie.requests] == ["watchInstances", "stopJobInstance"] * 2
    assert all("(by=triggerer)" in request.user_agent for request in saagie.requests)
    saagie.intercept = fails(500, until=0)
    saagie.stop_seconds, began = 15, saagie.now()
    (line,) = await scenario.stop(3)
    assert "within 10 s" in line
    assert saagie.now() - began < 11
    await asyncio.sleep(5)  # until the server has ended it
    # The last waiter leaves during a stop, which keeps the session open.
    saagie.stop_seconds, logins = 3, len(saagie.logins)
    one = scenario.wait(4)
    asyncio.get_running_loop().call_later(6, one.task.cancel)
    await asyncio.sleep(5)
    assert await scenario.stop(4) == ["Saagie was asked to stop it."]
    assert (saagie.stopped, len(saagie.logins)) == ([instance(n) for n in (1, 3, 4)], logins + 1)
    saagie.get_instance = ends_at(0)
    assert await scenario.stop(5) == ["It has ended already: there is nothing to stop."]
    assert one.task.cancelled()
    assert len(saagie.stopped) == 3


async def test_edited_connection_is_used_after_the_stop(scenario: Scenario, saagie: FakeSaagie) -> None:
    saagie.intercept = fails(503, 69, 200, operation="watchInstances", retry_after=3)
    saagie.stop_seconds = 9
    one = scenario.wait(1)
    await asyncio.sleep(72)
    saagie.password = "changed"
    scenario.edit_connection(password="changed")
    assert await scenario.stop(1) == ["Saagie was asked to stop it."]
    # The first of these looked the connection up, and the second would have used it.
    assert len([poll for poll in saagie.polls if 72 < poll.at < saagie.now()]) >= 2
    assert len(saagie.logins) == 1
    await asyncio.sleep(200)
    assert len(saagie.logins) == 2
    assert "Saagie answers again" in one.log.lines[-1]
    await one.leave()


async def test_hundreds_of_stops_take_turns(scenario: Scenario, saagie: FakeSaagie) -> None:
    """Waiters are polled in the meantime."""
    saagie.stop_seconds = 3.0
    waiting = scenario.wait_many(1, 10, poll_interval=5)
    await asyncio.sleep(20)
    saagie.requests.clear()
    lines = await asyncio.gather(*(scenario.stop(100 + number) for number in range(500)))
    assert lines == [["Saagie was asked to stop it."]] * 500
    assert len(set(saagie.stopped)) == 500
    assert saagie.now() == pytest.approx(20 + 500 / 50 * 3, abs=1)
    sizes = [len(poll.ids) for poll in saagie.polls]
    assert (sizes.count(1), {*sizes}) == (500, {1, 10})  # one poll before each stop
    assert sizes.count(10) in (6, 7)  # the seventh is due as the last stop is answered
    await cancel_all(waiting)
