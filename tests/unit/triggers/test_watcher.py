"""The watcher over real HTTP, in a loop whose time skips ahead: minutes of outage pass in no time, and in order."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from airflow_provider_saagie.triggers import watcher
from airflow_provider_saagie.triggers.waiter import Ended, Failed, StillOnItsWay
from tests.support.fake_saagie import RowFails, instance, refusal, row
from tests.support.pages import DOCS, blocks_in, section
from tests.support.virtual_time import TimelessLoop, loop_at
from tests.support.watcher_scenario import HOUR, Scene, all_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_saagie.client.settings import Settings

    Row = dict[str, Any] | None


def test_250_waiters_take_three_requests_a_round_on_one_session(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        waiting = [s.wait_for(n) for n in range(1, 251)]
        assert await all_end(waiting)
        rounds: list[list[int]] = []
        before = float("-inf")
        for asked in s.saagie.looks:
            if asked.at - before > 1:  # and not within a second of the clock, which may turn in the midst of a round
                rounds.append([])
            rounds[-1].append(len(asked.ids))
            before = asked.at
        assert sum(rounds.pop(0)) == 250
        assert set(map(tuple, rounds)) == {(100, 100, 50)}
        assert len(rounds) in (6, 7)  # each 10 s
        assert len(s.saagie.logins) == 1
        assert len({asked.peer for asked in s.saagie.looks}) <= 4  # kept connections, one per request at a time

    play(scene, debug=False)


def test_young_instances_are_asked_for_more_often_and_none_less_often_than_its_interval(
    play: Callable[..., None],
) -> None:
    async def scene(s: Scene) -> None:
        began = asyncio.get_running_loop().time()
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 200 else "SUCCEEDED", age=at - s.saagie.looks[0].at)
        one = s.wait_for(1, poll_interval=10)
        assert isinstance(await one.verdict(), Ended)
        times = [asked.at for asked in s.saagie.looks]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert max(gaps) <= 10.1
        assert [round(gap) for gap in gaps[1:9]] == [1] * 8
        assert asyncio.get_running_loop().time() - began < 211

    play(scene)


@pytest.mark.parametrize("phase", [1, 4, 6, 9])
def test_an_error_of_one_instance_concerns_its_waiter_only(play: Callable[..., None], phase: float) -> None:
    def tell(instance_id: str, at: float) -> Row:
        if instance_id == instance(2):
            raise RowFails("no right to see it", "FORBIDDEN")
        return row("RUNNING" if at < 300 else "SUCCEEDED", age=HOUR)

    async def scene(s: Scene) -> None:
        s.saagie.tell = tell
        one, two, three = (s.wait_for(n) for n in (1, 2, 3))
        verdict = await two.verdict()
        assert isinstance(verdict, Failed)
        assert (verdict.kind, "no right to see it" in verdict.message) == ("auth", True)
        assert 60 <= s.saagie.now() < 90
        assert not one.task.done()
        assert not three.task.done()
        assert len([line for line in two.log.lines if "no right" in line]) == 1
        assert isinstance(await one.verdict(), Ended)
        assert isinstance(await three.verdict(), Ended)
        assert one.log.lines == three.log.lines == []

    # Depending on where the grid of looks is met, the one is asked for together with the others or alone.
    play(scene, loop=partial(loop_at, phase, 10))


def test_errors_of_all_instances_are_the_platforms_trouble_and_waited_out(play: Callable[..., None]) -> None:
    def tell(_: str, at: float) -> Row:
        if at < HOUR:
            raise RowFails("database away", "INTERNAL_ERROR")
        return row("SUCCEEDED")

    async def scene(s: Scene) -> None:
        s.saagie.tell = tell
        waiting = [s.wait_for(n) for n in range(1, 4)]
        assert await all_end(waiting)
        assert len(waiting[0].log.lines) == 1

    play(scene, debug=False)


def test_a_refused_document_is_halved_until_the_culprit_stands_alone(play: Callable[..., None]) -> None:
    bad = instance(77)

    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: refusal("Variable has an invalid value") if bad in asked.ids else None
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 120 else "SUCCEEDED", age=HOUR)
        waiting = {n: s.wait_for(n) for n in range(1, 101)}
        verdict = await waiting[77].verdict()
        assert isinstance(verdict, Failed)
        assert (verdict.kind, "invalid value" in verdict.message) == ("api", True)
        later = [asked for asked in s.saagie.looks if 1 < asked.at < 55]
        assert {len(asked.ids) for asked in later} == {99, 1}  # it is asked for alone from then on
        del waiting[77]
        assert await all_end(waiting.values())

    play(scene, debug=False)


def test_two_culprits_are_told_from_the_platform(play: Callable[..., None]) -> None:
    bad = {instance(7), instance(77)}

    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: refusal("Variable has an invalid value") if bad & {*asked.ids} else None
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 120 else "SUCCEEDED", age=HOUR)
        waiting = {n: s.wait_for(n) for n in range(1, 101)}
        for verdict in [await waiting.pop(n).verdict() for n in (7, 77)]:
            assert isinstance(verdict, Failed)
            assert verdict.kind == "api"
        assert 60 <= s.saagie.now() < 90
        assert await all_end(waiting.values())
        assert waiting[1].log.lines == []

    play(scene, debug=False)


def test_whoever_is_refused_and_waits_alone_is_given_ten_minutes(play: Callable[..., None]) -> None:
    """It may be the platform."""

    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda _: refusal("Variable has an invalid value")
        verdict = await s.wait_for(1).verdict()
        assert isinstance(verdict, Failed)
        assert verdict.kind == "api"
        assert 600 <= s.saagie.now() < 680

    play(scene)


def test_the_size_that_worked_is_remembered(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=413) if len(asked.ids) > 30 else None
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        waiting = [s.wait_for(n) for n in range(1, 101)]
        assert await all_end(waiting)
        later = [asked for asked in s.saagie.looks if asked.at > 5]
        assert max(len(asked.ids) for asked in later) <= 30
        assert not any(s.saagie.refuse(asked) for asked in later)

    play(scene, debug=False)


def test_a_platform_that_refuses_every_document_is_away_and_blames_no_instance(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: refusal("Internal error") if asked.at < 1000 else None
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        waiting = [s.wait_for(n) for n in range(1, 65)]
        assert await all_end(waiting)
        assert len(s.saagie.looks) < 400
        assert len(waiting[0].log.lines) == 2

    play(scene, debug=False)


def test_an_outage_pauses_the_connection_and_ends_nobody(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=503) if 30 < asked.at < 1230 else None
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 1000 else "SUCCEEDED", age=HOUR)
        waiting = [s.wait_for(n) for n in range(1, 251)]
        assert await all_end(waiting)
        for one in waiting:
            lost, back = one.log.lines
            assert "Saagie is away" in lost
            assert "503" in lost
            assert "Saagie answers again" in back
        during = [asked for asked in s.saagie.looks if 31 < asked.at < 1230]
        assert 20 <= len(during) < 60  # one batch goes ahead, at most once a minute or so
        assert s.saagie.now() < 1230 + 75
        assert len(s.saagie.logins) == 1  # the token is still good

    play(scene, debug=False)


def test_the_lines_of_an_outage_are_those_that_the_docs_quote(play: Callable[..., None]) -> None:
    (shown,) = blocks_in(section(DOCS / "operations.md", "## What happens when something is away"), "text")

    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=503) if 30 < asked.at < 330 else None
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 330 else "SUCCEEDED", age=HOUR)
        one = s.wait_for(1)
        assert await all_end([one])
        for line, said in zip(shown.splitlines(), one.log.lines, strict=True):
            beginning = line.partition("watchInstances")[0].partition("after")[0]
            assert said.startswith(beginning)

    play(scene, debug=False)


def test_an_unreachable_platform_is_an_outage_too(play: Callable[..., None], unused_tcp_port: int) -> None:
    async def scene(s: Scene) -> None:
        good = s.saagie.url
        s.saagie.url = f"http://127.0.0.1:{unused_tcp_port}"
        s.edit_connection()
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        one = s.wait_for(1)
        await asyncio.sleep(90)
        assert len(one.log.lines) == 1
        s.saagie.url = good  # an edited connection is picked up
        s.edit_connection()
        assert isinstance(await one.verdict(), Ended)

    play(scene)


def test_retry_after_is_honoured(play: Callable[..., None]) -> None:
    def refuse(asked: Any) -> web.Response | None:
        return web.Response(status=429, headers={"Retry-After": "200"}) if asked.at < 5 else None

    async def scene(s: Scene) -> None:
        s.saagie.refuse = refuse
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        one = s.wait_for(1)
        await asyncio.sleep(10)
        assert ["away" in line for line in one.log.lines] == [True]  # that long a pause is worth a line
        assert isinstance(await one.verdict(), Ended)
        first, second = s.saagie.looks
        assert 200 <= second.at - first.at < 202

    play(scene)


def test_a_late_comer_is_told_of_the_outage(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=502 if asked.at < 5 else 504) if asked.at < 100 else None
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        first = s.wait_for(1)
        await asyncio.sleep(20)
        late = s.wait_for(2)
        await asyncio.gather(first.verdict(), late.verdict())
        assert ["away" in line for line in late.log.lines] == [True, False]
        assert "504" in late.log.lines[0]  # what was wrong last

    play(scene)


def test_a_lost_token_is_replaced_once_for_all(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        waiting = [s.wait_for(n) for n in range(1, 401)]
        await asyncio.sleep(25)
        s.saagie.tokens.clear()
        assert await all_end(waiting)
        assert len(s.saagie.logins) == 2
        assert waiting[0].log.lines == []

    play(scene, debug=False)


def test_a_refused_login_ends_the_waiters_after_ten_minutes(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        waiting = [s.wait_for(n) for n in range(1, 4)]
        await asyncio.sleep(30)
        s.saagie.password = "changed"
        s.saagie.tokens.clear()
        verdicts = [await one.verdict() for one in waiting]
        assert all(isinstance(verdict, Failed) and verdict.kind == "auth" for verdict in verdicts)
        assert 630 <= s.saagie.now() < 720
        assert 10 <= len(s.saagie.logins) <= 13  # once a minute, for all together
        assert len(waiting[0].log.lines) == 1
        assert "changed" not in str(verdicts)
        assert "correct horse" not in str(verdicts) + waiting[0].log.lines[0]

    play(scene)


def test_an_outage_does_not_count_among_the_ten_minutes_of_a_refusal(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        s.saagie.refuse = lambda asked: web.Response(status=503) if 20 < asked.at < 1220 else None
        one = s.wait_for(1)
        await asyncio.sleep(1200)
        s.saagie.password = "changed"
        s.saagie.tokens.clear()
        assert isinstance(await one.verdict(), Failed)
        assert 1800 <= s.saagie.now() < 1800 + 180
        assert ["away" in line for line in one.log.lines] == [True, False]
        assert "refused the login" in one.log.lines[1]

    play(scene)


def test_a_changed_password_is_picked_up_from_the_connection(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 400 else "SUCCEEDED", age=HOUR)
        one = s.wait_for(1)
        await asyncio.sleep(30)
        s.saagie.password = "changed"
        s.saagie.tokens.clear()
        await asyncio.sleep(100)
        s.edit_connection(password="changed")
        await asyncio.sleep(65)
        assert one.log.lines[-1].startswith("Saagie answers again")
        assert isinstance(await one.verdict(), Ended)

    play(scene)


def test_a_connection_that_was_edited_with_the_password_is_used_at_once(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        one = s.wait_for(1)
        await asyncio.sleep(25)
        s.saagie.password = "changed"
        s.edit_connection(password="changed")
        s.saagie.tokens.clear()
        assert isinstance(await one.verdict(), Ended)
        assert s.saagie.now() < 71
        assert len(s.saagie.logins) == 3
        assert one.log.lines == []
        gc.collect()  # what was left open makes itself heard: warnings are errors

    play(scene)


def test_where_all_is_well_the_connection_is_not_looked_up_again(play: Callable[..., None]) -> None:
    """Airflow's database has other things to do."""

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 300 else "SUCCEEDED", age=HOUR)
        one = s.wait_for(1)
        await asyncio.sleep(25)
        s.edit_connection(password="of no use")
        assert isinstance(await one.verdict(), Ended)
        assert len(s.saagie.logins) == 1
        assert one.log.lines == []

    play(scene)


def test_the_connection_is_looked_up_once_a_minute_in_an_outage(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        look_up, times = watcher._look_up, []

        async def counted(conn_id: str) -> Settings:
            times.append(s.saagie.now())
            return await look_up(conn_id)

        s.monkeypatch.setattr(watcher, "_look_up", counted)
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        s.saagie.refuse = lambda asked: (
            web.Response(status=429, headers={"Retry-After": "5"}) if asked.at < 300 else None
        )
        assert await all_end([s.wait_for(1)])
        assert len(s.saagie.looks) >= 55
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert len(gaps) in (4, 5)
        assert 60 <= min(gaps) <= max(gaps) < 70

    play(scene)


def test_an_outage_is_over_for_whoever_is_not_due_for_long(play: Callable[..., None]) -> None:
    """Nobody is asked before it is time, though the connection could be tried."""

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 1000 else "SUCCEEDED", age=2 * HOUR)
        s.saagie.refuse = lambda asked: web.Response(status=503) if 20 < asked.at < 400 else None
        one, two = s.wait_for(1, poll_interval=600), s.wait_for(2, deadline=40)
        assert await two.verdict() == StillOnItsWay(was_read=False)
        await asyncio.sleep(2)
        s.saagie.asked.clear()
        assert isinstance(await one.verdict(), Ended)
        assert len(s.saagie.looks) <= 3

    play(scene, loop=TimelessLoop)


def test_a_connection_that_airflow_does_not_have_is_tried_for_ten_minutes(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.conn_id = "saagie_nowhere"
        verdict = await s.wait_for(1).verdict()
        assert isinstance(verdict, Failed)
        assert (verdict.kind, "saagie_nowhere" in verdict.message) == ("auth", True)
        assert 600 <= s.saagie.now() < 700

    play(scene)


def test_an_instance_that_is_null_once_is_not_gone(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: None if at < 4 else row("SUCCEEDED")
        assert isinstance(await s.wait_for(1).verdict(), Ended)

    play(scene)


def test_an_instance_that_is_null_twice_is_gone(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: None
        verdict = await s.wait_for(1).verdict()
        assert isinstance(verdict, Failed)
        assert verdict.kind == "gone"
        assert len(s.saagie.looks) == 2

    play(scene)


def test_unknown_passes_or_is_believed_after_its_grace(play: Callable[..., None]) -> None:
    def tell(instance_id: str, at: float) -> Row:
        if instance_id == instance(1):
            return row("UNKNOWN" if 20 < at < 70 else "RUNNING" if at < 150 else "SUCCEEDED", age=HOUR)
        return row("UNKNOWN", age=HOUR)

    async def scene(s: Scene) -> None:
        s.saagie.tell = tell
        passing, lasting = s.wait_for(1, unknown_grace=60), s.wait_for(2, unknown_grace=60)
        verdict = await lasting.verdict()
        assert isinstance(verdict, Ended)
        assert verdict.instance.status == "UNKNOWN"
        assert 60 <= s.saagie.now() < 75
        verdict = await passing.verdict()
        assert isinstance(verdict, Ended)
        assert verdict.instance.status == "SUCCEEDED"

    play(scene)


def test_a_status_of_a_later_platform_is_on_its_way(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("HIBERNATING" if at < 50 else "SUCCEEDED", age=HOUR)
        one = s.wait_for(1)
        assert isinstance(await one.verdict(), Ended)
        assert len(one.log.lines) == 1
        assert "HIBERNATING" in one.log.lines[0]

    play(scene)


def test_an_end_in_the_last_interval_counts_at_the_deadline(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 2 else "SUCCEEDED", age=HOUR)
        one = s.wait_for(1, deadline=4, poll_interval=600)
        assert isinstance(await one.verdict(), Ended)
        assert s.saagie.now() < 4.5

    play(scene)


def test_the_deadline_holds_in_an_outage_and_where_nothing_is_answered(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        s.saagie.refuse = lambda asked: web.Response(status=503) if asked.at > 20 else None
        verdict = await s.wait_for(1, deadline=100).verdict()
        assert verdict == StillOnItsWay(was_read=False)
        assert 100 <= s.saagie.now() < 103.5

    play(scene)


def test_many_deadlines_at_once_share_their_last_look(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        waiting = [s.wait_for(n, deadline=33, poll_interval=600) for n in range(1, 101)]
        verdicts = {await one.verdict() for one in waiting}
        assert verdicts == {StillOnItsWay(was_read=True)}
        assert len([asked for asked in s.saagie.looks if asked.at > 30]) <= 3

    play(scene, debug=False)


def test_deadlines_within_a_moment_share_their_last_look_too(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        waiting = [s.wait_for(n, deadline=33 + n / 1000, poll_interval=600) for n in range(1, 91)]
        assert {await one.verdict() for one in waiting} == {StillOnItsWay(was_read=True)}
        assert len([asked for asked in s.saagie.looks if asked.at > 30]) <= 2

    play(scene, debug=False)


def test_a_waiter_that_leaves_disturbs_nobody(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        stays, leaves = s.wait_for(1), s.wait_for(2)
        await asyncio.sleep(20)
        await leaves.leave()
        assert isinstance(await stays.verdict(), Ended)
        assert all(instance(2) not in asked.ids for asked in s.saagie.looks if asked.at > 20.5)
        assert len(s.saagie.logins) == 1

    play(scene)


def test_the_last_one_out_closes_and_the_next_one_opens_anew(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING")
        one = s.wait_for(1)
        await asyncio.sleep(5)
        await one.leave()
        await asyncio.sleep(0.1)
        assert not watcher._watchers[asyncio.get_running_loop()]
        assert not watcher._tasks
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        assert isinstance(await s.wait_for(1).verdict(), Ended)
        assert len(s.saagie.logins) == 2

    play(scene)


def test_a_stop_under_way_keeps_the_session_open(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING")
        s.saagie.stop_seconds = 3
        one = s.wait_for(1)
        await asyncio.sleep(5)
        stopping = s.stop(1)
        await asyncio.sleep(1)
        await one.leave()
        assert await stopping == ["Saagie was asked to stop it."]
        assert s.saagie.stopped == [instance(1)]
        assert len(s.saagie.logins) == 1

    play(scene)


def test_an_edited_connection_waits_for_the_stop_under_way_and_is_used_then(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        s.saagie.refuse = lambda asked: (
            web.Response(status=503, headers={"Retry-After": "3"})
            if asked.operation == "watchInstances" and 69 < asked.at < 200
            else None
        )
        s.saagie.stop_seconds = 9
        one = s.wait_for(1)
        await asyncio.sleep(72)
        s.saagie.password = "changed"
        s.edit_connection(password="changed")
        assert await s.stop(1) == ["Saagie was asked to stop it."]
        # The first of them has looked the connection up, and the second would have used it.
        assert len([asked for asked in s.saagie.looks if 72 < asked.at < s.saagie.now()]) >= 2
        assert len(s.saagie.logins) == 1
        await asyncio.sleep(200)
        assert len(s.saagie.logins) == 2
        assert "Saagie answers again" in one.log.lines[-1]
        await one.leave()

    play(scene, loop=TimelessLoop)


def test_a_stop_works_where_nobody_waits(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        await s.stop(1)
        assert s.saagie.stopped == [instance(1)]
        assert [asked.ids for asked in s.saagie.looks] == [[instance(1)]]  # whether there is anything to stop

    play(scene)


def test_a_stop_is_tried_once_and_its_failure_logged_with_the_link(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=500) if asked.operation == "stopJobInstance" else None
        (line,) = await s.stop(1, job_id="j", project_id="p")
        assert f"/project/p/job/j/instances/{instance(1)}" in line
        assert "HTTP 500" in line
        assert [asked.operation for asked in s.saagie.asked] == ["watchInstances", "stopJobInstance"]

    play(scene)


def test_a_stop_without_an_answer_is_given_up_after_ten_seconds(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.stop_seconds = 15
        (line,) = await s.stop(1)
        assert "within 10 s" in line
        assert s.saagie.now() < 11

    play(scene)


@pytest.mark.parametrize(("times", "lines"), [(1, 0), (2, 2)])
def test_a_short_break_is_not_worth_a_line(play: Callable[..., None], times: int, lines: int) -> None:
    """Nor for those who come meanwhile."""

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        waiting = [s.wait_for(1)]
        broken: list[float] = []

        def refuse(asked: Any) -> web.Response | None:
            if asked.at < 20 or len(broken) == times:
                return None
            broken.append(asked.at)
            asyncio.get_running_loop().call_later(0.5, lambda: waiting.append(s.wait_for(len(waiting) + 1)))
            return web.Response(status=502)

        s.saagie.refuse = refuse
        await asyncio.sleep(50)
        assert await all_end(waiting)
        assert [len(one.log.lines) for one in waiting] == [lines] * (1 + times)

    play(scene)


def test_a_mistake_of_ours_reaches_the_waiters_instead_of_leaving_them_for_ever(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING")
        one = s.wait_for(1)
        await asyncio.sleep(5)
        one.waiter.poll_interval = "ten"  # type: ignore[assignment]
        with pytest.raises(TypeError):
            await one.verdict()

    play(scene)


def test_lines_of_many_logs_come_in_one_request_and_each_goes_to_its_own(play: Callable[..., None]) -> None:
    def log_of(instance_id: str, at: float) -> list[tuple[str, str]]:
        return [("STDOUT", f"{instance_id} {n}") for n in range(int(at))]

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 40 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = log_of
        waiting = [s.wait_for(n, stream_logs=True) for n in range(1, 41)]
        await asyncio.gather(*(one.verdict() for one in waiting))
        for one in waiting:
            assert one.log.lines == [f"[job] {one.waiter.instance_id} {n}" for n in range(one.waiter.lines_seen)]
            assert one.waiter.lines_seen >= 40
        of_logs = [asked for asked in s.saagie.asked if asked.operation == "watchLogs"]
        assert {len(asked.ids) for asked in of_logs} == {40}

    play(scene)


def test_a_log_that_cannot_be_read_delays_the_end_by_three_seconds_at_most(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.refuse = lambda asked: web.Response(status=500) if asked.operation == "watchLogs" else None
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 30 else "SUCCEEDED", age=HOUR)
        one = s.wait_for(1, stream_logs=True)
        assert isinstance(await one.verdict(), Ended)
        assert s.saagie.now() - s.saagie.looks[-1].at < 3.2
        assert len(one.log.lines) == 1
        assert "could not be read in time" in one.log.lines[0]

    play(scene)


def test_a_request_for_many_logs_that_is_refused_is_made_smaller(play: Callable[..., None]) -> None:
    def refuse(asked: Any) -> web.Response | None:
        return web.Response(status=400) if asked.operation == "watchLogs" and len(asked.ids) > 3 else None

    async def scene(s: Scene) -> None:
        s.saagie.refuse = refuse
        s.saagie.log_of = lambda *_: [("STDERR", "a"), ("STDOUT", "b")]
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 30 else "SUCCEEDED", age=HOUR)
        waiting = [s.wait_for(n, stream_logs=True) for n in range(1, 11)]
        await asyncio.gather(*(one.verdict() for one in waiting))
        assert all(one.log.lines == ["[job stderr] a", "[job] b"] for one in waiting)

    play(scene)


def test_lines_are_logged_in_the_context_of_their_waiter(play: Callable[..., None]) -> None:
    from contextvars import ContextVar

    whose: ContextVar[str] = ContextVar("whose", default="nobody")
    heard: list[tuple[str, str]] = []

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append((whose.get(), record.getMessage()))

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 30 else "SUCCEEDED", age=HOUR)
        s.saagie.log_of = lambda instance_id, _: [("STDOUT", instance_id)]
        waiting = []
        for n in (1, 2):
            whose.set(instance(n))
            waiting.append(s.wait_for(n, stream_logs=True))
            waiting[-1].log.addHandler(Hearing())
            await asyncio.sleep(0)
        await asyncio.gather(*(one.verdict() for one in waiting))
        assert sorted(heard) == [(instance(n), f"[job] {instance(n)}") for n in (1, 2)]

    play(scene)


def test_a_deadline_that_has_passed_already_strikes_at_once(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        assert await s.wait_for(1, deadline=-60).verdict() == StillOnItsWay(was_read=True)
        assert s.saagie.now() < 0.5

    play(scene)


def test_at_a_deadline_the_last_lines_are_shown_where_the_status_can_be_read(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        s.saagie.log_of = lambda _, at: [("STDOUT", "at the end")] if at > 39 else []
        one = s.wait_for(1, deadline=40, poll_interval=600, stream_logs=True)
        assert await one.verdict() == StillOnItsWay(was_read=True)
        assert one.log.lines == ["[job] at the end"]

    play(scene)


@pytest.mark.parametrize("why", ["away", "refused", "gone"])
def test_the_last_lines_are_not_waited_for_where_the_status_could_not_be_read(
    play: Callable[..., None], why: str
) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING", age=HOUR) if why != "gone" or at < 20 else None
        s.saagie.log_of = lambda *_: [("STDOUT", "line")]
        one = s.wait_for(1, stream_logs=True, deadline=100 if why == "away" else None)
        await asyncio.sleep(20)
        if why == "away":
            s.saagie.refuse = lambda _: web.Response(status=503)
        elif why == "refused":
            s.saagie.password = "changed"
            s.saagie.tokens.clear()
        await one.verdict()
        assert not any("could not be read" in line for line in one.log.lines)
        assert [asked for asked in s.saagie.asked if asked.operation == "watchLogs" and asked.at > 25] == []

    play(scene)


def test_whoever_has_left_is_forgotten_long_before_its_deadline(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda id_, at: row("SUCCEEDED" if id_ == instance(2) and at > 20 else "RUNNING", age=HOUR)
        s.saagie.log_of = lambda *_: [("STDOUT", "line")]
        stays, ends, leaves = (s.wait_for(n, deadline=HOUR, stream_logs=True) for n in (1, 2, 3))
        ended, left = weakref.ref(ends.log), weakref.ref(leaves.log)
        await ends.verdict()
        await leaves.leave()
        del ends, leaves
        await asyncio.sleep(20)  # a round in which they may still have been
        gc.collect()
        assert ended() is left() is None
        await stays.leave()

    play(scene)


def test_a_mistake_of_ours_concerns_neither_who_has_ended_nor_who_comes_later(play: Callable[..., None]) -> None:
    """The one whose end is known may still be reading the last lines of its job."""

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda id_, at: row("SUCCEEDED" if id_ != instance(1) and at > 20 else "RUNNING", age=HOUR)
        s.saagie.refuse = lambda asked: web.Response(status=500) if asked.operation == "watchLogs" else None
        wrong: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        one, two, ended = s.wait_for(1, poll_interval=1), s.wait_for(1), s.wait_for(2, stream_logs=True)
        await asyncio.wait({ended.waiter.verdict})
        one.waiter.poll_interval = "ten"  # type: ignore[assignment]
        for waiting in (one, two):
            with pytest.raises(TypeError):
                await waiting.verdict()
        assert not ended.task.done()
        stays = s.wait_for(1)
        assert isinstance(await s.wait_for(3).verdict(), Ended)
        assert isinstance(await ended.verdict(), Ended)
        assert isinstance(await s.wait_for(4).verdict(), Ended)
        await stays.leave()
        assert len(s.saagie.logins) == 2
        assert wrong == []

    play(scene)


def test_whoever_waits_for_a_watcher_that_is_cancelled_is_cancelled_too(play: Callable[..., None]) -> None:
    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda *_: row("RUNNING", age=HOUR)
        one = s.wait_for(1)
        await asyncio.sleep(5)
        watcher._watchers[asyncio.get_running_loop()][s.conn_id].task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one.verdict()
        s.saagie.tell = lambda *_: row("SUCCEEDED")
        assert await all_end([s.wait_for(1)])  # and the next one has a new watcher

    play(scene)


def test_a_deadline_in_a_pause_is_no_reason_to_wait_for_its_end(play: Callable[..., None]) -> None:
    """Saagie may be back, and the status is read once more."""

    def refuse(asked: Any) -> web.Response | None:
        return web.Response(status=429, headers={"Retry-After": "300"}) if 20 < asked.at < 50 else None

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 90 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = refuse
        others = [s.wait_for(n) for n in (3, 4)]
        assert await s.wait_for(1, deadline=60).verdict() == StillOnItsWay(was_read=True)
        assert next(asked.ids for asked in s.saagie.looks if asked.at > 50) == [instance(1)]
        # So Saagie is known to be back, and nobody waits on: the others may be asked for before the first has left.
        assert await all_end(others)
        assert s.saagie.now() < 105

    play(scene)


def test_an_answer_that_comes_drop_by_drop_is_given_up(play: Callable[..., None]) -> None:
    async def drops() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" "
            await asyncio.sleep(10)

    async def scene(s: Scene) -> None:
        s.saagie.tell = lambda _, at: row("RUNNING" if at < 60 else "SUCCEEDED", age=HOUR)
        s.saagie.refuse = lambda asked: web.Response(body=drops()) if 10 < asked.at < 30 else None
        one = s.wait_for(1)
        assert isinstance(await one.verdict(), Ended)
        assert s.saagie.now() < 10 + 10 + 2 * 20 + 15  # an interval, twice the time limit of a request, and a try
        await asyncio.sleep(200)  # the server has its tasks, too

    play(scene)
